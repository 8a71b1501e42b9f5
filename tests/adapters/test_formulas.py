"""The less common ways to write a change, each against its formula in float64."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from auditor.adapters.adapter_file import inspect_file
from auditor.adapters.conventions.numbered import numbered_modules
from auditor.adapters.layout import BaseLayout
from auditor.adapters.metadata import read_claims
from auditor.adapters.normalise import normalise
from auditor.adapters.recognition import published_layout
from auditor.errors import ItemError

MODULE = "down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k"
SHAPES = {MODULE: (32, 24), f"{MODULE}2": (16, 20)}
LAYOUT = BaseLayout(
    "unet", {"unet": SHAPES}, None, {"unet": {f"{m}.weight": s for m, s in SHAPES.items()} | {f"{MODULE}.bias": (32,)}}
)


def _random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed + 7 * len(shape)))


A, B = _random(4, 24, seed=1), _random(32, 4, seed=2)
PAIR = {f"unet.{MODULE}.lora_down.weight": A, f"unet.{MODULE}.lora_up.weight": B}
PRODUCT = B.double() @ A.double()


def _deltas(tmp_path: Path, tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Name of a parameter → what is added to it."""
    path = tmp_path / "adapter_model.safetensors"
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path)
    found = {}
    for change in normalise(inspect_file(path), LAYOUT).all_changes():
        shapes = [LAYOUT.parameters["unet"][f"{target.module}.{change.parameter}"] for target in change.targets]
        zeros = [torch.zeros(shape, dtype=torch.float64) for shape in shapes]
        (found[change.name],) = change.changed(zeros, 1.0)
    return found


def _same(found: torch.Tensor, wanted: torch.Tensor) -> None:
    torch.testing.assert_close(found, wanted, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(
    ("extra", "factor"),
    [
        ({f"unet.{MODULE}.scalar": torch.tensor(0.5)}, 0.5),
        ({f"unet.{MODULE}.scalar": torch.tensor([-2.0]), f"unet.{MODULE}.alpha": torch.tensor([[2.0]])}, -1.0),
        ({f"unet.{MODULE}.scale_weight": torch.tensor(0.25)}, 0.25),
        (
            {
                f"unet.{MODULE}.lora_down.scale_weight": torch.tensor(0.5),
                f"unet.{MODULE}.lora_up.scale_weight": torch.tensor(4.0),
            },
            2.0,
        ),
    ],
)
def test_numbers_that_multiply_a_change(tmp_path: Path, extra: dict[str, torch.Tensor], factor: float) -> None:
    _same(_deltas(tmp_path, PAIR | extra)[f"unet.{MODULE}.weight"], PRODUCT * factor)


def test_a_pair_with_differences_is_one_change(tmp_path: Path) -> None:
    weight, bias = _random(32, 24, seed=3), _random(32, seed=4)
    alpha = {f"unet.{MODULE}.alpha": torch.tensor(2.0)}
    found = _deltas(tmp_path, PAIR | alpha | {f"unet.{MODULE}.diff": weight, f"unet.{MODULE}.diff_b": bias})
    assert set(found) == {f"unet.{MODULE}.weight", f"unet.{MODULE}.bias"}
    _same(found[f"unet.{MODULE}.weight"], PRODUCT / 2 + weight.double())
    _same(found[f"unet.{MODULE}.bias"], bias.double())  # whole: alpha is the pair's


def test_lora_xs_has_a_matrix_between_its_factors(tmp_path: Path) -> None:
    r = _random(4, 4, seed=5)
    stem = f"base_model.model.{MODULE}"
    tensors = {f"{stem}.lora_A.weight": A, f"{stem}.lora_B.weight": B, f"{stem}.default_lora_latent_mapping.weight": r}
    (tmp_path / "adapter_config.json").write_text('{"peft_type": "LORA", "r": 4, "lora_alpha": 8}')
    _same(_deltas(tmp_path, tensors)[f"unet.{MODULE}.weight"], 2 * B.double() @ r.double() @ A.double())


def test_vera_cuts_its_shared_factors_to_each_module(tmp_path: Path) -> None:
    """diag(b) B diag(d) A with the first rows and columns, as peft's `vera/layer.py` computes it."""
    shared_a, shared_b = _random(4, 24, seed=6), _random(32, 4, seed=7)
    tensors = {"base_model.vera_A": shared_a, "base_model.vera_B": shared_b}
    vectors = {}
    for number, (module, (out, _)) in enumerate(SHAPES.items()):
        b, d = _random(out, seed=10 + number), _random(4, seed=20 + number)
        stem = f"base_model.model.unet.{module}"
        tensors |= {f"{stem}.vera_lambda_b": b, f"{stem}.vera_lambda_d": d}
        vectors[module] = (b.double(), d.double())
    found = _deltas(tmp_path, tensors)
    for module, (out, inputs) in SHAPES.items():
        b, d = vectors[module]
        wanted = (b[:, None] * shared_b.double()[:out]) @ (d[:, None] * shared_a.double()[:, :inputs])
        _same(found[f"unet.{module}.weight"], wanted)


def test_vera_without_its_random_factors_is_skipped_by_name(tmp_path: Path) -> None:
    stem = f"base_model.model.{MODULE}"
    with pytest.raises(ItemError, match="a vera") as error:
        _deltas(tmp_path, {f"{stem}.vera_lambda_b": _random(32), f"{stem}.vera_lambda_d": _random(4)})
    assert error.value.reason == "unsupported_format"


def test_nested_adapter_names_are_read(tmp_path: Path) -> None:
    stem = f"{MODULE}.lora_"
    found = _deltas(tmp_path, {f"{stem}A.default_0.default.weight": A, f"{stem}B.default_0.default.weight": B})
    _same(found[f"unet.{MODULE}.weight"], PRODUCT)


@pytest.mark.parametrize("later", [False, True])
def test_numbered_modules_are_those_of_the_program_that_counted_them(tmp_path: Path, later: bool) -> None:
    """The shapes in the order of a file of 2022; in diffusers since 0.12 the feed-forward comes last."""
    layout = published_layout("sd15")
    self_attention = ["attn1.to_q", "attn1.to_k", "attn1.to_v", "attn1.to_out.0"]
    cross = [name.replace("attn1", "attn2") for name in self_attention]
    inner = self_attention + ([*cross, "ff.net.0.proj"] if later else ["ff.net.0.proj", *cross])
    places = [(f"down_blocks.{b}", a) for b in range(3) for a in range(2)]
    places += [(f"up_blocks.{b}", a) for b in range(1, 4) for a in range(3)] + [("mid_block", 0)]
    modules = [f"{block}.attentions.{a}.transformer_blocks.0.{name}" for block, a in places for name in inner]
    text = [f"{layer}.self_attn.{name}" for layer in range(12) for name in ("k_proj", "v_proj", "q_proj", "out_proj")]
    tensors = {}
    for number, module in enumerate(modules):
        out, inputs = layout.components["unet"][module][:2]
        tensors |= {f"unet:{number}:down": torch.zeros(1, inputs), f"unet:{number}:up": torch.ones(out, 1)}
    for number in range(len(text)):
        tensors |= {f"text_encoder:{number}:down": torch.zeros(1, 768), f"text_encoder:{number}:up": torch.ones(768, 1)}
    path = tmp_path / "numbered.safetensors"
    save_file(tensors, path)
    adapter = inspect_file(path)
    assert (adapter.convention, adapter.family.family, len(adapter.entries)) == ("cloneofsimo", "sd15", 192)
    numbers = numbered_modules(layout.components["unet"])
    by_number = {e.parts["up"]: numbers[e.module] for e in adapter.entries if e.component == "unet"}
    assert by_number == {f"unet:{number}:up": module for number, module in enumerate(modules)}
    numbers = numbered_modules(layout.components["text_encoder"])
    by_number = {e.parts["up"]: numbers[e.module] for e in adapter.entries if e.component == "text_encoder"}
    assert all(by_number[f"text_encoder:{number}:up"].endswith(module) for number, module in enumerate(text))


def test_two_files_of_words_are_one_word_on_both_encoders(tmp_path: Path) -> None:
    layout = BaseLayout(
        "unet",
        {"unet": {}},
        "sdxl",
        {
            name: {"token_embedding.weight": (10, width)}
            for name, width in (("text_encoder", 768), ("text_encoder_2", 1280))
        },
    )
    vectors = {"learned_embeds.safetensors": _random(2, 768), "learned_embeds_2.safetensors": _random(2, 1280)}
    for name, vector in vectors.items():
        save_file({"<cat-toy>": vector}, tmp_path / name)
    for name in vectors:
        (word,) = normalise(inspect_file(tmp_path / name), layout).embeddings
        assert word.tokens == ("<cat-toy-0>", "<cat-toy-1>")
        assert {c: tuple(v.shape) for c, v in word.vectors.items()} == {
            "text_encoder": (2, 768),
            "text_encoder_2": (2, 1280),
        }


def test_tags_that_tie_keep_the_files_order_and_lose_their_escapes() -> None:
    tags = '{"16_girl": {"smart falcon \\\\(umamusume\\\\)": 43, "hair bow": 43, "smile": 9}}'
    claims = read_claims({"ss_tag_frequency": tags})
    assert [claim.text for claim in claims.triggers] == ["smart falcon (umamusume)", "hair bow"]
