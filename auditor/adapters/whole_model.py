"""Whole fine-tuned models: their weights take the place of the base's, parameter by parameter.

The names are diffusers' own or the original implementation's, in a file of the denoiser alone or in a single-file
checkpoint. No configuration of the uploader's is read and no class is built from the file: the base's own modules
take the weights, or the file is not for this base.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from auditor.adapters.adapter_file import AdapterFile, judge
from auditor.adapters.changes import Replacement
from auditor.adapters.digests import tensors_digest
from auditor.adapters.header import TensorInfo
from auditor.adapters.kinds import CHECKPOINT_PREFIX, WHOLE_MODELS
from auditor.adapters.layout import BaseLayout, Target
from auditor.adapters.normalised import FittedChange, NormalisedAdapter
from auditor.errors import ItemError
from auditor.families.table import FAMILIES, titles
from auditor.records.adapter import AdapterFacts

# Part of some files, but computed and not trained: each base has its own.
_NOT_TRAINED = re.compile(r"\Apos_embed(?:\.pos_embed)?\Z|\.position_ids\Z|_ema\.|\A(?:model_)?ema|\Alogvar\Z")
_PARAMETER_NAMES = {"scale": "weight"}
_OTHER_PARTS: tuple[tuple[str, str], ...] = (
    ("first_stage_model.", "VAE"),
    ("vae.", "VAE"),
    ("cond_stage_model.", "text encoder"),
    ("conditioner.", "text encoders"),
    ("text_encoders.", "text encoders"),
)


@dataclass(frozen=True, slots=True)
class Place:
    """One tensor of the file and the parameters of the base that it replaces."""

    info: TensorInfo
    targets: tuple[Target, ...]
    parameter: str
    shape: tuple[int, ...]


def normalise_model(adapter: AdapterFile, layout: BaseLayout) -> NormalisedAdapter:
    """Fit a whole denoiser to a base: every one of its parameters must be replaced, by a tensor of its shape.

    Raises:
        ItemError: Skipped: quantised, or the model of another architecture.
    """
    places = fit_model(adapter, layout)
    changes = tuple(
        FittedChange(place.targets, place.parameter, Replacement(adapter.path, place.info.name, place.shape))
        for place in places
    )
    return NormalisedAdapter(
        tensors={},
        pairs=(),
        changes=changes,
        unmatched=(),
        no_learned_change=False,
        facts=replacement_facts((adapter,), layout.denoiser, len(places)),
        left_out=left_out(adapter),
    )


def fit_model(adapter: AdapterFile, layout: BaseLayout) -> tuple[Place, ...]:
    """Where each tensor of a whole denoiser goes, from the header alone.

    Raises:
        ItemError: Skipped, when the model does not replace the base's denoiser exactly.
    """
    judge(adapter)
    if layout.family in FAMILIES and adapter.family.candidates and layout.family not in adapter.family.candidates:
        theirs, ours = titles(adapter.family.candidates), titles([layout.family or ""])
        message = f"The model is a {theirs} ({adapter.family.reasons[0]}), the base is {ours}."
        raise ItemError("skipped", "unsupported_base", message)
    places = tuple(_places(adapter, layout))
    replaced = {(target.module, place.parameter) for place in places for target in place.targets}
    own = layout.parameters.get(layout.denoiser, {})
    wanted = {tuple(path.rpartition(".")[::2]) for path in own if not _NOT_TRAINED.search(path)}
    if missing := wanted - replaced:
        message = f"The model lacks {len(missing)} of the base's {len(wanted)} parameters: another architecture."
        raise ItemError("skipped", "unsupported_base", message)
    return places


def left_out(adapter: AdapterFile) -> tuple[str, ...]:
    """Parts of a checkpoint other than its denoiser, in words: they are not put into the base."""
    names = adapter.header.tensors
    found = (word for prefix, word in _OTHER_PARTS if any(name.startswith(prefix) for name in names))
    return tuple(dict.fromkeys(found)) or (("text encoders", "VAE") if adapter.in_pipeline else ())


def denoiser_tensors(adapter: AdapterFile) -> Mapping[str, TensorInfo]:
    """Parameter path as the file spells it, without any prefix → header entry."""
    tensors = adapter.header.tensors
    if adapter.kind == "checkpoint":
        return {n[len(CHECKPOINT_PREFIX) :]: info for n, info in tensors.items() if n.startswith(CHECKPOINT_PREFIX)}
    return dict(tensors)


def _places(adapter: AdapterFile, layout: BaseLayout) -> Iterator[Place]:
    parameters = layout.parameters.get(layout.denoiser, {})
    for path, info in denoiser_tensors(adapter).items():
        if _NOT_TRAINED.search(path):
            continue
        module, _, name = path.rpartition(".")
        targets = layout.targets(layout.denoiser, module, flat=False)
        parameter = name if path in parameters else _PARAMETER_NAMES.get(name, name)
        shapes = [parameters.get(f"{target.module}.{parameter}".lstrip(".")) for target in targets]
        if not targets or None in shapes:
            message = f"The base has no place for the model's {path[:80]!r}: another architecture."
            raise ItemError("skipped", "unsupported_base", message)
        known = [shape for shape in shapes if shape is not None]
        joint = (sum(shape[0] for shape in known), *known[0][1:])
        if _squeezed(info.shape) != _squeezed(joint):
            message = f"The model's {path[:80]!r} has shape {info.shape}, the base's {joint}."
            raise ItemError("skipped", "unsupported_base", message)
        yield Place(info, targets, parameter, joint)


def _squeezed(shape: tuple[int, ...]) -> tuple[int, ...]:
    """1x1 convolutions and linear layers hold the same numbers."""
    return shape[:2] if shape[2:] == (1, 1) else shape


def replacement_facts(files: Sequence[AdapterFile], component: str, count: int) -> AdapterFacts:
    """Facts of weights that take the place of a base's own.

    Args:
        files: The file, and its further shards.
        component: The part of the base that they replace.
        count: How many tensors have a place in it.
    """
    first = files[0]
    digests = [tensors_digest(file) for file in files]
    whole = digests[0] if len(digests) == 1 else hashlib.blake2b("".join(digests).encode(), digest_size=32).hexdigest()
    return AdapterFacts(
        convention=first.convention,
        # of the families, which are all of denoisers, another generator has none
        family=first.family.family if first.kind in WHOLE_MODELS else None,
        family_evidence=first.family.reasons,
        size_bytes=sum(file.header.file_bytes for file in files),
        dtypes=tuple(sorted({info.dtype for file in files for info in denoiser_tensors(file).values()})),
        pairs=count,
        matched={component: count},
        unmatched={},
        rank_min=0,
        rank_max=0,
        alpha_source="none",
        scale_min=1.0,
        scale_max=1.0,
        delta_norm=0.0,
        tensors_digest=whole,
        content_digest=whole,
        claims=first.claims,
        method=first.kind,
    )
