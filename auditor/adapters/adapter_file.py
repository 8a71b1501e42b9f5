"""Look at one adapter file (`inspect_file`) and decide whether it may be opened (`judge`). Header only."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from auditor.adapters import limits
from auditor.adapters.conventions.numbered import in_their_order
from auditor.adapters.header import Header, TensorInfo, read_header
from auditor.adapters.keys import BUNDLE_PREFIX, DENOISER, ParsedKey, convention_of, parse_key
from auditor.adapters.kinds import AUDITED, CHECKPOINT_PREFIX, GENERATORS, WHOLE_MODELS, Kind, kind_of, skip_reason
from auditor.adapters.metadata import read_claims
from auditor.adapters.recognition import FamilyEvidence, recognise_family, recognise_words
from auditor.adapters.scaling import SIDECAR_NAME, ScaleRule, read_embedded, read_sidecar, sidecar_base
from auditor.adapters.sniff import SNIFF_BYTES, require_safetensors, within_size
from auditor.adapters.tensor_groups import Entry, check_entry, group
from auditor.common.wording import counted, with_article
from auditor.errors import ItemError, Refused
from auditor.records.adapter import Convention, MetadataClaims

_WORDS = re.compile(r"(?P<name>learned_embeds)(?P<second>_2)?(?P<rest>[^/]*\.safetensors)\Z")
_OTHER_MODELS = ("first_stage_model.", "cond_stage_model.", "conditioner.", "text_encoders.", "vae.", "model_ema.")


@dataclass(frozen=True, slots=True)
class AdapterFile:
    """What the header of a file says. Nothing of its tensors was read."""

    path: Path
    name: str
    """Its path in the repo; hostile text."""
    sidecar: Path | None
    """adapter_config.json that belongs to the file, if there is one."""
    header: Header
    kind: Kind
    convention: Convention
    keys: tuple[ParsedKey, ...]
    entries: tuple[Entry, ...]
    """Complete weight changes, in the order of their names."""
    unpaired: tuple[str, ...]
    """Factors and alphas whose partner is missing."""
    doubled: tuple[str, ...]
    """Tensors that fill a place another tensor has filled."""
    misshapen: tuple[str, ...]
    """Modules whose tensors contradict each other in shape."""
    unexpected: tuple[str, ...]
    """Tensors that are no part of any weight change."""
    family: FamilyEvidence
    claims: MetadataClaims
    companions: tuple[AdapterFile, ...] = ()
    """Other files of the same adapter."""
    in_pipeline: bool = False
    """It is a part of a whole pipeline, whose other parts are not looked at."""


def inspect_file(
    path: Path,
    *,
    name: str | None = None,
    sidecar: Path | None = None,
    companions: Mapping[str, Path] | None = None,
    max_bytes: int = limits.MAX_FILE_BYTES,
) -> AdapterFile:
    """Sniff, parse and sort the header of one file, and of the files that belong to it.

    Args:
        path: The file, under any name.
        name: Its path in the repo; a word without a name of its own is called after it.
        sidecar: adapter_config.json when it is neither beside `path` nor among the companions.
        companions: Path in the repo → local file: peft settings, the text-encoder half of a peft folder, words of
            pivotal tuning or for the second text encoder, and model_index.json where the file is a part of a whole
            pipeline. None: what lies beside `path` and belongs to it.
        max_bytes: Larger files are skipped.

    Raises:
        Refused: The content is no safetensors file, or a broken one.
        ItemError: Skipped as `too_large`.
    """
    companions = _other_half(path) if companions is None else companions
    name = name or path.name
    beside = path.parent / SIDECAR_NAME
    settings = sidecar or companions.get(str(PurePosixPath(name).with_name(SIDECAR_NAME)))
    file = describe(
        _checked_header(path, max_bytes), path, settings or (beside if beside.is_file() else None), name=name
    )
    parts = []
    for other, local in sorted(companions.items()):
        if other == name or not other.endswith(".safetensors"):
            continue
        folder = PurePosixPath(other).parent
        parts.append(
            describe(
                _checked_header(local, max_bytes),
                local,
                companions.get(str(folder / SIDECAR_NAME)),
                name=other,
                component=folder.name if folder.name.startswith("text_encoder") else None,
            )
        )
    whole = any(PurePosixPath(other).name == "model_index.json" for other in companions)
    # of a generator in shards one shard says what it is
    file = replace(file, kind=next((part.kind for part in parts if part.kind in GENERATORS), file.kind))
    return replace(file, companions=tuple(parts), in_pipeline=whole)


def _other_half(path: Path) -> dict[str, Path]:
    """The second file of words for SDXL's two text encoders, or the first."""
    match = _WORDS.match(path.name)
    if match is None:
        return {}
    other = path.with_name(f"{match['name']}{'' if match['second'] else '_2'}{match['rest']}")
    return {other.name: other} if other.is_file() else {}


def _checked_header(path: Path, max_bytes: int) -> Header:
    size = path.stat().st_size
    if not within_size(size, max_bytes):
        raise ItemError("skipped", "too_large", f"The file has {size} bytes; {max_bytes} is the limit.")
    with path.open("rb") as stream:
        require_safetensors(stream.read(SNIFF_BYTES))
    return read_header(path)


def describe(
    header: Header, path: Path, sidecar: Path | None = None, *, name: str | None = None, component: str | None = None
) -> AdapterFile:
    """Sort what a header lists. Total: no name or shape makes it raise.

    Args:
        header: Of the file.
        path: Where its tensors are.
        sidecar: Its adapter_config.json.
        name: Its path in the repo.
        component: What its folder says the nameless modules belong to.
    """
    keys = tuple(parse_key(name) for name in sorted(header.tensors))
    if component is not None:
        keys = tuple(replace(key, component=component) if key.component is None else key for key in keys)
    grouped = group(keys, header.tensors)
    kind = kind_of(keys, header.tensors.values())
    whole = kind in WHOLE_MODELS
    entries = in_their_order(grouped.entries)
    return AdapterFile(
        path=path,
        name=name or path.name,
        sidecar=sidecar,
        header=header,
        kind=kind,
        convention=_model_convention(header.tensors) if whole else convention_of(keys),
        keys=keys,
        entries=entries,
        unpaired=grouped.unpaired,
        doubled=grouped.doubled,
        misshapen=grouped.misshapen,
        unexpected=tuple(key.name for key in keys if key.part == "other" and not key.name.startswith(BUNDLE_PREFIX)),
        family=(
            recognise_words({n.rpartition(".")[2]: info.shape[-1] for n, info in header.tensors.items() if info.shape})
            if kind == "textual_inversion"
            else recognise_family(_model_entries(header.tensors.values()) if whole else entries)
        ),
        claims=_claims(header, sidecar),
    )


def _claims(header: Header, sidecar: Path | None) -> MetadataClaims:
    """What the file's metadata claims, and the base that peft's settings name where the metadata names none."""
    claims = read_claims(header.metadata)
    if claims.base_checkpoint is None and sidecar is not None:
        named = {"base_model": sidecar_base(sidecar) or ""}
        claims = replace(claims, base_checkpoint=read_claims(named).base_checkpoint)
    return claims


def judge(adapter: AdapterFile) -> None:
    """Let a complete, credible adapter pass; end every other file's audit here, with the rule named.

    Raises:
        ItemError: Skipped: a format or kind that is not audited.
        Refused: Quarantined: unsafe or malformed.
    """
    if not adapter.header.tensors:
        raise ItemError("skipped", "no_weights", "The file holds no tensors.")
    if adapter.kind not in AUDITED:
        what = "of an unknown kind" if adapter.kind == "unknown" else with_article(adapter.kind.replace("_", " "))
        message = f"The file is {what}, which is not audited."
        raise ItemError("skipped", skip_reason(adapter.kind), message)
    if adapter.kind in WHOLE_MODELS or adapter.kind in GENERATORS or adapter.kind == "textual_inversion":
        return
    _judge_settings(adapter)
    if adapter.unpaired:
        factors = counted(len(adapter.unpaired), "low-rank factor")
        raise Refused("unpaired_tensors", f"The file has {factors} without the other half.")
    if adapter.misshapen:
        modules = counted(len(adapter.misshapen), "module")
        raise Refused("shape_mismatch", f"The factors of {modules} contradict each other.")
    if adapter.unexpected:
        tensors = counted(len(adapter.unexpected), "tensor")
        raise Refused("unexpected_tensors", f"{tensors} outside of low-rank pairs would overwrite the base.")
    if adapter.doubled:
        raise Refused("unexpected_tensors", f"{counted(len(adapter.doubled), 'tensor')} for a place already taken.")
    if len({key.adapter_name for key in adapter.keys if key.part not in ("alpha", "other")}) > 1:
        raise ItemError("skipped", "unsupported_format", "The file holds more than one named adapter.")
    for entry in adapter.entries:
        check_entry(entry, adapter.header.tensors)


def settings_rules(adapter: AdapterFile) -> Mapping[str, ScaleRule]:
    """Component → peft settings that speak for the file, embedded ones first; "" where no component is named.

    Raises:
        Refused: `hostile_metadata`, `rank_out_of_range` or `alpha_out_of_range`.
        ItemError: Skipped.
    """
    rules = read_embedded(adapter.header.metadata)
    if not rules and _uses_sidecar(adapter) and adapter.sidecar is not None:
        rules = {"": read_sidecar(adapter.sidecar)}
    return rules


def _judge_settings(adapter: AdapterFile) -> None:
    rules = settings_rules(adapter)
    if any(rule.decomposed for rule in rules.values()) and not any(entry.decomposed for entry in adapter.entries):
        raise ItemError("skipped", "unsupported_format", "The settings say DoRA, the file holds no magnitudes.")
    methods = {entry.method for entry in adapter.entries}
    if any(rule.method not in methods for rule in rules.values() if methods):
        raise ItemError("skipped", "unsupported_format", "The settings name another method than the tensors.")


def _uses_sidecar(adapter: AdapterFile) -> bool:
    """Whether adapter_config.json speaks for this file: peft's own layouts, not a neighbour in the folder."""
    if adapter.convention in ("peft", "unprefixed"):
        return True
    return any(key.adapter_name is not None for key in adapter.keys)


def _model_entries(tensors: Iterable[TensorInfo]) -> list[Entry]:
    """The weights of a whole denoiser, as if each were a change."""
    entries = []
    for info in tensors:
        if info.name.endswith(".weight") and len(info.shape) in (2, 4) and not info.name.startswith(_OTHER_MODELS):
            module = info.name.removeprefix(CHECKPOINT_PREFIX).removesuffix(".weight")
            out, inputs, *kernel = info.shape
            columns = math.prod(info.shape[1:])
            entries.append(
                Entry(
                    DENOISER,
                    module,
                    False,
                    "original",
                    "full",
                    {"diff": info.name},
                    0,
                    out,
                    inputs,
                    columns,
                    tuple(kernel) or (1, 1),
                )
            )
    return entries


def _model_convention(names: Iterable[str]) -> Convention:
    ours = ("down_blocks.", "transformer_blocks.", "single_transformer_blocks.")
    return "diffusers" if any(name.startswith(ours) for name in names) else "original"
