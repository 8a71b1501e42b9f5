"""The stages as the commands run them: with a progress bar, and with a summary at the end."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from auditor.cli.output import say, summary, warn
from auditor.cli.progress import Step, progress
from auditor.errors import UserError

if TYPE_CHECKING:
    from auditor.audit.task import TaskReport
    from auditor.catalog.accounts import MergeReport
    from auditor.hub.client import HubClient
    from auditor.planning.audit_cost import Span
    from auditor.planning.manifest import Manifest
    from auditor.planning.prefetch import PrefetchReport
    from auditor.planning.slices import Part, Slice
    from auditor.records.listing import CrawlReport
    from auditor.records.result import WorkItem
    from auditor.settings import Settings


def crawl(settings: Settings, client: HubClient, dry_run: bool, *, full: bool = False) -> CrawlReport:
    """List the Hub; say what was found, or in a dry run what it would cost."""
    from auditor.pipeline import stages

    with progress("crawl") as step:
        report = stages.crawl(settings, client, full=full, dry_run=dry_run, on_page=lambda note: step(1, note))
    kind = f"changes since {report.since}" if report.since else "everything"
    if dry_run:
        known = "" if report.estimate_known else " at least"
        needs = f"{report.estimated_requests} requests, {(report.estimated_seconds or 0) / 60:.1f} min"
        say(f"a crawl ({kind}) needs{known} {needs}, {(report.estimated_bytes or 0) / 1e6:.1f} MB")
        return report
    vanished = ", ".join(f"{count} {fate}" for fate, count in sorted(report.vanished.items()))
    summary(
        [
            f"crawl ({kind}): {report.repos} repos, {report.duplicates} found twice, {report.quarantined} malformed "
            f"entries, {report.requests} requests, {report.received / 1e6:.1f} MB, {report.seconds:.1f} s",
            *([f"not listed any more: {vanished}"] if vanished else []),
        ]
    )
    if not report.complete:
        for query in report.queries:
            if query.error is not None:
                warn(f"query {query.name} stopped after {query.pages} pages: {query.error}")
        warn("not every query reached its last page; run the same command again, it goes on there")
    return report


def _declared(manifest: Manifest, settings: Settings) -> list[str]:
    """What cards say of triggers: how many files have one, and how many of these are for one subject."""
    from auditor.probes.subjects import find_subject, load_contexts

    triggers = [item.trigger for item in manifest.items if item.trigger]
    if not triggers or settings.recipe.subject_contexts == "none":
        return []
    contexts = load_contexts(settings.recipe.subject_contexts)
    subjects = sum(find_subject([trigger], contexts) is not None for trigger in triggers)
    share = 100 * subjects / len(manifest.items)
    return [
        f"      {len(triggers)} cards declare a trigger, {subjects} of them of one subject ({share:.0f} % of the files)"
    ]


def plan(settings: Settings, client: HubClient | None, *, store: bool) -> Manifest:
    """Choose the files; say how many and how large."""
    from auditor.pipeline import stages

    with progress("plan") as step:
        manifest = stages.plan(settings, client, store=store, on_repo=lambda repo: step(1, repo))
    about = "about " if manifest.unknown_sizes else ""
    size = (
        f"{about}{manifest.estimated_bytes / 1e6:,.1f} MB" if manifest.estimated_bytes is not None else "size unknown"
    )
    summary(
        [
            f"plan: {len(manifest.items)} adapter files ({manifest.distinct_files} distinct, {size}), "
            f"{len(manifest.settled)} settled unopened, {manifest.asked} requests",
            *_declared(manifest, settings),
        ]
    )
    if manifest.items:
        audit_cost(settings, manifest.items)
    return manifest


def prefetch(settings: Settings, client: HubClient, part: Slice) -> PrefetchReport:
    """Fetch the files of one slice; say what came and what did not."""
    from auditor.pipeline import stages

    with progress("prefetch") as step:
        report = stages.prefetch(settings, client, part, on_item=lambda item: step(1, item.repo_id))
    failed = "".join(f", {count} {reason}" for reason, count in sorted(report.failed.items()))
    waiting = f", {report.no_room} wait for room in the cache" if report.no_room else ""
    there = report.present + report.duplicates
    traffic = f"{report.received_bytes / 1e6:.1f} MB, {report.bytes_per_second / 1e6:.1f} MB/s"
    summary(
        [
            f"prefetch: {report.fetched} fetched, {there} there before, {report.done} not needed{failed}, "
            f"{report.put_off} put off{waiting}; {traffic}, {report.requests} requests"
        ]
    )
    return report


@dataclass(frozen=True)
class AuditCost:
    """What an audit of some files takes: pictures beside the references', and GPU seconds, from least to most.

    `basis` says what the seconds are reckoned from, as in `auditor submit --dry-run`.
    """

    files: int
    pictures_low: int
    pictures_high: int
    gpu_seconds_low: float
    gpu_seconds_high: float
    basis: str


def audit_cost(settings: Settings, items: Sequence[WorkItem]) -> AuditCost:
    """Say what an audit of some files would take: by what was calibrated here, else by the figures of docs/cost.md."""
    from auditor.cluster.estimate import basis_of, reference_seconds
    from auditor.cluster.item_seconds import arms_of, assumed_seconds
    from auditor.planning.audit_cost import Span, pictures

    distinct = list({item.file_sha256 or item.name_sha256: item for item in items}.values())
    names = {item.base_name for item in distinct}
    reference = reference_seconds(settings, [name for name in names if name is not None])
    drawn, seconds = Span(0, 0), Span(reference, reference)
    for item in distinct:
        known = settings.measured.get(item.base_name or "")
        drawn = drawn + pictures(settings.recipe, arms_of(settings, item), known)
        seconds = seconds + assumed_seconds(settings, item)
    basis = basis_of(settings, names)
    by = "as calibrated here" if basis == "calibrated" else "by docs/cost.md; `auditor calibrate` measures it here"
    say(
        f"{len(distinct)} distinct files, {drawn.least:,.0f} to {drawn.most:,.0f} pictures beside the references'; "
        f"{_time(seconds)} {by}"
    )
    return AuditCost(len(distinct), round(drawn.least), round(drawn.most), seconds.least, seconds.most, basis)


def _time(seconds: Span) -> str:
    """GPU time, in the unit that fits."""
    if seconds.most < 2 * 3600:
        return f"{seconds.least / 60:,.1f} to {seconds.most / 60:,.1f} GPU-minutes"
    return f"{seconds.least / 3600:,.1f} to {seconds.most / 3600:,.1f} GPU-hours"


def audit(settings: Settings, client: HubClient | None, part: Part) -> TaskReport:
    """Audit one part of the plan; say how it ended."""
    from auditor.pipeline import stages

    with progress("audit", len(part.items(settings))) as step:
        report = stages.audit(
            settings,
            client,
            part,
            on_item=lambda item, record: step(1, item.repo_id),
            on_reference=_reference_note(step),
        )
    done = ", ".join(f"{count} {outcome}" for outcome, count in sorted(report.outcomes.items())) or "nothing new"
    summary(
        [
            f"audit: {done}; {report.already_done} done before, {report.duplicates} duplicates, "
            f"{report.transient} put off"
        ]
    )
    if report.pending:
        say(f"{report.pending} results wait for their concepts; `auditor propose` names them")
    return report


def _reference_note(step: Step) -> Callable[[str, int, int], None]:
    def note(what: str, done: int, total: int) -> None:
        step(0, f"reference {done}/{total}: {what}")

    return note


def merge(settings: Settings, *, rebuild: bool = False) -> MergeReport:
    """Build the catalog; say what is in it.

    Raises:
        UserError: The counts do not add up.
    """
    from auditor.pipeline import stages

    with progress("merge") as step:
        report = stages.merge(settings, rebuild=rebuild, on_results=lambda count: step(count))
    counts = ", ".join(f"{n} {outcome}" for outcome, n in report.outcomes.items() if n)
    summary(
        [
            f"catalog: {report.listed} units = {counts}, {report.pending} pending"
            f"{'' if report.reconciles else ' (counts do not reconcile)'}; {settings.catalog_path}"
        ],
        next_command='auditor search "most vibrant watercolor LoRA"',
    )
    if report.rejected:
        warn(f"{len(report.rejected)} result files were damaged and set aside; run `auditor audit` to redo them")
    write_morning_report(settings)
    if not report.reconciles:
        raise UserError("listed units do not equal outcomes plus pending; run `auditor plan` and `auditor merge` again")
    return report


def write_morning_report(settings: Settings) -> tuple[Path, Path]:
    """Write the morning report; say where.

    Raises:
        PrerequisiteMissing: There is no catalog.
    """
    from auditor.pipeline.morning_report import write_report

    page, text = write_report(settings)
    say(f"report: {page}")
    return page, text
