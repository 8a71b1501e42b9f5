"""Look at one adapter file (`inspect_file`) and decide whether it may be opened (`judge`). Header only."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from auditor.adapters import limits
from auditor.adapters.families import FamilyEvidence, ModuleWidths, recognise_family
from auditor.adapters.header import Header, TensorInfo, read_header
from auditor.adapters.keys import ParsedKey, convention_of, parse_key
from auditor.adapters.kinds import Kind, kind_of, skip_reason
from auditor.adapters.metadata import read_claims
from auditor.adapters.scaling import SIDECAR_NAME, read_embedded, read_sidecar
from auditor.adapters.sniff import SNIFF_BYTES, require_safetensors, within_size
from auditor.errors import ItemError, Refused
from auditor.records.adapter import Convention, MetadataClaims

FACTOR_DTYPES = frozenset({"F16", "BF16", "F32", "F64", "F8_E4M3", "F8_E5M2"})
"""Floating-point storage. Integer factors are quantised in a way the file does not describe."""
ALPHA_DTYPES = FACTOR_DTYPES | {"I16", "I32", "I64", "U8"}


@dataclass(frozen=True, slots=True)
class Pair:
    """Two low-rank factors of one module, by their tensors' names."""

    component: str | None
    module: str
    flat: bool
    convention: Convention
    down: str
    up: str
    alpha: str | None
    rank: int


@dataclass(frozen=True, slots=True)
class AdapterFile:
    """What the header of a file says. Nothing of its tensors was read."""

    path: Path
    sidecar: Path | None
    """adapter_config.json that belongs to the file, if there is one."""
    header: Header
    kind: Kind
    convention: Convention
    keys: tuple[ParsedKey, ...]
    pairs: tuple[Pair, ...]
    """Complete pairs, in the order of their names."""
    unpaired: tuple[str, ...]
    """Factors and alphas whose partner is missing."""
    doubled: tuple[str, ...]
    """Tensors that fill a place another tensor has filled."""
    unexpected: tuple[str, ...]
    """Tensors that are no part of any low-rank pair."""
    family: FamilyEvidence
    claims: MetadataClaims


def inspect_file(path: Path, *, sidecar: Path | None = None, max_bytes: int = limits.MAX_FILE_BYTES) -> AdapterFile:
    """Sniff, parse and sort the header of one file.

    Args:
        path: The file, under any name.
        sidecar: adapter_config.json when it is not beside `path`.
        max_bytes: Larger files are skipped.

    Raises:
        Refused: The content is no safetensors file, or a broken one.
        ItemError: Skipped as `too_large`.
    """
    size = path.stat().st_size
    if not within_size(size, max_bytes):
        raise ItemError("skipped", "too_large", f"The file has {size} bytes; {max_bytes} is the limit.")
    with path.open("rb") as stream:
        require_safetensors(stream.read(SNIFF_BYTES))
    header = read_header(path)
    keys = tuple(parse_key(name) for name in sorted(header.tensors))
    beside = path.parent / SIDECAR_NAME
    sorted_keys = _sort(keys, header.tensors)
    return AdapterFile(
        path=path,
        sidecar=sidecar or (beside if beside.is_file() else None),
        header=header,
        kind=kind_of(keys, header.tensors.values()),
        convention=convention_of(keys),
        keys=keys,
        pairs=sorted_keys.pairs,
        unpaired=sorted_keys.unpaired,
        doubled=sorted_keys.doubled,
        unexpected=tuple(key.name for key in keys if key.part == "other"),
        family=recognise_family(_widths(sorted_keys.pairs, header.tensors)),
        claims=read_claims(header.metadata),
    )


def judge(adapter: AdapterFile) -> None:
    """Let a plain, complete, credible LoRA pass; end every other file's audit here, with the rule named.

    Raises:
        ItemError: Skipped: a format or kind that is not audited.
        Refused: Quarantined: unsafe or malformed.
    """
    if not adapter.header.tensors:
        raise ItemError("skipped", "no_weights", "The file holds no tensors.")
    if adapter.kind != "lora":
        message = f"The file is a {adapter.kind.replace('_', ' ')}, which is not audited."
        raise ItemError("skipped", skip_reason(adapter.kind), message)
    read_embedded(adapter.header.metadata)
    if uses_sidecar(adapter) and adapter.sidecar is not None:
        read_sidecar(adapter.sidecar)
    if adapter.unpaired:
        raise Refused("unpaired_tensors", f"{len(adapter.unpaired)} low-rank factors lack their other half.")
    if adapter.unexpected:
        count = len(adapter.unexpected)
        raise Refused("unexpected_tensors", f"{count} tensors outside of low-rank pairs would overwrite the base.")
    if adapter.doubled:
        raise Refused("unexpected_tensors", f"{len(adapter.doubled)} tensors fill a place already taken.")
    if len({key.adapter_name for key in adapter.keys if key.part in ("down", "up")}) > 1:
        raise ItemError("skipped", "unsupported_format", "The file holds more than one named adapter.")
    for pair in adapter.pairs:
        _judge_pair(pair, adapter.header.tensors)


def uses_sidecar(adapter: AdapterFile) -> bool:
    """Whether adapter_config.json speaks for this file: peft's own layouts, not a neighbour in the folder."""
    if adapter.convention in ("peft", "unprefixed"):
        return True
    return any(key.adapter_name is not None for key in adapter.keys)


def _judge_pair(pair: Pair, tensors: Mapping[str, TensorInfo]) -> None:
    down, up = tensors[pair.down], tensors[pair.up]
    for info in (down, up):
        if info.dtype not in FACTOR_DTYPES:
            raise ItemError("skipped", "unsupported_format", f"The factors are stored as {info.dtype}.")
        if len(info.shape) not in (2, 4):
            raise Refused("shape_mismatch", f"A factor has {len(info.shape)} dimensions.")
    if not 0 < pair.rank <= limits.MAX_RANK:
        raise Refused("rank_out_of_range", f"A pair has rank {pair.rank}; {limits.MAX_RANK} is the limit.")
    if up.shape[1] != pair.rank:
        raise Refused("shape_mismatch", f"The halves of a pair have ranks {pair.rank} and {up.shape[1]}.")
    if pair.alpha is not None:
        alpha = tensors[pair.alpha]
        if alpha.shape not in ((), (1,)) or alpha.dtype not in ALPHA_DTYPES:
            raise Refused("unexpected_tensors", "An alpha is something other than one number.")


@dataclass(frozen=True, slots=True)
class _Sorted:
    pairs: tuple[Pair, ...]
    unpaired: tuple[str, ...]
    doubled: tuple[str, ...]


def _sort(keys: Iterable[ParsedKey], tensors: Mapping[str, TensorInfo]) -> _Sorted:
    slots: dict[tuple[str | None, str, bool, str | None], dict[str, ParsedKey]] = {}
    doubled: list[str] = []
    for key in keys:
        if key.part not in ("down", "up", "alpha"):
            continue
        place = slots.setdefault((key.component, key.module, key.flat, key.adapter_name), {})
        if key.part in place:
            doubled.append(key.name)
        place.setdefault(key.part, key)
    pairs: list[Pair] = []
    unpaired: list[str] = []
    for (component, module, flat, _), parts in slots.items():
        if "down" not in parts or "up" not in parts:
            unpaired.extend(key.name for key in parts.values())
            continue
        down, up, alpha = parts["down"].name, parts["up"].name, parts.get("alpha")
        shape = tensors[down].shape
        pairs.append(
            Pair(
                component, module, flat, parts["down"].convention, down, up,
                alpha.name if alpha else None, shape[0] if shape else 0,
            )
        )  # fmt: skip
    return _Sorted(tuple(pairs), tuple(unpaired), tuple(doubled))


def _widths(pairs: Iterable[Pair], tensors: Mapping[str, TensorInfo]) -> list[ModuleWidths]:
    result = []
    for pair in pairs:
        if pair.component is not None and pair.component.startswith("text_encoder"):
            continue
        down, up = tensors[pair.down].shape, tensors[pair.up].shape
        inputs = down[1] if len(down) > 1 else None
        result.append(ModuleWidths(pair.module.replace(".", "_"), inputs, up[0] if up else None))
    return result
