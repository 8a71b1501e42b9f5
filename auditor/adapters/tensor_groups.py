"""Group a file's tensors into entries: everything that changes one module, checked as far as the header tells."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from auditor.adapters import limits
from auditor.adapters.header import TensorInfo
from auditor.adapters.keys import SHARED_MODULE, ParsedKey, Part
from auditor.errors import ItemError, Refused
from auditor.records.adapter import Convention

Method = Literal["lora", "loha", "lokr", "full"]
"""How the tensors of one entry make up the change of a weight; DoRA's magnitude may come on top of the first three."""

FACTOR_DTYPES = frozenset({"F16", "BF16", "F32", "F64", "F8_E4M3", "F8_E5M2"})
"""Floating-point storage. Integer factors are quantised in a way the file does not describe."""
ALPHA_DTYPES = FACTOR_DTYPES | {"I16", "I32", "I64", "U8"}

_LOHA = ("hada_w1_a", "hada_w1_b", "hada_w2_a", "hada_w2_b")
SCALARS: frozenset[Part] = frozenset({"alpha", "scalar", "scale_weight", "down_scale", "up_scale"})
"""Parts that are one number."""
_WHOLE: frozenset[Part] = frozenset({"diff", "diff_b"})


@dataclass(frozen=True, slots=True)
class Entry:
    """All tensors of a file that change one module, by their names."""

    component: str | None
    module: str
    flat: bool
    convention: Convention
    method: Method
    parts: Mapping[Part, str]
    """Part → tensor name."""
    rank: int
    """What alpha is divided by; 0 where nothing is decomposed."""
    outputs: int
    """Rows of the changed weight; 0 for a bias alone."""
    inputs: int
    """Its second dimension where the tensors tell it, else its columns; 0 where factors are shared."""
    columns: int
    """All its columns: inputs times kernel; the most it can have where factors are shared."""
    kernel: tuple[int, ...] | None
    """Kernel size; null where the tensors are stored flat and leave it open."""

    @property
    def shares_factors(self) -> bool:
        """Whether its factors are cut out of ones that several modules share."""
        return "lambda_d" in self.parts

    @property
    def decomposed(self) -> bool:
        """Whether a DoRA magnitude sets the length of each row or column."""
        return "dora" in self.parts or "magnitude" in self.parts

    @property
    def plain(self) -> bool:
        """Whether the change is exactly B x A, with no bias and no magnitude."""
        beside = {"up_bias", "diff_b", "diff"}
        return self.method == "lora" and not self.decomposed and not beside & self.parts.keys()


@dataclass(frozen=True, slots=True)
class Grouped:
    """The entries of a file, and the tensors that belong to none."""

    entries: tuple[Entry, ...]
    """In the order of their names."""
    unpaired: tuple[str, ...]
    """Parts whose partner is missing."""
    doubled: tuple[str, ...]
    """Tensors that fill a place another tensor has filled."""
    misshapen: tuple[str, ...]
    """Modules, as the file spells them, whose tensors contradict each other in shape."""


def group(keys: Iterable[ParsedKey], tensors: Mapping[str, TensorInfo]) -> Grouped:
    """Group parsed names by module. Total: what does not fit together is listed, nothing is raised."""
    slots: dict[tuple[str | None, str, bool, str | None], dict[Part, ParsedKey]] = {}
    doubled: list[str] = []
    for key in keys:
        if key.part == "other":
            continue
        place = slots.setdefault((key.component, key.module, key.flat, key.adapter_name), {})
        if key.part in place:
            doubled.append(key.name)
        place.setdefault(key.part, key)
    entries: list[Entry] = []
    unpaired: list[str] = []
    misshapen: list[str] = []
    shared = {
        part: key.name for place in list(slots) if place[1] == SHARED_MODULE for part, key in slots.pop(place).items()
    }
    for (component, module, flat, _), found in slots.items():
        names: dict[Part, str] = {part: key.name for part, key in found.items()}
        if names.keys() & {"lambda_d", "lambda_b"}:
            names |= shared
        method = _method(names)
        if method is None:
            unpaired.extend(names.values())
            continue
        try:
            rank, claim = _claim(method, {part: tensors[name].shape for part, name in names.items()})
        except ValueError:
            misshapen.append(module)
            continue
        convention = next(iter(found.values())).convention
        entries.append(Entry(component, module, flat, convention, method, names, rank, *claim))
    return Grouped(tuple(entries), tuple(unpaired), tuple(doubled), tuple(misshapen))


def check_entry(entry: Entry, tensors: Mapping[str, TensorInfo]) -> None:
    """Require storage types, ranks and scalars that make sense.

    Raises:
        ItemError: Skipped: stored in a way that the file does not describe.
        Refused: Quarantined: absurd or contradictory.
    """
    for part, name in entry.parts.items():
        info = tensors[name]
        if part in SCALARS:
            if math.prod(info.shape) != 1 or info.dtype not in ALPHA_DTYPES:
                raise Refused("unexpected_tensors", "An alpha or scale is something other than one number.")
        elif info.dtype not in FACTOR_DTYPES:
            raise ItemError("skipped", "unsupported_format", f"The factors are stored as {info.dtype}.")
    if (entry.method == "lora" and entry.rank < 1) or entry.rank > limits.MAX_RANK:
        raise Refused("rank_out_of_range", f"A pair has rank {entry.rank}; {limits.MAX_RANK} is the limit.")
    if any(0 in tensors[name].shape for name in entry.parts.values()):
        raise Refused("shape_mismatch", "A factor holds no numbers.")
    if "down_bias" in entry.parts:
        message = "A factor has a bias between its halves: no change of the weight expresses it."
        raise ItemError("skipped", "unsupported_format", message)


def _method(parts: Mapping[Part, str]) -> Method | None:
    """The method whose parts are complete; null when some are missing or two methods are mixed."""
    present = set(parts)
    found: list[Method] = []
    if present & {"down", "up", "mid", "up_bias", "down_bias", "latent", "lambda_d", "lambda_b"}:
        found.append("lora")
    if any(part.startswith("hada") for part in present):
        found.append("loha")
    if any(part.startswith("lokr") for part in present):
        found.append("lokr")
    if present & _WHOLE and not found:  # beside factors it is a part of their change
        found.append("full")
    if len(found) != 1:
        return None
    mixed = "diff" in present and bool(present & {"dora", "magnitude"})  # no program says in which order
    complete = {
        "lora": {"down", "up"} <= present and ("lambda_d" in present) == ("lambda_b" in present) and not mixed,
        "loha": set(_LOHA) <= present and ("hada_t1" in present) == ("hada_t2" in present),
        "lokr": _lokr_complete(present),
        "full": not present - _WHOLE - {"alpha"},
    }
    return found[0] if complete[found[0]] else None


def _lokr_complete(present: set[Part]) -> bool:
    def half(number: int) -> bool:
        whole, a, b = (f"lokr_w{number}{end}" in present for end in ("", "_a", "_b"))
        return whole != (a and b) and (a == b)

    return half(1) and half(2) and not ("lokr_t2" in present and "lokr_w2" in present)


Shapes = Mapping[Part, tuple[int, ...]]
Claim = tuple[int, int, int, tuple[int, ...] | None]
"""Outputs, inputs, columns and kernel of the weight that an entry changes."""


def _claim(method: Method, shapes: Shapes) -> tuple[int, Claim]:
    """Rank, and the shape of the changed weight.

    Raises:
        ValueError: The shapes contradict each other.
    """
    makers = {"lora": _lora_claim, "loha": _loha_claim, "lokr": _lokr_claim, "full": _full_claim}
    rank, claim = makers[method](shapes)
    if method != "full":
        outputs, _, columns, _ = claim
        _require("diff" not in shapes or math.prod(shapes["diff"]) == outputs * columns)
        _require("diff_b" not in shapes or shapes["diff_b"] == (outputs,))
    return rank, claim


def _require(condition: bool) -> None:
    if not condition:
        raise ValueError("contradicting shapes")


def _lora_claim(shapes: Shapes) -> tuple[int, Claim]:
    down, up = shapes["down"], shapes["up"]
    _require(len(down) in (2, 4) and len(up) in (2, 4) and up[1] == down[0])
    _require((up[2:] or (1, 1)) == (1, 1))
    if "lambda_d" in shapes:
        # the shared factors are as large as the largest module needs; each takes their first rows and columns
        _require(len(down) == len(up) == 2 and "mid" not in shapes and shapes["lambda_d"] == (down[0],))
        _require(len(shapes["lambda_b"]) == 1 and shapes["lambda_b"][0] <= up[0])
        return down[0], (shapes["lambda_b"][0], 0, down[1], None)
    _require("latent" not in shapes or shapes["latent"] == (down[0], down[0]))
    kernel = down[2:]
    if "mid" in shapes:
        mid = shapes["mid"]
        _require(len(mid) == 4 and mid[:2] == (down[0], down[0]) and (kernel or (1, 1)) == (1, 1))
        kernel = mid[2:]
    if "up_bias" in shapes:
        _require(shapes["up_bias"] == (up[0],))
    return down[0], (up[0], down[1], down[1] * math.prod(kernel), kernel or (1, 1))


def _loha_claim(shapes: Shapes) -> tuple[int, Claim]:
    w1a, w1b, w2a, w2b = (shapes[part] for part in _LOHA)  # type: ignore[index]
    _require(all(len(shape) == 2 for shape in (w1a, w1b, w2a, w2b)))
    if "hada_t1" in shapes:
        t1, t2 = shapes["hada_t1"], shapes["hada_t2"]
        _require(len(t1) == len(t2) == 4 and t1[2:] == t2[2:])
        _require(t1[:2] == (w1a[0], w1b[0]) and t2[:2] == (w2a[0], w2b[0]))
        _require((w1a[1], w1b[1]) == (w2a[1], w2b[1]))
        return w1b[0], (w1a[1], w1b[1], w1b[1] * math.prod(t1[2:]), t1[2:])
    _require(w1a[1] == w1b[0] and w2a[1] == w2b[0] and w1a[0] == w2a[0] and w1b[1] == w2b[1])
    return w1b[0], (w1a[0], w1b[1], w1b[1], None)


def _lokr_claim(shapes: Shapes) -> tuple[int, Claim]:
    rank = 0
    if "lokr_w1" in shapes:
        first = shapes["lokr_w1"]
    else:
        a, b = shapes["lokr_w1_a"], shapes["lokr_w1_b"]
        _require(len(a) == len(b) == 2 and a[1] == b[0])
        first, rank = (a[0], b[1]), b[0]
    _require(len(first) == 2)
    if "lokr_w2" in shapes:
        second = shapes["lokr_w2"]
    elif "lokr_t2" in shapes:
        core, a, b = shapes["lokr_t2"], shapes["lokr_w2_a"], shapes["lokr_w2_b"]
        _require(len(core) == 4 and len(a) == len(b) == 2 and core[:2] == (a[0], b[0]))
        second, rank = (a[1], b[1], *core[2:]), b[0]
    else:
        a, b = shapes["lokr_w2_a"], shapes["lokr_w2_b"]
        _require(len(a) == len(b) == 2 and a[1] == b[0])
        second, rank = (a[0], b[1]), b[0]
    _require(len(second) in (2, 4))
    inputs = first[1] * second[1]
    kernel = second[2:] or (None if "lokr_w2_a" in shapes else (1, 1))
    return rank, (first[0] * second[0], inputs, inputs * math.prod(second[2:]), kernel)


def _full_claim(shapes: Shapes) -> tuple[int, Claim]:
    weight = shapes.get("diff", ())
    _require("diff" not in shapes or len(weight) in (1, 2, 4))
    outputs = weight[0] if weight else 0
    if "diff_b" in shapes:
        _require(len(shapes["diff_b"]) == 1 and (not weight or shapes["diff_b"][0] == outputs))
    inputs = weight[1] if len(weight) > 1 else 1
    return 0, (outputs, inputs, inputs * math.prod(weight[2:]), weight[2:] or (1, 1))
