"""The active bases by every name that cards know them by, and by what descends from them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from auditor.families.published_models import ancestors, canonical_base, published_parents
from auditor.settings import BaseModelSettings


def names_of(base: BaseModelSettings) -> tuple[str, ...]:
    """Every repo id that cards know a base by."""
    return (*((base.repo,) if base.repo is not None else ()), *base.aliases)


def copied_bases(bases: Mapping[str, BaseModelSettings]) -> tuple[str, ...]:
    """Repo ids of the bases that are personalised by other weights in place of their own."""
    return tuple(name for base in bases.values() if base.kind != "diffusers" for name in names_of(base))


class BaseNames:
    """Short names of the active bases by every name that cards know them by."""

    def __init__(
        self, bases: Mapping[str, BaseModelSettings], parents: Callable[[str], Iterable[str]] = published_parents
    ) -> None:
        """Know the bases.

        Args:
            bases: By short name.
            parents: What a listed model says it was trained from.
        """
        self._parents = parents
        self._short: dict[str, str] = {}
        for short, base in bases.items():
            self._short |= {canonical_base(name).lower(): short for name in names_of(base)}

    def of(self, claims: Iterable[str]) -> tuple[str, ...]:
        """The bases that a card means, in its order; empty when it means none of ours."""
        found = (self._short.get(canonical_base(claim).lower()) for claim in claims)
        return tuple(dict.fromkeys(name for name in found if name is not None))

    def nearest(self, claims: Iterable[str]) -> dict[str, int]:
        """The bases that a card means or whose descendant it names → steps between, the nearest first."""
        distances: dict[str, int] = {}
        for claim in claims:
            for ancestor, distance in ancestors(claim, self._parents).items():
                name = self._short.get(ancestor)
                if name is not None:
                    distances[name] = min(distance, distances.get(name, distance))
        return dict(sorted(distances.items(), key=lambda found: found[1]))
