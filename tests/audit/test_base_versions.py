"""Whole checkpoints beside the base that they come from."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionPipeline
from typer.testing import CliRunner

from auditor.audit.base_versions import compare_bases
from auditor.cli.main import app
from auditor.common.package_paths import package_path
from auditor.errors import UserError
from auditor.settings import Settings, resolve
from tests.audit.conftest import QUICK

BASE = package_path("pocket/weights/base")
OTHER_TEXT_ENCODER = package_path("pocket/second/weights/base")


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory, reference_folder: Path) -> Settings:
    work = tmp_path_factory.mktemp("work")
    (work / "reference").symlink_to(reference_folder)
    return resolve(profile="pocket", work_dir=work, overrides=QUICK).settings


@pytest.fixture(scope="module")
def vibrant(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The base as somebody would publish a fine-tune of it: one style in all its weights, no adapter to be seen."""
    folder = tmp_path_factory.mktemp("checkpoint")
    pipeline = StableDiffusionPipeline.from_pretrained(BASE, dtype=torch.float32)
    pipeline.load_lora_weights(package_path("pocket/zoo/ana-k/harbor-lora"))
    pipeline.fuse_lora()
    pipeline.unload_lora_weights()
    pipeline.save_pretrained(folder)
    return folder


def test_the_known_difference_comes_first_and_the_base_itself_has_none(settings: Settings, vibrant: Path) -> None:
    found = compare_bases(settings, "pocket", [str(vibrant), str(BASE)])
    tuned, same = found.versions
    assert tuned.effect.status == "explained" and tuned.effect.probes == 12
    best = max(tuned.scores, key=lambda score: score.score)
    assert best.concept == "vibrant" and best.low > 0
    assert "vibrant" in {c.concept for e in tuned.explanations for c in e.concepts if e.variant == "robust"}
    assert same.effect.status == "no_effect" and same.scores == same.explanations == ()
    assert not np.any(same.differences), "the same weights draw the same pictures"


def test_another_text_encoder_and_another_size_are_compared_all_the_same(settings: Settings) -> None:
    recipe = settings.recipe
    other = recipe.bases["pocket"].model_copy(update={"path": OTHER_TEXT_ENCODER, "size": 96, "enabled": False})
    bases = {**recipe.bases, "other": other}
    changed = settings.model_copy(update={"recipe": recipe.model_copy(update={"bases": bases})})
    (version,) = compare_bases(changed, "pocket", ["other"]).versions
    assert version.name == "other" and version.effect.norm > version.effect.floor
    assert len(version.scores) == 30 and version.differences.shape == (12, 128)


@pytest.mark.parametrize(("first", "other", "said"), [("pocket", "nowhere", "neither a base"), ("sd9", "x", "'sd9'")])
def test_an_unknown_name_is_an_error_that_lists_the_known_ones(
    settings: Settings, first: str, other: str, said: str
) -> None:
    with pytest.raises(UserError, match=said) as caught:
        compare_bases(settings, first, [other])
    assert "pocket" in str(caught.value)


def test_the_command_says_what_it_found(settings: Settings, vibrant: Path) -> None:
    sets = [part for override in QUICK for part in ("--set", override)]
    arguments = ["--profile", "pocket", "--work-dir", str(settings.work.dir), *sets, "compare-bases", "pocket"]
    table = CliRunner().invoke(app, [*arguments, str(vibrant)])
    assert table.exit_code == 0, table.output
    assert "vibrant" in table.stdout and "minus pocket" in table.stdout and "explained" in table.stderr
    plain = json.loads(CliRunner().invoke(app, [*arguments, str(vibrant), "--json"]).stdout)
    assert plain["first"] == "pocket" and plain["versions"][0]["scores"][0]["concept"]
