"""What a submission will cost, from measured audits where there are any."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from statistics import fmean
from typing import Literal

from auditor.cluster.completion import Completion
from auditor.cluster.submission import Chain
from auditor.hub.download_cache import FileCache
from auditor.lexicons import load_lexicon
from auditor.measuring.reference import reference_path, reference_pictures
from auditor.planning.recipes_in_force import recipes_in_force
from auditor.records.result import WorkItem
from auditor.results.workspace import Workspace
from auditor.settings import Settings

# Seconds of an H100 per adapter at 50 probes and full resolution, computed from published throughputs of the bases
# (upper ends). They serve until audits with these settings have been timed.
ASSUMED_SECONDS = {"sd15": 15.0, "sd21": 25.0, "sdxl": 66.0, "sd35_medium": 120.0, "sd35_large": 220.0, "flux1": 220.0}
ASSUMED_OTHER = 60.0
ASSUMED_PROBES = 50
LOAD_SECONDS = 60.0
"""Per task, for loading a base; assumed."""
_ACTED = ("scored", "scored_partial", "no_effect")


@dataclass(frozen=True)
class Estimate:
    """Cost of a chain.

    Attributes:
        items: Files to audit.
        tasks: Array tasks.
        gpu_hours: Of all audit tasks together.
        bytes_to_fetch: Known sizes of files that are not in the cache yet.
        basis: `measured` when every base was timed before with these settings, else `assumed`.
    """

    items: int
    tasks: int
    gpu_hours: float
    bytes_to_fetch: int
    basis: Literal["measured", "assumed"]


def estimate(settings: Settings, chain: Chain, completion: Completion) -> Estimate:
    """Cost of the audits in a chain."""
    timed: dict[str | None, list[float]] = {}
    for item, stored in completion.done.items():
        if stored.outcome in _ACTED and stored.seconds > 0:
            timed.setdefault(item.base_name, []).append(stored.seconds)
    distinct = {item.file_sha256 or item.name_sha256: item for item in chain.items}
    measured = all(item.base_name in timed for item in distinct.values())
    seconds = sum(
        fmean(timed[i.base_name]) if i.base_name in timed else assumed_seconds(settings, i) for i in distinct.values()
    )
    tasks = len(chain.slices)
    seconds += reference_seconds(settings, {i.base_name for i in distinct.values() if i.base_name is not None})
    gpu_seconds = (seconds + tasks * LOAD_SECONDS) * settings.cluster.gpus_per_task
    return Estimate(
        items=len(chain.items),
        tasks=tasks,
        gpu_hours=gpu_seconds / 3600,
        bytes_to_fetch=_bytes(settings, distinct.values()),
        basis="measured" if measured else "assumed",
    )


def reference_seconds(settings: Settings, base_names: Iterable[str]) -> float:
    """Time for the pictures of references that are still to be made; tasks of one base share them."""
    folder, recipes = Workspace(settings.work.dir).reference, recipes_in_force(settings)
    bases = settings.recipe.active_bases
    new = [
        name
        for name in base_names
        if name in bases and not (name in recipes and reference_path(folder, recipes[name]).exists())
    ]
    pictures = reference_pictures(settings.recipe, load_lexicon(settings.recipe.lexicon))
    return sum(pictures * ASSUMED_SECONDS.get(bases[name].family, ASSUMED_OTHER) / ASSUMED_PROBES for name in new)


def assumed_seconds(settings: Settings, item: WorkItem) -> float:
    """Published figure for the item's base family; the average one when its base is unknown."""
    base = settings.recipe.active_bases.get(item.base_name or "")
    return ASSUMED_SECONDS.get(base.family, ASSUMED_OTHER) if base is not None else ASSUMED_OTHER


def _bytes(settings: Settings, items: Iterable[WorkItem]) -> int:
    cache = FileCache(Workspace(settings.work.dir).files)
    return sum(i.size_bytes or 0 for i in items if cache.lookup(*i.key) is None)
