"""Settings of peft that change what the tensors mean: computed, or skipped by name."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from auditor.adapters.keys import parse_key
from auditor.adapters.scaling import read_embedded, read_sidecar
from auditor.errors import ItemError

UNCOMPUTED = {
    "use_qalora": True,
    "megatron_config": {"x": 1},
    "layer_replication": [[0, 4]],
    "trainable_token_indices": [3],
    "target_parameters": ["experts.weight"],
    "alora_invocation_tokens": [5],
    "fan_in_fan_out": True,
}


@pytest.mark.parametrize("name", UNCOMPUTED)
def test_a_setting_that_is_not_computed_is_skipped_by_its_name_unless_it_is_off(tmp_path: Path, name: str) -> None:
    path = tmp_path / "adapter_config.json"
    path.write_text(json.dumps({"r": 4, "lora_alpha": 8, name: UNCOMPUTED[name]}))
    with pytest.raises(ItemError, match=name):
        read_sidecar(path)
    path.write_text(json.dumps({"r": 4, "lora_alpha": 8, name: None}))
    assert read_sidecar(path).alpha == 8


@pytest.mark.parametrize("bias", ["all", "lora_only"])
def test_biases_trained_along_are_skipped(bias: str) -> None:
    text = json.dumps({"unet.r": 4, "unet.lora_alpha": 4, "unet.bias": bias})
    with pytest.raises(ItemError, match="biases"):
        read_embedded({"lora_adapter_metadata": text})
    assert read_embedded({"lora_adapter_metadata": text.replace(bias, "none")})["unet"].alpha == 4


@pytest.mark.parametrize(("suffix", "part"), [(".w_norm", "diff"), (".b_norm", "diff_b"), (".diff", "diff")])
def test_differences_of_norms_are_read_under_both_their_names(suffix: str, part: str) -> None:
    key = parse_key(f"lora_unet_mid_block_resnets_0_norm1{suffix}")
    assert (key.part, key.module) == (part, "mid_block_resnets_0_norm1")
