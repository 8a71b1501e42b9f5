"""Everything that meets a stranger's file reads it in linear time."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from auditor.adapters.adapter_file import describe
from auditor.adapters.header import Header, TensorInfo, parse_header
from auditor.adapters.keys import parse_key
from auditor.adapters.limited_json import LimitedJsonError, parse_limited_json
from auditor.adapters.metadata import read_claims
from auditor.adapters.scaling import read_embedded
from auditor.errors import Refused
from auditor.families.claims import read_claim
from tests.doubling import grows_linearly

TEXTS: dict[str, Callable[[int], bytes]] = {
    "unfinished string of escaped quotes": lambda n: b'{"' + b'\\"' * n,
    "quotes and backslashes": lambda n: b"{" + b'"\\' * n,
    "quotes": lambda n: b"{" + b'"' * n,
    "backslashes": lambda n: b'{"' + b"\\" * n,
    "open lists": lambda n: b"[" * n,
    "nested objects": lambda n: b'{"a":' * n,
    "one long string": lambda n: b'{"' + b"a" * n + b'":1}',
    "many keys": lambda n: b"{" + b",".join(b'"%d":1' % number for number in range(n // 8)) + b"}",
    "digits": lambda n: b'{"a":' + b"1" * n,
    "spaces": lambda n: b"{" + b" " * n,
}


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_json(text: Callable[[int], bytes]) -> None:
    def work(size: int) -> None:
        with suppress(LimitedJsonError):
            parse_limited_json(text(size), max_nodes=400_000)
        with suppress(Refused):
            parse_header(text(size), size)

    assert grows_linearly(work, 20_000)


@pytest.mark.parametrize(
    "piece",
    ["a", ".", "_", "lora_unet_", ".lora_A.", "base_model.model.", ".processor.", "unet:1:", ".vera_lambda_b.",
     "blocks.1.", ".hada_w1_a", "diffusion_model."],
)  # fmt: skip
def test_names(piece: str) -> None:
    assert grows_linearly(
        lambda size: [parse_key(piece * (size // len(piece)) + end) for end in ("", ".alpha")], 50_000
    )
    assert grows_linearly(lambda size: read_claim(piece * (size // len(piece))), 50_000)


def _pairs(names: list[str]) -> Header:
    shapes = {
        f"{name}.{half}": shape
        for name in names
        for half, shape in (("lora_A.weight", (4, 32)), ("lora_B.weight", (32, 4)))
    }
    return Header({name: TensorInfo(name, "F16", shape, 0, 0) for name, shape in shapes.items()}, {}, 0, 0)


@pytest.mark.parametrize(
    "name",
    [
        "unet.block.{}.attn.to_q",
        "lora_unet_down_blocks_{}_attentions_0_attn1_to_q",
        "transformer.layers.{}.x",
        "{}",
        "text_encoder.encoder.layers.{}.mlp.fc1",
    ],
)
def test_files_of_many_tensors(name: str) -> None:
    describe(_pairs(["warm.up"]), Path("nowhere"))  # the table of shapes is read once
    assert grows_linearly(lambda size: describe(_pairs([name.format(n) for n in range(size)]), Path("nowhere")), 200)


def test_claims_of_much_metadata() -> None:
    def tags(size: int) -> dict[str, str]:
        return {"ss_tag_frequency": json.dumps({"folder": {f"tag {n}": n for n in range(size)}}), "x": "y" * size}

    assert grows_linearly(lambda size: read_claims(tags(size)), 2_000)


def test_patterns_for_many_modules() -> None:
    def work(size: int) -> None:
        patterns = {f"blocks.{n}.to_q": 4 for n in range(size)}
        settings = {"unet.r": 4, "unet.rank_pattern": patterns, "unet.alpha_pattern": patterns}
        rule = read_embedded({"lora_adapter_metadata": json.dumps(settings)})["unet"]
        for number in range(size):
            assert rule.scale((f"down.blocks.{number}.to_q",), 4) == 1.0

    assert grows_linearly(work, 500)


def test_the_first_pattern_in_the_file_decides() -> None:
    settings = {"r": 4, "lora_alpha": 4, "alpha_pattern": {"to_q": 8, "attn.to_q": 16, "^a.b$": 2}}
    rule = read_embedded({"lora_adapter_metadata": json.dumps(settings)})[""]
    assert rule.scale(("x.attn.to_q",), 4) == 2.0
    assert rule.scale(("a.b",), 4) == 0.5
    assert rule.scale(("xto_q",), 4) == 1.0
