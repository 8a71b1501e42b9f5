"""Merging into the weights: what it equals, what half precision costs, and that nothing of it stays."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from auditor.adapters.adapter_file import inspect_file
from auditor.adapters.normalise import normalise
from auditor.adapters.normalised import NormalisedAdapter
from auditor.errors import Refused
from auditor.generation.diffusers_base import DiffusersBase
from auditor.generation.render_options import RenderOptions
from tests.adapter_files import write
from tests.generation.conftest import SETTINGS
from tests.tiny_models import random_factors

BLOCK = "down_blocks.0.attentions.0.transformer_blocks.0"
RANKS = {f"{BLOCK}.attn1.to_q": 4, f"{BLOCK}.attn2.to_v": 4, f"{BLOCK}.ff.net.2": 2, "mid_block.resnets.0.conv1": 3}
TEXT = {"encoder.layers.0.self_attn.q_proj": 2, "encoder.layers.1.mlp.fc1": 2}
PROMPTS, SEEDS = ["a red boat", "a blue house in snow"], [11, 12]


def _adapter(folder: Path, base: DiffusersBase, *, seed: int = 0, strength: float = 0.1) -> NormalisedAdapter:
    components = base.layout().components
    factors = {
        "unet": random_factors(components["unet"], RANKS, seed=seed, strength=strength),
        "text_encoder": random_factors(components["text_encoder"], TEXT, seed=seed, strength=strength),
    }
    path = write(folder / f"{seed}.safetensors", "kohya", factors)
    return normalise(inspect_file(path), base.layout())


@pytest.fixture(scope="module")
def merging(sd_folder: Path) -> DiffusersBase:
    return DiffusersBase(sd_folder, RenderOptions(application="merge", **SETTINGS))


def _state(base: DiffusersBase) -> dict[str, torch.Tensor]:
    return {
        f"{c}.{n}": t.clone() for c in ("unet", "text_encoder") for n, t in getattr(base._pipe, c).named_parameters()
    }


def test_merged_pictures_are_the_injected_ones(tmp_path: Path, base: DiffusersBase, merging: DiffusersBase) -> None:
    pictures = {}
    for generator in (base, merging):
        adapter = _adapter(tmp_path, generator)
        proof = generator.apply(adapter)
        assert proof.layers_injected == proof.pairs_in_file == len(RANKS) + len(TEXT)
        assert proof.delta_norm == pytest.approx(adapter.facts.delta_norm, rel=1e-9)
        pictures[generator.options.application] = [
            generator.generate(PROMPTS, SEEDS, scale=scale).astype(int) for scale in (0.5, 1.0, 1.5)
        ]
        generator.remove()
    for injected, merged in zip(pictures["inject"], pictures["merge"], strict=True):
        assert np.abs(injected - merged).max() <= 1
    assert np.abs(pictures["merge"][0] - pictures["merge"][2]).max() > 5


def test_strengths_and_base_pictures_in_any_order_leave_no_trace(tmp_path: Path, merging: DiffusersBase) -> None:
    before, pictures = _state(merging), merging.generate(PROMPTS, SEEDS)
    modules = {name: id(module) for name, module in merging._pipe.unet.named_modules()}
    parameters = {name: id(parameter) for name, parameter in merging._pipe.unet.named_parameters()}
    merging.apply(_adapter(tmp_path, merging))
    full = merging.generate(PROMPTS, SEEDS)
    merging.generate(PROMPTS, SEEDS, scale=0.3)
    assert np.array_equal(merging.generate(PROMPTS, SEEDS, adapter=False), pictures)
    assert np.array_equal(merging.generate(PROMPTS, SEEDS), full)
    assert merging.fingerprint() == merging.base_fingerprint  # the base's, whatever is on
    assert np.array_equal(merging.generate(PROMPTS, SEEDS), full)
    merging.remove()
    assert {name: id(module) for name, module in merging._pipe.unet.named_modules()} == modules
    assert {name: id(parameter) for name, parameter in merging._pipe.unet.named_parameters()} == parameters
    assert all(torch.equal(tensor, before[name]) for name, tensor in _state(merging).items())


def test_an_overflowing_weight_is_refused_and_undone(tmp_path: Path, sd_folder: Path) -> None:
    base = DiffusersBase(sd_folder, RenderOptions(application="merge", dtype="float16", **SETTINGS))
    before = _state(base)
    with pytest.raises(Refused) as refused:
        base.apply(_adapter(tmp_path, base, strength=300.0))
    assert refused.value.reason == "nonfinite_weights"
    assert all(torch.equal(tensor, before[name]) for name, tensor in _state(base).items())
    base.remove()


@pytest.mark.parametrize(("dtype", "bound"), [("float16", 1e-3), ("bfloat16", 8e-3)])
def test_the_price_of_merging_at_half_precision(tmp_path: Path, sd_folder: Path, dtype: str, bound: float) -> None:
    """A merged weight is rounded once, to half a unit in the last place: 2^-11 of it at float16, 2^-8 at bfloat16.

    For a weak adapter that rounding is a visible share of its effect, which injection does not have: its factors keep
    their own relative precision. `bound` is on the merged layer's relative error; the test states both errors.
    """
    base = DiffusersBase(sd_folder, RenderOptions(application="merge", dtype=dtype, **SETTINGS))
    adapter = _adapter(tmp_path, base, strength=0.03)
    pristine = _state(base)
    base.apply(adapter)
    inputs = torch.randn(256, 32, generator=torch.Generator().manual_seed(0)).to(base._pipe.unet.dtype).double()
    name = f"unet.{BLOCK}.attn1.to_q"
    weight = pristine[f"{name}.weight"].double()
    down, up = (adapter.tensors[f"{name}.lora_{half}.weight"] for half in "AB")
    effect = inputs @ (up.double() @ down.double()).T
    exact = inputs @ weight.T + effect
    merged = inputs @ _state(base)[f"{name}.weight"].double().T
    injected = (
        inputs @ weight.T + inputs @ down.to(base._pipe.unet.dtype).double().T @ up.to(base._pipe.unet.dtype).double().T
    )
    assert (merged - exact).norm() < bound * exact.norm()
    # of the effect itself the merge loses several times more than the injection does
    assert (merged - exact).norm() > 3 * (injected - exact).norm()
    base.remove()
    assert all(torch.equal(tensor, pristine[key]) for key, tensor in _state(base).items())


def test_a_compiled_denoiser_is_not_compiled_again(
    tmp_path: Path, sd_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiled: list[int] = []

    def count(graph: torch.fx.GraphModule, _example: object) -> Callable[..., object]:
        compiled.append(len(list(graph.graph.nodes)))
        return graph.forward

    compiler = torch.compile
    torch._dynamo.reset()
    with monkeypatch.context() as patch:
        patch.setattr(torch, "compile", lambda function: compiler(function, backend=count))
        base = DiffusersBase(
            sd_folder, RenderOptions(application="merge", compiled=True, **SETTINGS | {"steps": 1, "guidance": 1.0})
        )
    plain = base.generate(PROMPTS[:1], SEEDS[:1])
    graphs = len(compiled)
    base.apply(_adapter(tmp_path, base))
    base.generate(PROMPTS[:1], SEEDS[:1], scale=0.5)
    base.remove()
    base.apply(_adapter(tmp_path, base, seed=2))
    assert not np.array_equal(base.generate(PROMPTS[:1], SEEDS[:1]), plain)
    base.remove()
    assert np.array_equal(base.generate(PROMPTS[:1], SEEDS[:1]), plain)
    torch._dynamo.reset()
    assert len(compiled) == graphs > 0
