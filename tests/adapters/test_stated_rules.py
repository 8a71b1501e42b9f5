"""What the settings of an adapter may not ask for, and every ending of a tensor's name, one by one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from auditor.adapters.keys import parse_key
from auditor.adapters.scaling import ScaleRule, read_embedded, read_sidecar
from auditor.errors import ItemError, Refused

NOT_COMPUTED = {
    "use_qalora": True,
    "megatron_config": {"a": 1},
    "layer_replication": [[0, 2]],
    "trainable_token_indices": [1],
    "target_parameters": ["weight"],
    "alora_invocation_tokens": [1, 2],
    "fan_in_fan_out": True,
    "bias": "all",
}


def read(tmp_path: Path, **settings: Any) -> ScaleRule:
    path = tmp_path / "adapter_config.json"
    path.write_text(json.dumps(settings))
    return read_sidecar(path)


@pytest.mark.parametrize("name", NOT_COMPUTED)
def test_settings_that_change_the_formula_are_skipped_and_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(ItemError, match="biases" if name == "bias" else name) as caught:
        read(tmp_path, **{name: NOT_COMPUTED[name]})
    assert (caught.value.outcome, caught.value.reason) == ("skipped", "unsupported_format")
    embedded = {"lora_adapter_metadata": json.dumps({f"unet.{name}": NOT_COMPUTED[name], "unet.r": 4})}
    with pytest.raises(ItemError):
        read_embedded(embedded)


def test_settings_that_are_off_are_no_reason_to_skip(tmp_path: Path) -> None:
    off = {name: None for name in NOT_COMPUTED if name != "bias"}
    assert read(tmp_path, r=4, lora_alpha=2, bias="none", **off).scale(("a",), 4) == 0.5


@pytest.mark.parametrize("init", ["pissa", "pissa_niter_4", "OLoRA", "corda", "loftq", "eva", "lora_ga", "milora"])
def test_an_initialisation_that_rewrites_the_base_is_refused(tmp_path: Path, init: str) -> None:
    with pytest.raises(Refused, match="rewrites the base"):
        read(tmp_path, init_lora_weights=init)


@pytest.mark.parametrize("init", [True, False, "gaussian", None])
def test_an_initialisation_of_the_factors_alone_is_taken(tmp_path: Path, init: object) -> None:
    assert read(tmp_path, init_lora_weights=init).rank == 8


def test_whole_modules_are_refused_and_an_empty_list_of_them_is_not(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="modules_to_save"):
        read(tmp_path, modules_to_save=["conv_in"])
    assert read(tmp_path, modules_to_save=[]).rank == 8


def test_the_first_pattern_in_the_file_counts_even_where_a_later_one_says_more(tmp_path: Path) -> None:
    both = read(tmp_path, r=4, lora_alpha=4, alpha_pattern={"to_q": 8, "attn1.to_q": 16})
    assert both.scale(("block.attn1.to_q",), 4) == 2.0
    turned = read(tmp_path, r=4, lora_alpha=4, alpha_pattern={"attn1.to_q": 16, "to_q": 8})
    assert turned.scale(("block.attn1.to_q",), 4) == 4.0
    assert turned.scale(("block.attn1.not_to_q",), 4) == 1.0  # a pattern matches whole parts of a path only


def test_a_rank_beside_the_tensors_is_a_contradiction_unless_nothing_is_decomposed(tmp_path: Path) -> None:
    rule = read(tmp_path, r=4, lora_alpha=2)
    assert rule.scale(("a",), 0) == 0.5
    with pytest.raises(Refused, match="rank 4"):
        rule.scale(("a",), 8)


def test_rank_stabilised_files_divide_by_the_root(tmp_path: Path) -> None:
    assert read(tmp_path, r=16, lora_alpha=8, use_rslora=True).scale(("a",), 16) == 2.0


@pytest.mark.parametrize(
    ("ending", "part"),
    [
        (".diff", "diff"), (".diff_b", "diff_b"), (".w_norm", "diff"), (".b_norm", "diff_b"), (".alpha", "alpha"),
        (".dora_scale", "dora"), (".scalar", "scalar"), (".lora_mid.weight", "mid"), (".hada_w1_a", "hada_w1_a"),
        (".hada_w1_b", "hada_w1_b"), (".hada_w2_a", "hada_w2_a"), (".hada_w2_b", "hada_w2_b"),
        (".hada_t1", "hada_t1"), (".hada_t2", "hada_t2"), (".lokr_w1", "lokr_w1"), (".lokr_w1_a", "lokr_w1_a"),
        (".lokr_w1_b", "lokr_w1_b"), (".lokr_w2", "lokr_w2"), (".lokr_w2_a", "lokr_w2_a"),
        (".lokr_w2_b", "lokr_w2_b"), (".lokr_t2", "lokr_t2"), (".lora_B.bias", "up_bias"),
        (".lora_up.bias", "up_bias"), (".lora_A.bias", "down_bias"), (".lora_down.bias", "down_bias"),
        (".vera_lambda_d", "lambda_d"), (".vera_lambda_b", "lambda_b"), (".scale_weight", "scale_weight"),
        (".lora_magnitude_vector", "magnitude"), (".lora_magnitude_vector.weight", "magnitude"),
    ],
)  # fmt: skip
def test_every_ending_is_its_part(ending: str, part: str) -> None:
    key = parse_key(f"unet.mid_block.norm{ending}")
    assert (key.part, key.component, key.module) == (part, "unet", "mid_block.norm")
