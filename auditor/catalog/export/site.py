"""Pages to browse: a gallery that works from a file, and pages with all details for the most downloaded adapters.

The gallery builds everything by text nodes; a content security policy allows only the scripts beside it, so nothing
that an uploader wrote can run.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import duckdb
from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template

from auditor.catalog.cluster_words import ClusterWords, cluster_words
from auditor.catalog.explain_page import render_page
from auditor.catalog.export.gallery_data import ROWS, write_pieces
from auditor.records.listing import ListedRepo
from auditor.records.recipe import Recipe
from auditor.results.result_file import CorruptResult, read_result

_TEMPLATES = Path(__file__).parent.parent / "templates"
_SCRIPTS = ("question.js", "answer.js", "adapter.js", "gallery.js")


@dataclass(frozen=True)
class SiteReport:
    """What was written, and pages that could not be since their result files are not at hand."""

    listed: int
    pages: int
    without_result: int


def write_site(
    connection: duckdb.DuckDBPyConnection,
    folder: Path,
    results_folder: Path,
    max_pages: int,
    title: str,
    on_page: Callable[[int], None] = lambda count: None,
) -> SiteReport:
    """Write index.html, site/ with its data, and pages/HH/HASH.html.

    Args:
        connection: Of the catalog.
        folder: Of the export.
        results_folder: Where the pages' pictures and details come from.
        max_pages: Pages for this many adapters, scored and most downloaded first.
        title: Heading of the index.
        on_page: Told about every page.
    """
    recipes, words = _recipes(connection), cluster_words(connection)
    rows = _records(connection)
    hrefs: dict[int, str] = {}
    missing = 0
    for record in rows:
        if len(hrefs) < max_pages and record["result_file"] is not None:
            href = _write_page(folder, results_folder, record, recipes, words)
            missing += href is None
            hrefs |= {} if href is None else {record["adapter_id"]: href}
            on_page(1)
    site = folder / "site"
    write_pieces(connection, site, rows, hrefs)
    for name in _SCRIPTS:
        (site / name).write_bytes((_TEMPLATES / name).read_bytes())
    (site / "site.css").write_bytes((_TEMPLATES / "index.css").read_bytes())
    (listed,) = connection.execute("SELECT count(*) FROM adapters").fetchall()[0]
    scored = sum(row["outcome"] != "no_effect" for row in rows)
    page = _template().render(title=title, count=listed, scored=scored)
    (folder / "index.html").write_text(page, encoding="utf-8")
    return SiteReport(listed, len(hrefs), missing)


def _write_page(
    folder: Path, results_folder: Path, record: Mapping[str, Any], recipes: Mapping[str, Recipe], words: ClusterWords
) -> str | None:
    """Write one page and return its address; None when its result file is not at hand."""
    try:
        result = read_result(results_folder / record["result_file"])
    except CorruptResult:
        return None
    # The unit, not the bytes: a copy in another repo has its own name and licence.
    name = f"{record['repo_id']}/{record['path']}@{record['commit_sha']}"
    digest = hashlib.sha256(name.encode("utf-8", "replace")).hexdigest()[:20]
    href = f"pages/{digest[:2]}/{digest}.html"
    path = folder / href
    path.parent.mkdir(parents=True, exist_ok=True)
    item = result.record.item.model_copy(
        update={"repo_id": record["repo_id"], "path": record["path"], "commit_sha": record["commit_sha"]}
    )
    shown = result.__class__(result.record.model_copy(update={"item": item}), result.arrays)
    repo = ListedRepo(
        record["repo_id"],
        record["commit_sha"],
        license=record["license"],
        tags=tuple(record["tags"]),
        downloads=record["downloads"],
        likes=record["likes"],
        gated=record["gated"],
        nsfw=record["nsfw"],
    )
    recipe = recipes.get(result.record.recipe_id)
    page = render_page(shown, repo, recipe=recipe, index_href="../../index.html", words=words)
    path.write_text(page, encoding="utf-8")
    return href


def _records(connection: duckdb.DuckDBPyConnection) -> list[dict[str, Any]]:
    cursor = connection.execute(ROWS)
    names = [str(column[0]) for column in cursor.description or ()]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def _recipes(connection: duckdb.DuckDBPyConnection) -> dict[str, Recipe]:
    rows = connection.execute("SELECT recipe_id, recipe FROM recipes").fetchall()
    return {recipe_id: Recipe.model_validate_json(text) for recipe_id, text in rows}


@lru_cache(maxsize=1)
def _template() -> Template:
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template("index.html")
