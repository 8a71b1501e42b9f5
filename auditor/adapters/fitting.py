"""Find the modules of a base that a file's entries change, from the header alone."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass

from auditor.adapters.adapter_file import AdapterFile
from auditor.adapters.entries import Entry
from auditor.adapters.keys import DENOISER
from auditor.adapters.layout import BaseLayout, Target
from auditor.errors import ItemError, Refused


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


@dataclass(frozen=True, slots=True)
class LayoutMatch:
    """How a file's entries meet a base's modules."""

    fitted: tuple[Fitted, ...]
    misshapen: tuple[Fitted, ...]
    """Entries whose module exists with another shape."""
    unmatched: tuple[Entry, ...]
    """Entries whose module the base does not have."""


def match_layout(adapter: AdapterFile, layout: BaseLayout) -> LayoutMatch:
    """Find each entry's modules in a base. Use it to choose among bases, before anything is loaded.

    Raises:
        Refused: `ambiguous_modules`, or `unexpected_tensors` when two entries mean one module.
        ItemError: Skipped, when unnamed components could be two of the base's.
    """
    open_component = _open_component(adapter, layout)
    fitted: list[Fitted] = []
    misshapen: list[Fitted] = []
    unmatched: list[Entry] = []
    taken: set[tuple[str, str]] = set()
    for entry in adapter.entries:
        component = open_component if entry.component is None else layout.component(entry.component)
        targets = () if component is None else layout.targets(component, entry.module, flat=entry.flat)
        if not targets or not _adaptable(entry, targets, layout):
            unmatched.append(entry)
            continue
        places = {(target.component, target.module) for target in targets}
        if places & taken:
            raise Refused("unexpected_tensors", "Two entries of the file mean the same module of the base.")
        taken |= places
        shape = _joint_shape(targets, layout)
        found = Fitted(entry, targets, shape)
        (fitted if _fits(found, layout) else misshapen).append(found)
    return LayoutMatch(tuple(fitted), tuple(misshapen), tuple(unmatched))


def require_coverage(adapter: AdapterFile, layout: BaseLayout, match: LayoutMatch) -> None:
    """End the audit of a file that is for another base, or that contradicts this one.

    Raises:
        ItemError: Skipped as `unsupported_base`.
        Refused: `shape_mismatch`.
    """
    theirs, ours = adapter.family.family, layout.family or layout.evidence.family
    if match.misshapen or not match.fitted:
        if theirs is not None and theirs not in (ours, layout.evidence.family):
            reason = adapter.family.reasons[0]
            message = f"The file is made for {theirs} ({reason}), the base is {ours or 'another'}."
            raise ItemError("skipped", "unsupported_base", message)
        if match.misshapen:
            count, total = len(match.misshapen), len(adapter.entries)
            message = f"{count} of {total} pairs do not multiply to the shape of the base's module."
            raise Refused("shape_mismatch", message)
        raise ItemError("skipped", "unsupported_base", "No module named in the file exists in the base.")
    lost = [e for e in match.unmatched if e.component in (DENOISER, layout.denoiser, "unet", "transformer")]
    if lost and not any(found.component == layout.denoiser for found in match.fitted):
        # a text-encoder half alone would be scored as if it were the whole adapter
        message = f"None of the {len(lost)} denoiser modules named in the file exists in the base."
        raise ItemError("skipped", "unsupported_base", message)


def _open_component(adapter: AdapterFile, layout: BaseLayout) -> str | None:
    """The one component in which the modules of prefix-less names are found."""
    names = [entry.module for entry in adapter.entries if entry.component is None]
    if not names:
        return None
    votes = Counter(component for name in names for component in layout.components_with(name))
    if not votes:
        return None
    ranked = votes.most_common(2)
    if len(ranked) > 1 and ranked[0][1] == ranked[1][1]:
        raise ItemError(
            "skipped", "unsupported_format",
            f"The names do not tell whether the adapter is for {ranked[0][0]} or {ranked[1][0]}.",
        )  # fmt: skip
    return ranked[0][0]


def _adaptable(entry: Entry, targets: tuple[Target, ...], layout: BaseLayout) -> bool:
    """Low-rank changes are for linear and convolution layers; whole differences for any parameter we know of."""
    if entry.method == "full":
        return bool(layout.parameters) or all(t.module in layout.components[t.component] for t in targets)
    return all(target.module in layout.components[target.component] for target in targets)


def _joint_shape(targets: tuple[Target, ...], layout: BaseLayout) -> tuple[int, ...]:
    try:
        shapes = [layout.shape(target) for target in targets]
    except KeyError:  # a module without a weight
        return ()
    if len({shape[1:] for shape in shapes}) > 1:
        return ()
    return (sum(shape[0] for shape in shapes), *shapes[0][1:])


def _fits(found: Fitted, layout: BaseLayout) -> bool:
    """Whether the entry's tensors multiply to the weight's shape, 1x1 kernels written or not."""
    entry, shape = found.entry, found.weight_shape
    if not shape:
        return False
    kernel = shape[2:] or (1, 1)
    if entry.outputs:
        open_kernel = entry.kernel is None
        inputs = shape[1] if len(shape) > 1 else 1
        if entry.outputs != shape[0] or entry.columns != math.prod(shape[1:]):
            return False
        if not open_kernel and (entry.kernel != kernel or entry.inputs != inputs):
            return False
    if found.targets[0].halves_swapped and shape[0] % 2:
        return False
    biased = "up_bias" in entry.parts or "diff_b" in entry.parts
    return not biased or all(bias_shape(target, layout) == (target.end - target.begin,) for target in found.targets)


def bias_shape(target: Target, layout: BaseLayout) -> tuple[int, ...] | None:
    """Shape of the bias of a target's module; null when it has none, or when the layout does not list parameters."""
    return layout.parameters.get(target.component, {}).get(f"{target.module}.bias")
