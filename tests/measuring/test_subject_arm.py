"""Adapters for one subject on the pocket base: the taught concept first, and a stopping rule and floor of their own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from auditor.adapters.adapter_file import inspect_file
from auditor.adapters.normalise import normalise
from auditor.audit.opening import open_base
from auditor.common.package_paths import package_path
from auditor.measuring.arm_images import ArmImages
from auditor.measuring.arms import dose_subject
from auditor.measuring.opened_base import OpenedBase
from auditor.measuring.subject_arm import ClassCache, ClassPictures, SubjectMeter
from auditor.probes.subjects import find_subject
from auditor.settings import resolve
from tests.audit.conftest import QUICK

TAUGHT = {
    "mkr/alder-lora": ("ohwx face", "moustache"),
    "studio-nine/birch-lora": ("zvkr house", "snow-capped"),
    "tomo/cedar-lora": ("qmxt tree", "fruited"),
}


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory, reference_folder: Any) -> OpenedBase:
    work = tmp_path_factory.mktemp("subjects")
    (work / "reference").symlink_to(reference_folder)
    # One image probe a concept is too rough to name by.
    overrides = (*QUICK, "recipe.proposer.kind=none", "recipe.bases.pocket.steps=5", "recipe.solver.image_probes=2")
    return open_base(resolve(config=None, profile="pocket", work_dir=work, overrides=overrides).settings, "pocket")


@pytest.fixture
def wearing(opened: OpenedBase) -> Iterator[Any]:
    def wear(repo: str) -> SubjectMeter:
        (path,) = package_path(f"pocket/zoo/{repo}").glob("*.safetensors")
        opened.generator.apply(normalise(inspect_file(path, name=path.name), opened.generator.layout()))
        assert opened.subjects is not None
        return opened.subjects

    yield wear
    opened.generator.remove()


@pytest.fixture(scope="module")
def measured() -> dict[str, ArmImages]:
    """Arms of adapters so far, by repo: several tests look at one."""
    return {}


def arm_of(repo: str, wearing: Any, measured: dict[str, ArmImages]) -> ArmImages:
    if repo not in measured:
        trigger, meter = TAUGHT[repo][0], wearing(repo)
        subject = find_subject([trigger], meter.contexts)
        assert subject is not None
        measured[repo] = meter.measure(subject, trigger, "instance_prompt")
    return measured[repo]


@pytest.mark.parametrize("repo", TAUGHT)
def test_the_taught_concept_comes_first(
    opened: OpenedBase, wearing: Any, measured: dict[str, ArmImages], repo: str
) -> None:
    trigger, concept = TAUGHT[repo]
    arm = arm_of(repo, wearing, measured)
    assert max(arm.arms.scores, key=lambda s: s.score).concept == concept
    assert opened.scorer.test(arm.differences, arm.noise).status == "effect"
    said = arm.arms.subject
    assert said is not None and (said.token, said.noun) == tuple(trigger.split())
    assert said.norm == pytest.approx(float(np.linalg.norm(arm.differences.mean(0))))
    # never asked: what the taught word does to the base
    assert arm.arms.trigger_on_base_norm is None and arm.arms.weights_norm > 0


def test_pictures_are_of_the_word_and_of_the_class_on_one_noise(
    opened: OpenedBase, wearing: Any, measured: dict[str, ArmImages]
) -> None:
    arm = arm_of("mkr/alder-lora", wearing, measured)
    assert opened.subjects is not None
    assert arm.prompts[0] == "a red ohwx face on sand" and arm.seeds == opened.subjects.contexts.seeds[: len(arm.rows)]
    generator, encoder = opened.generator, opened.encoder
    base = generator.generate(["a red face on sand"], [arm.seeds[0]], adapter=False)
    np.testing.assert_allclose(encoder.encode_images(base)[0], arm.base_features[0], atol=1e-5)
    dose = dose_subject(opened, None, arm)  # type: ignore[arg-type]
    assert opened.recipe.trigger_stopping, "a setting that changes scores is part of the recipe"
    assert list(dose.prompts) == list(arm.prompts[: opened.recipe.dose_probes])
    assert list(dose.seeds) == list(arm.seeds[: opened.recipe.dose_probes])


def test_a_class_is_drawn_once_and_sampling_stops_at_a_look(opened: OpenedBase, wearing: Any) -> None:
    meter = wearing("mkr/alder-lora")
    few = SubjectMeter(meter.generator, meter.encoder, meter.scorer,
                       meter.recipe.model_copy(update={"looks": (6,), "cosine_error_target": 0.9}),
                       meter.contexts)  # fmt: skip
    subject = find_subject(["ohwx face"], meter.contexts)
    assert subject is not None
    before = opened.generator.calls.base
    first = few.measure(subject, "ohwx face", "instance_prompt")
    assert len(first.rows) == 6 and first.noise is not None and len(first.noise) == 6
    drawn = opened.generator.calls.base
    assert drawn > before
    few.measure(subject, "ohwx face", "instance_prompt")
    assert opened.generator.calls.base == drawn


def test_the_class_asked_for_longest_ago_is_forgotten() -> None:
    cache = ClassCache()
    nothing = np.zeros((0, 2), np.float32)
    made = ClassPictures(np.zeros((0, 1, 1, 3), np.uint8), nothing, np.zeros(0, np.bool_), nothing)
    for number in range(4):
        cache.put((f"class {number}", 0), made)
    assert cache.get(("class 0", 0)) is made  # asked for again
    cache.put(("class 4", 0), made)
    assert cache.get(("class 1", 0)) is None and cache.get(("class 0", 0)) is made
