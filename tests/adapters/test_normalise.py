from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from auditor.adapters.adapter_file import inspect_file
from auditor.adapters.digests import tensors_digest
from auditor.adapters.fitting import match_layout, require_coverage
from auditor.adapters.layout import BaseLayout
from auditor.adapters.normalise import normalise
from auditor.adapters.normalised import NormalisedAdapter
from auditor.adapters.recognition import FamilyEvidence
from auditor.adapters.scaling import ScaleRule
from auditor.errors import ItemError, Refused
from tests.adapter_files import CONVENTIONS, ONE_COMPONENT, WITH_ALPHA, write
from tests.adapters.conftest import BLOCK, SHAPES, TEXT_SHAPES

Q = f"{BLOCK}.transformer_blocks.0.attn1.to_q"
OUT = f"{BLOCK}.transformer_blocks.0.attn1.to_out.0"
K = f"{BLOCK}.transformer_blocks.0.attn2.to_k"
RANKS = {Q: 4, OUT: 2, K: 4, f"{BLOCK}.proj_in": 4, "mid_block.resnets.0.conv1": 3}
TEXT_RANKS = {"encoder.layers.0.self_attn.q_proj": 4, "encoder.layers.0.mlp.fc1": 2}
ALPHAS = {"unet": {Q: 2.0, OUT: 2.0, K: 8.0, f"{BLOCK}.proj_in": 1.0, "mid_block.resnets.0.conv1": 6.0}}


def _factors(ranks: dict[str, int], shapes: dict[str, tuple[int, ...]]) -> dict[str, tuple[torch.Tensor, ...]]:
    generator = torch.Generator().manual_seed(3)
    return {
        module: (
            torch.randn(rank, *shapes[module][1:], generator=generator),
            torch.randn(shapes[module][0], rank, *([1, 1] if shapes[module][2:] else []), generator=generator),
        )
        for module, rank in ranks.items()
    }


def _adapter(tmp_path: Path, layout: BaseLayout, convention: str) -> tuple[NormalisedAdapter, dict]:
    factors = {"unet": _factors(RANKS, SHAPES)}
    if convention not in ONE_COMPONENT:
        factors["text_encoder"] = _factors(TEXT_RANKS, TEXT_SHAPES)
    path = write(tmp_path / convention / "adapter.safetensors", convention, factors, ALPHAS)
    return normalise(inspect_file(path), layout), factors


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_every_convention_gives_the_same_form(tmp_path: Path, layout: BaseLayout, convention: str) -> None:
    adapter, factors = _adapter(tmp_path, layout, convention)
    expected = {}
    for component, modules in factors.items():
        for module, (down, up) in modules.items():
            alpha = ALPHAS.get(component, {}).get(module) if convention in WITH_ALPHA else None
            scale = 1.0 if alpha is None else alpha / down.shape[0]
            expected[f"{component}.{module}.lora_A.weight"] = down
            expected[f"{component}.{module}.lora_B.weight"] = (up.double() * scale).float()
    assert adapter.tensors.keys() == expected.keys()
    for name, tensor in expected.items():
        torch.testing.assert_close(adapter.tensors[name], tensor, rtol=0, atol=0)
    assert adapter.unmatched == () and not adapter.no_learned_change
    assert sum(adapter.facts.matched.values()) == adapter.facts.pairs == len(adapter.pairs)
    changes = [
        (expected[name].double().flatten(1), expected[name.replace("lora_A", "lora_B")].double().flatten(1))
        for name in expected
        if "lora_A" in name
    ]
    norm = math.sqrt(sum(float((up @ down).square().sum()) for down, up in changes))
    assert adapter.facts.delta_norm == pytest.approx(norm, rel=1e-12)


def test_twins_in_two_conventions_share_their_content(tmp_path: Path, layout: BaseLayout) -> None:
    kohya, _ = _adapter(tmp_path, layout, "kohya")
    embedded, _ = _adapter(tmp_path, layout, "diffusers_metadata")
    unscaled, _ = _adapter(tmp_path, layout, "diffusers")
    assert kohya.facts.content_digest == embedded.facts.content_digest
    assert kohya.facts.content_digest != unscaled.facts.content_digest
    assert kohya.facts.tensors_digest != embedded.facts.tensors_digest


def test_tensors_digest_ignores_metadata_only(tmp_path: Path, layout: BaseLayout) -> None:
    adapter, _ = _adapter(tmp_path, layout, "diffusers")
    stored = load_file(tmp_path / "diffusers" / "adapter.safetensors")
    again = tmp_path / "again.safetensors"
    save_file(stored, again, {"note": "re-saved"})
    assert tensors_digest(inspect_file(again)) == adapter.facts.tensors_digest
    name = sorted(stored)[0]
    stored[name].view(-1)[0] += 1e-3
    save_file(stored, again)
    assert tensors_digest(inspect_file(again)) != adapter.facts.tensors_digest


def _one(tmp_path: Path, tensors: dict[str, torch.Tensor], metadata: dict[str, str] | None = None) -> Path:
    path = tmp_path / "one.safetensors"
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path, metadata)
    return path


def _pair(stem: str, down: torch.Tensor, up: torch.Tensor) -> dict[str, torch.Tensor]:
    return {f"{stem}.lora_A.weight": down, f"{stem}.lora_B.weight": up}


@pytest.mark.parametrize(
    ("tensors", "expected"),
    [
        (_pair(f"unet.{Q}", torch.full((4, 32), float("nan")), torch.ones(32, 4)), "quarantined:nonfinite_weights"),
        (_pair(f"unet.{Q}", torch.ones(4, 32), torch.full((32, 4), float("inf"))), "quarantined:nonfinite_weights"),
        (_pair(f"unet.{Q}", torch.ones(4, 31), torch.ones(32, 4)), "skipped:unsupported_base"),
        (_pair("unet.mid_block.resnets.0.conv1", torch.ones(4, 64), torch.ones(64, 4)),
         "skipped:unsupported_base"),
        (_pair(f"unet.{Q}", torch.ones(4, 32), torch.ones(32, 4)) | {f"unet.{Q}.alpha": torch.tensor(4000.0)},
         "quarantined:alpha_out_of_range"),
        (_pair(f"unet.{Q}", torch.ones(4, 32), torch.ones(32, 4))
         | {f"unet.{Q}.alpha": torch.tensor(float("nan"))}, "quarantined:alpha_out_of_range"),
        (_pair(f"unet.{K}", torch.ones(4, 768), torch.ones(32, 4)), "skipped:unsupported_base"),
        (_pair("unet.nowhere.to_q", torch.ones(4, 8), torch.ones(8, 4)), "skipped:unsupported_base"),
        (_pair("transformer.transformer_blocks.0.attn.to_q", torch.ones(4, 8), torch.ones(8, 4)),
         "skipped:unsupported_base"),
        (_pair("lora_unet_input_blocks_1", torch.ones(4, 8), torch.ones(8, 4))
         | _pair("lora_te_text_model_encoder_layers_0_mlp_fc1", torch.ones(4, 24), torch.ones(48, 4)),
         "skipped:unsupported_base"),
        (_pair(f"unet.{Q}", torch.ones(4, 32), torch.ones(32, 4))
         | _pair(f"lora_unet_{Q.replace('.', '_')}", torch.ones(4, 32), torch.ones(32, 4)),
         "quarantined:unexpected_tensors"),
        ({f"unet.{Q}.diff": torch.ones(0, 32)}, "quarantined:shape_mismatch"),
        ({"unet.time_embedding.linear_1.diff": torch.ones(0, 4)}
         | _pair(f"unet.{Q}", torch.ones(4, 32), torch.ones(32, 4)), "quarantined:shape_mismatch"),
        ({"emb_params": torch.ones(2, 0)}, "quarantined:shape_mismatch"),
        ({"<word>": torch.ones(0)}, "quarantined:shape_mismatch"),
    ],
)  # fmt: skip
def test_refusals(tmp_path: Path, layout: BaseLayout, tensors: dict[str, torch.Tensor], expected: str) -> None:
    with pytest.raises(ItemError) as error:
        normalise(inspect_file(_one(tmp_path, tensors)), layout)
    assert f"{error.value.outcome}:{error.value.reason}" == expected


def test_modules_the_base_lacks_are_listed_not_dropped(tmp_path: Path, layout: BaseLayout) -> None:
    many = BaseLayout("unet", {"unet": {f"blocks.{n}.to_q": (32, 32) for n in range(9)}})
    tensors: dict[str, torch.Tensor] = {}
    for name in (*(f"unet.{module}" for module in many.components["unet"]), "unet.up.to_q", "text_encoder_3.block.q"):
        tensors |= _pair(name, torch.ones(4, 32), torch.ones(32, 4))
    adapter = normalise(inspect_file(_one(tmp_path, tensors)), many)
    assert set(adapter.unmatched) == {"unet.up.to_q", "text_encoder_3.block.q"}
    assert adapter.facts.pairs == 11
    assert adapter.facts.matched == {"unet": 9}
    assert adapter.facts.unmatched == {"unet": 1, "text_encoder_3": 1}


def test_less_than_nine_tenths_make_it_another_models_file(tmp_path: Path) -> None:
    many = BaseLayout("unet", {"unet": {f"blocks.{n}.to_q": (32, 32) for n in range(8)}})
    tensors: dict[str, torch.Tensor] = {}
    for name in (*(f"unet.{module}" for module in many.components["unet"]), "unet.up.to_q"):
        tensors |= _pair(name, torch.ones(4, 32), torch.ones(32, 4))
    with pytest.raises(ItemError, match="Only 8 of its 9 parts fit") as error:
        normalise(inspect_file(_one(tmp_path, tensors)), many)
    assert (error.value.outcome, error.value.reason) == ("skipped", "unsupported_base")


@pytest.mark.parametrize(
    ("inputs", "expected"), [(9, "not_text_to_image"), (8, "not_text_to_image"), (3, "unsupported_base")]
)
def test_a_widened_first_layer_is_a_control_or_inpainting_adapter(tmp_path: Path, inputs: int, expected: str) -> None:
    base = BaseLayout("unet", {"unet": {"conv_in": (32, 4, 3, 3)}})
    tensors = _pair("unet.conv_in", torch.ones(4, inputs, 3, 3), torch.ones(32, 4, 1, 1))
    with pytest.raises(ItemError) as error:
        normalise(inspect_file(_one(tmp_path, tensors)), base)
    assert error.value.reason == expected


def test_one_part_of_another_shape_is_a_contradiction(tmp_path: Path) -> None:
    many = BaseLayout("unet", {"unet": {f"blocks.{n}.to_q": (32, 32) for n in range(20)}})
    tensors: dict[str, torch.Tensor] = {}
    for module in many.components["unet"]:
        tensors |= _pair(f"unet.{module}", torch.ones(4, 31 if ".7." in module else 32), torch.ones(32, 4))
    with pytest.raises(Refused, match="1 of 20 pairs") as error:
        normalise(inspect_file(_one(tmp_path, tensors)), many)
    assert error.value.reason == "shape_mismatch"


def test_kernels_of_one_may_be_written_or_not(tmp_path: Path, layout: BaseLayout) -> None:
    proj = f"unet.{BLOCK}.proj_in"
    tensors = _pair(proj, torch.ones(4, 32), torch.ones(32, 4)) | _pair(
        f"unet.{Q}", torch.ones(4, 32, 1, 1), torch.ones(32, 4, 1, 1)
    )
    adapter = normalise(inspect_file(_one(tmp_path, tensors)), layout)
    assert adapter.tensors[f"{proj}.lora_A.weight"].shape == (4, 32, 1, 1)
    assert adapter.tensors[f"unet.{Q}.lora_B.weight"].shape == (32, 4)


def test_nothing_learned_is_a_flag(tmp_path: Path, layout: BaseLayout) -> None:
    tensors = _pair(f"unet.{Q}", torch.ones(4, 32), torch.zeros(32, 4))
    adapter = normalise(inspect_file(_one(tmp_path, tensors)), layout)
    assert adapter.no_learned_change and adapter.facts.delta_norm == 0.0


def test_matching_reads_no_tensors_and_picks_the_base(tmp_path: Path, layout: BaseLayout) -> None:
    other = BaseLayout("unet", {"unet": {Q: (64, 64)}})
    adapter = inspect_file(_one(tmp_path, _pair(f"unet.{Q}", torch.ones(4, 32), torch.ones(32, 4))))
    assert len(match_layout(adapter, layout).fitted) == 1
    assert len(match_layout(adapter, other).misshapen) == 1


def test_half_precision_files_are_widened_exactly(tmp_path: Path, layout: BaseLayout) -> None:
    down, up = torch.randn(4, 32).bfloat16(), torch.randn(32, 4).half()
    adapter = normalise(inspect_file(_one(tmp_path, _pair(f"unet.{Q}", down, up))), layout)
    assert torch.equal(adapter.tensors[f"unet.{Q}.lora_A.weight"], down.float())
    assert torch.equal(adapter.tensors[f"unet.{Q}.lora_B.weight"], up.float())
    assert adapter.facts.dtypes == ("BF16", "F16")


def test_a_name_that_fits_two_text_encoders_is_not_guessed(tmp_path: Path) -> None:
    module = "encoder.layers.0.mlp.fc1"
    encoder = {module: (48, 24)}
    layout = BaseLayout("unet", {"unet": {}, "text_encoder": encoder, "text_encoder_2": encoder})
    path = _one(tmp_path, _pair(f"base_model.model.text_model.{module}", torch.ones(2, 24), torch.ones(48, 2)))
    with pytest.raises(ItemError) as error:
        normalise(inspect_file(path), layout)
    assert error.value.reason == "unsupported_format"


@settings(max_examples=60, deadline=None)
@given(rank=st.integers(1, 1024), alpha=st.floats(-1e4, 1e4), stabilised=st.booleans())
def test_scale_follows_its_formula_or_is_refused(rank: int, alpha: float, stabilised: bool) -> None:
    rule = ScaleRule(rank, alpha, stabilised)
    expected = alpha / (math.sqrt(rank) if stabilised else rank)
    if abs(expected) > 64:
        with pytest.raises(Refused):
            rule.scale(("m",), rank)
    else:
        assert rule.scale(("m",), rank) == pytest.approx(expected)


def test_patterns_match_whole_path_ends_and_contradictions_are_refused() -> None:
    rule = ScaleRule(4, 4.0, ranks={"to_q": 8}, alphas={"attn1.to_q": 16.0})
    assert rule.scale(("a.attn1.to_q",), 8) == 2.0
    assert rule.scale(("a.attn2.to_q",), 8) == 0.5
    assert rule.scale(("a.into_q",), 4) == 1.0
    with pytest.raises(Refused) as refused:
        rule.scale(("a.to_v",), 8)
    assert refused.value.reason == "hostile_metadata"


def test_a_text_encoder_half_is_not_taken_for_the_whole_however_much_of_the_file_it_is(tmp_path: Path) -> None:
    encoder = {f"encoder.layers.{n}.mlp.fc1": (48, 24) for n in range(18)}
    layout = BaseLayout("unet", {"unet": {"a.to_q": (32, 32)}, "text_encoder": encoder})
    tensors: dict[str, torch.Tensor] = {}
    for module in encoder:
        tensors |= _pair(f"text_encoder.{module}", torch.ones(2, 24), torch.ones(48, 2))
    assert normalise(inspect_file(_one(tmp_path, tensors)), layout).facts.matched == {"text_encoder": 18}
    lost = tensors | _pair("unet.elsewhere.to_q", torch.ones(4, 32), torch.ones(32, 4))
    with pytest.raises(ItemError, match="None of the 1 denoiser modules") as error:
        normalise(inspect_file(_one(tmp_path, lost)), layout)
    assert (error.value.outcome, error.value.reason) == ("skipped", "unsupported_base")
    some = lost | _pair("unet.a.to_q", torch.ones(4, 32), torch.ones(32, 4))
    assert normalise(inspect_file(_one(tmp_path, some)), layout).facts.matched == {"text_encoder": 18, "unet": 1}


@pytest.mark.parametrize(
    ("family", "fitting", "message"),
    [
        ("sd15", True, "made for Stable Diffusion XL"),
        ("sdxl", True, None),
        (None, True, None),
        (None, False, "made for Stable Diffusion XL"),
        ("sdxl", False, "Only 0 of its 1 parts fit"),
    ],
)
def test_a_file_of_another_family_is_refused_by_a_known_base_though_it_fits(
    tmp_path: Path, family: str | None, fitting: bool, message: str | None
) -> None:
    layout = BaseLayout("unet", {"unet": {"a.to_q" if fitting else "b.to_q": (32, 32)}}, family)
    made_for = FamilyEvidence("sdxl", ("its shapes",), frozenset({"sdxl"}))
    adapter = inspect_file(_one(tmp_path, _pair("unet.a.to_q", torch.ones(4, 32), torch.ones(32, 4))))
    adapter = replace(adapter, family=made_for)
    match = match_layout(adapter, layout)
    if message is None:
        require_coverage(adapter, layout, match)
        return
    with pytest.raises(ItemError, match=message) as error:
        require_coverage(adapter, layout, match)
    assert error.value.reason == "unsupported_base"
