"""What a first night will cost, from the plan or per thousand adapters."""

from __future__ import annotations

from collections.abc import Iterator

from auditor.cluster.estimate import basis_of, reference_seconds
from auditor.cluster.item_seconds import assumed_seconds
from auditor.doctor.check import Check
from auditor.errors import UserError
from auditor.planning.audit_cost import Span, pictures, seconds_each
from auditor.planning.manifest import read_manifest
from auditor.results.workspace import Workspace
from auditor.settings import Settings

_ADVICE = "`auditor calibrate` measures it on this device, once there is a plan; these are figures from elsewhere"


def check_night(settings: Settings) -> Iterator[Check]:
    """GPU-hours of all planned audits, with their references; without a plan of a thousand adapters of each base."""
    workspace = Workspace(settings.work.dir)
    try:
        items = read_manifest(workspace.manifest).items if workspace.manifest.is_dir() else ()
    except UserError:
        items = ()
    if not items:
        yield from _per_thousand(settings)
        return
    distinct = {item.file_sha256 or item.name_sha256: item for item in items}.values()
    names = {item.base_name for item in distinct}
    reference = reference_seconds(settings, [name for name in names if name is not None])
    total = Span(reference, reference)
    for item in distinct:
        total = total + assumed_seconds(settings, item)
    basis = basis_of(settings, names)
    found = f"{len(distinct)} planned files: {_hours(total)} with references, if none was audited before ({basis})"
    yield Check("first night", "ok", found, _ADVICE if basis == "assumed" else None)


def _per_thousand(settings: Settings) -> Iterator[Check]:
    said = []
    for key, base in settings.recipe.active_bases.items():
        known = settings.measured.get(key)
        each = seconds_each(base, pictures(settings.recipe, "plain", known), known)
        said.append(f"{key} {_hours(each.times(1000))}")
    if said:
        basis = basis_of(settings, settings.recipe.active_bases)
        found = f"1,000 adapters without a trigger: {'; '.join(said)} ({basis}); no plan yet"
        yield Check("first night", "ok", found, _ADVICE if basis == "assumed" else None)


def _hours(seconds: Span) -> str:
    return f"{seconds.least / 3600:,.1f} to {seconds.most / 3600:,.1f} GPU-hours"
