from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from auditor.errors import PrerequisiteMissing, UserError
from auditor.generation.diffusers_base import DiffusersBase
from auditor.generation.render_options import RenderOptions
from tests.generation.conftest import SETTINGS


def _copy(folder: Path, tmp_path: Path, **changes: object) -> Path:
    target = tmp_path / "copy"
    shutil.copytree(folder, target)
    index = json.loads((target / "model_index.json").read_text())
    (target / "model_index.json").write_text(json.dumps(index | changes))
    return target


@pytest.mark.parametrize(
    "changes",
    [
        {"_class_name": "EvilPipeline"},
        {"_class_name": ["pipeline", "EvilPipeline"]},
        {"unet": ["my_unet", "EvilUNet"]},
        {"scheduler": ["os", "system"]},
    ],
)
def test_the_folder_does_not_choose_the_code(sd_folder: Path, tmp_path: Path, changes: dict[str, object]) -> None:
    folder = _copy(sd_folder, tmp_path, **changes)
    (folder / "my_unet.py").write_text("raise SystemExit('code from the folder ran')")
    with pytest.raises(UserError):
        DiffusersBase(folder, RenderOptions(**SETTINGS))


def test_a_missing_base_or_pickled_weights_are_a_prerequisite(sd_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(PrerequisiteMissing, match="model_index"):
        DiffusersBase(tmp_path / "nowhere", RenderOptions(**SETTINGS))
    folder = _copy(sd_folder, tmp_path)
    weights = folder / "unet" / "diffusion_pytorch_model.safetensors"
    weights.rename(weights.with_suffix(".bin"))
    with pytest.raises(PrerequisiteMissing):
        DiffusersBase(folder, RenderOptions(**SETTINGS))


def test_the_settings_offer_what_can_be_loaded():
    from typing import get_args

    from auditor.families.table import PIPELINES
    from auditor.generation.pipeline_loading import SAMPLERS
    from auditor.settings.base_model_settings import PipelineName, SamplerName

    assert set(get_args(PipelineName)) == set(PIPELINES)
    assert set(get_args(SamplerName)) == {"default", *SAMPLERS}


@pytest.mark.parametrize("changes", [{"sampler": "magic"}, {"sampler": "flow_euler"}, {"dtype": "int4"}])
def test_unknown_settings_are_named(sd_folder: Path, changes: dict[str, str]) -> None:
    with pytest.raises(UserError, match=next(iter(changes.values()))):
        DiffusersBase(sd_folder, RenderOptions(**SETTINGS | changes))


def test_layout_lists_denoiser_and_text_encoder(shared_base: DiffusersBase) -> None:
    components = shared_base.layout().components
    assert set(components) == {"unet", "text_encoder"}
    assert components["unet"]["mid_block.resnets.0.conv1"] == (64, 64, 3, 3)
    assert len(components["text_encoder"]) == 2 * 6
