"""Find the modules of a base that a file's entries change, from the header alone."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from auditor.adapters.adapter_file import AdapterFile
from auditor.adapters.keys import DENOISER
from auditor.adapters.landing import Fitted, adaptable, fits, joint_shape
from auditor.adapters.layout import BaseLayout
from auditor.adapters.recognition import COVERAGE_FLOOR, is_t5
from auditor.adapters.tensor_groups import Entry
from auditor.errors import ItemError, Refused
from auditor.families.table import FAMILIES, INPUT_LAYERS, titles


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
        if not targets or not adaptable(entry, targets, layout):
            unmatched.append(entry)
            continue
        places = {(target.component, target.module) for target in targets}
        if places & taken:
            raise Refused("unexpected_tensors", "Two entries of the file mean the same module of the base.")
        taken |= places
        found = Fitted(entry, targets, joint_shape(targets, layout))
        (fitted if fits(entry, targets, layout) else misshapen).append(found)
    return LayoutMatch(tuple(fitted), tuple(misshapen), tuple(unmatched))


def require_coverage(adapter: AdapterFile, layout: BaseLayout, match: LayoutMatch) -> None:
    """End the audit of a file that is for another base, or that contradicts this one.

    Raises:
        ItemError: Skipped as `unsupported_base`, or as `not_text_to_image` where the file widens the first layer.
        Refused: `shape_mismatch`.
    """
    _require_same_input(layout, match)
    counted = len(match.fitted) + len(match.misshapen) + sum(1 for entry in match.unmatched if not is_t5(entry))
    fitted, total = len(match.fitted), len(adapter.entries)
    enough = fitted > 0 and fitted >= COVERAGE_FLOOR * counted
    elsewhere = bool(adapter.family.candidates) and layout.family not in adapter.family.candidates
    if elsewhere and (layout.family in FAMILIES or not enough):
        theirs = titles(adapter.family.candidates)
        message = f"The file is made for {theirs} ({adapter.family.reasons[0]}), which the base is not."
        raise ItemError("skipped", "unsupported_base", message)
    if not enough:
        message = f"Only {fitted} of its {total} parts fit the base: it is another model's file."
        raise ItemError("skipped", "unsupported_base", message)
    if match.misshapen:
        message = f"{len(match.misshapen)} of {total} pairs do not multiply to the shape of the base's module."
        raise Refused("shape_mismatch", message)
    _require_denoiser(layout, match)


def _require_denoiser(layout: BaseLayout, match: LayoutMatch) -> None:
    """A text-encoder half alone would be scored as if it were the whole adapter."""
    lost = [e for e in match.unmatched if e.component in (DENOISER, layout.denoiser, "unet", "transformer")]
    if lost and not any(found.component == layout.denoiser for found in match.fitted):
        message = f"None of the {len(lost)} denoiser modules named in the file exists in the base."
        raise ItemError("skipped", "unsupported_base", message)


def _require_same_input(layout: BaseLayout, match: LayoutMatch) -> None:
    """Control and inpainting adapters read more channels than the base: masks, hints, a second picture."""
    for found in match.misshapen:
        target, entry = found.targets[0], found.entry
        if target.module in INPUT_LAYERS and len(found.weight_shape) > 1 and entry.inputs > found.weight_shape[1]:
            message = (
                f"The file widens the first layer from {found.weight_shape[1]} to {entry.inputs} channels: "
                "a control or inpainting adapter."
            )
            raise ItemError("skipped", "not_text_to_image", message)


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
            "skipped",
            "unsupported_format",
            f"The names do not tell whether the adapter is for {ranked[0][0]} or {ranked[1][0]}.",
        )
    return ranked[0][0]
