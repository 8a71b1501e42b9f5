"""Sidecars with what was measured, found by content hash: for ComfyUI-Lora-Manager, and for web UIs.

In an export they are named by hash, since nobody's local file names are known. `annotate_folder` writes them beside
the files of a local folder instead; what is in a sidecar already stays, unknown fields included.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import duckdb

from auditor.catalog.export.manager_sidecar import merge_into
from auditor.catalog.export.webui_sidecar import complete_webui

_SQL = """
SELECT a.file_sha256, a.repo_id, a.path, a.size_bytes, a.license, a.trigger, a.outcome, a.reason, a.message,
    a.commit_sha, a.nsfw, u.explained_share, u.probes, u.recipe_id, u.status, coalesce(r.family, f.family) AS family,
    -- An adapter that acts with its trigger only has its scores there.
    len(u.top_concepts) = 0 AND t.found IS NOT NULL AS trigger_only,
    CASE WHEN len(u.top_concepts) = 0 THEN coalesce(t.found, []) ELSE u.top_concepts END AS top_concepts
FROM adapters a
LEFT JOIN audits u ON u.audit_id = a.audit_id
LEFT JOIN recipes r ON r.recipe_id = u.recipe_id
LEFT JOIN files f ON f.file_sha256 = a.file_sha256
LEFT JOIN (
    SELECT audit_id, list(struct_pack(concept := concept, score := score, low := low, high := high)
        ORDER BY place NULLS LAST, score DESC, concept)[:8] AS found
    -- A catalog made before there was an order of naming has no places.
    FROM (FROM trigger_scores UNION ALL BY NAME SELECT NULL AS place WHERE false)
    WHERE low > 0 GROUP BY audit_id
) t ON t.audit_id = u.audit_id
WHERE a.file_sha256 IS NOT NULL AND a.outcome <> 'pending'
QUALIFY row_number() OVER (
    PARTITION BY a.file_sha256 ORDER BY a.outcome NOT IN ('scored', 'scored_partial'), a.downloads DESC, a.created_at,
    a.repo_id, a.path) = 1
ORDER BY a.file_sha256
"""


@dataclass(frozen=True)
class Annotated:
    """What happened to a local folder.

    Attributes:
        written: Sidecars made or brought up to date.
        unchanged: Sidecars that said it all already.
        unknown: Files that the catalog does not know.
        left_to_civitai: Files with a `.civitai.info` and no sidecar yet: the manager makes its sidecar from that, which
            one of ours would hide.
        unreadable: Sidecars that are no JSON object, or may not be written, and were left alone, and weight files that
            cannot be read.
    """

    written: int
    unchanged: int
    unknown: int
    left_to_civitai: int
    unreadable: tuple[str, ...]


def write_sidecars(connection: duckdb.DuckDBPyConnection, folder: Path) -> int:
    """Write sidecars/HH/SHA256.metadata.json for every settled file of known hash; return how many."""
    count = 0
    for record in _records(connection):
        sha256 = str(record["file_sha256"])
        place = folder / "sidecars" / sha256[:2]
        place.mkdir(parents=True, exist_ok=True)
        name = f"{sha256}.metadata.json"
        (place / name).write_text(_json(merge_into({}, record, sha256, None)), encoding="utf-8")
        count += 1
    return count


def count_sidecars(connection: duckdb.DuckDBPyConnection) -> int:
    """How many `write_sidecars` would write."""
    return int(connection.execute(f"SELECT count(*) FROM ({_SQL})").fetchall()[0][0])


def annotate_folder(connection: duckdb.DuckDBPyConnection, folder: Path) -> Annotated:
    """Write or complete the sidecars of every known .safetensors file in a local folder and below."""
    known = {str(record["file_sha256"]): record for record in _records(connection)}
    count: Counter[str] = Counter()
    unreadable: list[str] = []
    for file in _weight_files(folder):
        try:
            record = known.get(_sha256(file))
        except OSError:  # a link to nowhere, a file of somebody else
            unreadable.append(str(file))
            continue
        if record is None:
            count["unknown"] += 1
            continue
        done = [_complete_webui(file, record)]
        sidecar = file.with_name(f"{file.stem}.metadata.json")
        if not sidecar.exists() and file.with_name(f"{file.stem}.civitai.info").exists():
            count["left_to_civitai"] += 1
        else:
            done.append(_complete(sidecar, partial(merge_into, record=record, name=file.stem, file=file)))
        unreadable += [str(path) for path, what in done if what == "unreadable"]
        kinds = {what for _, what in done}
        count["written" if "written" in kinds else "unchanged" if "unchanged" in kinds else "none"] += 1
    return Annotated(
        count["written"], count["unchanged"], count["unknown"], count["left_to_civitai"], tuple(unreadable)
    )


def _complete_webui(file: Path, record: Mapping[str, Any]) -> tuple[Path, str]:
    return _complete(file.with_name(f"{file.stem}.json"), partial(complete_webui, record=record))


def _complete(sidecar: Path, merge: Callable[[dict[str, Any]], dict[str, Any] | None]) -> tuple[Path, str]:
    """Bring one sidecar up to date: `written`, `unchanged`, `unreadable`, or `none` when it is not ours to touch."""
    existing = _read(sidecar)
    if existing is None:
        return sidecar, "unreadable"
    made = merge(existing)
    if made is None:
        return sidecar, "none"
    text = _json(made)
    if existing and text == _json(existing):
        return sidecar, "unchanged"
    try:
        _replace(sidecar.resolve(), text)  # a link stays one
    except PermissionError:
        return sidecar, "unreadable"
    return sidecar, "written"


def _records(connection: duckdb.DuckDBPyConnection) -> Iterator[dict[str, Any]]:
    cursor = connection.execute(_SQL)
    names = [str(column[0]) for column in cursor.description or ()]
    while rows := cursor.fetchmany(2_000):
        for row in rows:
            yield dict(zip(names, row, strict=True))


def _weight_files(folder: Path) -> Iterator[Path]:
    seen: set[str] = set()
    for root, folders, names in os.walk(folder, followlinks=True):
        if (real := os.path.realpath(root)) in seen:  # links lead in circles, or to the same folder twice
            folders.clear()
            continue
        seen.add(real)
        folders.sort()
        for name in sorted(names):
            if name.lower().endswith(".safetensors"):
                yield Path(root) / name


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _read(sidecar: Path) -> dict[str, Any] | None:
    """What is in a sidecar; empty when there is none, None when it is no JSON object."""
    try:
        content = json.loads(sidecar.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        return {}
    except (ValueError, OSError, RecursionError):
        return None
    return content if isinstance(content, dict) else None


def _replace(path: Path, text: str) -> None:
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        temporary.write_text(text, encoding="utf-8")
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _json(value: object) -> str:
    """As text that any file can hold; what is in a user's file already is written as it was, NaN too."""
    text = json.dumps(value, indent=2, ensure_ascii=False) + "\n"
    return text.encode("utf-8", "backslashreplace").decode("utf-8")  # half a character becomes its JSON escape
