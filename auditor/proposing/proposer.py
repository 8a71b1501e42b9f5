"""The contract of a concept proposer, and the settings both proposers share."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import Protocol

from auditor.common.pictures import Pictures
from auditor.errors import TransientError
from auditor.proposing.grouping import PAIRS_PER_GROUP
from auditor.proposing.images import MAX_SIDE
from auditor.proposing.schema import SCHEMA_HASH
from auditor.proposing.template import TEMPLATE, PromptTemplate
from auditor.records.proposals import Proposals, Unanswered


class VlmUnavailable(TransientError):
    """The model's server is away, hangs or fails. Replies that did arrive are in the cache."""

    reason: Unanswered = "vlm_unavailable"


@dataclass(frozen=True)
class Sampling:
    """How replies are drawn; part of the recipe.

    `temperature` is used first; 0 is greedy. Where a reply was invalid, the next attempt takes another seed
    and at least `retry_temperature`, since a greedy model would repeat itself. `attempts` counts all tries.
    """

    temperature: float = 0.0
    retry_temperature: float = 0.7
    max_tokens: int = 96
    seed: int = 0
    attempts: int = 3

    def __post_init__(self) -> None:
        if self.attempts < 1 or self.max_tokens < 1 or min(self.temperature, self.retry_temperature) < 0:
            raise ValueError(f"attempts and max_tokens must be positive, temperatures not negative: {self}")

    def attempt(self, number: int) -> tuple[int, float]:
        """Seed and temperature of attempt `number`, counted from 0."""
        if number == 0:
            return self.seed, self.temperature
        return self.seed + number, max(self.temperature, self.retry_temperature)


@dataclass(frozen=True)
class ProposerOptions:
    """What both proposers need beside their model."""

    sampling: Sampling = Sampling()
    pairs_per_group: int = PAIRS_PER_GROUP
    max_side: int = MAX_SIDE
    template: PromptTemplate = TEMPLATE

    def identity(self, model: str) -> str:
        """Hash of everything that can change a proposal, for the recipe. `model` includes its revision."""
        parts = {
            "model": model,
            "template": self.template.hash,
            "schema": SCHEMA_HASH,
            "sampling": asdict(self.sampling),
            "pairs_per_group": self.pairs_per_group,
            "max_side": self.max_side,
        }
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


class Proposer(Protocol):
    """Names what the personalised images have gained over the base images."""

    @property
    def identity(self) -> str:
        """Hash over model revision, prompt, schema and sampling."""
        ...

    def propose(self, base_images: Pictures, adapted_images: Pictures) -> Proposals:
        """Propose concepts for one adapter.

        Args:
            base_images: uint8 (n, H, W, 3), the base model's pictures.
            adapted_images: uint8 (n, H, W, 3), the same prompts and noise with the adapter on.

        Raises:
            VlmUnavailable: No answer could be had now; worth another attempt later.
        """
        ...
