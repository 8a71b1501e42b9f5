"""What the file and the card say together: which base an adapter goes on, and which words may wake it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from auditor.adapters.adapter_file import AdapterFile
from auditor.adapters.embeddings import respell
from auditor.adapters.normalised import NormalisedAdapter
from auditor.errors import ItemError
from auditor.hub.bases import canonical_base
from auditor.records.adapter import MetadataClaims
from auditor.records.result import WorkItem
from auditor.settings import BaseModelSettings, Settings

_MIN_HASH_CHARS = 8
_HASH = re.compile(r"[0-9a-f]+\Z")


@dataclass(frozen=True)
class BaseChoice:
    """Which base a file goes on, and how sure that is."""

    base_name: str
    assumed: bool
    """Neither file nor card names it: it stands for its family."""
    mismatch: bool
    """The card names a base that the shapes rule out."""


def choose_base(item: WorkItem, adapter: AdapterFile, settings: Settings) -> BaseChoice:
    """Which base a file goes on. Shapes decide the family, names only the exact base within it.

    The order of trust: the checkpoint that the file's own metadata names, the card's base and then the Hub's relation
    tag (both in `item`), and the family's first active base, marked as assumed. A claim that the shapes rule out is
    passed over, and marked when it was the card's. Where shapes leave several families open, only a claim chooses.

    Raises:
        ItemError: `unsupported_base` when no active base fits.
    """
    bases = settings.recipe.active_bases
    family, candidates = adapter.family.family, adapter.family.candidates

    def fits(name: str) -> bool:
        theirs = bases[name].family
        return theirs == family if family is not None else not candidates or theirs in candidates

    by_card = [name for name in (item.base_name, *item.other_bases) if name in bases]
    mismatch = bool(by_card) and not any(map(fits, by_card))
    for name in (*_named_by_file(adapter.claims, bases), *by_card):
        if fits(name):
            return BaseChoice(name, assumed=False, mismatch=mismatch)
    fitting = [name for name in bases if fits(name)]
    if fitting and (family is not None or (len(bases) == 1 and not candidates)):
        return BaseChoice(fitting[0], assumed=True, mismatch=mismatch)
    raise ItemError("skipped", "unsupported_base", f"No active base fits: {_why(adapter)}.")


def with_trigger(item: WorkItem, claims: MetadataClaims) -> WorkItem:
    """The item with the most trusted trigger of card and file.

    The order: the card's instance prompt (or one given by hand), the file's trigger fields, the card's widget prompts,
    and the tags that nearly every training caption of the file has.
    """
    if item.trigger is not None and item.trigger_source != "widget":
        return item
    named = next((claim for claim in claims.triggers if claim.source != "tag_frequency"), None)
    found = named or (next(iter(claims.triggers), None) if item.trigger is None else None)
    if found is None:
        return item
    return item.model_copy(update={"trigger": found.text, "trigger_source": found.source})


def with_words(item: WorkItem, adapter: NormalisedAdapter) -> WorkItem:
    """The item with a trigger that says the words which the file teaches: without them they do nothing."""
    if not adapter.embeddings:
        return item
    spelt = respell(item.trigger or "", adapter.embeddings)
    if any(embedding.spelling in spelt for embedding in adapter.embeddings):
        return item.model_copy(update={"trigger": spelt})
    words = " ".join(embedding.spelling for embedding in adapter.embeddings)
    return item.model_copy(update={"trigger": words, "trigger_source": "embedding"})


def _named_by_file(claims: MetadataClaims, bases: Mapping[str, BaseModelSettings]) -> Iterator[str]:
    """Bases whose checkpoint the file says it was trained on: by hash, then by name."""
    digest = (claims.base_model_hash or "").lower().removeprefix("0x")
    if len(digest) >= _MIN_HASH_CHARS and _HASH.match(digest):
        for name, base in bases.items():
            if any(known.startswith(digest) or digest.startswith(known) for known in base.checkpoint_hashes):
                yield name
    claimed = claims.base_checkpoint
    if claimed is not None:
        wanted = {canonical_base(claimed).lower(), _file_stem(claimed)}
        for name, base in bases.items():
            known_as = [known for known in (base.repo, *base.aliases) if known is not None]
            if wanted & {spelling.lower() for known in known_as for spelling in (known, canonical_base(known))}:
                yield name


def _file_stem(path: str) -> str:
    """Last part of a path of either kind, without a weight file's suffix."""
    return re.sub(r"\.(?:safetensors|ckpt|pt|bin)\Z", "", re.split(r"[/\\]", path.lower())[-1])


def _why(adapter: AdapterFile) -> str:
    if adapter.family.family is not None:
        return f"it is made for {adapter.family.family}"
    if adapter.family.candidates:
        return f"its shapes fit {', '.join(sorted(adapter.family.candidates))} alike, and no claim chooses"
    return "its shapes leave the family open and the card names none"
