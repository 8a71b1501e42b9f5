"""Files that lie there but cannot be loaded are seen by their headers."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from auditor.common.package_paths import package_path
from auditor.doctor.weight_headers import fault_of_files, fault_of_folder, fault_of_pipeline
from auditor.planning.local_models import base_files
from auditor.settings import BaseModelSettings, resolve
from tests.tiny_models import save_sd

SETTINGS = resolve(overrides=["recipe.bases.pocket.path=/nowhere"], environment={}).settings
POCKET: BaseModelSettings = SETTINGS.recipe.bases["pocket"]


def test_real_folders_are_whole(tmp_path: Path) -> None:
    assert fault_of_pipeline(package_path("pocket/weights/base"), base_files(POCKET)) is None
    assert fault_of_pipeline(save_sd(tmp_path), base_files(POCKET)) is None


@pytest.mark.parametrize("component", ["unet", "vae", "text_encoder"])
@pytest.mark.parametrize("left", [None, 0, 2, 200])
def test_a_component_that_is_cut_short_or_absent_is_named(tmp_path: Path, component: str, left: int | None) -> None:
    folder = save_sd(tmp_path)
    for path in (folder / component).glob("*.safetensors"):
        path.unlink() if left is None else path.write_bytes(path.read_bytes()[:left])
    assert str(fault_of_pipeline(folder, base_files(POCKET))).startswith(component)


def test_a_variant_that_is_not_loaded_may_be_broken(tmp_path: Path) -> None:
    folder = save_sd(tmp_path)
    (folder / "unet" / "diffusion_pytorch_model.fp16.safetensors").write_bytes(b"{}")
    assert fault_of_pipeline(folder, base_files(POCKET)) is None
    half = POCKET.model_copy(update={"variant": "fp16"})
    assert fault_of_pipeline(folder, base_files(half)) is not None


def test_an_absent_shard_is_named(tmp_path: Path) -> None:
    save_file({"a": np.zeros(2, np.float32)}, tmp_path / "model-00001-of-00002.safetensors")
    weights = {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weights}))
    assert "model-00002-of-00002.safetensors is not there" in str(fault_of_folder(tmp_path))


def test_a_pickled_file_of_two_bytes_is_none(tmp_path: Path) -> None:
    (tmp_path / "open_clip_pytorch_model.bin").write_bytes(b"{}")
    assert "no weight file" in str(fault_of_files([tmp_path / "open_clip_pytorch_model.bin"]))
    assert fault_of_folder(tmp_path) == "there are no weights"
