"""Bring any supported adapter file, with the files that belong to it, to one form, fitted to one base."""

from __future__ import annotations

from auditor.adapters.adapter_file import AdapterFile, judge
from auditor.adapters.embeddings import has_words, is_pivotal, joined, normalise_embeddings
from auditor.adapters.kinds import GENERATORS, WHOLE_MODELS
from auditor.adapters.layout import BaseLayout
from auditor.adapters.low_rank import normalise_changes
from auditor.adapters.normalised import NormalisedAdapter
from auditor.adapters.own_weights import normalise_weights
from auditor.adapters.whole_model import normalise_model
from auditor.errors import ItemError


def normalise(adapter: AdapterFile, layout: BaseLayout) -> NormalisedAdapter:
    """Judge a file and its companions, fit them to a base and read what they change.

    Raises:
        Refused: A file is unsafe, malformed or contradicts itself or the base.
        ItemError: Skipped: another format, or made for another base.
    """
    judge(adapter)
    if adapter.kind in WHOLE_MODELS:
        return normalise_model(adapter, layout)
    if adapter.kind in GENERATORS:
        return normalise_weights(adapter, layout)
    if adapter.kind == "textual_inversion":
        result = normalise_embeddings(adapter, layout)
    else:
        result = normalise_changes(adapter, layout)
        if has_words(adapter):
            result = joined(result, normalise_embeddings(adapter, layout))
    for companion in adapter.companions:
        result = _with(result, companion, layout)
    return result


def _with(result: NormalisedAdapter, companion: AdapterFile, layout: BaseLayout) -> NormalisedAdapter:
    """The adapter with one file that belongs to it; a part that does not fit the base is counted as left over."""
    judge(companion)
    if companion.kind in WHOLE_MODELS or companion.kind in GENERATORS:
        message = f"A file beside the adapter is a {companion.kind}, not a part of it."
        raise ItemError("skipped", "unsupported_format", message)
    if companion.kind == "textual_inversion":
        # beside a LoRA its trainer's captions spell the words; beside other words they have their own names
        pivotal = bool(result.pairs or result.changes) and is_pivotal(companion.name)
        return joined(result, normalise_embeddings(companion, layout, pivotal=pivotal))
    return joined(result, normalise_changes(companion, layout))
