"""Any file gives an adapter or a named refusal: never a crash, a hang or more memory than the file is worth.

Few examples here; `make fuzz` runs the same properties for long.
"""

from __future__ import annotations

import json
import os
import tempfile
import tracemalloc
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import save

from auditor.adapters import limits
from auditor.adapters.adapter_file import describe, inspect_file, judge
from auditor.adapters.fitting import match_layout
from auditor.adapters.header import Header, TensorInfo, parse_header
from auditor.adapters.keys import parse_key
from auditor.adapters.layout import BaseLayout
from auditor.adapters.limited_json import LimitedJsonError, parse_limited_json
from auditor.adapters.metadata import read_claims
from auditor.adapters.normalise import normalise
from auditor.adapters.scaling import read_embedded, read_sidecar
from auditor.errors import ItemError
from tests.adapters.conftest import SHAPES, TEXT_SHAPES

pytestmark = pytest.mark.fuzz
EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "100"))
LENIENT = settings(deadline=None, max_examples=EXAMPLES, suppress_health_check=list(HealthCheck))
PARAMETERS = {
    f"{module}.{kind}": shape if kind == "weight" else shape[:1]
    for module, shape in SHAPES.items()
    for kind in ("weight", "bias")
}
LAYOUT = BaseLayout(
    "unet",
    {"unet": SHAPES, "text_encoder": TEXT_SHAPES},
    None,
    {"unet": PARAMETERS, "text_encoder": {"embeddings.token_embedding.weight": (40, 24)}},
)

MODULES = st.sampled_from([
    *(f"unet.{module}" for module in SHAPES), *(f"lora_unet_{module.replace('.', '_')}" for module in SHAPES),
    *(f"text_encoder.{module}" for module in TEXT_SHAPES), *(f"diffusion_model.{name}" for name in LAYOUT.originals),
    *(f"base_model.model.{module}" for module in SHAPES), "unet.nowhere", "lora_te_nowhere", "lycoris_x",
    "bundle_emb.x", "model.diffusion_model.input_blocks.0.0", "transformer", "", "<s0>",
])  # fmt: skip
SUFFIXES = st.sampled_from([
    ".lora_A.weight", ".lora_B.weight", ".lora_down.weight", ".lora_up.weight", ".lora_mid.weight", ".alpha",
    ".dora_scale", ".lora_magnitude_vector", ".lora_B.bias", ".lora_A.bias", ".hada_w1_a", ".hada_w1_b", ".hada_w2_a",
    ".hada_w2_b", ".hada_t1", ".hada_t2", ".lokr_w1", ".lokr_w1_a", ".lokr_w1_b", ".lokr_w2", ".lokr_w2_a",
    ".lokr_w2_b", ".lokr_t2", ".diff", ".diff_b", ".w_norm", ".weight", ".bias", ".lora_A.default.weight",
    ".processor.to_q_lora.up.weight", ".string_to_param.*", "",
])  # fmt: skip
# Widths that modules of the layout have, so that many examples get past the shape checks.
SIZES = st.sampled_from([0, 1, 2, 3, 4, 8, 16, 24, 32, 48, 64, 128])
SHAPE = (
    st.lists(SIZES, max_size=2).map(tuple) | st.tuples(SIZES, SIZES, st.integers(1, 3), st.integers(1, 3)) | st.just(())
)
NAMES = st.builds(str.__add__, MODULES, SUFFIXES)
VALUES = st.sampled_from([0.0, 1.0, -0.5, 1e-30, 3e38, float("nan"), float("inf")])
JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@st.composite
def whole_entries(draw: st.DrawFn) -> dict[str, tuple[int, ...]]:
    """All tensors of one change, in shapes that usually fit together."""
    module = draw(st.sampled_from(sorted(SHAPES)))
    out, inputs, *kernel = SHAPES[module]
    rank, ones = draw(st.integers(1, 4)), [1] * len(kernel)
    columns = inputs * kernel[0] * kernel[1] if kernel else inputs
    method = draw(st.sampled_from(["lora", "tucker", "loha", "lokr", "full"]))
    parts: dict[str, tuple[int, ...]] = {
        "lora": {"lora_down.weight": (rank, inputs, *kernel), "lora_up.weight": (out, rank, *ones)},
        "tucker": {
            "lora_down.weight": (rank, inputs, *ones),
            "lora_up.weight": (out, rank, *ones),
            "lora_mid.weight": (rank, rank, *(kernel or [1, 1])),
        },
        "loha": {f"hada_w{n}_{s}": (out, rank) if s == "a" else (rank, columns) for n in (1, 2) for s in "ab"},
        "lokr": {"lokr_w1": (2, 1), "lokr_w2_a": (out // 2, rank), "lokr_w2_b": (rank, columns)},
        "full": {"diff": SHAPES[module], "diff_b": (out,)},
    }[method]
    if draw(st.booleans()):
        parts["alpha"] = ()
    if draw(st.booleans()) and method != "full":
        parts["dora_scale"] = draw(st.sampled_from([(out, 1, *ones), (1, inputs, *ones), (out,), (inputs,), (7,)]))
    return {f"lora_unet_{module.replace('.', '_')}.{part}": shape for part, shape in parts.items()}


FILES = st.tuples(
    st.lists(whole_entries(), max_size=3).map(lambda entries: {n: s for entry in entries for n, s in entry.items()}),
    st.dictionaries(NAMES, SHAPE, max_size=3),
).map(lambda halves: halves[0] | halves[1])


def _header(shapes: dict[str, tuple[int, ...]], dtype: str = "F32") -> Header:
    return Header({name: TensorInfo(name, dtype, shape, 0, 0) for name, shape in shapes.items()}, {}, 0, 0)


@LENIENT
@given(FILES, st.sampled_from(["F32", "F16", "I8", "F8_E4M3"]))
def test_any_list_of_tensors_is_sorted_and_judged(shapes: dict[str, tuple[int, ...]], dtype: str) -> None:
    adapter = describe(_header(shapes, dtype), Path("nowhere"))
    try:
        judge(adapter)
        match = match_layout(adapter, LAYOUT)
    except ItemError as error:
        assert error.message.endswith(".")
        return
    assert len(match.fitted) + len(match.misshapen) + len(match.unmatched) == len(adapter.entries)


@LENIENT
@given(FILES, st.lists(VALUES, min_size=1, max_size=4), st.dictionaries(st.text(max_size=8), st.text(max_size=40)))
def test_any_file_is_normalised_or_refused(
    shapes: dict[str, tuple[int, ...]], values: list[float], metadata: dict[str, str]
) -> None:
    tensors = {
        name: torch.full(shape, values[index % len(values)]) for index, (name, shape) in enumerate(shapes.items())
    }
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "file"
        path.write_bytes(save(tensors, metadata))
        try:
            adapter = normalise(inspect_file(path), LAYOUT)
        except ItemError as error:
            assert error.outcome in ("skipped", "quarantined") and error.message.endswith(".")
            return
        weights = {f"{c}.{m}": shape for c, modules in LAYOUT.components.items() for m, shape in modules.items()}
        for change in adapter.all_changes():
            target = change.targets[0]
            shape = weights.get(f"{target.component}.{target.module}", ())
            shape = shape if change.parameter == "weight" else shape[:1]
            (changed,) = change.changed([torch.ones(shape)], 0.5)
            assert changed.shape == shape
        assert all(torch.isfinite(tensor).all() for tensor in adapter.tensors.values())


@LENIENT
@given(st.data())
def test_any_damage_to_a_good_file_is_survived(data: st.DataObject) -> None:
    good = save({"unet.x.lora_A.weight": torch.ones(2, 3), "unet.x.lora_B.weight": torch.ones(3, 2)}, {"a": "b"})
    damaged = bytearray(good)
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    cut = bytes(damaged[: data.draw(st.integers(0, len(damaged)))] if data.draw(st.booleans()) else damaged)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "file"
        path.write_bytes(cut)
        try:
            judge(inspect_file(path))
        except ItemError:
            return


@LENIENT
@given(st.text(max_size=80) | st.lists(MODULES | SUFFIXES | st.text(max_size=5), max_size=8).map("".join))
def test_any_name_is_parsed(name: str) -> None:
    key = parse_key(name)
    assert key.name == name and (key.part == "other" or len(key.module) < len(name) + 2)


@LENIENT
@given(st.binary(max_size=120) | JUNK.map(lambda value: json.dumps(value).encode()))
def test_any_bytes_are_json_or_are_not(raw: bytes) -> None:
    try:
        parse_limited_json(raw, max_nodes=50)
    except LimitedJsonError:
        return


SETTINGS = st.dictionaries(
    st.sampled_from(["r", "lora_alpha", "alpha", "use_rslora", "use_dora", "peft_type", "rank_pattern", "alpha_pattern",
                     "modules_to_save", "init_lora_weights", "bias", "target_modules"]) | st.text(max_size=6),
    JUNK | st.sampled_from(["LORA", "LOHA", "LOKR", "pissa", "none"]) | st.integers(0, 2000), max_size=5,
)  # fmt: skip


@LENIENT
@given(SETTINGS)
def test_any_settings_are_a_rule_or_refused(values: dict[str, object]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "adapter_config.json"
        path.write_text(json.dumps(values))
        for read in (lambda: read_sidecar(path), lambda: read_embedded({"lora_adapter_metadata": json.dumps(values)})):
            try:
                read()
            except ItemError as error:
                assert error.message.endswith(".")


@LENIENT
@given(
    st.dictionaries(
        st.sampled_from(["ss_tag_frequency", "ss_network_args", "modelspec.trigger_phrase", "ss_sd_model_name"]),
        st.text(max_size=60) | JUNK.map(json.dumps),
        max_size=4,
    )
)
def test_any_metadata_gives_claims(metadata: dict[str, str]) -> None:
    claims = read_claims(metadata)
    assert all(0 < len(claim.text) <= limits.MAX_CLAIM_CHARS for claim in claims.triggers)


@pytest.mark.parametrize("bomb", [
    b'{"a":' + b"[" * 12_000_000 + b"]" * 12_000_000 + b"}", b'{"a":[' + b"0," * 12_000_000 + b"0]}",
    b'{"a":"' + b"x" * 24_000_000 + b'"}', b'{"__metadata__":{"a":"' + b'\\"' * 12_000_000 + b'"}}',
    b"{" + b",".join(b'"%d":{}' % n for n in range(1_000_000)) + b"}",
], ids=["nested", "long", "text", "escapes", "many"])  # fmt: skip
def test_the_largest_header_costs_at_most_ten_times_its_size(bomb: bytes) -> None:
    assert len(bomb) <= limits.MAX_HEADER_BYTES
    tracemalloc.start()
    try:
        parse_header(bomb, file_bytes=8 + len(bomb))
    except ItemError:
        pass
    finally:
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert peak < 10 * limits.MAX_HEADER_BYTES
