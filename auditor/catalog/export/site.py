"""Pages to browse: an index that works from a file, and one page per adapter with pictures.

The index carries its data with it and builds everything by text nodes; a content security policy allows only the
one script whose hash it names, so nothing that an uploader wrote can run.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import duckdb
from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from markupsafe import Markup

from auditor.catalog.explain_page import render_page
from auditor.common.text_safety import clean
from auditor.records.listing import ListedRepo
from auditor.records.recipe import Recipe
from auditor.results.result_file import CorruptResult, read_result

_TEMPLATES = Path(__file__).parent.parent / "templates"
_TEXT = 200

_ROWS = """
SELECT c.repo_id, c.path, c.outcome, c.reason, c.message, c.base, c.license, c.trigger, c.flags, c.downloads,
    c.top_concepts, c.explained_share, c.probes, c.copies, c.file_sha256, c.commit_sha, c.tags, c.likes,
    c.gated, c.recipe_id, u.result_file,
    c.nsfw OR coalesce(c.audit_id IN (SELECT audit_id FROM adapters WHERE nsfw), false) AS nsfw
FROM lora_card c LEFT JOIN audits u ON u.audit_id = c.audit_id
ORDER BY c.outcome NOT IN ('scored', 'scored_partial'), c.downloads DESC, c.repo_id, c.path NULLS FIRST, c.commit_sha
"""


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
    """Write index.html and pages/HH/HASH.html.

    Args:
        connection: Of the catalog.
        folder: Of the export.
        results_folder: Where the pages' pictures and details come from.
        max_pages: Pages for this many adapters, scored and most downloaded first.
        title: Heading of the index.
        on_page: Told about every page.
    """
    recipes = _recipes(connection)
    rows: list[list[object]] = []
    pages = missing = 0
    for record in _records(connection):
        href = None
        if pages < max_pages and record["result_file"] is not None:
            href = _write_page(folder, results_folder, record, recipes)
            pages, missing = (pages + 1, missing) if href else (pages, missing + 1)
            on_page(1)
        rows.append(_index_row(record, href))
    (folder / "index.html").write_text(render_index(rows, title), encoding="utf-8")
    return SiteReport(len(rows), pages, missing)


def render_index(rows: list[list[object]], title: str) -> str:
    """The index with its data. Row layout: see `_index_row`."""
    script = (_TEMPLATES / "index.js").read_text(encoding="utf-8")
    style = (_TEMPLATES / "index.css").read_text(encoding="utf-8")
    return _template().render(
        title=title,
        count=len(rows),
        script=Markup(script),
        style=Markup(style),
        script_hash=_csp_hash(script),
        style_hash=_csp_hash(style),
        data=Markup(script_json(rows)),
    )


def script_json(value: object) -> str:
    """JSON that is safe inside a script element: nothing in it can end the element or start a comment."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def _index_row(record: Mapping[str, Any], href: str | None) -> list[object]:
    """What the script gets, in its order."""
    concepts = [
        [str(c["concept"]), round(c["score"], 3), round(c["low"], 3), round(c["high"], 3)]
        for c in record["top_concepts"] or []
    ]
    return [
        _shown(record["repo_id"]), _shown(record["path"]), record["outcome"], record["reason"],
        _shown(record["message"]), _shown(record["base"]), _shown(record["license"]), _shown(record["trigger"]),
        list(record["flags"] or []), record["downloads"], concepts,
        None if record["explained_share"] is None else round(record["explained_share"], 3),
        record["probes"], record["copies"], record["file_sha256"], href,
    ]  # fmt: skip


def _write_page(
    folder: Path, results_folder: Path, record: Mapping[str, Any], recipes: Mapping[str, Recipe]
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
        record["repo_id"], record["commit_sha"], license=record["license"], tags=tuple(record["tags"]),
        downloads=record["downloads"], likes=record["likes"], gated=record["gated"], nsfw=record["nsfw"],
    )  # fmt: skip
    recipe = recipes.get(result.record.recipe_id)
    path.write_text(render_page(shown, repo, recipe=recipe, index_href="../../index.html"), encoding="utf-8")
    return href


def _records(connection: duckdb.DuckDBPyConnection) -> list[dict[str, Any]]:
    cursor = connection.execute(_ROWS)
    names = [str(column[0]) for column in cursor.description or ()]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def _recipes(connection: duckdb.DuckDBPyConnection) -> dict[str, Recipe]:
    rows = connection.execute("SELECT recipe_id, recipe FROM recipes").fetchall()
    return {recipe_id: Recipe.model_validate_json(text) for recipe_id, text in rows}


def _shown(text: str | None) -> str | None:
    return None if text is None else clean(text, limit=_TEXT)


def _csp_hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


@lru_cache(maxsize=1)
def _template() -> Template:
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        keep_trailing_newline=True,
    )
    return environment.get_template("index.html")
