"""Whether one entry of a file fits the modules of a base that its name leads to, from shapes alone."""

from __future__ import annotations

import math
from dataclasses import dataclass

from auditor.adapters.layout import BaseLayout, Target
from auditor.adapters.tensor_groups import Entry


@dataclass(frozen=True, slots=True)
class Fitted:
    """An entry of the file and the rows of the base that it changes."""

    entry: Entry
    targets: tuple[Target, ...]
    weight_shape: tuple[int, ...]
    """Shape of the changed weight as the file sees it: all targets' rows together."""

    @property
    def component(self) -> str:
        """The base's component that is changed."""
        return self.targets[0].component


def adaptable(entry: Entry, targets: tuple[Target, ...], layout: BaseLayout) -> bool:
    """Low-rank changes are for linear and convolution layers; whole differences for any parameter we know of."""
    if entry.method == "full":
        return bool(layout.parameters) or all(t.module in layout.components[t.component] for t in targets)
    return all(target.module in layout.components[target.component] for target in targets)


def joint_shape(targets: tuple[Target, ...], layout: BaseLayout) -> tuple[int, ...]:
    """Shape of all targets' rows together; empty where they have no weights that could lie together."""
    try:
        shapes = [layout.shape(target) for target in targets]
    except KeyError:  # a module without a weight
        return ()
    if len({shape[1:] for shape in shapes}) > 1:
        return ()
    return (sum(shape[0] for shape in shapes), *shapes[0][1:])


def fits(entry: Entry, targets: tuple[Target, ...], layout: BaseLayout) -> bool:
    """Whether the entry's tensors multiply to the shape of the targets' weight, 1x1 kernels written or not."""
    shape = joint_shape(targets, layout)
    if not shape or not adaptable(entry, targets, layout):
        return False
    kernel = shape[2:] or (1, 1)
    if entry.outputs:
        inputs = shape[1] if len(shape) > 1 else 1
        columns = math.prod(shape[1:])
        wide_enough = columns <= entry.columns if entry.shares_factors else columns == entry.columns
        if entry.outputs != shape[0] or not wide_enough:
            return False
        if entry.kernel is not None and (entry.kernel != kernel or entry.inputs != inputs):
            return False
    if targets[0].halves_swapped and shape[0] % 2:
        return False
    biased = "up_bias" in entry.parts or "diff_b" in entry.parts
    return not biased or all(bias_shape(target, layout) == (target.end - target.begin,) for target in targets)


def bias_shape(target: Target, layout: BaseLayout) -> tuple[int, ...] | None:
    """Shape of the bias of a target's module; null when it has none, or when the layout does not list parameters."""
    return layout.parameters.get(target.component, {}).get(f"{target.module}.bias")
