"""Own parser for the safetensors header, so that a file is judged before any library opens it.

Layout of a file: 8 bytes little-endian header length N, N bytes of JSON, then the tensors' bytes.
The JSON maps a tensor name to {dtype, shape, data_offsets} and may hold string metadata.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from auditor.adapters import limits
from auditor.adapters.limited_json import LimitedJsonError, parse_limited_json
from auditor.errors import Refused

PREFIX_BYTES = 8
DTYPE_BITS: Mapping[str, int] = {
    "BOOL": 8, "U8": 8, "I8": 8, "F8_E4M3": 8, "F8_E5M2": 8, "F8_E8M0": 8, "F8_E4M3FNUZ": 8,
    "F8_E5M2FNUZ": 8, "I16": 16, "U16": 16, "F16": 16, "BF16": 16, "I32": 32, "U32": 32, "F32": 32,
    "F64": 64, "I64": 64, "U64": 64, "C64": 64, "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6,
}  # fmt: skip
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """One entry of the header."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    begin: int
    """First byte, counted from the end of the header."""
    end: int


@dataclass(frozen=True, slots=True)
class Header:
    """A header that passed every check."""

    tensors: Mapping[str, TensorInfo]
    metadata: Mapping[str, str]
    data_start: int
    """Offset in the file of the first tensor byte."""
    file_bytes: int


def header_length(prefix: bytes, file_bytes: int) -> int:
    """Length of the JSON part in bytes, from the first eight bytes of the file.

    Raises:
        Refused: `corrupt_file` or `header_too_large`.
    """
    if len(prefix) < PREFIX_BYTES:
        raise Refused("corrupt_file", "The file ends inside the safetensors length prefix.")
    length = int.from_bytes(prefix[:PREFIX_BYTES], "little")
    if length > file_bytes - PREFIX_BYTES:
        raise Refused("corrupt_file", f"The header claims {length} bytes, more than the file has.")
    if length > limits.MAX_HEADER_BYTES:
        raise Refused("header_too_large", f"The header has {length} bytes; {limits.MAX_HEADER_BYTES} is the limit.")
    return length


def parse_header(raw: bytes, file_bytes: int) -> Header:
    """Check and parse the JSON part.

    Args:
        raw: The JSON bytes, without the length prefix.
        file_bytes: Size of the whole file.

    Raises:
        Refused: With `corrupt_file`, `header_too_large` or `malformed_entry`.
    """
    if not raw.startswith(b"{"):
        raise Refused("corrupt_file", "The safetensors header is not a JSON object.")
    try:
        entries = parse_limited_json(raw, max_nodes=8 * limits.MAX_TENSORS)
    except LimitedJsonError as error:
        raise Refused("corrupt_file", f"The safetensors header is unusable: {error}.") from error
    if not isinstance(entries, dict):
        raise Refused("corrupt_file", "The safetensors header is not a JSON object.")
    metadata = _metadata(entries.pop("__metadata__", {}))
    if len(entries) > limits.MAX_TENSORS:
        raise Refused("header_too_large", f"The header lists {len(entries)} tensors.")
    tensors = {name: _tensor(name, entry) for name, entry in entries.items()}
    data_start = PREFIX_BYTES + len(raw)
    _check_tiling(tensors, file_bytes - data_start)
    return Header(tensors, metadata, data_start, file_bytes)


def read_header(path: Path) -> Header:
    """Read and check the header of a file on disk.

    Raises:
        Refused: As `header_length` and `parse_header`.
    """
    file_bytes = path.stat().st_size
    with path.open("rb") as stream:
        length = header_length(stream.read(PREFIX_BYTES), file_bytes)
        raw = stream.read(length)
    return parse_header(raw, file_bytes)


def _metadata(value: Any) -> dict[str, str]:
    if not isinstance(value, dict) or len(value) > limits.MAX_METADATA_ENTRIES:
        raise Refused("malformed_entry", "The header's metadata is no small table of texts.")
    if not all(isinstance(text, str) for text in value.values()):
        raise Refused("malformed_entry", "The header's metadata holds something other than text.")
    return value


def _tensor(name: str, entry: Any) -> TensorInfo:
    if not name or len(name) > limits.MAX_KEY_CHARS or _CONTROL.search(name):
        raise Refused("malformed_entry", "A tensor's name is empty, too long or has control characters.")
    if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
        raise Refused("corrupt_file", "A tensor's entry lacks dtype, shape or data_offsets.")
    dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(dtype, str) or dtype not in DTYPE_BITS:
        raise Refused("corrupt_file", "A tensor has a storage type that safetensors does not define.")
    if not _counts(shape) or len(shape) > limits.MAX_DIMS:
        raise Refused("corrupt_file", "A tensor's shape is not a short list of non-negative integers.")
    if not _counts(offsets) or len(offsets) != 2:
        raise Refused("corrupt_file", "A tensor's data_offsets are not two non-negative integers.")
    begin, end = offsets
    if math.prod(shape) * DTYPE_BITS[dtype] != (end - begin) * 8:
        raise Refused("corrupt_file", "A tensor's shape does not fit its number of bytes.")
    return TensorInfo(name, dtype, tuple(shape), begin, end)


def _counts(values: Any) -> bool:
    # bool is an int to Python, and a 400-digit integer is a valid JSON number
    return isinstance(values, list) and all(type(v) is int and 0 <= v < 2**48 for v in values)


def _check_tiling(tensors: Mapping[str, TensorInfo], data_bytes: int) -> None:
    """Tensors must cover the data exactly once: no overlap, no hole, no bytes after the last one."""
    position = 0
    for info in sorted(tensors.values(), key=lambda t: (t.begin, t.end)):
        if info.begin != position:
            raise Refused("corrupt_file", "Tensors overlap or leave a hole in the file.")
        position = info.end
    if position != data_bytes:
        raise Refused("corrupt_file", f"The file has {data_bytes} bytes of tensors, its header {position}.")
