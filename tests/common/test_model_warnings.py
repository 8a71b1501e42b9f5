"""What a library says while a model loads is read, not passed over."""

from __future__ import annotations

import json
import logging
import shutil
import warnings
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from auditor.common.model_warnings import warnings_refused
from auditor.errors import PrerequisiteMissing
from auditor.generation.pipeline_loading import load_pipeline
from auditor.generation.render_options import RenderOptions
from tests.tiny_models import save_sd

LOAD = RenderOptions()


def test_a_python_warning_ends_the_load_with_its_text() -> None:
    said = r"The encoder x loads with a warning.*another activation"
    with pytest.raises(PrerequisiteMissing, match=said), warnings_refused("The encoder x"):
        warnings.warn("built with another activation", stacklevel=1)


def test_a_logged_warning_of_a_library_ends_the_load_and_other_peoples_do_not() -> None:
    handlers = logging.getLogger("diffusers").handlers[:]
    with warnings_refused("The base"):
        logging.getLogger("somebody").warning("not about a model")
    with pytest.raises(PrerequisiteMissing, match="weights are random"), warnings_refused("The base"):
        record = logging.LogRecord(
            "x", logging.WARNING, "/site/open_clip/factory.py", 1, "weights are random", (), None
        )
        logging.getLogger().handle(record)
    assert logging.getLogger("diffusers").handlers == handlers


def test_notices_of_later_versions_and_reasoned_ones_pass() -> None:
    with warnings_refused("The base"):
        warnings.warn("will be removed in version 9", FutureWarning, stacklevel=1)
        warnings.warn("Expected types for vae: (AutoencoderKL,), got AutoencoderTiny.", stacklevel=1)


def test_an_error_of_the_load_itself_is_not_hidden() -> None:
    with pytest.raises(OSError, match="no such file"), warnings_refused("The base"):
        warnings.warn("odd", stacklevel=1)
        raise OSError("no such file")


@pytest.mark.parametrize("change", ["missing", "unexpected"])
def test_a_base_whose_weights_do_not_fill_its_class_is_refused(tmp_path: Path, change: str) -> None:
    folder = save_sd(tmp_path / "sd")
    path = folder / "unet" / "diffusion_pytorch_model.safetensors"
    tensors = load_file(path)
    if change == "missing":
        del tensors["conv_in.bias"]
    else:
        tensors["conv_in.extra"] = tensors["conv_in.bias"].clone()
    save_file(tensors, path, metadata={"format": "pt"})
    with pytest.raises(PrerequisiteMissing, match="conv_in"):
        load_pipeline(folder, LOAD)


def test_an_unknown_configuration_value_is_refused(tmp_path: Path) -> None:
    folder = save_sd(tmp_path / "sd")
    path = folder / "unet" / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"time_scale": 3}))
    with pytest.raises(PrerequisiteMissing, match="time_scale"):
        load_pipeline(folder, LOAD)


def test_position_ids_of_older_text_encoders_load(tmp_path: Path) -> None:
    import torch

    folder = tmp_path / "copy"
    shutil.copytree(save_sd(tmp_path / "sd"), folder)
    path = folder / "text_encoder" / "model.safetensors"
    tensors = load_file(path)
    renamed = {name if name.startswith("text_model.") else f"text_model.{name}": t for name, t in tensors.items()}
    renamed["text_model.embeddings.position_ids"] = torch.arange(16)[None]
    save_file(renamed, path, metadata={"format": "pt"})
    load_pipeline(folder, LOAD)
