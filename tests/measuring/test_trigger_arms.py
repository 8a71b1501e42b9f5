"""The trigger's arms and the dose response on a real base: nothing rendered twice, nothing black in a mean."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from auditor.adapters.adapter_file import inspect_file
from auditor.adapters.normalise import normalise
from auditor.audit.opening import open_base
from auditor.common.package_paths import package_path
from auditor.errors import ItemError
from auditor.generation.diffusers_base import DiffusersBase
from auditor.measuring.arm_images import ArmImages
from auditor.measuring.arms import Measured, dose_subject, measure_dose, measure_plain, measure_trigger
from auditor.measuring.opened_base import OpenedBase
from auditor.settings import resolve
from tests.audit.conftest import QUICK

TRIGGER = "ohwx"  # names no subject, so all probes are used
Worn = tuple[OpenedBase, Measured]


@pytest.fixture(scope="module")
def worn(tmp_path_factory: pytest.TempPathFactory, reference_folder: Any) -> Iterator[Worn]:
    """The pocket base with an adapter that declares a trigger, and its plain arm."""
    work = tmp_path_factory.mktemp("worn")
    (work / "reference").symlink_to(reference_folder)
    overrides = (*QUICK, "recipe.proposer.kind=none", "recipe.trigger_stopping=false")
    opened = open_base(resolve(config=None, profile="pocket", work_dir=work, overrides=overrides).settings, "pocket")
    (path,) = package_path("pocket/zoo/mkr/alder-lora").glob("*.safetensors")
    opened.generator.apply(normalise(inspect_file(path, name=path.name), opened.generator.layout()))
    yield opened, measure_plain(opened)
    opened.generator.remove()


def arm_of(worn: Worn) -> ArmImages:
    opened, measured = worn
    return measure_trigger(opened, TRIGGER, "card", measured)


def pictures(opened: OpenedBase, prompts: Sequence[str], **options: Any) -> Any:
    """Embeddings of one call."""
    return opened.encoder.encode_images(
        opened.generator.generate(prompts, opened.probes.seeds[: len(prompts)], **options)
    )


def drawn(opened: OpenedBase) -> int:
    """Samples through the denoiser so far."""
    return opened.generator.calls.base + opened.generator.calls.adapted


def break_pictures(monkeypatch: pytest.MonkeyPatch, begin: str, rows: slice, *, adapter: bool = True) -> None:
    """As a decoder that overflows: pictures of prompts that begin so are not finite."""
    plain = DiffusersBase._render

    def render(self: DiffusersBase, prompts: Sequence[str], seeds: Sequence[int], state: str) -> Any:
        images, nonfinite = plain(self, prompts, seeds, state)
        if prompts[0].startswith(begin) and (self._watch.purpose == "adapted") == adapter:
            images[rows], nonfinite[rows] = 0, True
        return images, nonfinite

    monkeypatch.setattr(DiffusersBase, "_render", render)


def test_arms_equal_those_that_are_all_rendered_and_cost_half(worn: Worn) -> None:
    opened, measured = worn
    plain = opened.probes.prompts
    worded = [f"{TRIGGER}, {prompt}" for prompt in plain]
    before = drawn(opened)
    base, base_worded = pictures(opened, plain, adapter=False), pictures(opened, worded, adapter=False)
    adapted, adapted_worded = pictures(opened, plain), pictures(opened, worded)
    four_arms = drawn(opened) - before
    arm = arm_of(worn)
    assert drawn(opened) - before - four_arms == four_arms // 2
    assert arm.rows.tolist() == list(range(len(plain))) and arm.dropped == 0
    np.testing.assert_array_equal(arm.differences, adapted_worded - base_worded)
    norms = [
        (adapted - base),
        (base_worded - base),
        (adapted_worded - adapted),
        (adapted_worded - base_worded) - (adapted - base),
    ]
    got = arm.arms
    assert [got.weights_norm, got.trigger_on_base_norm, got.trigger_on_adapter_norm, got.interaction_norm] == [
        float(np.linalg.norm(difference.mean(0))) for difference in norms
    ]
    # the plain arm stopped at a look, so that the rest has to be rendered
    short = replace(measured, rows=measured.rows[:8], features=measured.features[:8], images=measured.images[:8])
    rest = arm_of((opened, short)).arms
    assert rest.weights_norm == pytest.approx(got.weights_norm, rel=1e-3)
    assert rest.scores == got.scores


def test_the_arms_stop_where_their_own_differences_suffice(worn: Worn) -> None:
    opened, measured = worn
    whole = arm_of(worn)
    for stopping, stop in ((True, 6), (False, 12)):
        changes = {"looks": (6, 12), "cosine_error_target": 0.9, "trigger_stopping": stopping}
        recipe = opened.recipe.model_copy(update=changes)
        before = drawn(opened)
        arm = arm_of((replace(opened, recipe=recipe), measured))
        assert arm.rows.tolist() == list(range(stop))
        assert drawn(opened) - before == 2 * stop * opened.recipe.generation["steps"]
        np.testing.assert_allclose(arm.differences, whole.differences[:stop], atol=1e-2)  # batches round by their size


def test_an_adapter_that_breaks_with_its_trigger_only_is_not_scored(
    worn: Worn, monkeypatch: pytest.MonkeyPatch
) -> None:
    break_pictures(monkeypatch, TRIGGER, slice(0, 2))
    with pytest.raises(ItemError, match="2 of 12 pictures") as error:
        arm_of(worn)
    assert (error.value.outcome, error.value.reason) == ("failed", "nonfinite_images")


@pytest.mark.parametrize("adapter", [True, False])
def test_an_unusable_picture_leaves_all_arms(worn: Worn, monkeypatch: pytest.MonkeyPatch, adapter: bool) -> None:
    whole = arm_of(worn)
    break_pictures(monkeypatch, TRIGGER, slice(3, 4), adapter=adapter)
    arm = arm_of(worn)
    kept = np.flatnonzero(np.arange(12) != 3)
    assert arm.dropped == 1 and arm.rows.tolist() == kept.tolist()
    np.testing.assert_array_equal(arm.differences, whole.differences[kept])
    np.testing.assert_array_equal(arm.base_images, whole.base_images[kept])
    measured = worn[1]
    assert arm.arms.weights_norm == pytest.approx(float(np.linalg.norm(measured.differences[kept].mean(0))), rel=1e-5)


def test_the_dose_of_a_triggered_adapter_is_measured_with_its_trigger(worn: Worn) -> None:
    opened, measured = worn
    arm = arm_of(worn)
    subject = dose_subject(opened, measured, arm)
    count = opened.recipe.dose_probes
    points, _ = measure_dose(opened, opened.scorer.shared(arm.differences), subject)
    for point in points:
        differences = pictures(opened, arm.prompts[:count], scale=point.scale) - arm.base_features[:count]
        assert point.norm == pytest.approx(float(np.linalg.norm(differences.mean(0))), rel=1e-3)
    assert [p.scale for p in points] == sorted(opened.recipe.dose_scales)


def test_black_pictures_make_no_dose_point(worn: Worn, monkeypatch: pytest.MonkeyPatch) -> None:
    opened, measured = worn
    subject = dose_subject(opened, measured, None)
    break_pictures(monkeypatch, "", slice(None))
    points, rises = measure_dose(
        opened,
        opened.scorer.shared(measured.differences),
        subject,
    )
    assert [p.scale for p in points] == [1.0], "known from the plain arm; the other strengths show nothing"
    assert rises is None
