"""What the settings of an adapter may not ask for, and every ending of a tensor's name, one by one."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from auditor.adapters import limits
from auditor.adapters.adapter_file import inspect_file, settings_rules
from auditor.adapters.keys import Part, parse_key
from auditor.adapters.kinds import _change_kind
from auditor.adapters.limited_json import MAX_DEPTH, LimitedJsonError, parse_limited_json
from auditor.adapters.own_weights import _changes
from auditor.adapters.scaling import ScaleRule, checked_scale, read_embedded, read_sidecar, sidecar_base
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


@pytest.mark.parametrize(("rank", "taken"), [(0, False), (1, True), (1024, True), (1025, False), (True, False)])
def test_a_rank_is_a_whole_number_within_its_bounds(tmp_path: Path, rank: int, taken: bool) -> None:
    if taken:
        assert read(tmp_path, r=rank).rank == rank
        return
    with pytest.raises(Refused, match="1 to 1,024"):
        read(tmp_path, r=rank)


def test_the_largest_credible_scale_is_taken_and_no_larger_one() -> None:
    assert checked_scale(-limits.MAX_SCALE, 1.0) == -limits.MAX_SCALE
    with pytest.raises(Refused, match="beyond 64"):
        checked_scale(1.001 * limits.MAX_SCALE, 1.0)


def test_settings_of_the_largest_size_are_read_and_no_longer_ones(tmp_path: Path) -> None:
    path = tmp_path / "adapter_config.json"
    text = json.dumps({"r": 4, "base_model_name_or_path": "some/base"})
    path.write_text(text.ljust(limits.MAX_SIDECAR_BYTES))
    assert read_sidecar(path).rank == 4 and sidecar_base(path) == "some/base"
    path.write_text(text.ljust(limits.MAX_SIDECAR_BYTES + 1))
    assert sidecar_base(path) is None
    with pytest.raises(Refused, match="is larger than"):
        read_sidecar(path)


def peft_file(folder: Path, metadata: dict[str, str] | None = None) -> Path:
    path = folder / "adapter_model.safetensors"
    tensors = {
        "base_model.model.a.lora_A.weight": torch.ones(4, 8),
        "base_model.model.a.lora_B.weight": torch.ones(8, 4),
    }
    save_file(tensors, path, metadata)
    (folder / "adapter_config.json").write_text('{"r": 4, "lora_alpha": 8, "base_model_name_or_path": "by/sidecar"}')
    return path


def test_settings_in_the_file_go_before_those_beside_it(tmp_path: Path) -> None:
    embedded = {"lora_adapter_metadata": json.dumps({"r": 4, "lora_alpha": 2})}
    assert settings_rules(inspect_file(peft_file(tmp_path)))[""].alpha == 8.0
    assert settings_rules(inspect_file(peft_file(tmp_path, embedded)))[""].alpha == 2.0


def test_the_base_that_the_file_names_goes_before_that_of_the_settings_beside_it(tmp_path: Path) -> None:
    assert inspect_file(peft_file(tmp_path)).claims.base_checkpoint == "by/sidecar"
    named = peft_file(tmp_path, {"ss_sd_model_name": "by/metadata"})
    assert inspect_file(named).claims.base_checkpoint == "by/metadata"


def test_tags_nearly_as_frequent_as_the_first_are_candidates_in_the_order_of_the_file(tmp_path: Path) -> None:
    counts = {"just not": 17, "just": 18, "in all": 20, "in all too": 20}
    path = peft_file(tmp_path, {"ss_tag_frequency": json.dumps({"10_cat": counts})})
    assert [claim.text for claim in inspect_file(path).claims.triggers] == ["in all", "in all too", "just"]


def test_json_is_bounded_in_depth_and_structure() -> None:
    deepest = b"[" * MAX_DEPTH + b"]" * MAX_DEPTH
    assert parse_limited_json(deepest, max_nodes=MAX_DEPTH) is not None
    with pytest.raises(LimitedJsonError, match="deeper than 8"):
        parse_limited_json(b"[" + deepest + b"]", max_nodes=100)
    with pytest.raises(LimitedJsonError, match="more than 7 values"):
        parse_limited_json(deepest, max_nodes=MAX_DEPTH - 1)


def test_a_file_of_the_largest_size_is_read(tmp_path: Path) -> None:
    path = peft_file(tmp_path)
    size = path.stat().st_size
    assert inspect_file(path, max_bytes=size).kind == "lora"
    with pytest.raises(ItemError, match="is the limit"):
        inspect_file(path, max_bytes=size - 1)


@pytest.mark.parametrize(
    ("parts", "kind"),
    [
        ({"down", "up", "dora"}, "dora"),
        ({"down", "up", "magnitude"}, "dora"),
        ({"hada_w1_a", "dora"}, "dora"),
        ({"lambda_d", "lambda_b"}, "vera"),
        ({"down", "up", "lambda_d"}, "lora"),
        ({"diff"}, "full_difference"),
        ({"down", "up", "mid", "up_bias"}, "locon_tucker"),
        ({"down", "up", "up_bias"}, "lora_with_bias"),
        ({"down", "up"}, "lora"),
    ],
)
def test_a_file_is_named_for_what_is_rarest_in_it(parts: set[Part], kind: str) -> None:
    assert _change_kind([], parts) == kind


@pytest.mark.parametrize(
    ("dtype", "shape", "said"),
    [
        ("I64", (), None),
        ("I64", (5,), None),
        ("I8", (5, 5), "quantised"),
        ("F32", (), "single number"),
        ("F32", (5,), "no place"),
    ],
)
def test_only_counters_of_a_whole_model_are_passed_over(dtype: str, shape: tuple[int, ...], said: str | None) -> None:
    info = SimpleNamespace(name="x.y", dtype=dtype, shape=shape)
    file = SimpleNamespace(header=SimpleNamespace(tensors={"x.y": info}))
    layout = SimpleNamespace(denoiser="transformer", parameters={"transformer": {}})
    if said is None:
        assert list(_changes(file, layout)) == []  # type: ignore[arg-type]
    else:
        with pytest.raises(ItemError, match=said):
            list(_changes(file, layout))  # type: ignore[arg-type]
