"""Add weight changes to a model's own parameters in place, and put the pristine values back by copying them.

Modules, their classes and the shapes of their parameters stay as they are, so a compiled model is not compiled again.
Subtracting a change would not restore a half-precision weight; a copy does, bit for bit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch

from auditor.adapters.normalised import FittedChange
from auditor.errors import ItemError, Refused


class Merger:
    """The changes of one adapter, merged into the components of one pipeline at some strength."""

    def __init__(self, components: Mapping[str, torch.nn.Module]) -> None:
        self._components = components
        self._changes: tuple[FittedChange, ...] = ()
        self._strength = 0.0
        self.differing: set[str] = set()
        """Paths of the parameters that the changes move."""
        # kept from one adapter to the next: the fingerprint check after each proves that they are still right
        self._pristine: dict[tuple[str, str, str], torch.Tensor] = {}

    def put(self, changes: Sequence[FittedChange]) -> float:
        """Merge changes at strength 1. A weight that the model holds under two names is changed once.

        Returns:
            The sum of squares of all of them in float64, before rounding to the model's precision.

        Raises:
            Refused: `nonfinite_weights`, when a weight overflows the model's precision; `unexpected_tensors`, when two
                names of one weight are given different values.
            ItemError: Failed as `not_applied`, when a module has no such parameter.
        """
        self._changes = tuple(changes)
        self.differing = set()
        return self._merge(1.0)

    def set_strength(self, strength: float) -> None:
        """Bring every touched parameter to W + strength x (W' - W); 0 restores the base, bit for bit."""
        if strength != self._strength:
            self.restore()
            if strength:
                self._merge(strength)

    def clear(self) -> None:
        """Restore the base and forget the changes."""
        self.restore()
        self._changes = ()

    @torch.no_grad()
    def restore(self) -> None:
        """Copy the pristine values back."""
        if self._strength:
            for change in self._changes:
                for target in change.targets:
                    key = (target.component, target.module, change.parameter)
                    if key in self._pristine:
                        self._parameter(*key).copy_(self._pristine[key])
        self._strength = 0.0

    @torch.no_grad()
    def _merge(self, strength: float) -> float:
        """Assumes pristine weights."""
        squares = 0.0
        self._strength = strength
        names: dict[int, tuple[str, str, str]] = {}  # of each weight, the one that it was changed by
        for change in self._changes:
            keys = [(target.component, target.module, change.parameter) for target in change.targets]
            parameters = [self._parameter(*key) for key in keys]
            for key, parameter, changed in zip(keys, parameters, change.changed(parameters, strength), strict=True):
                merged = changed.to(parameter.dtype)
                if names.setdefault(id(parameter), key) != key:
                    if strength == 1.0 and not torch.equal(merged, parameter):
                        raise Refused("unexpected_tensors", "Two tensors of the model mean the same place of the base.")
                    continue  # tied: it is no longer pristine, and what its other name says was done
                squares += float((changed - parameter.double()).square().sum())
                if not torch.isfinite(merged).all():
                    raise Refused("nonfinite_weights", f"With the change a weight overflows {parameter.dtype}.")
                if torch.equal(merged, parameter):
                    continue  # of a whole model most weights may be the base's own
                self.differing.add(f"{key[1]}.{key[2]}")
                if key not in self._pristine:
                    self._pristine[key] = parameter.detach().to("cpu", copy=True)
                parameter.copy_(merged)
        return squares

    def _parameter(self, component: str, module: str, name: str) -> torch.Tensor:
        """A weight, or a running statistic of a normalisation layer."""
        owner = self._components[component].get_submodule(module)
        parameter = getattr(owner, name, None)
        if not isinstance(parameter, torch.Tensor) or not parameter.is_floating_point():
            raise ItemError("failed", "not_applied", f"A module that the file changes has no {name}.")
        return parameter
