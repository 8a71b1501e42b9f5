"""A device that is too small and a decoder that overflows in half precision."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from auditor.adapters.adapter_file import inspect_file
from auditor.adapters.normalise import normalise
from auditor.errors import MemoryTooSmall
from auditor.generation.diffusers_base import DiffusersBase
from auditor.generation.render_options import RenderOptions
from tests.adapter_files import write
from tests.generation.conftest import SETTINGS
from tests.small_pipelines import save
from tests.tiny_models import random_factors

PROMPTS = [f"a boat, number {number}" for number in range(5)]
SEEDS = list(range(5))


def holding(base: DiffusersBase, fits: int) -> Callable[..., Any]:
    """The denoiser's forward on a device that holds so many samples."""
    real = base._denoiser.forward

    def forward(sample: torch.Tensor, *args: Any, **options: Any) -> Any:
        if len(sample) > fits:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 8.00 GiB.")
        return real(sample, *args, **options)

    return forward


def test_pictures_of_smaller_batches_are_those_of_larger_ones(sd_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    base = DiffusersBase(sd_folder, RenderOptions(**SETTINGS))
    expected = base.generate(PROMPTS, SEEDS)
    monkeypatch.setattr(base._denoiser, "forward", holding(base, 4))  # two pictures with guidance
    shown = base.generate(PROMPTS, SEEDS)
    assert base.batch_size == 2
    assert np.abs(shown.astype(int) - expected).max() <= 1
    assert base.last_checks.usable.all()
    base.remove()


def test_a_picture_that_does_not_fit_is_no_bug(sd_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    base = DiffusersBase(sd_folder, RenderOptions(**SETTINGS))
    monkeypatch.setattr(base._denoiser, "forward", holding(base, 1))
    with pytest.raises(MemoryTooSmall, match=r"8\.00 GiB"):
        base.generate(PROMPTS, SEEDS)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_a_decoder_that_overflows_in_half_precision_decodes_in_float32(sd_folder: Path, dtype: str) -> None:
    base = DiffusersBase(sd_folder, RenderOptions(**SETTINGS | {"dtype": dtype}))
    with torch.no_grad():
        first = base._pipe.vae.decoder.layers[0]
        first.weight.copy_(first.weight.sign() * 6e4)  # just within float16, as its sums are not
    weights = {name: value.clone() for name, value in base._pipe.vae.state_dict().items()}
    base.generate(PROMPTS[:2], SEEDS[:2])
    assert not base.last_checks.nonfinite.any()
    assert base.calls.base == (24 if dtype == "float16" else 12), "it is drawn again only where it overflowed"
    now = base._pipe.vae.state_dict()
    assert all(torch.equal(now[name], value) and now[name].dtype == value.dtype for name, value in weights.items())


def test_a_vae_that_its_pipeline_leaves_in_float32_is_put_back(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """AuraFlow's does; the base would count as damaged, by whatever adapter was on it."""
    folder = save("AuraFlowPipeline", tmp_path / "base")
    options = {"pipeline": "AuraFlowPipeline", "sampler": "flow_euler", "dtype": "float16"}
    base = DiffusersBase(folder, RenderOptions(**SETTINGS | options))
    base.generate(PROMPTS[:2], SEEDS[:2])
    assert base._pipe.vae.dtype == torch.float16
    base.remove()
    assert "FutureWarning" not in capsys.readouterr().err


def test_a_denoiser_that_overflows_in_float16_draws_in_bfloat16(sd_folder: Path) -> None:
    base = DiffusersBase(sd_folder, RenderOptions(**SETTINGS | {"dtype": "float16"}))
    with torch.no_grad():
        first = base._denoiser.conv_in
        first.weight.copy_(first.weight.sign() * 6e4)
    weights = {name: value.clone() for name, value in base._denoiser.state_dict().items()}
    base.generate(PROMPTS[:2], SEEDS[:2])
    assert not base.last_checks.nonfinite.any()
    assert base.calls.base == 36, "as it is, with the decoder in float32, in bfloat16"
    now = base._denoiser.state_dict()
    assert all(torch.equal(now[name], value) and now[name].dtype == value.dtype for name, value in weights.items())


def test_pictures_that_no_format_holds_stay_marked(sd_folder: Path) -> None:
    base = DiffusersBase(sd_folder, RenderOptions(**SETTINGS | {"dtype": "float16"}))
    with torch.no_grad():
        base._denoiser.conv_in.weight.fill_(torch.nan)
    base.generate(PROMPTS[:2], SEEDS[:2])
    assert base.last_checks.nonfinite.all()


def test_an_adapter_that_overflows_float16_is_proved_and_drawn_in_bfloat16(sd_folder: Path, tmp_path: Path) -> None:
    base = DiffusersBase(sd_folder, RenderOptions(**SETTINGS | {"dtype": "float16"}))
    ranks = {f"mid_block.resnets.0.{name}": 2 for name in ("conv1", "conv2")}
    factors = {"unet": random_factors(base.layout().components["unet"], ranks, strength=200.0)}
    path = write(tmp_path / "strong.safetensors", "kohya", factors)
    proof = base.apply(normalise(inspect_file(path, name=path.name), base.layout()))
    assert np.isfinite(proof.latent_shift) and proof.latent_shift > 0
    base.generate(PROMPTS[:2], SEEDS[:2])
    assert not base.last_checks.nonfinite.any()
    base.remove()
