"""Weights of a generator that is no denoiser: tensors of the base's own names that take the place of its own.

A copy may hold the whole model, in one file or in shards, or only the part that was trained. What it does not hold
stays as the base has it.
"""

from __future__ import annotations

from collections.abc import Iterator

from auditor.adapters.adapter_file import AdapterFile
from auditor.adapters.changes import Replacement
from auditor.adapters.header import TensorInfo
from auditor.adapters.layout import BaseLayout, Target
from auditor.adapters.normalised import FittedChange, NormalisedAdapter
from auditor.adapters.whole_model import replacement_facts
from auditor.errors import ItemError, Refused

PREFIXES = ("", "model.", "model.vqmodel.")
"""What a file's names may lack of the base's: it may hold the inner model, or the image tokenizer, alone."""
_FLOATS = frozenset({"F16", "BF16", "F32", "F64"})


def normalise_weights(adapter: AdapterFile, layout: BaseLayout) -> NormalisedAdapter:
    """Fit a file and its further shards to a base: each tensor must have a place of its shape.

    Raises:
        Refused: `unexpected_tensors`, when two tensors mean one place.
        ItemError: Skipped: quantised, or the weights of another architecture.
    """
    files = (adapter, *adapter.companions)
    changes = tuple(change for file in files for change in _changes(file, layout))
    if len({change.name for change in changes}) != len(changes):
        raise Refused("unexpected_tensors", "Two tensors of the model mean the same place of the base.")
    return NormalisedAdapter(
        tensors={},
        pairs=(),
        changes=changes,
        unmatched=(),
        no_learned_change=False,
        facts=replacement_facts(files, layout.denoiser, len(changes)),
    )


def _changes(file: AdapterFile, layout: BaseLayout) -> Iterator[FittedChange]:
    places = layout.parameters[layout.denoiser]
    for info in file.header.tensors.values():
        if info.dtype not in _FLOATS:
            if len(info.shape) > 1:
                raise ItemError("skipped", "unsupported_format", "The model is quantised, which is not audited.")
            continue  # counters of a normalisation layer, which draw nothing
        if not info.shape:
            raise ItemError("skipped", "unsupported_format", "The model holds a single number as a tensor of its own.")
        path = _place(info, layout)
        module, _, parameter = path.rpartition(".")
        target = Target(layout.denoiser, module, 0, info.shape[0])
        yield FittedChange((target,), parameter, Replacement(file.path, info.name, places[path]))


def _place(info: TensorInfo, layout: BaseLayout) -> str:
    places = layout.parameters[layout.denoiser]
    path = next((prefix + info.name for prefix in PREFIXES if prefix + info.name in places), None)
    if path is None:
        message = f"The base has no place for the model's {info.name[:80]!r}: another architecture."
        raise ItemError("skipped", "unsupported_base", message)
    if places[path] != info.shape:
        message = f"The model's {info.name[:80]!r} has shape {info.shape}, the base's {places[path]}."
        raise ItemError("skipped", "unsupported_base", message)
    return path
