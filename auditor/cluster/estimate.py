"""What a submission will cost: by audits that were timed, else by what was calibrated here, else by published rates."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Literal

from auditor.cluster.completion import Completion
from auditor.cluster.item_seconds import item_seconds, load_seconds, timed_seconds
from auditor.cluster.submission import Chain
from auditor.hub.download_cache import FileCache
from auditor.lexicons import load_lexicon
from auditor.measuring.reference import reference_path, reference_pictures
from auditor.planning.audit_cost import Span, reference_seconds_of
from auditor.planning.recipes_in_force import recipes_in_force
from auditor.records.result import WorkItem
from auditor.results.workspace import Workspace
from auditor.settings import Settings

Basis = Literal["measured", "calibrated", "assumed"]
"""Of an estimate. `measured`: every base was audited before with these settings. `calibrated`: `auditor calibrate`
measured the others on this device. `assumed`: figures from elsewhere stand for some."""


@dataclass(frozen=True)
class Estimate:
    """Cost of a chain.

    Attributes:
        items: Files to audit.
        tasks: Array tasks.
        gpu_hours: Of all audit tasks together.
        gpu_hours_low: With the least pictures per adapter; of timed audits, less the scatter of their mean.
        gpu_hours_high: With the most pictures; or more the scatter.
        bytes_to_fetch: Known sizes of files that are not in the cache yet.
        basis: What it is reckoned from.
    """

    items: int
    tasks: int
    gpu_hours: float
    gpu_hours_low: float
    gpu_hours_high: float
    bytes_to_fetch: int
    basis: Basis


def estimate(settings: Settings, chain: Chain, completion: Completion) -> Estimate:
    """Cost of the audits in a chain."""
    timed = timed_seconds(completion)
    distinct = {item.file_sha256 or item.name_sha256: item for item in chain.items}
    total = Span(0.0, 0.0)
    for item in distinct.values():
        total = total + item_seconds(settings, item, timed)
    tasks = len(chain.slices)
    load = sum(load_seconds(settings, part[0].base_name) for part in chain.slices)
    more = reference_seconds(settings, {i.base_name for i in distinct.values() if i.base_name is not None})
    hours = (total + Span(more, more) + Span(load, load)).times(settings.cluster.gpus_per_task / 3600)
    return Estimate(
        items=len(chain.items),
        tasks=tasks,
        gpu_hours=hours.middle,
        gpu_hours_low=hours.least,
        gpu_hours_high=hours.most,
        bytes_to_fetch=_bytes(settings, distinct.values()),
        basis=basis_of(settings, {item.base_name for item in distinct.values()}, timed),
    )


def basis_of(settings: Settings, names: Iterable[str | None], timed: Collection[str | None] = ()) -> Basis:
    """What an estimate over some bases is reckoned from; None is a base that is still open."""
    bases = settings.recipe.active_bases
    known = settings.measured.keys() & bases.keys()
    whole = known >= {name for name, base in bases.items() if base.kind == "diffusers"}  # no other is calibrated
    left = [name for name in names if name not in timed]
    if not left:
        return "measured"
    return "calibrated" if all(whole if name is None else name in known for name in left) else "assumed"


def reference_seconds(settings: Settings, base_names: Iterable[str]) -> float:
    """Time for the pictures of references that are still to be made; tasks of one base share them."""
    folder, recipes = Workspace(settings.work.dir).reference, recipes_in_force(settings)
    bases = settings.recipe.active_bases
    new = [
        name
        for name in base_names
        if name in bases and not (name in recipes and reference_path(folder, recipes[name]).exists())
    ]
    count = reference_pictures(settings.recipe, load_lexicon(settings.recipe.lexicon))
    return sum(reference_seconds_of(bases[name], count, settings.measured.get(name)) for name in new)


def _bytes(settings: Settings, items: Iterable[WorkItem]) -> int:
    cache = FileCache(Workspace(settings.work.dir).files)
    return sum(i.size_bytes or 0 for i in items if cache.lookup(*i.key) is None)
