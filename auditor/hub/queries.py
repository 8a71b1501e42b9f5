"""What is asked of the Hub: a union of filters that together find almost every text-to-image adapter."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

from auditor.errors import UserError
from auditor.hub.bases import DERIVED_BASES, KNOWN_BASES

EXPAND = (
    "sha",
    "lastModified",
    "createdAt",
    "tags",
    "pipeline_tag",
    "library_name",
    "cardData",
    "siblings",
    "gated",
    "private",
    "disabled",
    "downloads",
    "likes",
)
"""What one list request returns per repo: enough to plan everything without a request per repo."""

_SPECIAL = ("author", "search")


@dataclass(frozen=True, slots=True)
class Query:
    """One query of the union. Several filters mean AND; the union is our OR."""

    filters: tuple[str, ...] = ()
    author: str | None = None
    search: str | None = None

    @classmethod
    def parse(cls, words: Sequence[str]) -> Query:
        """Read a query as settings spell it: tags, `author=NAME`, `search=TEXT`.

        Raises:
            UserError: Two authors or two searches in one query.
        """
        special: dict[str, str] = {}
        filters: list[str] = []
        for word in words:
            name, equals, value = word.partition("=")
            if not equals or name not in _SPECIAL:
                filters.append(word)
            elif name in special:
                raise UserError(f"a query names one {name} only: {' '.join(words)}; write two queries (hub.queries)")
            else:
                special[name] = value
        return cls(tuple(filters), special.get("author"), special.get("search"))

    @property
    def name(self) -> str:
        """How reports and `found_by` call it."""
        parts = [*self.filters]
        parts += [f"author={self.author}"] if self.author else []
        parts += [f"search={self.search}"] if self.search else []
        return "+".join(parts) or "everything"

    def url(self, endpoint: str, *, limit: int, newest_first: bool) -> str:
        """Return the first page's URL; creation order is immutable, so nothing moves while one pages."""
        pairs = [("filter", value) for value in self.filters]
        pairs += [("author", self.author)] if self.author else []
        pairs += [("search", self.search)] if self.search else []
        pairs += [("sort", "lastModified" if newest_first else "createdAt"), ("limit", str(limit))]
        pairs += [("expand", value) for value in EXPAND]
        return f"{endpoint}/api/models?{urlencode(pairs)}"


def default_queries(
    bases: Sequence[str] | None = None, *, full_models: bool = False, copied: Iterable[str] = ()
) -> tuple[Query, ...]:
    """Return the queries that together find almost every text-to-image adapter.

    Args:
        bases: Base repo ids whose adapters are wanted; None for every known base, its aliases and popular
            fine-tunes.
        full_models: Also look for whole models that were trained from a known base.
        copied: Bases that are personalised by other weights in place of their own.
    """
    known = [name for base in KNOWN_BASES for name in base.names]
    derived = [name for base in DERIVED_BASES for name in base.names]
    filters: list[tuple[str, ...]] = [
        ("template:sd-lora",),
        ("lora", "text-to-image"),
        ("lora", "diffusers"),
        ("lora", "stable-diffusion"),
        ("lora", "stable-diffusion-xl"),
        ("lora", "flux"),
        ("peft", "text-to-image"),
        ("textual_inversion",),
    ]
    filters += [("dreambooth", "text-to-image")] if full_models else []
    filters += [(f"base_model:adapter:{name}",) for name in (bases if bases is not None else [*known, *derived])]
    if full_models:
        filters += [(f"base_model:finetune:{name}",) for name in (bases if bases is not None else known)]
    filters += [(f"base_model:finetune:{name}",) for name in copied]
    authors = (Query(author="sd-concepts-library"),) if bases is None else ()
    return (*(Query(filters=item) for item in dict.fromkeys(filters)), *authors)


def parse_queries(lists: Iterable[Sequence[str]]) -> tuple[Query, ...]:
    """Read the queries of the settings."""
    return tuple(Query.parse(words) for words in lists)
