"""Disks: the work folder's against the plan, and the Hub cache's against the models that are still to be fetched."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

from auditor.doctor.check import Check
from auditor.doctor.device_checks import weights_of
from auditor.errors import PrerequisiteMissing, UserError
from auditor.hub.download_cache import FileCache
from auditor.planning.local_models import base_files, from_hub_cache
from auditor.planning.manifest import read_manifest
from auditor.results.workspace import Workspace
from auditor.settings import Settings


def check_plan_room(settings: Settings) -> Iterator[Check]:
    """The files of the plan that are still to be fetched, against the work folder's disk; nothing without a plan."""
    workspace = Workspace(settings.work.dir)
    if not workspace.manifest.is_dir():
        return
    try:
        items = read_manifest(workspace.manifest).items
    except UserError:
        return
    cache = FileCache(workspace.files)
    distinct = {item.file_sha256 or item.name_sha256: item for item in items}.values()
    sizes = [item.size_bytes for item in distinct if cache.lookup(*item.key) is None]
    known = [size for size in sizes if size is not None]
    # what the Hub did not state is taken to be as large as the others
    need = sum(known) + (len(sizes) - len(known)) * (sum(known) / len(known) if known else 0)
    limit = settings.hub.cache_bytes
    need = need if limit is None else min(need, limit)
    free = _free(settings.work.dir)
    found = f"{len(sizes)} files of the plan to fetch, {need / 1e9:.1f} GB; {free / 1e9:.1f} GB free"
    if free >= need:
        yield Check("room for the plan", "ok", found)
    else:
        advice = "choose a larger disk with --work-dir, or set hub.cache_bytes: files then make room once audited"
        yield Check("room for the plan", "missing", found, advice)


def check_models_room(settings: Settings) -> Iterator[Check]:
    """The bases that are still to be fetched, against the disk of the Hub cache; nothing when all are here."""
    from huggingface_hub.constants import HF_HUB_CACHE

    absent = []
    for key, base in settings.recipe.active_bases.items():
        if base.path is None:
            try:
                from_hub_cache(base_files(base))
            except PrerequisiteMissing:
                absent.append((key, weights_of(base)[0] or 0))
    if not absent:
        return
    need, free = sum(size for _, size in absent), _free(Path(HF_HUB_CACHE))
    found = (
        f"{', '.join(key for key, _ in absent)} to fetch, at least {need / 1e9:.0f} GB (what adapters change of them); "
        f"{free / 1e9:.1f} GB free in {HF_HUB_CACHE}"
    )
    if free >= need:
        yield Check("room for models", "ok", found)
    else:
        yield Check("room for models", "missing", found, "set HF_HOME to a larger disk")


def _free(folder: Path) -> int:
    existing = folder.absolute()
    while not existing.exists():
        existing = existing.parent
    return shutil.disk_usage(existing).free
