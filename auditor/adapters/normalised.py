"""The one form that every supported file is brought to, ready for one base."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch

from auditor.adapters.changes import Change, Replacement
from auditor.adapters.landing import Fitted
from auditor.adapters.layout import Target
from auditor.records.adapter import AdapterFacts


@dataclass(frozen=True, slots=True)
class FittedPair:
    """A low-rank pair and the module of the base that it changes."""

    component: str
    module: str
    weight_shape: tuple[int, ...]


@dataclass(frozen=True, slots=True, eq=False)
class FittedChange:
    """A change of one parameter, or of several that share its rows."""

    targets: tuple[Target, ...]
    parameter: str
    """`weight` or `bias`."""
    change: Change | Replacement

    @property
    def name(self) -> str:
        """Component and module of the first target, and the parameter."""
        return f"{self.targets[0].component}.{self.targets[0].module}.{self.parameter}"

    def changed(self, weights: Sequence[torch.Tensor], strength: float) -> Iterator[torch.Tensor]:
        """Each target's parameter with the change at a strength, float64.

        Args:
            weights: The targets' parameters as the base has them, in order.
            strength: 1 is the file's own.
        """
        pieces = [_swapped(w) if t.halves_swapped else w for t, w in zip(self.targets, weights, strict=True)]
        joint = pieces[0] if len(pieces) == 1 else torch.cat(pieces)
        changed = self.change.changed(joint, strength)
        for target in self.targets:
            rows = changed[target.begin : target.end]
            yield _swapped(rows) if target.halves_swapped else rows


@dataclass(frozen=True, slots=True, eq=False)
class TokenEmbedding:
    """A word that the file teaches to the text encoders."""

    name: str
    """As the file or its name spells it, without angle brackets; hostile text."""
    tokens: tuple[str, ...]
    """Our spelling, one token per vector."""
    vectors: Mapping[str, torch.Tensor]
    """Text encoder → (tokens, width) float32."""

    @property
    def spelling(self) -> str:
        """What stands for the word in a prompt."""
        return "".join(self.tokens)


@dataclass(frozen=True, slots=True)
class NormalisedAdapter:
    """An adapter ready to be put on the base it was fitted to."""

    tensors: Mapping[str, torch.Tensor]
    """`component.module.lora_A.weight` (rank, in[, kernel]) and `...lora_B.weight` (out, rank[, 1, 1]), float32,
    scales baked into B: the change of a weight is exactly B x A."""
    pairs: tuple[FittedPair, ...]
    """The modules that `tensors` change."""
    changes: tuple[FittedChange, ...]
    """What no pair can express: LoHa, LoKr, DoRA, whole differences, biases, whole models."""
    unmatched: tuple[str, ...]
    """`component.module` of every entry that the base has no module for, as the file spells it."""
    no_learned_change: bool
    """Every change is exactly zero, as far as the file alone tells."""
    facts: AdapterFacts
    left_out: tuple[str, ...] = ()
    """Parts of a whole model that are not put into the base, in words."""
    embeddings: tuple[TokenEmbedding, ...] = ()
    """Words that the text encoders learn."""

    @property
    def components(self) -> tuple[str, ...]:
        """Components of the base that the adapter changes."""
        return tuple(self.facts.matched)

    def touches_text_encoder(self) -> bool:
        """Whether prompt embeddings made without the adapter are invalid with it."""
        return any(name.startswith("text_encoder") for name in self.components)

    def factors(self, pair: FittedPair) -> tuple[torch.Tensor, torch.Tensor]:
        """A and B of one pair."""
        stem = f"{pair.component}.{pair.module}"
        return self.tensors[f"{stem}.lora_A.weight"], self.tensors[f"{stem}.lora_B.weight"]

    def pair_squares(self) -> float:
        """‖ΔW‖² of the pairs alone."""
        return sum(squared_norm(*self.factors(pair)) for pair in self.pairs)

    def all_changes(self) -> Iterator[FittedChange]:
        """Everything as changes, the pairs too: what a merge adds."""
        for pair in self.pairs:
            down, up = self.factors(pair)
            target = Target(pair.component, pair.module, 0, pair.weight_shape[0])
            yield FittedChange((target,), "weight", Change("lora", {"down": down, "up": up}, 1.0, pair.weight_shape))
        yield from self.changes


def split_pair(
    found: Fitted, down: torch.Tensor, up: torch.Tensor, shapes: Sequence[tuple[int, ...]]
) -> Iterator[tuple[FittedPair, torch.Tensor, torch.Tensor]]:
    """A pair per target: they share A and divide B's rows."""
    for target, shape in zip(found.targets, shapes, strict=True):
        rows = up[target.begin : target.end]
        rows = _swapped(rows) if target.halves_swapped else rows
        yield FittedPair(target.component, target.module, shape), down, rows.contiguous()


def squared_norm(down: torch.Tensor, up: torch.Tensor) -> float:
    """‖B A‖² in float64 from two rank x rank Gram matrices: tr((BᵀB)(A Aᵀ)), without forming B A."""
    a = down.flatten(1).double()  # (rank, in x kernel)
    b = up.flatten(1).double()  # (out, rank)
    return max(float(((b.T @ b) * (a @ a.T)).sum()), 0.0)


def _swapped(rows: torch.Tensor) -> torch.Tensor:
    """First and second half of the rows in each other's place."""
    return torch.cat(tuple(reversed(rows.chunk(2))))
