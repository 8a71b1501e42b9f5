"""New words that a file teaches: textual inversion, and the embeddings that pivotal tuning stores with its adapter.

A word of n vectors becomes n tokens of our own spelling, `<name-0><name-1>`, so that no spelling of the uploader's
meets an existing word, and no library has to expand it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import Any

import torch

from auditor.adapters.adapter_file import AdapterFile
from auditor.adapters.digests import tensors_digest
from auditor.adapters.header import TensorInfo
from auditor.adapters.keys import BUNDLE_PREFIX
from auditor.adapters.layout import BaseLayout
from auditor.adapters.normalised import NormalisedAdapter, TokenEmbedding
from auditor.adapters.stored import opened
from auditor.errors import ItemError, Refused
from auditor.records.adapter import AdapterFacts

MAX_VECTORS = 256
_ENCODERS = {"clip_l": "text_encoder", "text_encoders_0": "text_encoder", "clip_g": "text_encoder_2",
             "text_encoders_1": "text_encoder_2", "t5": "text_encoder_3", "t5xxl": "text_encoder_3"}  # fmt: skip
_NAMELESS = frozenset({"emb_params", "string_to_param", "*", ""})
_PIVOTAL = re.compile(r"(?:_emb|learned_embeds.*|embeddings)\Z", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class _Word:
    """One tensor of vectors: which word it is, and for which text encoder if the file says."""

    name: str
    component: str | None
    info: TensorInfo


def normalise_embeddings(adapter: AdapterFile, layout: BaseLayout, *, pivotal: bool = False) -> NormalisedAdapter:
    """Read a file's words for the text encoders of a base.

    Args:
        adapter: A textual inversion, or an adapter with bundled words.
        layout: Of the base.
        pivotal: The file came along with an adapter: its words are `<s0><s1>…`, as its trainer's captions spell them.

    Raises:
        Refused: Malformed or not finite.
        ItemError: Skipped, when no word fits a text encoder of the base.
    """
    widths = layout.word_widths
    found: dict[str, dict[str, torch.Tensor]] = {}
    unmatched: list[str] = []
    matched: dict[str, int] = {}
    with opened(adapter) as stored:
        for word in _words(adapter):
            vectors = _vectors(stored, word)
            fitting = [c for c, width in widths.items() if width == vectors.shape[1]]
            component = word.component if word.component is not None else (fitting[0] if len(fitting) == 1 else None)
            if component not in fitting:
                unmatched.append(f"{component or 'text_encoder'}.{word.name}")
                continue
            found.setdefault(word.name, {})[component] = vectors
            matched[component] = matched.get(component, 0) + 1
    if not found:
        raise ItemError("skipped", "unsupported_base", "No word of the file fits a text encoder of the base.")
    embeddings = tuple(_embedding(name, vectors, pivotal=pivotal) for name, vectors in found.items())
    return NormalisedAdapter(
        tensors={},
        pairs=(),
        changes=(),
        unmatched=tuple(unmatched),
        no_learned_change=False,
        facts=_facts(adapter, matched, unmatched, embeddings),
        embeddings=embeddings,
    )


def has_words(adapter: AdapterFile) -> bool:
    """Whether the file teaches words beside whatever else it changes."""
    return adapter.kind == "textual_inversion" or any(n.startswith(BUNDLE_PREFIX) for n in adapter.header.tensors)


def respell(text: str, embeddings: tuple[TokenEmbedding, ...]) -> str:
    """The text with each word as its tokens."""
    for embedding in embeddings:
        for spelling in (f"<{embedding.name}>", embedding.name):
            if spelling and spelling in text and embedding.spelling not in text:
                text = text.replace(spelling, embedding.spelling)
    return text


def _words(adapter: AdapterFile) -> Iterator[_Word]:
    stem = PurePosixPath(adapter.name).stem
    for name, info in adapter.header.tensors.items():
        bundled = name.startswith(BUNDLE_PREFIX)
        if adapter.kind != "textual_inversion" and not bundled:
            continue
        word, key = stem, name
        if bundled:
            word, _, key = name[len(BUNDLE_PREFIX) :].partition(".")
            key = key.removeprefix("string_to_param.")
        component = _ENCODERS.get(key)
        if component is None and key not in _NAMELESS:
            word = key
        yield _Word(word, component, info)


def _vectors(stored: Any, word: _Word) -> torch.Tensor:
    """(n, width) float32."""
    shape = word.info.shape
    if len(shape) not in (1, 2) or 0 in shape or word.info.dtype not in ("F16", "BF16", "F32", "F64"):
        raise Refused("shape_mismatch", "A word's embedding is no list of vectors.")
    vectors: torch.Tensor = stored.get_tensor(word.info.name).float()
    vectors = vectors.reshape(-1, vectors.shape[-1])
    if not 0 < vectors.shape[0] <= MAX_VECTORS:
        raise Refused("shape_mismatch", f"A word has {vectors.shape[0]} vectors; {MAX_VECTORS} is the limit.")
    if not torch.isfinite(vectors).all():
        raise Refused("nonfinite_weights", "The file holds NaN or infinite embeddings.")
    return vectors


def _embedding(name: str, vectors: Mapping[str, torch.Tensor], *, pivotal: bool) -> TokenEmbedding:
    counts = {tensor.shape[0] for tensor in vectors.values()}
    if len(counts) > 1:
        raise Refused("shape_mismatch", "A word has different numbers of vectors for two text encoders.")
    count = counts.pop()
    plain = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:40] or "word"
    if pivotal:
        tokens = tuple(f"<s{index}>" for index in range(count))
    else:
        tokens = tuple(f"<{plain}-{index}>" for index in range(count))
    return TokenEmbedding(name.strip("<>"), tokens, dict(vectors))


def _facts(
    adapter: AdapterFile, matched: dict[str, int], unmatched: list[str], embeddings: tuple[TokenEmbedding, ...]
) -> AdapterFacts:
    digest = tensors_digest(adapter)
    lost = [name.partition(".")[0] for name in unmatched]
    norm = sum(float(v.double().square().sum()) for e in embeddings for v in e.vectors.values()) ** 0.5
    return AdapterFacts(
        convention=adapter.convention,
        family=adapter.family.family,
        family_evidence=adapter.family.reasons,
        size_bytes=adapter.header.file_bytes,
        dtypes=tuple(sorted({info.dtype for info in adapter.header.tensors.values()})),
        pairs=sum(matched.values()) + len(unmatched),
        matched=matched,
        unmatched={component: lost.count(component) for component in dict.fromkeys(lost)},
        rank_min=0,
        rank_max=0,
        alpha_source="none",
        scale_min=1.0,
        scale_max=1.0,
        delta_norm=norm,
        tensors_digest=digest,
        content_digest=digest,
        claims=adapter.claims,
        method="textual_inversion",
    )


def is_pivotal(name: str) -> bool:
    """Whether a companion's name says that it holds an adapter's words."""
    return _PIVOTAL.search(PurePosixPath(name).stem) is not None


def joined(first: NormalisedAdapter, second: NormalisedAdapter) -> NormalisedAdapter:
    """Two parts of one adapter as one; facts of form come from the first, counts from both."""
    counts = [
        {key: a.get(key, 0) + b.get(key, 0) for key in (*a, *b)}
        for a, b in (
            (first.facts.matched, second.facts.matched),
            (first.facts.unmatched, second.facts.unmatched),
        )
    ]
    facts = replace(
        first.facts,
        pairs=first.facts.pairs + second.facts.pairs,
        matched=counts[0],
        unmatched=counts[1],
        size_bytes=first.facts.size_bytes + second.facts.size_bytes,
        delta_norm=(first.facts.delta_norm**2 + second.facts.delta_norm**2) ** 0.5,
        content_digest=f"{first.facts.content_digest[:32]}{second.facts.content_digest[:32]}",
    )
    return replace(
        first,
        tensors={**first.tensors, **second.tensors},
        pairs=first.pairs + second.pairs,
        changes=first.changes + second.changes,
        unmatched=first.unmatched + second.unmatched,
        no_learned_change=first.no_learned_change and second.no_learned_change,
        facts=facts,
        left_out=first.left_out + second.left_out,
        embeddings=_same_words(first.embeddings + second.embeddings),
    )


def _same_words(embeddings: tuple[TokenEmbedding, ...]) -> tuple[TokenEmbedding, ...]:
    """A word that two files teach to two text encoders is one word."""
    found: list[TokenEmbedding] = []
    for embedding in embeddings:
        twin = next((i for i, known in enumerate(found) if _completes(known, embedding)), None)
        if twin is None:
            found.append(embedding)
        else:
            found[twin] = replace(found[twin], vectors={**found[twin].vectors, **embedding.vectors})
    return tuple(found)


def _completes(known: TokenEmbedding, other: TokenEmbedding) -> bool:
    """Whether two embeddings are one word, for different text encoders."""
    return known.tokens == other.tokens and not known.vectors.keys() & other.vectors.keys()
