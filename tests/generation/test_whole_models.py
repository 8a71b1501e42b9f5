"""Fine-tuned denoisers in each way they are stored, put into the pocket base and taken out again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from auditor.adapters.adapter_file import AdapterFile, inspect_file
from auditor.adapters.normalise import normalise
from auditor.errors import ItemError, Refused
from auditor.generation.diffusers_base import DiffusersBase

PROMPTS, SEEDS = ["a red boat on sand", "a blue house in snow"], [3, 4]


def _tuned(base: DiffusersBase) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(9)
    return {
        name: tensor + 0.1 * tensor.std().nan_to_num(1.0) * torch.randn(tensor.shape, generator=generator)
        for name, tensor in base._pipe.unet.state_dict().items()
    }


def _original(base: DiffusersBase, tuned: dict[str, torch.Tensor], prefix: str = "") -> dict[str, torch.Tensor]:
    names = {origin.modules[0]: name for name, origin in base.layout().originals.items()}
    result = {}
    for path, tensor in tuned.items():
        module, _, parameter = path.rpartition(".")
        result[f"{prefix}{names[module]}.{parameter}"] = tensor
    return result


def _write(path: Path, tensors: dict[str, torch.Tensor]) -> AdapterFile:
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path)
    return inspect_file(path)


@pytest.mark.parametrize("form", ["diffusers", "original", "checkpoint"])
def test_the_weights_are_the_files_own(pocket_base: DiffusersBase, tmp_path: Path, form: str) -> None:
    tuned = _tuned(pocket_base)
    prefix = "model.diffusion_model." if form == "checkpoint" else ""
    stored = tuned if form == "diffusers" else _original(pocket_base, tuned, prefix)
    if form == "checkpoint":
        stored |= {
            "first_stage_model.decoder.conv_in.weight": torch.ones(4, 4, 3, 3),
            "betas": torch.ones(5),
            "cond_stage_model.transformer.text_model.final_layer_norm.weight": torch.ones(8),
        }
    file = _write(tmp_path / "model.safetensors", stored)
    assert file.kind == ("checkpoint" if form == "checkpoint" else "denoiser")
    adapter = normalise(file, pocket_base.layout())
    assert adapter.left_out == (("VAE", "text encoder") if form == "checkpoint" else ())
    before = pocket_base.generate(PROMPTS, SEEDS)
    proof = pocket_base.apply(adapter)
    for name, parameter in pocket_base._pipe.unet.named_parameters():
        assert torch.equal(parameter, tuned[name]), name
    assert proof.layers_injected == len(tuned)
    after = pocket_base.generate(PROMPTS, SEEDS)
    half = pocket_base.generate(PROMPTS, SEEDS, scale=0.5)
    assert np.array_equal(pocket_base.generate(PROMPTS, SEEDS, adapter=False), before)
    assert np.array_equal(pocket_base.generate(PROMPTS, SEEDS), after)
    assert not np.array_equal(after, before) and not np.array_equal(half, after)
    pocket_base.remove()
    assert np.array_equal(pocket_base.generate(PROMPTS, SEEDS), before)


def test_other_architectures_and_quantised_models_are_skipped(pocket_base: DiffusersBase, tmp_path: Path) -> None:
    tuned, layout = _tuned(pocket_base), pocket_base.layout()
    inpainting = tuned | {"conv_in.weight": torch.zeros(48, 21, 3, 3)}
    pruned = {name: tensor for name, tensor in tuned.items() if "mid_block" not in name}
    larger = tuned | {"up_blocks.9.resnets.0.conv1.weight": torch.zeros(4, 4, 3, 3)}
    quantised = {n: t.to(torch.float8_e4m3fn) if t.dim() > 1 else t for n, t in tuned.items()}
    for tensors, said in (
        (inpainting, "conv_in.weight' has shape"),
        (pruned, "lacks"),
        (larger, "no place"),
        (quantised, "quantised"),
    ):
        with pytest.raises(ItemError, match=said) as error:
            normalise(_write(tmp_path / "model.safetensors", tensors), layout)
        assert error.value.outcome == "skipped"


def test_nan_in_the_last_tensor_leaves_the_base_pristine(pocket_base: DiffusersBase, tmp_path: Path) -> None:
    tuned = _tuned(pocket_base)
    tuned[list(tuned)[-1]] = tuned[list(tuned)[-1]].fill_(float("nan"))
    adapter = normalise(_write(tmp_path / "model.safetensors", tuned), pocket_base.layout())
    before = pocket_base.generate(PROMPTS, SEEDS)
    with pytest.raises(Refused) as refused:
        pocket_base.apply(adapter)
    assert refused.value.reason == "nonfinite_weights"
    assert np.array_equal(pocket_base.generate(PROMPTS, SEEDS), before)


def test_the_bases_own_weights_change_nothing(pocket_base: DiffusersBase, tmp_path: Path) -> None:
    adapter = normalise(
        _write(tmp_path / "model.safetensors", pocket_base._pipe.unet.state_dict()), pocket_base.layout()
    )
    with pytest.raises(ItemError) as error:
        pocket_base.apply(adapter)
    assert (error.value.outcome, error.value.reason) == ("no_effect", "no_learned_change")
