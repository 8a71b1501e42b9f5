"""JSON from strangers: bounded in nodes and depth before parsing, strict while parsing."""

from __future__ import annotations

import json
import re
from typing import Any

MAX_DEPTH = 8
# The closing quote is optional: an unfinished string is consumed to its end, so that no start of one is tried again
# from the next quote. Every byte is looked at once.
_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?', re.DOTALL)
_NOT_STRUCTURE = bytes(sorted(set(range(256)) - set(b"[]{},")))


class LimitedJsonError(ValueError):
    """The text is no JSON, or not JSON that an adapter file has any need for."""


def parse_limited_json(text: bytes, *, max_nodes: int) -> Any:
    """Parse `text`, refusing what could exhaust memory or mean two things.

    A parser builds one Python object per value, so a 25 MB text of empty lists would need half a
    gigabyte. Counting separators outside strings first costs one pass and bounds that.

    Args:
        text: UTF-8 JSON.
        max_nodes: Half of the most brackets, braces and commas outside of strings: of nested lists it is the most that
            there may be, of flat ones half of the most values.

    Raises:
        LimitedJsonError: With the cause.
    """
    structure = _STRING.sub(b"", text).translate(None, _NOT_STRUCTURE)
    if len(structure) > 2 * max_nodes:
        raise LimitedJsonError(f"more than {max_nodes} values")
    if _depth(structure) > MAX_DEPTH:
        raise LimitedJsonError(f"nested deeper than {MAX_DEPTH}")
    try:
        return json.loads(text.decode("utf-8"), object_pairs_hook=_without_repeats, parse_constant=_refuse_constant)
    except LimitedJsonError:
        raise
    except (ValueError, RecursionError) as error:
        raise LimitedJsonError(f"not valid JSON ({type(error).__name__})") from error


def _depth(structure: bytes) -> int:
    depth = deepest = 0
    for byte in structure:
        if byte in b"[{":
            depth += 1
            deepest = max(deepest, depth)
            if deepest > MAX_DEPTH:
                break
        elif byte in b"]}":
            depth -= 1
    return deepest


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise LimitedJsonError("a key occurs twice")
    return result


def _refuse_constant(name: str) -> Any:
    raise LimitedJsonError(f"{name} is not a JSON number")
