from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionPipeline

from auditor.adapters.adapter_file import inspect_file
from auditor.adapters.normalise import normalise
from auditor.adapters.normalised import NormalisedAdapter
from auditor.errors import BaseDamaged, ItemError, Refused
from auditor.generation.diffusers_base import DiffusersBase
from auditor.generation.injection import set_scale
from auditor.generation.render_options import RenderOptions
from tests.adapter_files import CONVENTIONS, ONE_COMPONENT, WITH_ALPHA, write
from tests.generation.conftest import SETTINGS
from tests.tiny_models import random_factors

BLOCK = "down_blocks.0.attentions.0"
ATTENTION = [
    f"{BLOCK}.transformer_blocks.0.{kind}.{projection}"
    for kind in ("attn1", "attn2")
    for projection in ("to_q", "to_k", "to_v", "to_out.0")
]
OTHERS = [
    f"{BLOCK}.proj_in",
    f"{BLOCK}.transformer_blocks.0.ff.net.0.proj",
    f"{BLOCK}.transformer_blocks.0.ff.net.2",
    "mid_block.resnets.0.conv1",
    "up_blocks.1.resnets.0.conv_shortcut",
]
TEXT = ["encoder.layers.0.self_attn.q_proj", "encoder.layers.0.self_attn.out_proj", "encoder.layers.1.mlp.fc1"]
RANKS = {module: 4 if i % 3 else 2 for i, module in enumerate(ATTENTION + OTHERS)}
# 2.0 is the commonest; some attention layers differ from it, which diffusers 0.42.1 mis-scales in kohya files
ALPHAS = {"unet": {m: (8.0 if i % 4 == 1 else 2.0) for i, m in enumerate(RANKS)}, "text_encoder": {TEXT[0]: 1.0}}
PROMPTS = ["a red boat", "a blue house in snow", "a green tree"]
SEEDS = [11, 12, 13]


def _write(folder: Path, base: DiffusersBase, convention: str, *, text: bool = True, strength: float = 0.2) -> Path:
    components = base.layout().components
    factors = {"unet": random_factors(components["unet"], RANKS, strength=strength)}
    if text and convention not in ONE_COMPONENT:
        ranks = dict.fromkeys(TEXT, 2)
        factors["text_encoder"] = random_factors(components["text_encoder"], ranks, strength=strength)
    return write(folder / f"{convention}.safetensors", convention, factors, ALPHAS)


def _adapter(folder: Path, base: DiffusersBase, convention: str = "kohya", **options: object) -> NormalisedAdapter:
    return normalise(inspect_file(_write(folder, base, convention, **options)), base.layout())


def _merged(pipe: StableDiffusionPipeline, base: DiffusersBase, convention: str, alphas: Mapping | None) -> None:
    """Add scale x B x A in float64 to the weights, straight from the factors that were written."""
    components = base.layout().components
    wanted = {"unet": RANKS} | ({} if convention in ONE_COMPONENT else {"text_encoder": dict.fromkeys(TEXT, 2)})
    for component, ranks in wanted.items():
        for module, (down, up) in random_factors(components[component], ranks).items():
            alpha = (alphas or {}).get(component, {}).get(module, float(down.shape[0]))
            layer = getattr(pipe, component).get_submodule(module)
            change = alpha / down.shape[0] * (up.double().flatten(1) @ down.double().flatten(1))
            layer.weight.data = (layer.weight.double() + change.reshape(layer.weight.shape)).float()


@torch.inference_mode()
def _output(pipe: StableDiffusionPipeline) -> torch.Tensor:
    tokens, _ = pipe.encode_prompt(PROMPTS[1], "cpu", 1, False)
    latent = torch.randn(1, 4, 16, 16, generator=torch.Generator().manual_seed(5))
    return pipe.unet(latent, 400, encoder_hidden_states=tokens).sample


def _distance(a: torch.Tensor, b: torch.Tensor) -> float:
    return float((a - b).norm() / b.norm())


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_applied_model_equals_an_explicit_merge(tmp_path: Path, base: DiffusersBase, convention: str) -> None:
    before = _output(base._pipe)
    alphas = ALPHAS if convention in WITH_ALPHA else None
    merged, misread = (
        StableDiffusionPipeline(
            **{k: copy.deepcopy(v) for k, v in base._pipe.components.items()}, requires_safety_checker=False
        )
        for _ in range(2)
    )
    _merged(merged, base, convention, alphas)
    proof = base.apply(_adapter(tmp_path, base, convention))
    applied = _output(base._pipe)
    assert _distance(applied, _output(merged)) < 1e-5
    assert _distance(applied, before) > 0.01
    if alphas:  # the comparison can tell a mis-scaled attention layer
        common = {"unet": dict.fromkeys(RANKS, 2.0), "text_encoder": ALPHAS["text_encoder"]}
        _merged(misread, base, convention, common)
        assert _distance(applied, _output(misread)) > 1e-3
    expected = len(RANKS) + (0 if convention in ONE_COMPONENT else len(TEXT))
    assert proof.pairs_in_file == proof.layers_injected == expected
    assert proof.latent_shift > 0 and proof.fingerprint == base.base_fingerprint


def test_base_pictures_do_not_change_while_an_adapter_is_on(tmp_path: Path, base: DiffusersBase) -> None:
    before = base.generate(PROMPTS, SEEDS)
    base.apply(_adapter(tmp_path, base))
    adapted = base.generate(PROMPTS, SEEDS)
    assert np.array_equal(base.generate(PROMPTS, SEEDS, adapter=False), before)
    assert np.array_equal(base.generate(PROMPTS, SEEDS, scale=0.0), before)
    assert not np.array_equal(adapted, before)
    assert np.array_equal(base.generate(PROMPTS, SEEDS), adapted)
    base.remove()
    assert np.array_equal(base.generate(PROMPTS, SEEDS), before)
    assert before.shape == (3, 32, 32, 3) and before.dtype == np.uint8
    assert base.last_checks.usable.all()


def test_effect_grows_with_the_scale(tmp_path: Path, base: DiffusersBase) -> None:
    base.apply(_adapter(tmp_path, base, strength=0.05))
    reference = base.generate(PROMPTS, SEEDS, adapter=False).astype(float)
    sizes = [np.abs(base.generate(PROMPTS, SEEDS, scale=s) - reference).mean() for s in (0.25, 0.5, 1.0)]
    assert 0 < sizes[0] < sizes[1] < sizes[2]


def test_an_image_depends_on_its_seed_not_on_its_place(base: DiffusersBase) -> None:
    together = base.generate(PROMPTS * 2, [*SEEDS, 21, 22, 23])  # two batches of 4 and 2
    turned = base.generate(PROMPTS[::-1], SEEDS[::-1])[::-1]
    assert np.abs(together[:3].astype(int) - turned.astype(int)).max() <= 1
    assert np.abs(together[3:].astype(int) - turned.astype(int)).max() > 10
    torch.manual_seed(1)
    assert np.array_equal(base.generate(PROMPTS * 2, [*SEEDS, 21, 22, 23]), together)


def test_denoiser_calls_are_counted_by_purpose(tmp_path: Path, base: DiffusersBase) -> None:
    base.apply(_adapter(tmp_path, base, text=False))
    base.remove()
    before = copy.copy(base.calls)
    base.generate(PROMPTS * 2, SEEDS * 2)
    assert base.calls.base - before.base == 6 * SETTINGS["steps"] * 2
    base.apply(_adapter(tmp_path, base, text=False))
    base.generate(PROMPTS, SEEDS)
    assert base.calls.adapted - before.adapted == 3 * SETTINGS["steps"] * 2
    # a second adapter: the base's own proof output is remembered, only the adapted one is computed
    assert base.calls.base - before.base == 6 * SETTINGS["steps"] * 2
    assert base.calls.proof - before.proof == 2


def test_guidance_of_one_or_less_costs_half(sd_folder: Path) -> None:
    base = DiffusersBase(sd_folder, RenderOptions(**SETTINGS | {"guidance": 1.0}))
    base.generate(PROMPTS[:1], SEEDS[:1])
    assert base.calls.base == SETTINGS["steps"]


def test_damage_is_noticed_named_and_repaired(tmp_path: Path, sd_folder: Path) -> None:
    base = DiffusersBase(sd_folder, RenderOptions(**SETTINGS))
    pictures = base.generate(PROMPTS, SEEDS)
    base.apply(_adapter(tmp_path, base))
    with torch.no_grad():
        base._pipe.unet.conv_out.weight.view(-1)[7] += 1e-6
    with pytest.raises(BaseDamaged, match=r"unet\.conv_out\.weight"):
        base.remove()
    assert base.fingerprint() != base.base_fingerprint
    base.rebuild()
    assert base.fingerprint() == base.base_fingerprint
    assert np.array_equal(base.generate(PROMPTS, SEEDS), pictures)


def test_nothing_learned_is_applied_with_no_shift(tmp_path: Path, base: DiffusersBase) -> None:
    adapter = _adapter(tmp_path, base, strength=0.0)
    assert adapter.no_learned_change
    assert base.apply(adapter).latent_shift == 0.0


def test_an_adapter_that_acts_on_nothing_is_not_applied(
    tmp_path: Path, base: DiffusersBase, monkeypatch: pytest.MonkeyPatch
) -> None:
    adapter = _adapter(tmp_path, base)
    put_on = base._applier.put_on

    def silent(wanted: NormalisedAdapter) -> float:
        norm = put_on(wanted)
        for component in wanted.components:
            set_scale(getattr(base._pipe, component), 0.0)
        return norm

    monkeypatch.setattr(base._applier, "put_on", silent)
    with pytest.raises(ItemError) as error:
        base.apply(adapter)
    assert (error.value.outcome, error.value.reason) == ("failed", "not_applied")
    base.remove()  # the failed adapter left nothing behind


def test_overflow_in_the_denoiser_is_refused_and_the_next_adapter_unaffected(
    tmp_path: Path, base: DiffusersBase
) -> None:
    good = _adapter(tmp_path, base)
    base.apply(good)
    expected = base.generate(PROMPTS, SEEDS)
    base.remove()
    with pytest.raises(Refused) as refused:
        base.apply(_adapter(tmp_path / "hostile", base, strength=1e18))
    assert refused.value.reason == "nonfinite_weights"
    base.apply(good)
    assert np.array_equal(base.generate(PROMPTS, SEEDS), expected)


def test_the_global_random_state_is_left_alone(tmp_path: Path, base: DiffusersBase) -> None:
    torch.manual_seed(5)
    state = torch.random.get_rng_state()
    base.apply(_adapter(tmp_path, base))
    base.generate(PROMPTS[:1], SEEDS[:1])
    assert torch.equal(torch.random.get_rng_state(), state)


def test_wrong_arguments_are_named(base: DiffusersBase) -> None:
    with pytest.raises(ValueError, match="3 prompts but 1 seeds"):
        base.generate(PROMPTS, SEEDS[:1])
    with pytest.raises(ValueError, match="outside"):
        base.generate(PROMPTS[:1], [-1])
    assert base.generate([], []).shape == (0, 32, 32, 3)


def test_sdxl_with_two_text_encoders(tmp_path: Path, sdxl_folder: Path) -> None:
    base = DiffusersBase(sdxl_folder, RenderOptions(**SETTINGS))
    components = base.layout().components
    text = "text_model.encoder.layers.0.self_attn.q_proj"
    own = text if text in components["text_encoder_2"] else text.removeprefix("text_model.")
    factors = {
        "unet": random_factors(components["unet"], dict.fromkeys(ATTENTION, 2)),
        "text_encoder_2": {text: random_factors(components["text_encoder_2"], {own: 2})[own]},
    }
    before = base.generate(PROMPTS, SEEDS)
    for convention in ("kohya", "diffusers"):
        path = write(tmp_path / f"{convention}.safetensors", convention, factors)
        proof = base.apply(normalise(inspect_file(path), base.layout()))
        assert proof.layers_injected == len(ATTENTION) + 1
        assert not np.array_equal(base.generate(PROMPTS, SEEDS), before)
        base.remove()
    assert np.array_equal(base.generate(PROMPTS, SEEDS), before)
