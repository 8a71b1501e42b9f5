"""What the file and the card say together: which base an adapter goes on, and which words may wake it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from auditor.adapters.adapter_file import AdapterFile
from auditor.adapters.embeddings import respell
from auditor.adapters.kinds import GENERATORS
from auditor.adapters.normalised import NormalisedAdapter
from auditor.adapters.recognition import FamilyEvidence
from auditor.common.wording import with_article
from auditor.errors import ItemError
from auditor.families.claims import ClaimedBase, read_claim
from auditor.families.family import TASK_WORDS, Task
from auditor.families.published_models import ancestors, canonical_base
from auditor.families.shapes import architectures
from auditor.families.table import FAMILIES, titles
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
    """It is not the base that file or card names: an ancestor of that, or the family's first."""
    mismatch: bool
    """The card names a base that the shapes rule out."""
    distance: int | None = None
    """Steps of training between it and the base that file or card names; 0 for that base itself, null where no
    lineage leads from one to the other."""
    family: str | None = None
    """Family that the file was taken for."""
    contradictions: tuple[str, ...] = ()
    """What names another family than this one, in words."""


@dataclass(frozen=True)
class _Claim:
    """One statement about the base: of the file itself, which its trainer wrote, or of the card."""

    source: str
    base: ClaimedBase


def choose_base(item: WorkItem, adapter: AdapterFile, settings: Settings) -> BaseChoice:
    """Which base a file goes on, all evidence weighed.

    Shapes say which families are possible at all. Among these the file's own record chooses, then the card, then the
    exact number of blocks, then the family that far more files are made for. A claim that the shapes rule out is
    passed over and kept as a contradiction; one that no shapes could rule out excludes every base.

    Within the family: the checkpoint that the file names, the card's base, the nearest ancestor of either that is
    active, and the family's first active base, the last two as assumed.

    Raises:
        ItemError: `unsupported_base` when no active base fits, `not_text_to_image` when the base is for another task.
    """
    if adapter.kind in GENERATORS:
        return _copied_base(item, adapter, settings)
    bases = {name: base for name, base in settings.recipe.active_bases.items() if base.kind == "diffusers"}
    claims = _claims(item, adapter, bases)
    family = _family(adapter.family, claims)
    contradictions = _contradictions(adapter.family, claims, family)
    _require_pictures_from_text(adapter, claims, family)
    fitting = [name for name in bases if _fits(bases[name].family, family, adapter.family)]
    by_card = [name for name in (item.base_name, *item.other_bases) if name in bases]
    by_card_families = {claim.base.family for claim in claims if claim.source == "the card"} - {None}
    mismatch = (bool(by_card_families) and family not in by_card_families) or (
        bool(by_card) and not any(name in fitting for name in by_card)
    )
    for name, distance in _named(item, adapter.claims, claims, bases):
        if name in fitting:
            return BaseChoice(name, distance != 0, mismatch, distance, family, contradictions)
    if fitting and (family is not None or (len(bases) == 1 and not adapter.family.candidates)):
        return BaseChoice(fitting[0], True, mismatch, None, family, contradictions)
    raise ItemError("skipped", "unsupported_base", _nothing_fits(adapter.family, family, claims, settings))


def _copied_base(item: WorkItem, adapter: AdapterFile, settings: Settings) -> BaseChoice:
    """The base whose weights a copy replaces: of its kind, the one that file or card names, else the only one.

    A copy whose card names a base that is switched off is not tried on another.
    Whether the shapes are the base's is seen when it is loaded.
    """
    kind = GENERATORS[adapter.kind]
    bases = {name: base for name, base in settings.recipe.active_bases.items() if base.kind == kind}
    claims = _claims(item, adapter, bases)
    for name, distance in _named(item, adapter.claims, claims, bases):
        return BaseChoice(name, distance != 0, False, distance, bases[name].family)
    off = {name: base for name, base in settings.recipe.bases.items() if not base.enabled and base.kind == kind}
    meant = [name for name, _ in _named(item, adapter.claims, claims, off)]
    if len(bases) == 1 and not meant:
        (name,) = bases
        return BaseChoice(name, True, False, None, bases[name].family)
    likely = [*meant, *off]
    help_ = f" It can be switched on: recipe.bases.{likely[0]}.enabled = true." if likely else ""
    message = f"No active base fits: it is {with_article(kind)} model{_said(claims)}.{help_}"
    raise ItemError("skipped", "unsupported_base", message)


def file_words(item: WorkItem, adapter: AdapterFile) -> dict[str, str | None]:
    """What is known of a file without any base: its form, its family, and the base that it or its card names."""
    claims = _claims(item, adapter, {})
    own = next((claim.base.text for claim in claims), None)
    named = next((claim.base.family for claim in claims if claim.base.family is not None), None)
    family = _family(adapter.family, claims) or named  # what shapes leave open is counted as what it claims to be
    return {"format": adapter.kind, "family": family, "claimed_base": item.base_claim or own}


def _claims(item: WorkItem, adapter: AdapterFile, bases: Mapping[str, BaseModelSettings]) -> tuple[_Claim, ...]:
    """Every claim, the most trusted first: what the file says of itself, then the card."""
    said = adapter.claims
    own = [text for text in (said.architecture, said.base_model, said.base_checkpoint) if text]
    found = [_Claim("the file", read_claim(text)) for text in own]
    found += [_Claim("the card", read_claim(text)) for text in (item.base_claim, *item.other_claims) if text]
    names = [name for name in (item.base_name, *item.other_bases) if name is not None and name in bases]
    if item.base_claim is None:  # by hand, or from a plan of before: the base's own name stands for the claim
        found += [_Claim("the card", ClaimedBase(_repo(name, bases), bases[name].family, known=True)) for name in names]
    return tuple(found)


def _repo(name: str, bases: Mapping[str, BaseModelSettings]) -> str:
    return str(bases[name].repo or name)


def _family(evidence: FamilyEvidence, claims: Sequence[_Claim]) -> str | None:
    """The family by all evidence; null where it stays open."""
    named = [claim.base.family for claim in claims if claim.base.family is not None]
    for family in named:
        if family in evidence.candidates:
            return family
    unrefuted = next((family for family in named if not _has_shapes(family)), None)
    return unrefuted or evidence.family


def _contradictions(evidence: FamilyEvidence, claims: Sequence[_Claim], family: str | None) -> tuple[str, ...]:
    """What speaks for another family than the one that was chosen, in words."""
    named = tuple(
        f"{claim.source} names {claim.base.text[:80]} ({claim.base.title})"
        for claim in claims
        if claim.base.family is not None and claim.base.family != family
    )
    if family is None or not evidence.by_blocks or family in evidence.by_blocks:
        return named
    return (*named, f"the blocks that it changes are exactly those of {titles(evidence.by_blocks)}")


def _has_shapes(family: str) -> bool:
    """Whether the shapes of a family are known, so that a file can contradict them."""
    known = FAMILIES.get(family)
    return known is None or (known.shapes or family) in architectures()


def _fits(base_family: str, family: str | None, evidence: FamilyEvidence) -> bool:
    if family is not None:
        return base_family == family
    # a base whose shapes are not in the table is compared when it is loaded
    return base_family in evidence.candidates or (not evidence.candidates and base_family not in architectures())


def _require_pictures_from_text(adapter: AdapterFile, claims: Sequence[_Claim], family: str | None) -> None:
    known = FAMILIES.get(family or "")
    if known is not None and known.task != "text_to_image":
        why = f"{adapter.family.reasons[0]}{_said(claims)}"
        message = f"It is made for {known.title}, {_a_model_for(known.task)} ({why})."
        raise ItemError("skipped", "not_text_to_image", message)
    stranger = family is None and not adapter.family.candidates  # no shapes to weigh a claim against
    cards = [claim.base for claim in claims if claim.source == "the card"]
    beside = any(base.family == family and base.task == "text_to_image" for base in cards)
    for claim in claims:
        if beside and claim.source == "the card":
            continue  # it names a model that makes pictures from text beside the other
        if claim.base.task != "text_to_image" and (stranger or claim.base.family in (family, None)):
            message = f"{claim.source.capitalize()} names {claim.base.text[:80]}, {_a_model_for(claim.base.task)}."
            raise ItemError("skipped", "not_text_to_image", message)


def _said(claims: Sequence[_Claim]) -> str:
    """The base that the card, or else the file, names, to be added to a reason."""
    return next((f"; {claim.source} names {claim.base.text[:80]}" for claim in reversed(claims)), "")


def _a_model_for(task: Task) -> str:
    return with_article(f"{TASK_WORDS[task]} model")


def _named(
    item: WorkItem, said: MetadataClaims, claims: Sequence[_Claim], bases: Mapping[str, BaseModelSettings]
) -> Iterator[tuple[str, int]]:
    """Active bases by names alone, with their distance: those named outright first, then their ancestors."""
    # bases that share a checkpoint are all named by the file: the card chooses among them
    by_file = sorted(_named_by_file(said, bases), key=lambda name: name != item.base_name)
    distances = dict.fromkeys(by_file, 0)
    by_card = [name for name in (item.base_name, *item.other_bases) if name is not None and name in bases]
    for name, distance in zip(by_card, item.base_distances or (0,) * len(by_card), strict=False):
        distances.setdefault(name, distance)
    homes: dict[str, str] = {}
    for name in bases:
        homes.setdefault(canonical_base(_repo(name, bases)).lower(), name)
    for claim in claims:
        for ancestor, distance in ancestors(claim.base.text).items():
            if ancestor in homes:
                distances.setdefault(homes[ancestor], distance)
    yield from sorted(distances.items(), key=lambda found: found[1])


def _nothing_fits(evidence: FamilyEvidence, family: str | None, claims: Sequence[_Claim], settings: Settings) -> str:
    """Why no active base fits, with the base that the card or the file names, and what would help."""
    said = _said(claims)
    off = [name for name, base in settings.recipe.bases.items() if not base.enabled and base.family == family]
    help_ = f" It can be switched on: recipe.bases.{off[0]}.enabled = true." if off else ""
    if family is not None:
        return f"No active base fits: it is made for {titles([family])} ({evidence.reasons[0]}{said}).{help_}"
    if evidence.candidates:
        possible = evidence.by_blocks or evidence.candidates
        return f"No active base fits: it could be for {titles(possible)}, and no claim chooses{said}."
    return f"No active base fits: {evidence.reasons[0]}{said or ', and the card names no base'}."


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
