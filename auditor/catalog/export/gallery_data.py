"""The data of the exported site in pieces: the first view, all rows in columns, one file per concept, details.

Each piece is a script that calls `piece(name, data)`, because a page opened from disk may load scripts and not files.
Rows are numbered by place: scored first, most downloaded first.
"""

from __future__ import annotations

import base64
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import duckdb

from auditor.catalog.catalog_words import catalog_words
from auditor.catalog.evidence_sql import NEAR
from auditor.catalog.questions.grammar import grammar_text
from auditor.catalog.result_rows import picture_type
from auditor.catalog.strength import strength_for
from auditor.common.text_safety import clean

DETAIL = 32
"""Adapters per piece of details; gallery.js has the same number."""
FIRST = 96
_TEXT = 200
_CHIPS = 8
_REPEATING = ("base", "family", "license", "trigger", "flags", "outcome", "created", "weights")

ROWS = """
SELECT c.repo_id, c.path, c.outcome, c.message, c.base, c.family, c.license, c.trigger, c.flags, c.downloads, c.likes,
    c.size_bytes, strftime(c.created_at, '%Y-%m-%d') AS created, c.probes, c.explained_share, c.audit_id, c.commit_sha,
    c.tags, c.gated, c.recipe_id, u.result_file, a.weights, c.adapter_id,
    c.nsfw OR coalesce(c.audit_id IN (SELECT audit_id FROM adapters WHERE nsfw), false) AS nsfw,
    EXISTS (FROM trigger_scores t WHERE t.audit_id = c.audit_id) AS words
FROM lora_card c JOIN adapters a ON a.adapter_id = c.adapter_id LEFT JOIN audits u ON u.audit_id = c.audit_id
WHERE c.outcome IN ('scored', 'scored_partial', 'no_effect')
ORDER BY c.outcome = 'no_effect', c.downloads DESC, c.repo_id, c.path, c.commit_sha
"""

_REST = """
SELECT c.outcome, c.reason, coalesce(c.family, '') AS family, count(*) AS units,
    list_slice(list(DISTINCT c.repo_id ORDER BY c.repo_id), 1, 5) AS examples
FROM lora_card c WHERE c.outcome NOT IN ('scored', 'scored_partial', 'no_effect')
GROUP BY ALL ORDER BY units DESC, c.outcome, c.reason
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
    (folder / "concepts").mkdir(parents=True)
    (folder / "detail").mkdir()
    reached = _reached(connection)
    columns, lists = _columns(rows, reached)
    everything = {"columns": columns, "lists": lists}
    _write(folder, "core", everything)
    some, their_lists = _columns(rows[:FIRST], reached)
    counts = {name: Counter(row[name] for row in rows if row[name]).most_common(60) for name in ("base", "license")}
    _write(
        folder,
        "first",
        {
            "columns": some,
            "lists": their_lists,
            "counts": counts,
            "partial": FIRST if len(rows) > FIRST else 0,
            "total": len(rows),
        },
    )
    _write_words(connection, folder)
    _write_concepts(connection, folder, rows)
    _write_details(connection, folder, rows, hrefs)
    rest = connection.execute(_REST).fetchall()
    _write(folder, "rest", [[o, r, f, n, [clean(name, limit=_TEXT) for name in names]] for o, r, f, n, names in rest])


def script_json(value: object) -> str:
    """JSON that is safe inside a script: nothing in it can end an element or start a comment."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def _write(folder: Path, name: str, value: object) -> None:
    (folder / f"{name}.js").write_text(f"piece({script_json(name)},{script_json(value)});\n", encoding="utf-8")


def _columns(
    rows: Sequence[Mapping[str, Any]], reached: Mapping[int, float]
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
        "size": [row["size_bytes"] or 0 for row in rows],
        "words": [int(row["words"]) for row in rows],
        "reached": [reached.get(row["audit_id"]) for row in rows],
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


def _write_words(connection: duckdb.DuckDBPyConnection, folder: Path) -> None:
    words = catalog_words(connection)
    order = {name: place for place, name in enumerate(sorted(set(words.aliases.values())))}
    grammar = json.loads(grammar_text())
    known = {
        "aliases": words.aliases,
        "aliasNames": words.alias_names,
        "bases": words.bases,
        "licences": words.licences,
    }
    _write(folder, "words", {**known, "order": order, "grammar": grammar})


def _write_concepts(connection: duckdb.DuckDBPyConnection, folder: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Per concept the rows that have some of it or move away from it, in both arms."""
    numbers: dict[int, list[int]] = {}
    for place, row in enumerate(rows):
        if row["outcome"] != "no_effect":
            numbers.setdefault(row["audit_id"], []).append(place)
    names = sorted({name for (name,) in connection.execute("SELECT concept FROM concepts").fetchall()})
    for place, name in enumerate(names):
        columns: dict[str, list[float]] = {key: [] for key in ("rows", "arm", "score", "low", "high", "along")}
        found = connection.execute(
            "SELECT audit_id, 0, score, low, high, projection FROM scores WHERE concept = $name AND "
            "(greatest(score, projection) >= $near OR projection <= -$near) UNION ALL "
            "SELECT audit_id, 1, score, low, high, projection FROM trigger_scores WHERE concept = $name AND "
            "(greatest(score, projection) >= $near OR projection <= -$near) ORDER BY ALL",
            {"name": name, "near": NEAR},
        ).fetchall()
        for audit, arm, *values in found:
            for number in numbers.get(audit, ()):
                columns["rows"].append(number)
                columns["arm"].append(arm)
                for key, value in zip(("score", "low", "high", "along"), values, strict=True):
                    columns[key].append(round(value, 3))
        _write(folder, f"concepts/{place}", columns)


def _write_details(
    connection: duckdb.DuckDBPyConnection, folder: Path, rows: Sequence[Mapping[str, Any]], hrefs: Mapping[int, str]
) -> None:
    for start in range(0, len(rows), DETAIL):
        details = list(_details(connection, rows[start : start + DETAIL], hrefs))
        _write(folder, f"detail/{start // DETAIL}", details)


def _details(
    connection: duckdb.DuckDBPyConnection, rows: Sequence[Mapping[str, Any]], hrefs: Mapping[int, str]
) -> Iterator[dict[str, Any]]:
    audits = [row["audit_id"] for row in rows]
    pairs = {
        audit: [_address(base), _address(adapter), clean(prompt, limit=_TEXT)]
        for audit, prompt, base, adapter in connection.execute(
            "SELECT p.audit_id, p.prompt, b.picture, d.picture FROM pairs p JOIN images b ON b.image_sha256 = "
            "p.base_image JOIN images d ON d.image_sha256 = p.adapter_image WHERE list_contains(?::INTEGER[], "
            "p.audit_id) QUALIFY row_number() OVER (PARTITION BY p.audit_id ORDER BY p.probe) = 1",
            [audits],
        ).fetchall()
    }
    chips = {table: _chips(connection, table, audits) for table in ("scores", "trigger_scores")}
    dose: dict[int, list[dict[str, object]]] = {}
    for audit, scale, norm, projections in connection.execute(
        "SELECT audit_id, scale, norm, projections FROM dose WHERE list_contains(?::INTEGER[], audit_id)", [audits]
    ).fetchall():
        dose.setdefault(audit, []).append({"scale": scale, "norm": norm, "projections": projections})
    for row in rows:
        audit = row["audit_id"]
        leading = chips["scores"].get(audit, [])
        strength = strength_for([leading[0][0]], dose.get(audit, [])) if leading else None
        yield {
            "pair": pairs.get(audit),
            "chips": leading,
            "worded": chips["trigger_scores"].get(audit, []),
            "probes": row["probes"],
            "href": hrefs.get(row["adapter_id"]),
            "share": None if row["explained_share"] is None else f"{100 * row['explained_share']:.0f} %",
            "strength": None if strength is None else f"{strength.low:g} to {strength.high:g} for {leading[0][0]}",
        }


def _chips(connection: duckdb.DuckDBPyConnection, table: str, audits: Sequence[int]) -> dict[int, list[list[Any]]]:
    """The strongest concepts whose intervals lie above 0."""
    found: dict[int, list[list[Any]]] = {}
    for audit, concept, score, low, high in connection.execute(
        f"SELECT audit_id, concept, score, low, high FROM {table} WHERE low > 0 AND list_contains(?::INTEGER[], "
        "audit_id) QUALIFY row_number() OVER (PARTITION BY audit_id ORDER BY score DESC, concept) <= ? "
        "ORDER BY audit_id, score DESC, concept",
        [list(audits), _CHIPS],
    ).fetchall():
        found.setdefault(audit, []).append([concept, round(score, 3), round(low, 3), round(high, 3)])
    return found


def _address(picture: bytes) -> str:
    return f"data:{picture_type(picture)};base64,{base64.b64encode(picture).decode('ascii')}"


def _shown(text: str | None) -> str | None:
    return None if text is None else clean(text, limit=_TEXT)
