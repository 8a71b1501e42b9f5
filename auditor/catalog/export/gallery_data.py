"""The data of the exported site in pieces: the first view, all rows in columns, scores by concept and adapter, details.

Each piece is a script that calls `piece(name, data)`, because a page opened from disk may load scripts and not files.
Rows are numbered by place: scored first, most downloaded first.
"""

from __future__ import annotations

import base64
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import duckdb

from auditor.catalog.catalog_words import catalog_words
from auditor.catalog.cluster_words import cluster_words
from auditor.catalog.export.neighbour_pieces import neighbours
from auditor.catalog.export.score_pieces import Scores, Write, directions, write_concepts, write_pages
from auditor.catalog.export.sketch_pieces import sketch, write_sketch
from auditor.catalog.questions.grammar import grammar_text
from auditor.catalog.result_rows import picture_type
from auditor.common.text_safety import clean

DETAIL = 32
"""Adapters per piece of details; gallery.js has the same number."""
FIRST = 96
_TEXT = 200
_CHIPS = 8
_PAIRS = 2
_ASKED = 64 * DETAIL
_REPEATING = ("path", "listed", "base", "family", "license", "trigger", "flags", "outcome", "created", "weights")

ROWS = """
SELECT c.repo_id, c.path, c.outcome, c.message, c.base, c.family, c.license, c.trigger, c.flags, c.downloads, c.likes,
    c.size_bytes, strftime(c.created_at, '%Y-%m-%d') AS created, c.probes, c.explained_share, c.audit_id, c.commit_sha,
    c.tags, c.gated, c.recipe_id, u.result_file, a.weights, a.base_name, c.adapter_id,
    c.nsfw OR coalesce(c.audit_id IN (SELECT audit_id FROM adapters WHERE nsfw), false) AS nsfw
FROM lora_card c JOIN adapters a ON a.adapter_id = c.adapter_id LEFT JOIN audits u ON u.audit_id = c.audit_id
WHERE c.outcome IN ('scored', 'scored_partial', 'no_effect')
ORDER BY c.outcome = 'no_effect', c.downloads DESC, c.created_at, c.repo_id, c.path, c.commit_sha
"""

_REST = """
SELECT c.outcome, c.reason, coalesce(c.family, '') AS family, count(*) AS units,
    list_slice(list(DISTINCT c.repo_id ORDER BY c.repo_id), 1, 5) AS examples
FROM lora_card c WHERE c.outcome NOT IN ('scored', 'scored_partial', 'no_effect')
GROUP BY ALL ORDER BY units DESC, c.outcome, c.reason
"""

_PICTURES = """
WITH few AS MATERIALIZED (
    SELECT audit_id, probe, prompt, base_image, adapter_image FROM pairs
    WHERE audit_id IN (SELECT unnest(?::INTEGER[]))
    QUALIFY row_number() OVER (PARTITION BY audit_id ORDER BY probe) <= ?
)
SELECT f.audit_id, f.prompt, b.picture, d.picture FROM few f
JOIN images b ON b.image_sha256 = f.base_image JOIN images d ON d.image_sha256 = f.adapter_image
ORDER BY f.audit_id, f.probe
"""

_DOSE = """
SELECT audit_id, scale, norm, projections FROM dose WHERE audit_id IN (SELECT unnest(?::INTEGER[]))
ORDER BY audit_id, scale
"""


def write_pieces(
    connection: duckdb.DuckDBPyConnection, folder: Path, rows: Sequence[Mapping[str, Any]], hrefs: Mapping[int, str]
) -> None:
    """Write all pieces into `folder`.

    Args:
        connection: Of the catalog.
        folder: The site's folder; made here.
        rows: Records of `ROWS`, in their order.
        hrefs: adapter_id → address of its own page, where it has one.
    """
    for name in ("concepts", "detail", "scores"):
        (folder / name).mkdir(parents=True)

    def write(name: str, value: object) -> None:
        text = f"piece({script_json(name)},{script_json(value)});\n"
        (folder / f"{name}.js").write_text(text, encoding="utf-8")

    audits = list(dict.fromkeys(row["audit_id"] for row in rows if row["outcome"] != "no_effect"))
    numbers = {audit: number for number, audit in enumerate(audits)}
    reached = _reached(connection)
    columns, lists = _columns(rows, reached, numbers)
    names = _write_words(connection, write)
    sketched = sketch(connection, audits)
    write_sketch(sketched, write)
    scores = write_concepts(connection, audits, names, folder, write, sketched.of_concepts)
    lengths, recipes = directions(connection, audits)
    known = {recipe: place for place, recipe in enumerate(dict.fromkeys(recipes))}
    write(
        "core",
        {
            "columns": columns,
            "lists": lists,
            "audits": len(audits),
            "worded": scores.worded.tolist(),
            "unit": scores.unit,
            "lengths": lengths,
            "recipe": [known[recipe] for recipe in recipes],
            "recipes": list(known),
        },
    )
    some, their_lists = _columns(rows[:FIRST], reached, numbers)
    counts = {name: Counter(row[name] for row in rows if row[name]).most_common(60) for name in ("base", "license")}
    partial = FIRST if len(rows) > FIRST else 0
    write(
        "first",
        {"columns": some, "lists": their_lists, "counts": counts, "partial": partial, "total": len(rows)},
    )
    write_pages(scores, neighbours(connection, audits), write)
    _write_details(connection, rows, hrefs, numbers, scores, write)
    rest = connection.execute(_REST).fetchall()
    write("rest", [[o, r, f, n, [clean(name, limit=_TEXT) for name in names]] for o, r, f, n, names in rest])


def script_json(value: object) -> str:
    """JSON that is safe inside a script: nothing in it can end an element or start a comment."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def _columns(
    rows: Sequence[Mapping[str, Any]], reached: Mapping[int, float], numbers: Mapping[int, int]
) -> tuple[dict[str, list[Any]], dict[str, list[Any]]]:
    """Rows as columns; values that repeat are numbers into a list."""
    flags = [
        " ".join([*row["flags"], *(["nsfw"] if row["nsfw"] and "nsfw" not in row["flags"] else [])]) for row in rows
    ]
    plain: dict[str, list[Any]] = {
        "repo": [_shown(row["repo_id"]) for row in rows],
        "path": [_shown(row["path"]) for row in rows],
        "downloads": [row["downloads"] for row in rows],
        "likes": [row["likes"] for row in rows],
        "size": [row["size_bytes"] for row in rows],
        "audit": [numbers.get(row["audit_id"], -1) for row in rows],
        "reached": [reached.get(row["audit_id"]) for row in rows],
        "listed": [_shown(row["base_name"]) for row in rows],
        "base": [_shown(row["base"]) for row in rows],
        "family": [row["family"] for row in rows],
        "license": [_shown(row["license"]) for row in rows],
        "trigger": [_shown(row["trigger"]) for row in rows],
        "outcome": [row["outcome"] for row in rows],
        "created": [row["created"] for row in rows],
        "weights": [row["weights"] or row["adapter_id"] for row in rows],
        "flags": flags,
    }
    lists: dict[str, list[Any]] = {}
    for name in _REPEATING:
        places: dict[Any, int] = {}
        plain[name] = [places.setdefault(value, len(places)) for value in plain[name]]
        lists[name] = list(places)
    lists["weights"] = list(range(len(lists["weights"])))
    return plain, lists


def _reached(connection: duckdb.DuckDBPyConnection) -> dict[int, float]:
    """The weakest measured strength at which some concept is there."""
    return dict(
        connection.execute(
            "SELECT audit_id, min(scale) FROM dose WHERE list_max(map_values(projections)) >= 0.1 GROUP BY audit_id"
        ).fetchall()
    )


def _write_words(connection: duckdb.DuckDBPyConnection, write: Write) -> list[str]:
    """Write what questions can refer to, and return the concepts by their number on the site."""
    words = catalog_words(connection)
    names = sorted(
        {*words.aliases.values(), *(n for (n,) in connection.execute("SELECT concept FROM concepts").fetchall())}
    )
    known = {
        "aliases": words.aliases,
        "aliasNames": words.alias_names,
        "bases": words.bases,
        "licences": words.licences,
    }
    order = {name: place for place, name in enumerate(names)}
    clusters = cluster_words(connection)
    alike = {name: others for name in names if (others := clusters.recipes_of(name))}
    write("words", {**known, "order": order, "alike": alike, "grammar": json.loads(grammar_text())})
    return names


def _write_details(
    connection: duckdb.DuckDBPyConnection,
    rows: Sequence[Mapping[str, Any]],
    hrefs: Mapping[int, str],
    numbers: Mapping[int, int],
    scores: Scores,
    write: Write,
) -> None:
    """Write what cards show beside the columns, `DETAIL` rows per piece; the database is asked for many at once."""
    for start in range(0, len(rows), _ASKED):
        some = rows[start : start + _ASKED]
        audits = [row["audit_id"] for row in some]
        pairs: dict[int, list[tuple[str, bytes, bytes]]] = {}
        for audit, *pair in connection.execute(_PICTURES, [audits, _PAIRS]).fetchall():
            pairs.setdefault(audit, []).append((pair[0], pair[1], pair[2]))
        dose: dict[int, list[list[object]]] = {}
        for audit, *point in connection.execute(_DOSE, [audits]).fetchall():
            dose.setdefault(audit, []).append(point)
        for place in range(0, len(some), DETAIL):
            pictures: dict[bytes, int] = {}
            shown = [
                _detail(row, hrefs, numbers.get(row["audit_id"]), scores)
                | {
                    "pairs": [
                        [*(pictures.setdefault(picture, len(pictures)) for picture in two), clean(prompt, limit=_TEXT)]
                        for prompt, *two in pairs.get(row["audit_id"], [])
                    ],
                    "dose": dose.get(row["audit_id"], []),
                }
                for row in some[place : place + DETAIL]
            ]
            addresses = [_address(picture) for picture in pictures]
            write(f"detail/{(start + place) // DETAIL}", {"pictures": addresses, "rows": shown})


def _detail(row: Mapping[str, Any], hrefs: Mapping[int, str], number: int | None, scores: Scores) -> dict[str, Any]:
    return {
        "chips": [] if number is None else scores.strongest(number, _CHIPS),
        "worded": [] if number is None else scores.strongest_with_trigger(number, _CHIPS),
        "probes": row["probes"],
        "href": hrefs.get(row["adapter_id"]),
        "share": None if row["explained_share"] is None else f"{100 * row['explained_share']:.0f} %",
    }


def _address(picture: bytes) -> str:
    return f"data:{picture_type(picture)};base64,{base64.b64encode(picture).decode('ascii')}"


def _shown(text: str | None) -> str | None:
    return None if text is None else clean(text, limit=_TEXT)
