"""One adapter on the components of a pipeline: put on by injection or by merging, set to a strength, taken off."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, get_args

import torch

from auditor.adapters.normalised import NormalisedAdapter
from auditor.errors import ItemError, UserError
from auditor.generation.injection import extract, inject, set_scale
from auditor.generation.merging import Merger
from auditor.generation.pipeline_loading import modules_of
from auditor.generation.tokens import Vocabulary

Application = Literal["inject", "merge"]
"""`inject`: low-rank pairs run beside the layer, exact at any precision. `merge`: added to the weights, which rounds
to the model's precision but leaves its graph alone. What is no low-rank pair is merged either way."""
APPLICATIONS: tuple[str, ...] = get_args(Application)


class Applier:
    """Puts one adapter at a time on a pipeline's components."""

    def __init__(self, pipe: Any, application: str = "inject") -> None:
        """Prepare to change the components of a pipeline.

        Args:
            pipe: The pipeline.
            application: One of `APPLICATIONS`.
        """
        if application not in APPLICATIONS:
            raise UserError(f"application {application!r} is unknown; choose one of {', '.join(APPLICATIONS)}.")
        self._components: Mapping[str, torch.nn.Module] = modules_of(pipe)
        self._merge_all = application == "merge"
        self._merger = Merger(self._components)
        self._vocabulary = Vocabulary(pipe)
        self._injected: tuple[str, ...] = ()

    def put_on(self, adapter: NormalisedAdapter) -> float:
        """Put every change on at strength 1.

        Returns:
            Frobenius norm of all weight changes and new embeddings together, as they act on this base.

        Raises:
            Refused: A weight or a factor is not finite in the model's precision.
            ItemError: Failed as `not_applied`. In both cases `take_off` must follow.
        """
        squares = sum(float(v.double().square().sum()) for e in adapter.embeddings for v in e.vectors.values())
        self._vocabulary.add(adapter.embeddings)
        if self._merge_all:
            return float((squares + self._merger.put(tuple(adapter.all_changes()))) ** 0.5)
        squares += self._merger.put(adapter.changes) + adapter.pair_squares()
        carried = self._inject(adapter)
        if carried != len(adapter.pairs):
            message = f"{carried} layers carry the adapter where the file has {len(adapter.pairs)} pairs."
            raise ItemError("failed", "not_applied", message)
        return float(squares**0.5)

    def set_strength(self, scale: float) -> None:
        """Multiply the effect; 0 leaves the base's own output, bit for bit. New words are there or not."""
        for name in self._injected:
            set_scale(self._components[name], scale)
        self._merger.set_strength(scale)
        self._vocabulary.switch(scale != 0.0)

    def take_off(self) -> None:
        """Leave the components as they were; safe to call at any state."""
        for model in self._components.values():
            extract(model)
        self._injected = ()
        self._merger.clear()
        self._vocabulary.clear()

    def _inject(self, adapter: NormalisedAdapter) -> int:
        carried = 0
        self._injected = tuple(dict.fromkeys(pair.component for pair in adapter.pairs))
        for name in self._injected:
            factors = {pair.module: adapter.factors(pair) for pair in adapter.pairs if pair.component == name}
            carried += inject(self._components[name], factors)
        return carried
