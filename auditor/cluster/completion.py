"""What of a plan is done: result files by name, their outcomes from an index that reads each file once."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from auditor.common.atomic_files import write_bytes
from auditor.hub.download_cache import FileCache
from auditor.planning.manifest import read_manifest
from auditor.planning.recipes_in_force import bases_key, lasts, recipe_ids_in_force
from auditor.records.result import ANY_RECIPE, WorkItem
from auditor.results.result_file import list_results
from auditor.results.workspace import Workspace
from auditor.settings import Settings

_HEADER_LIMIT = 64 << 20
DAMAGED = "damaged"
"""Outcome of a file that cannot be read; `auditor merge` sets it aside, `auditor audit` redoes it."""


class Stored(NamedTuple):
    """What is known of one result file. Not verified: that is for those who use its numbers."""

    outcome: str
    reason: str | None
    seconds: float
    """Time its audit took."""
    finished_ns: int
    """When the file was published, by the file server's clock."""
    pending: bool = False
    """Its concepts are still to be proposed, from kept pictures."""
    bases: str | None = None
    """Which bases were active when none was found to fit."""


@dataclass(frozen=True)
class Completion:
    """A plan against the results.

    Attributes:
        wanted: All planned items.
        done: Item → its result; items that failed for a passing reason are not among them.
        passing: Item → a result with a passing reason, to be tried again.
    """

    wanted: tuple[WorkItem, ...]
    done: Mapping[WorkItem, Stored]
    passing: Mapping[WorkItem, Stored]

    @property
    def remaining(self) -> tuple[WorkItem, ...]:
        """Items without a lasting result, in the plan's order."""
        return tuple(item for item in self.wanted if item not in self.done)

    @property
    def plan_id(self) -> str:
        """Short name of the plan by its items."""
        digest = hashlib.sha256()
        for item in self.wanted:
            digest.update(f"{item.key}\n".encode("utf-8", "backslashreplace"))
        return digest.hexdigest()[:12]


def read_completion(settings: Settings) -> Completion:
    """Compare the latest plan with the results.

    Raises:
        UserError: There is no plan.
    """
    workspace = Workspace(settings.work.dir)
    wanted = read_manifest(workspace.manifest).items
    stored = stored_results(workspace)
    recipes, bases = recipe_ids_in_force(settings), bases_key(settings)
    pictures = {path.name for path in workspace.waiting.glob("*/*.safetensors")}  # named like their results
    done: dict[WorkItem, Stored] = {}
    passing: dict[WorkItem, Stored] = {}
    for item in wanted:
        found = {name: stored[name] for name in _names(workspace, item, recipes.values()) if name in stored}
        lasting = [s for name, s in found.items() if _lasts(s, bases, has_pictures=name in pictures)]
        if lasting:
            done[item] = lasting[0]
        elif found:
            passing[item] = next(iter(found.values()))
    return Completion(wanted, done, passing)


def stored_results(workspace: Workspace) -> dict[str, Stored]:
    """Every result file by name. Headers are read once and remembered by size and time of change."""
    index_path = workspace.root / "results-index.json"
    known = _read_index(index_path)
    index: dict[str, tuple[int, int, Stored]] = {}
    for path in list_results(workspace.results):
        try:
            stat = path.stat()
        except FileNotFoundError:
            continue  # set aside meanwhile
        old = known.get(path.name)
        if old is not None and old[:2] == (stat.st_size, stat.st_mtime_ns):
            index[path.name] = old
        else:
            index[path.name] = (stat.st_size, stat.st_mtime_ns, _header(path, stat.st_mtime_ns))
    if index != known:
        write_bytes(index_path, json.dumps(index, separators=(",", ":")).encode())
    return {name: stored for name, (_, _, stored) in index.items()}


def _lasts(stored: Stored, bases_now: str, *, has_pictures: bool) -> bool:
    """Whether the audit would leave this result as it is."""
    if stored.outcome == DAMAGED or not lasts(stored.reason, stored.bases, bases_now):
        return False
    return has_pictures or not stored.pending


def _names(workspace: Workspace, item: WorkItem, recipes: Iterable[str]) -> list[str]:
    """Names that a result of this item may have."""
    content = item.file_sha256 or FileCache(workspace.files).lookup(*item.key)
    names = [f"{item.name_sha256}.{ANY_RECIPE}.safetensors"]
    if content is not None:
        names += [f"{content}.{recipe}.safetensors" for recipe in (ANY_RECIPE, *recipes)]
    return names


def _header(path: Path, finished_ns: int) -> Stored:
    """Outcome and reason from a result file's header, without its arrays."""
    try:
        with path.open("rb") as stream:
            size = int.from_bytes(stream.read(8), "little")
            if not 2 <= size <= _HEADER_LIMIT:
                raise ValueError(f"header of {size} bytes")
            record = json.loads(json.loads(stream.read(size))["__metadata__"]["record"])
        seconds = sum(float(s) for s in record["timings_s"].values())
        pending = record["proposals"] == "pending"
        return Stored(
            str(record["outcome"]), record["reason"], round(seconds, 3), finished_ns, pending, record.get("bases")
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return Stored(DAMAGED, None, 0.0, finished_ns)


def _read_index(path: Path) -> dict[str, tuple[int, int, Stored]]:
    try:
        raw = json.loads(path.read_bytes())
        return {name: (int(size), int(time), Stored(*stored)) for name, (size, time, stored) in raw.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}  # none yet, or not ours: read everything again
