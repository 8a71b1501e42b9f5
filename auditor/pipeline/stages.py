"""The stages of a run, in order: crawl, plan, prefetch, audit, propose, merge, export.

Each takes the settings, leaves its product in the work folder and may be killed and called again at any time. The
commands of a run are thin over these; those that ask the catalog or talk to Slurm call their own rooms.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from auditor.common.own_files import Damaged
from auditor.errors import UserError
from auditor.results.workspace import Workspace, basis_path
from auditor.settings import Settings

if TYPE_CHECKING:
    from auditor.audit.propose_waiting import ProposeReport
    from auditor.audit.task import TaskReport
    from auditor.catalog.accounts import MergeReport
    from auditor.catalog.export.bundle import ExportFormat, ExportReport
    from auditor.catalog.reference_rows import BasisVectors
    from auditor.hub.client import HubClient
    from auditor.lexicons import Lexicon
    from auditor.planning.manifest import Manifest
    from auditor.planning.prefetch import Prefetch, PrefetchCost, PrefetchReport
    from auditor.planning.slices import Part, Slice
    from auditor.records.listing import CrawlReport
    from auditor.records.recipe import Recipe
    from auditor.records.result import AuditRecord, WorkItem

Note = Callable[[str], None]
log = structlog.get_logger(__name__)


def crawl(
    settings: Settings,
    client: HubClient,
    *,
    full: bool = False,
    dry_run: bool = False,
    on_page: Note | None = None,
) -> CrawlReport:
    """List the union of the queries into the work folder.

    Args:
        settings: Say what is listed, and how often in full.
        client: The connection.
        full: List everything, although an incremental crawl would do.
        dry_run: Only say what it needs.
        on_page: Told about every page.
    """
    from auditor.hub import crawler, history, queries, union
    from auditor.planning.base_names import copied_bases

    chosen = settings.hub
    wanted = queries.parse_queries(chosen.queries) or queries.default_queries(
        full_models=chosen.full_models, copied=copied_bases(settings.recipe.active_bases)
    )
    folder = Workspace(settings.work.dir).crawl
    source = f"folder {chosen.serve_folder}" if chosen.serve_folder is not None else None
    key = crawler.crawl_key(client, wanted, source=source, limit=chosen.limit)
    if not dry_run and not union.earlier_is_whole(folder):
        full = True  # what an incremental crawl would carry over is not there
    since = (
        None
        if full
        else history.read_history(folder).since(
            key, overlap=timedelta(hours=chosen.overlap_hours), full_every=timedelta(days=chosen.full_crawl_days)
        )
    )
    return crawler.crawl(
        client,
        wanted,
        folder,
        crawler.CrawlOptions(limit=chosen.limit, since=since, source=source, dry_run=dry_run),
        on_page=(lambda report: on_page(f"{report.name}: {report.entries} repos")) if on_page else None,
    )


def plan(settings: Settings, client: HubClient | None, *, store: bool = True, on_repo: Note | None = None) -> Manifest:
    """Turn the listing into a manifest. With a client, some hashes are asked for, so that duplicates are one audit."""
    from auditor.hub.facts import FileFacts
    from auditor.hub.listing_file import iter_listing, read_quarantine
    from auditor.hub.union import listing_path, quarantine_path
    from auditor.planning import manifest

    workspace = Workspace(settings.work.dir)
    listing, unread = listing_path(workspace.crawl), quarantine_path(workspace.crawl)
    if not listing.exists():
        raise UserError(f"there is no listing in {workspace.crawl}; run: auditor crawl")
    made = manifest.plan(
        iter_listing(listing, without=manifest.UNUSED_FIELDS),
        settings.recipe.active_bases,
        manifest.PlanOptions(
            max_requests=settings.hub.plan_requests,
            try_gated=client is not None and not client.anonymous,
            full_models=settings.hub.full_models,
            max_file_bytes=settings.hub.file_limit,
        ),
        facts=FileFacts(workspace.facts),
        client=client,
        quarantined=read_quarantine(unread) if unread.exists() else (),
        on_repo=(lambda repo: on_repo(repo.repo_id)) if on_repo else None,
    )
    if store:
        manifest.write_manifest(workspace.manifest, made)
    return made


def prefetch(
    settings: Settings,
    client: HubClient,
    part: Slice,
    *,
    on_item: Callable[[WorkItem], None] = lambda item: None,
) -> PrefetchReport:
    """Fetch the files of one slice of the manifest. A whole manifest learns its files' sizes and hashes on the way."""
    from auditor.audit.signals import stop_signals
    from auditor.planning import manifest

    workspace = Workspace(settings.work.dir)
    work = prefetcher(settings, client)
    with stop_signals(work.ask_to_stop):
        report = work.run(part.items(settings), lambda item, fate: on_item(item))
    if part.count == 1:
        manifest.inform_manifest(workspace.manifest, work.facts)
    return report


def prefetch_cost(settings: Settings, client: HubClient, part: Slice) -> PrefetchCost:
    """What a prefetch of the slice would ask and fetch; asks for nothing itself."""
    return prefetcher(settings, client).cost(part.items(settings))


def prefetcher(settings: Settings, client: HubClient) -> Prefetch:
    """The prefetch of these settings, not begun."""
    from auditor.planning.prefetch import Prefetch, PrefetchLimits
    from auditor.planning.recipes_in_force import bases_key

    chosen = settings.hub
    limits = PrefetchLimits(chosen.download_workers, chosen.file_limit, chosen.cache_bytes)
    recipe_ids = [recipe.recipe_id for recipe in current_recipes(settings)]
    return Prefetch(client, Workspace(settings.work.dir), limits, recipe_ids, bases=bases_key(settings))


def audit(
    settings: Settings,
    client: HubClient | None,
    part: Part,
    *,
    on_item: Callable[[WorkItem, AuditRecord | None], None] | None = None,
    on_reference: Callable[[str, int, int], None] | None = None,
) -> TaskReport:
    """Audit one slice."""
    from auditor.audit.task import Task

    items = part.items(settings)
    with closing(Task(settings, client, on_reference=on_reference)) as task:
        return task.run(items, on_item)


def waiting(settings: Settings, task: int = 0, tasks: int = 1) -> list[tuple[str, str]]:
    """One task's share of the results that wait for a proposer: (file sha256, recipe id)."""
    from auditor.audit.propose_waiting import waiting_for
    from auditor.planning.slices import check_task

    check_task(task, tasks)
    return waiting_for(settings, task, tasks)


def propose(
    settings: Settings, task: int = 0, tasks: int = 1, *, on_record: Callable[[AuditRecord], None] = lambda record: None
) -> ProposeReport:
    """Name the concepts of one task's share of the waiting results."""
    from auditor.audit.propose_waiting import propose_waiting
    from auditor.audit.signals import stop_signals

    stop = threading.Event()
    with stop_signals(stop.set):
        return propose_waiting(settings, waiting(settings, task, tasks), on_record=on_record, stopping=stop.is_set)


def current_recipes(settings: Settings) -> list[Recipe]:
    """The recipe in force of every base that was ever opened with these settings' work folder."""
    from auditor.planning.recipes_in_force import read_recipe

    folder = Workspace(settings.work.dir).recipes
    stored = [read_recipe(folder / f"current-{name}.json") for name in settings.recipe.active_bases]
    return [recipe for recipe in stored if recipe is not None]


def _known_hashes(workspace: Workspace, manifest: Manifest) -> dict[tuple[str, str, str | None], str]:
    """Content hashes learned by fetching, for items whose hash the Hub did not state."""
    from auditor.hub.download_cache import FileCache
    from auditor.hub.facts import FileFacts

    facts, cache = FileFacts(workspace.facts), FileCache(workspace.files)
    found: dict[tuple[str, str, str | None], str] = {}
    for item in manifest.items:
        if item.file_sha256 is None:
            known = facts.get(*item.key)
            sha256 = (known.sha256 if known else None) or cache.lookup(*item.key)
            if sha256 is not None:
                found[item.key] = sha256
    return found


def _bases(workspace: Workspace, recipes: list[Recipe], lexicon: Lexicon) -> dict[str, BasisVectors]:
    """The shared basis of every recipe, so that search can treat free phrases as the scores treat concepts."""
    from auditor.catalog.reference_rows import BasisVectors
    from auditor.measuring.shards import load_arrays

    found = {}
    for recipe in recipes:
        path = basis_path(workspace, recipe.recipe_id)
        if recipe.lexicon_hash == lexicon.content_hash and path.exists():
            try:
                arrays = load_arrays(path, "shared basis")
            except Damaged as error:  # search does without; the next audit writes it again
                log.warning("left out", error=str(error))
                continue
            found[recipe.recipe_id] = BasisVectors(
                lexicon.names, arrays["vectors"], arrays["common"], arrays.get("levels"), arrays.get("clusters")
            )
    return found


def merge(
    settings: Settings, *, rebuild: bool = False, on_results: Callable[[int], None] = lambda count: None
) -> MergeReport:
    """Build the catalog from listing, manifest and results, and swap it in."""
    from auditor.catalog.merge import MergeInput
    from auditor.catalog.merge import merge as merge_catalog
    from auditor.hub.listing_file import iter_listing
    from auditor.hub.union import listing_path
    from auditor.lexicons import load_lexicon
    from auditor.planning.manifest import read_manifest
    from auditor.probes import load_probes

    workspace = Workspace(settings.work.dir)
    manifest = read_manifest(workspace.manifest)
    recipes = current_recipes(settings)
    lexicon = load_lexicon(settings.recipe.lexicon, settings.recipe.concept_template)
    made_from = MergeInput(
        workspace.results,
        recipes,
        lexicon,
        lambda: iter_listing(listing_path(workspace.crawl)),
        manifest.items,
        manifest.settled,
        _bases(workspace, recipes, lexicon),
        [load_probes(settings.recipe.probes)],
        _known_hashes(workspace, manifest),
        settings.catalog.pairs,
    )
    return merge_catalog(
        settings.catalog_path, made_from, rebuild=rebuild, readers=settings.catalog.readers, on_results=on_results
    )


def export(
    settings: Settings,
    formats: tuple[ExportFormat, ...] = (),
    *,
    out: Path | None = None,
    max_pages: int | None = None,
    dry_run: bool = False,
    on_step: Note = lambda what: None,
) -> ExportReport:
    """Write the published catalog as files; without formats all of them."""
    from auditor.catalog.export.bundle import FORMATS
    from auditor.catalog.export.bundle import export as write_export

    return write_export(
        settings.catalog_path,
        out or settings.export_dir,
        Workspace(settings.work.dir).results,
        formats or FORMATS,
        max_pages=settings.export.pages if max_pages is None else max_pages,
        dry_run=dry_run,
        on_step=on_step,
    )
