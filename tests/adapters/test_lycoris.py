"""Files written by LyCORIS itself, against what LyCORIS makes of the pocket base's UNet with them."""

from __future__ import annotations

import copy
import logging
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from auditor.adapters.adapter_file import inspect_file
from auditor.adapters.normalise import normalise
from auditor.generation.diffusers_base import DiffusersBase

METHODS = {
    "locon": ({"algo": "locon"}, "lora"),
    "locon_tucker": ({"algo": "locon", "use_tucker": True}, "locon_tucker"),
    "locon_rs": ({"algo": "locon", "rs_lora": True}, "lora"),
    "dora_out": ({"algo": "locon", "dora_wd": True, "wd_on_output": True}, "dora"),
    "dora_in": ({"algo": "locon", "dora_wd": True, "wd_on_output": False}, "dora"),
    "loha": ({"algo": "loha"}, "loha"),
    "loha_tucker": ({"algo": "loha", "use_tucker": True}, "loha"),
    "loha_dora": ({"algo": "loha", "dora_wd": True, "wd_on_output": False}, "dora"),
    "lokr": ({"algo": "lokr"}, "lokr"),
    "lokr_factor": ({"algo": "lokr", "factor": 4}, "lokr"),
    "lokr_both": ({"algo": "lokr", "decompose_both": True, "factor": 8}, "lokr"),
    "lokr_full": ({"algo": "lokr", "full_matrix": True}, "lokr"),
    "lokr_tucker": ({"algo": "lokr", "use_tucker": True}, "lokr"),
    "lokr_dora": ({"algo": "lokr", "dora_wd": True}, "dora"),
    "full": ({"algo": "full", "train_norm": True}, "full_difference"),
}


def train(base: DiffusersBase, options: dict[str, object], alpha: float) -> tuple[torch.nn.Module, Any]:
    """A copy of the base's UNet and a LyCORIS network on it, its parameters random instead of trained."""
    from lycoris import create_lycoris

    logging.getLogger("LyCORIS").setLevel(logging.ERROR)
    unet = copy.deepcopy(base._pipe.unet)
    torch.manual_seed(4)
    network = create_lycoris(unet, 1.0, linear_dim=2, linear_alpha=alpha, **options)
    network.apply_to()
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if name.endswith("dora_scale"):
                parameter.mul_(1 + 0.1 * torch.randn_like(parameter))
            elif options["algo"] == "full":
                parameter.add_(torch.randn_like(parameter), alpha=0.02)
            else:
                parameter.copy_(0.3 * torch.randn_like(parameter))
    return unet, network.eval()


@torch.inference_mode()
def output(unet: torch.nn.Module) -> torch.Tensor:
    generator = torch.Generator().manual_seed(6)
    latent = torch.randn(2, unet.config.in_channels, 16, 16, generator=generator)
    text = torch.randn(2, 7, unet.config.cross_attention_dim, generator=generator)
    return unet(latent, 300, encoder_hidden_states=text).sample.double()


@pytest.mark.parametrize("method", METHODS)
def test_the_applied_base_runs_as_the_trainer_does(pocket_base: DiffusersBase, tmp_path: Path, method: str) -> None:
    options, kind = METHODS[method]
    path = tmp_path / "file.safetensors"
    unet, network = train(pocket_base, options, alpha=0.7)
    network.save_weights(str(path), torch.float32, {})
    if method in ("loha", "lokr"):  # the same file as kohya's own scripts would name it
        renamed = {name.replace("lycoris_", "lora_unet_"): tensor for name, tensor in load_file(path).items()}
        save_file(renamed, path)
    before = output(pocket_base._pipe.unet)
    adapter = normalise(inspect_file(path), pocket_base.layout())
    assert adapter.facts.method == kind and not adapter.unmatched
    proof = pocket_base.apply(adapter)
    assert proof.layers_injected == len(network.loras) > 90
    expected, applied = output(unet), output(pocket_base._pipe.unet)
    assert (applied - expected).norm() < 1e-5 * before.norm()
    assert (expected - before).norm() > 0.02 * before.norm()


@pytest.mark.parametrize("method", METHODS)
def test_every_weight_equals_the_trainers_own_merge(pocket_base: DiffusersBase, tmp_path: Path, method: str) -> None:
    options, _ = METHODS[method]
    path = tmp_path / "file.safetensors"
    # alpha = rank: LyCORIS 4.1.3 runs LoHa and LoKr at alpha / rank, and merges them at its square
    unet, network = train(pocket_base, options, alpha=2.0)
    network.save_weights(str(path), torch.float32, {})
    network.restore()
    network.merge_to(1.0)
    expected = dict(unet.named_parameters())
    pristine = {name: tensor.clone() for name, tensor in pocket_base._pipe.unet.named_parameters()}
    proof = pocket_base.apply(normalise(inspect_file(path), pocket_base.layout()))
    applied = dict(pocket_base._pipe.unet.named_parameters())
    assert applied.keys() == expected.keys()
    moved, squares = 0, 0.0
    for name, tensor in expected.items():
        torch.testing.assert_close(applied[name], tensor, rtol=2e-5, atol=2e-6, msg=lambda m, n=name: f"{n}: {m}")
        moved += not torch.equal(tensor, pristine[name])
        squares += float((tensor.detach().double() - pristine[name].double()).square().sum())
    assert moved >= proof.layers_injected
    assert proof.delta_norm == pytest.approx(squares**0.5, rel=1e-3)
