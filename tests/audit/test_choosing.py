"""Which base a file goes on and which trigger it is tried with, from headers on the published bases."""

from __future__ import annotations

from pathlib import Path

import pytest

from auditor.adapters.adapter_file import AdapterFile, describe
from auditor.adapters.header import Header, TensorInfo
from auditor.audit.choosing import BaseChoice, choose_base, with_trigger
from auditor.errors import ItemError
from auditor.records.adapter import MetadataClaims, TriggerClaim
from auditor.records.result import WorkItem
from auditor.settings import Settings, resolve

SDXL_HASH = "31e35c80fc4829d14f90153f4c74cd59c90b779f6afe05a74cd6120b893f7e5b"
SDXL = ("down_blocks.1.attentions.0.transformer_blocks.0.attn2.to_k", 2048, 640)
SD15 = ("down_blocks.1.attentions.0.transformer_blocks.0.attn2.to_k", 768, 640)
SELF = ("down_blocks.1.attentions.0.transformer_blocks.0.attn1.to_q", 640, 640)
SD_SELF = ("down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q", 320, 320)
FLUX2 = ("single_transformer_blocks.0.attn.to_qkv_mlp_proj", 6144, 6144)


@pytest.fixture(scope="module")
def hub() -> Settings:
    return resolve(config=None, profile="hub", overrides=()).settings


def _file(module: tuple[str, int, int], metadata: dict[str, str] | None = None) -> AdapterFile:
    name, inputs, outputs = module
    shapes = {f"unet.{name}.lora_A.weight": (4, inputs), f"unet.{name}.lora_B.weight": (outputs, 4)}
    tensors = {n: TensorInfo(n, "F16", shape, 0, 0) for n, shape in shapes.items()}
    return describe(Header(tensors, metadata or {}, 0, 0), Path("nowhere"))


def _item(*bases: str, trigger: str | None = None, source: str | None = None) -> WorkItem:
    return WorkItem(repo_id="a/b", commit_sha="0" * 40, path="x", file_sha256=None, trigger=trigger,
                    trigger_source=source, base_name=bases[0] if bases else None, other_bases=bases[1:])  # fmt: skip


@pytest.mark.parametrize(
    ("module", "metadata", "card", "expected"),
    [
        (SDXL, {}, ("sdxl",), ("sdxl", False, False)),
        (SDXL, {}, (), ("sdxl", True, False)),
        (SD15, {}, ("sdxl",), ("sd15", True, True)),
        (SD15, {}, ("sdxl", "sd15"), ("sd15", False, False)),
        (SD15, {"ss_sd_model_name": "v1-5-pruned-emaonly.ckpt"}, ("sdxl",), ("sd15", False, True)),
        (SDXL, {"ss_new_sd_model_hash": SDXL_HASH}, (), ("sdxl", False, False)),
        (SDXL, {"ss_new_sd_model_hash": SDXL_HASH[:10]}, (), ("sdxl", False, False)),
        (SDXL, {"ss_sd_model_hash": SDXL_HASH[:6]}, (), ("sdxl", True, False)),
        (SDXL, {"ss_sd_model_hash": "'; DROP TABLE"}, (), ("sdxl", True, False)),
        (SD15, {"ss_new_sd_model_hash": SDXL_HASH}, (), ("sd15", True, False)),
        (SDXL, {"ss_sd_model_name": "C:\\models\\sd_xl_base_1.0.safetensors"}, (), ("sdxl", False, False)),
        (SDXL, {"ss_sd_model_name": "ponyDiffusionV6XL.safetensors"}, (), ("sdxl", True, False)),
        (SELF, {}, ("sdxl",), ("sdxl", False, False)),
        (SELF, {"ss_sd_model_name": "v1-5-pruned.ckpt"}, (), ("sd15", False, False)),
        (SD_SELF, {}, ("sd21",), ("sd21", False, False)),
    ],
)  # fmt: skip
def test_the_order_of_trust(
    hub: Settings, module: tuple[str, int, int], metadata: dict[str, str], card: tuple[str, ...],
    expected: tuple[str, bool, bool],
) -> None:  # fmt: skip
    assert choose_base(_item(*card), _file(module, metadata), hub) == BaseChoice(*expected)


@pytest.mark.parametrize(
    ("module", "card", "said"),
    [
        (SELF, (), "sd15, sd21, sdxl alike"),
        (SD_SELF, ("sdxl",), "sd15, sd21 alike"),
        (FLUX2, ("flux1_dev",), "flux2"),
    ],
)
def test_families_are_not_guessed(
    hub: Settings, module: tuple[str, int, int], card: tuple[str, ...], said: str
) -> None:
    with pytest.raises(ItemError, match=said) as error:
        choose_base(_item(*card), _file(module), hub)
    assert (error.value.outcome, error.value.reason) == ("skipped", "unsupported_base")


MODELSPEC, TAG = TriggerClaim("sks style", "modelspec"), TriggerClaim("1girl", "tag_frequency")


@pytest.mark.parametrize(
    ("card", "claims", "expected"),
    [
        (("in the style of TOK", "instance_prompt"), (MODELSPEC,), ("in the style of TOK", "instance_prompt")),
        (("a cat, TOK", "widget"), (MODELSPEC, TAG), ("sks style", "modelspec")),
        (("a cat, TOK", "widget"), (TAG,), ("a cat, TOK", "widget")),
        ((None, None), (TAG,), ("1girl", "tag_frequency")),
        ((None, None), (), (None, None)),
        (("by hand", "command line"), (MODELSPEC,), ("by hand", "command line")),
    ],
)
def test_triggers_in_order_of_trust(
    card: tuple[str | None, str | None], claims: tuple[TriggerClaim, ...], expected: tuple[str | None, str | None]
) -> None:
    item = with_trigger(_item(trigger=card[0], source=card[1]), MetadataClaims(triggers=claims))
    assert (item.trigger, item.trigger_source) == expected
