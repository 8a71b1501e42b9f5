"""Explain one adapter on its own: a local file, or a repo of the Hub in force."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from auditor.adapters.adapter_file import inspect_file
from auditor.audit.task import Task
from auditor.catalog.cluster_words import ClusterWords, cluster_words, measured_clusters
from auditor.catalog.explain_page import render_page
from auditor.catalog.reading import reading_catalog
from auditor.common.own_files import Damaged
from auditor.errors import UserError
from auditor.hub.download_cache import FileCache
from auditor.lexicons import load_lexicon
from auditor.measuring.base_choice import choose_base
from auditor.measuring.explanations import propose_and_explain
from auditor.measuring.measure_file import audit_file
from auditor.measuring.shards import load_arrays
from auditor.pipeline import connection, stages
from auditor.records.listing import ListedRepo
from auditor.records.recipe import Recipe
from auditor.records.result import ANY_RECIPE, WorkItem
from auditor.results.result_file import Result, read_result, result_path
from auditor.results.workspace import Workspace, basis_path
from auditor.settings import Settings

_LOCAL_COMMIT = "0" * 40


@dataclass(frozen=True)
class Explained:
    """A result, its page, its recipe when that is at hand, and which words that recipe cannot tell apart."""

    result: Result
    page: str
    recipe: Recipe | None
    words: ClusterWords


def explain_target(
    settings: Settings, target: str, trigger: str | None, on_reference: Callable[[str, int, int], None]
) -> Explained:
    """Audit a file, or the first adapter of a repo, and render its page. A stored result is used when there is one.

    Raises:
        UserError: There is neither such a file nor such a repo.
        ItemError: The file cannot be audited; the message says why.
    """
    path = Path(target)
    if path.is_file():
        return _explained(settings, _local(settings, path, trigger, on_reference), None)
    repo, item = _planned(settings, target)
    with connection.hub(settings) as client, closing(Task(settings, client, on_reference=on_reference)) as task:
        task.run([item])
        result = _stored(settings, task, item)
    return _explained(settings, result, repo)


def _explained(settings: Settings, result: Result, repo: ListedRepo | None) -> Explained:
    recipe = next((r for r in stages.current_recipes(settings) if r.recipe_id == result.record.recipe_id), None)
    words = _words(settings, result.record.recipe_id)
    return Explained(result, render_page(result, repo, recipe=recipe, words=words), recipe, words)


def _words(settings: Settings, recipe_id: str) -> ClusterWords:
    """The clusters as the catalog names them; without one, as the recipe's basis holds them."""
    if settings.catalog_path.is_file():
        with reading_catalog(settings.catalog_path) as catalog:
            words = cluster_words(catalog)
        if recipe_id in words.members:
            return words
    path = basis_path(Workspace(settings.work.dir), recipe_id)
    try:
        leaders = load_arrays(path, "shared basis").get("clusters") if path.exists() else None
    except Damaged:
        leaders = None
    names = load_lexicon(settings.recipe.lexicon, settings.recipe.concept_template).names
    if leaders is None or len(leaders) != len(names):
        return ClusterWords()
    return measured_clusters(recipe_id, names, [int(place) for place in leaders])


def _local(
    settings: Settings, path: Path, trigger: str | None, on_reference: Callable[[str, int, int], None]
) -> Result:
    with path.open("rb") as stream:
        sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
    item = WorkItem(
        repo_id=f"local/{path.stem}",
        commit_sha=_LOCAL_COMMIT,
        path=path.name,
        file_sha256=sha256,
        size_bytes=path.stat().st_size,
        base_name=None,
        trigger=trigger,
        trigger_source="command line" if trigger else None,
    )
    adapter = inspect_file(path, max_bytes=settings.hub.file_limit)
    choice = choose_base(item, adapter, settings)
    with closing(Task(settings, None, on_reference=on_reference)) as task:
        opened = task.open_base(choice.base_name)
        return propose_and_explain(opened.scorer, opened.proposer, audit_file(opened, item, adapter, sha256, choice))


def _planned(settings: Settings, repo_id: str) -> tuple[ListedRepo, WorkItem]:
    """The listed repo and its first work item; lists and plans when that was not done yet."""
    from auditor.hub.listing_file import iter_listing
    from auditor.hub.union import listing_path
    from auditor.planning.manifest import read_manifest

    workspace = Workspace(settings.work.dir)
    if not (workspace.manifest / "items.parquet").exists():
        with connection.hub(settings) as client:
            stages.crawl(settings, client)
            stages.plan(settings, client)
    manifest = read_manifest(workspace.manifest)
    for settled in manifest.settled:
        if settled.repo_id == repo_id and settled.path is None:
            raise UserError(f"{repo_id} has nothing to explain: {settled.outcome}, {settled.message}")
    items = [i for i in manifest.items if i.repo_id == repo_id]
    if not items:
        raise UserError(f"{repo_id!r} is neither a file nor a listed repo; see: auditor sql 'FROM lora_card'")
    repo = next(r for r in iter_listing(listing_path(workspace.crawl)) if r.repo_id == repo_id)
    return repo, items[0]


def _stored(settings: Settings, task: Task, item: WorkItem) -> Result:
    workspace = Workspace(settings.work.dir)
    fetched = FileCache(workspace.files).lookup(*item.key)
    names = [n for n in (item.file_sha256, fetched, item.name_sha256) if n is not None]
    ids = [ANY_RECIPE, *(r.recipe_id for r in stages.current_recipes(settings))]
    for path in (result_path(workspace.results, name, recipe_id) for recipe_id in reversed(ids) for name in names):
        if path.exists():
            return read_result(path)
    raise UserError(f"{item.repo_id} gave no result; the Hub or the VLM may be away. Run the command again.")
