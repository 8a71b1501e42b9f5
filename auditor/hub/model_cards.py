"""What an uploader's card claims: base, licence, triggers. Every value may be of any type, and hostile.

The card arrives as the API's JSON (the README's YAML is never parsed here). Nothing in this module raises
on any JSON value: what cannot be read is left out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args
from urllib.parse import unquote, urlsplit

from auditor.records.listing import BaseRelation, TriggerCandidate

MAX_TEXT_CHARS = 500
MAX_LIST_ITEMS = 50
MAX_CARD_CHARS = 20_000
_HUB_HOSTS = frozenset({"huggingface.co", "www.huggingface.co", "hf.co"})
_REPO_ID = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9_][\w.-]{0,95}", re.ASCII)
_LOCAL = re.compile(r"^(?:[/~\\.]|[A-Za-z]:[\\/]|file:)|\\|\.(?:safetensors|ckpt|pt|bin)$", re.IGNORECASE)
_NSFW_TAGS = frozenset({"not-for-all-audiences", "nsfw"})
_RELATIONS: tuple[BaseRelation, ...] = get_args(BaseRelation)

ClaimKind = Literal["repo", "url", "local_path", "name"]


@dataclass(frozen=True, slots=True)
class BaseClaim:
    """One claimed base: what kind of name it is, the repo id if it is one, and the text as written."""

    kind: ClaimKind
    text: str
    repo_id: str | None = None


@dataclass(frozen=True, slots=True)
class CardFacts:
    """What a card and the Hub's tags say, in our types."""

    license: str | None = None
    base_claims: tuple[BaseClaim, ...] = ()
    base_relation: BaseRelation | None = None
    instance_prompt: str | None = None
    triggers: tuple[TriggerCandidate, ...] = ()
    nsfw: bool = False

    @property
    def base_models(self) -> tuple[str, ...]:
        """The claimed bases that are repo ids, in order of trust."""
        return tuple(dict.fromkeys(claim.repo_id for claim in self.base_claims if claim.repo_id))


def clean_text(value: object, max_chars: int = MAX_TEXT_CHARS) -> str | None:
    """Return text without control, bidi and surrogate characters, capped; None when nothing is left."""
    if not isinstance(value, str):
        return None
    text = value[: 4 * max_chars]
    if not text.isprintable():  # str.isprintable is false for exactly the categories C* and Z* (but the space)
        text = "".join(char if char.isprintable() else " " * char.isspace() for char in text)
    return " ".join(text.split())[:max_chars].strip() or None


def clean_texts(value: object, max_items: int = MAX_LIST_ITEMS) -> tuple[str, ...]:
    """Return the distinct texts in a string or a list; anything else gives none."""
    items = value if isinstance(value, (list, tuple)) else [value]
    texts = (clean_text(item) for item in items[: 4 * max_items])
    return tuple(dict.fromkeys(text for text in texts if text))[:max_items]


def read_card(card: object, tags: Sequence[str] = ()) -> CardFacts:
    """Read the card's metadata and the Hub's computed tags.

    Args:
        card: The API's `cardData`, any JSON value.
        tags: The entry's tags, already cleaned.
    """
    fields: Mapping[object, object] = card if isinstance(card, Mapping) else {}
    own_tags = (*tags, *clean_texts(fields.get("tags")))
    prompt = next(iter(clean_texts(fields.get("instance_prompt"))), None)
    return CardFacts(
        license=_license(fields, tags),
        base_claims=_base_claims(fields, tags),
        base_relation=_relation(fields, tags),
        instance_prompt=prompt,
        triggers=tuple(_triggers(fields)),
        nsfw=any(tag.lower() in _NSFW_TAGS for tag in own_tags),
    )


def card_json(card: object) -> str | None:
    """Return the card as canonical JSON for the record; None when absent or too long to keep."""
    if not isinstance(card, Mapping) or not card:
        return None
    try:
        text = json.dumps(card, sort_keys=True, separators=(",", ":"), default=str, ensure_ascii=True)
    except (TypeError, ValueError, RecursionError):
        return None
    return text if len(text) <= MAX_CARD_CHARS else None


def read_base_claim(value: object) -> BaseClaim | None:
    """Tell repo ids from URLs, paths on a trainer's machine and titles of other sites."""
    if isinstance(value, Mapping):
        value = next((value[key] for key in ("id", "name", "repo_id") if isinstance(value.get(key), str)), None)
    text = clean_text(value)
    if text is None:
        return None
    text = text.strip("'\" ")
    if "://" in text:
        parts = _split_url(text)
        if parts is None or parts[0] not in _HUB_HOSTS:
            return BaseClaim("url", text)
        found = _repo_id("/".join(unquote(parts[1]).strip("/").split("/")[:2]))
        return BaseClaim("repo" if found else "url", text, found)
    bare = re.sub(r"^(?:www\.)?(?:huggingface\.co|hf\.co)/|/+$", "", text)
    found = _repo_id("/".join(bare.split("/")[:2])) if bare != text else _repo_id(bare)
    if found:
        return BaseClaim("repo", text, found)
    if _LOCAL.search(text) or text.count("/") > 1:
        return BaseClaim("local_path", text)
    return BaseClaim("name", text) if text else None


def _split_url(text: str) -> tuple[str, str] | None:
    try:
        parts = urlsplit(text)
        return (parts.hostname or "").lower(), parts.path
    except ValueError:
        return None


def _repo_id(text: str) -> str | None:
    if not _REPO_ID.fullmatch(text) or ".." in text or "--" in text or _LOCAL.search(text):
        return None
    return text


def _items(value: object) -> list[object]:
    return list(value[:MAX_LIST_ITEMS]) if isinstance(value, (list, tuple)) else [value]


def _base_claims(fields: Mapping[object, object], tags: Sequence[str]) -> tuple[BaseClaim, ...]:
    """Card claims first, then what the Hub derived as tags."""
    values: list[object] = _items(fields.get("base_model"))
    for tag in tags:
        if tag.startswith("base_model:"):
            values.append(tag.rpartition(":")[2])
    claims: dict[str, BaseClaim] = {}
    for value in values:
        claim = read_base_claim(value)
        if claim is not None:
            claims.setdefault(claim.repo_id or claim.text, claim)
    return tuple(claims.values())[:MAX_LIST_ITEMS]


def _relation(fields: Mapping[object, object], tags: Sequence[str]) -> BaseRelation | None:
    stated = "".join(clean_texts(fields.get("base_model_relation"))[:1]).lower()
    for relation in _RELATIONS:
        if stated == relation:
            return relation
    for relation in _RELATIONS:
        if any(tag.startswith(f"base_model:{relation}:") for tag in tags):
            return relation
    return None


def _license(fields: Mapping[object, object], tags: Sequence[str]) -> str | None:
    stated = next(iter(clean_texts(fields.get("license"))), None)
    if stated == "other":
        stated = clean_text(fields.get("license_name")) or stated
    return stated or next((tag.partition(":")[2] or None for tag in tags if tag.startswith("license:")), None)


def _triggers(fields: Mapping[object, object]) -> Iterator[TriggerCandidate]:
    """Instance prompts, then widget prompts: whole sentences, but shown by the uploader as good ones."""
    seen: set[str] = set()
    for text in clean_texts(fields.get("instance_prompt")):
        seen.add(text)
        yield TriggerCandidate(text, "instance_prompt")
    for item in _items(fields.get("widget")):
        if isinstance(item, Mapping):
            prompt = clean_text(item.get("text")) or clean_text(item.get("prompt"))
            if prompt and prompt not in seen and prompt != "-":
                seen.add(prompt)
                yield TriggerCandidate(prompt, "widget")
