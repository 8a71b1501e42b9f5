from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save

from auditor.adapters import limits
from auditor.adapters.header import DTYPE_BITS, parse_header, read_header
from auditor.adapters.limited_json import LimitedJsonError, parse_limited_json
from auditor.errors import Refused


def _file(header: object, data: bytes = b"") -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


def _read(tmp_path: Path, content: bytes) -> str:
    """Reason of the refusal, or `ok`."""
    path = tmp_path / "file"
    path.write_bytes(content)
    try:
        read_header(path)
    except Refused as refused:
        return refused.reason
    return "ok"


def _entry(begin: int, end: int, **changes: object) -> dict[str, object]:
    return {"dtype": "F32", "shape": [(end - begin) // 4], "data_offsets": [begin, end]} | changes


def test_agrees_with_the_library_on_a_good_file(tmp_path: Path) -> None:
    path = tmp_path / "good"
    arrays = {"b": np.zeros((3, 4), np.float16), "a": np.ones(5, np.float32), "empty": np.zeros((0, 7))}
    path.write_bytes(save(arrays, {"author": "someone"}))
    header = read_header(path)
    assert {n: t.shape for n, t in header.tensors.items()} == {n: a.shape for n, a in arrays.items()}
    assert header.metadata == {"author": "someone"}
    info = header.tensors["a"]
    stored = path.read_bytes()[header.data_start + info.begin : header.data_start + info.end]
    assert stored == arrays["a"].tobytes()


@pytest.mark.parametrize("dtype", DTYPE_BITS)
def test_a_number_takes_as_many_bits_as_its_type_is_named_for(tmp_path: Path, dtype: str) -> None:
    size = 8 if dtype == "BOOL" else int(re.search(r"\d+", dtype)[0])  # type: ignore[index]
    for size_bytes in (size - 1, size, size + 1):
        entry = {"a": {"dtype": dtype, "shape": [8], "data_offsets": [0, size_bytes]}}
        assert (_read(tmp_path, _file(entry, bytes(size_bytes))) == "ok") is (size_bytes == size)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"\x01\x02", "corrupt_file"),
        ((2**63).to_bytes(8, "little") + b"{}", "corrupt_file"),
        (_file(b"[1]"), "corrupt_file"),
        (_file(b'{"a": '), "corrupt_file"),
        (_file(b'{"a": NaN}'), "corrupt_file"),
        (_file(b'{"\xff": 1}'), "corrupt_file"),
        (_file({"a": _entry(0, 8)}, b"12345678" + b"trailing"), "corrupt_file"),
        (_file({"a": _entry(0, 8)}, b"1234"), "corrupt_file"),
        (_file({"a": _entry(0, 8), "b": _entry(4, 12)}, bytes(12)), "corrupt_file"),
        (_file({"a": _entry(0, 4), "b": _entry(8, 12)}, bytes(12)), "corrupt_file"),
        (_file({"a": _entry(0, 8, dtype="F99")}, bytes(8)), "corrupt_file"),
        (_file({"a": _entry(0, 8, shape=[-2])}, bytes(8)), "corrupt_file"),
        (_file({"a": _entry(0, 4, shape=[True])}, bytes(4)), "corrupt_file"),
        (_file({"a": _entry(0, 8, shape=[2**62, 2**62, 0])}, bytes(8)), "corrupt_file"),
        (_file({"a": _entry(0, 8, shape=[1] * 9)}, bytes(8)), "corrupt_file"),
        (_file({"a": _entry(0, 8, extra=1)}, bytes(8)), "corrupt_file"),
        (_file({"a" * (limits.MAX_KEY_CHARS + 1): _entry(0, 8)}, bytes(8)), "malformed_entry"),
        (_file({"a\x1b[2J": _entry(0, 8)}, bytes(8)), "malformed_entry"),
        (_file({"__metadata__": {"a": 1}}), "malformed_entry"),
        (_file(b'{"a":{"dtype":"F32","shape":[],"data_offsets":[0,4]},"a":1}', bytes(4)), "corrupt_file"),
        (_file(b'{"a":' + b"9" * 5000 + b"}"), "corrupt_file"),
    ],
)
def test_refuses_by_name(tmp_path: Path, content: bytes, reason: str) -> None:
    assert _read(tmp_path, content) == reason


def test_header_beyond_the_limit_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "bomb"
    with path.open("wb") as stream:
        stream.write((limits.MAX_HEADER_BYTES + 1).to_bytes(8, "little"))
        stream.truncate(limits.MAX_HEADER_BYTES + 100)
    with pytest.raises(Refused) as refused:
        read_header(path)
    assert refused.value.reason == "header_too_large"


@pytest.mark.parametrize("bomb", [b"[" * 100_000, b"[" + b"[]," * 900_000 + b"1]", b'{"a":' * 50 + b"1" + b"}" * 50])
def test_json_bombs_are_refused_before_parsing(bomb: bytes) -> None:
    with pytest.raises(LimitedJsonError):
        parse_limited_json(bomb, max_nodes=400_000)


def test_separators_inside_text_do_not_count() -> None:
    text = json.dumps({"tags": json.dumps({"a": [1] * 5000, 'quote"': "{[,"})})
    assert parse_limited_json(text.encode(), max_nodes=10) == json.loads(text)


_JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@settings(deadline=None)
@given(
    st.binary(max_size=200)
    | st.dictionaries(st.text(max_size=12), _JUNK, max_size=4).map(lambda v: json.dumps(v).encode())
)
def test_any_bytes_give_a_header_or_a_refusal(raw: bytes) -> None:
    try:
        header = parse_header(raw, file_bytes=8 + len(raw))
    except Refused:
        return
    assert all(t.begin == t.end == 0 for t in header.tensors.values())


@settings(deadline=None)
@given(
    st.fixed_dictionaries(
        {
            "dtype": st.sampled_from(["F32", "F16", "BF16", "F4", "I64"]) | _JUNK,
            "shape": st.lists(st.integers(-2, 2**70) | st.integers(0, 4), max_size=4) | _JUNK,
            "data_offsets": st.lists(st.integers(-4, 64), max_size=3) | _JUNK,
        }
    )
)
def test_an_accepted_tensor_lies_inside_the_file(entry: dict[str, object]) -> None:
    raw = json.dumps({"t": entry}).encode()
    try:
        header = parse_header(raw, file_bytes=8 + len(raw) + 32)
    except Refused:
        return
    assert (header.tensors["t"].begin, header.tensors["t"].end) == (0, 32)
