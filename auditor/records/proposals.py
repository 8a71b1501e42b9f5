"""What a concept proposer answered about one adapter: phrases, and the raw replies they came from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

InvalidKind = Literal[
    "empty", "too_long", "truncated", "not_json", "wrong_shape", "too_many", "no_usable_phrase", "refused"
]
"""Why a whole reply was thrown away. `refused`: the server or the model would not look at these pictures; the text
says why."""

DropKind = Literal["empty", "too_long", "sentence", "control_characters", "non_latin", "not_words"]
"""Why one phrase of an otherwise usable reply was thrown away."""

Unanswered = Literal["vlm_unavailable", "vlm_invalid"]
"""Why nothing was proposed: no server answered (worth another attempt), or no reply could be used."""


@dataclass(frozen=True)
class ProposedPhrase:
    """One phrase, lowercase, at most five words.

    `support` is the share of answered groups that named it, in (0, 1]; `rank` its mean place in their lists,
    0 being first.
    """

    text: str
    support: float
    rank: float


@dataclass(frozen=True)
class DroppedPhrase:
    """A phrase that was not kept; `text` is an escaped excerpt, safe to print."""

    text: str
    kind: DropKind


@dataclass(frozen=True)
class RawReply:
    """One reply as it came, for provenance.

    `group` numbers the request within the adapter; `attempt` counts from 0; `seed` is what the request was
    sampled with. `invalid` is null when the reply was usable, `duration_s` when it came from the cache. `form` names
    how the server had to be asked where it did not take the request of the recipe; empty where it did.
    """

    group: int
    attempt: int
    seed: int
    text: str
    concepts: tuple[str, ...]
    dropped: tuple[DroppedPhrase, ...]
    invalid: InvalidKind | None
    cached: bool
    duration_s: float | None
    form: str = ""


@dataclass(frozen=True)
class Proposals:
    """Everything proposed for one adapter.

    `phrases` are ordered by support, then rank, then text. `reason` is null when at least one group answered,
    also when all of them answered that nothing changed; `vlm_invalid` when no group gave a usable reply.
    """

    phrases: tuple[ProposedPhrase, ...]
    replies: tuple[RawReply, ...]
    groups: int
    groups_answered: int
    reason: Unanswered | None
