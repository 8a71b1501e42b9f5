"""Sidecars for ComfyUI-Lora-Manager: `<file>.metadata.json` with what was measured, found by content hash.

In an export they are named by hash, since nobody's local file names are known. `annotate_folder` writes them beside
the files of a local folder instead; what is in a sidecar already stays, unknown fields included.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from auditor.text_safety import clean

BASE_NAMES: Mapping[str, str] = {
    "sd15": "SD 1.5",
    "sd21": "SD 2.1",
    "sdxl": "SDXL 1.0",
    "sd35_medium": "SD 3.5 Medium",
    "sd35_large": "SD 3.5 Large",
    "flux1": "Flux.1 D",
}
"""Our families in the manager's words; another family goes by its own name."""
_OURS = "auditor"
_OPEN, _CLOSE = "[auditor]", "[/auditor]"
_TEXT = 300

_SQL = """
SELECT a.file_sha256, a.repo_id, a.path, a.size_bytes, a.license, a.trigger, a.outcome, a.reason, a.message,
    a.commit_sha, a.nsfw, u.top_concepts, u.explained_share, u.probes, u.recipe_id, u.status,
    coalesce(r.family, f.family) AS family
FROM adapters a
LEFT JOIN audits u ON u.audit_id = a.audit_id
LEFT JOIN recipes r ON r.recipe_id = u.recipe_id
LEFT JOIN files f ON f.file_sha256 = a.file_sha256
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
        unreadable: Sidecars that are no JSON object and were left alone.
    """

    written: int
    unchanged: int
    unknown: int
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
    """Write or complete the sidecar of every known .safetensors file in a local folder and below."""
    known = {str(record["file_sha256"]): record for record in _records(connection)}
    written = unchanged = unknown = 0
    unreadable = []
    for file in _weight_files(folder):
        record = known.get(_sha256(file))
        sidecar = file.with_name(f"{file.stem}.metadata.json")
        if record is None:
            unknown += 1
            continue
        existing = _read(sidecar)
        if existing is None:
            unreadable.append(str(sidecar))
            continue
        made = merge_into(existing, record, file.stem, file)
        if made == existing:
            unchanged += 1
        else:
            _replace(sidecar, _json(made))
            written += 1
    return Annotated(written, unchanged, unknown, tuple(unreadable))


def merge_into(existing: Mapping[str, Any], record: Mapping[str, Any], name: str, file: Path | None) -> dict[str, Any]:
    """A sidecar with our part brought up to date; everything else as it was.

    Args:
        existing: What is in the sidecar; empty for a new one.
        record: Row of the catalog.
        name: File name without its ending, for a new sidecar.
        file: The local file, for a new sidecar.
    """
    made = {**_new(record, name, file), **existing}
    ours = _our_part(record)
    before = existing.get(_OURS)
    stale = before.get("tags") if isinstance(before, dict) else None
    tags = made["tags"] if isinstance(made.get("tags"), list) else []
    kept = [tag for tag in tags if not isinstance(stale, list) or tag not in stale]
    # Remember only what was added here: a tag that the user had already is the user's.
    ours["tags"] = [tag for tag in ours["tags"] if tag not in kept]
    made["tags"] = [*kept, *ours["tags"]]
    made["notes"] = _notes(made.get("notes"), record)
    if made.get("base_model") in (None, "", "Unknown"):
        made["base_model"] = _base_name(record)
    if record["trigger"] and made.get("civitai") is None:
        made["civitai"] = {"trainedWords": [clean(str(record["trigger"]), limit=_TEXT)]}
    made[_OURS] = ours
    return made


def _new(record: Mapping[str, Any], name: str, file: Path | None) -> dict[str, Any]:
    """Every field that the manager needs to accept a sidecar."""
    state = file.stat() if file is not None else None
    return {
        "file_name": name,
        "model_name": clean(f"{record['repo_id']} {record['path'] or ''}".strip(), limit=_TEXT),
        "file_path": file.as_posix() if file is not None else "",
        "size": state.st_size if state is not None else record["size_bytes"] or 0,
        "modified": state.st_mtime if state is not None else 0.0,
        "sha256": record["file_sha256"],
        "base_model": _base_name(record),
        "preview_url": "",
        "preview_nsfw_level": 0,
        "notes": "",
        "from_civitai": False,
        "civitai": None,
        "tags": [],
        "modelDescription": "",
        "usage_tips": "{}",
    }


def _our_part(record: Mapping[str, Any]) -> dict[str, Any]:
    concepts = record["top_concepts"] or []
    return {
        "outcome": record["outcome"],
        "reason": record["reason"],
        "status": record["status"],
        "repo_id": clean(str(record["repo_id"]), limit=_TEXT),
        "commit_sha": record["commit_sha"],
        "license": None if record["license"] is None else clean(str(record["license"]), limit=_TEXT),
        "recipe_id": record["recipe_id"],
        "probes": record["probes"],
        "explained_share": record["explained_share"],
        "tags": [str(c["concept"]) for c in concepts],
        "concepts": [{k: c[k] if k == "concept" else round(c[k], 4) for k in c} for c in concepts],
    }


def _notes(existing: object, record: Mapping[str, Any]) -> str:
    """Existing notes with our passage replaced or added at the end."""
    text = existing if isinstance(existing, str) else ""
    start = text.find(_OPEN)
    end = text.find(_CLOSE, start)
    around = (text[:start], text[end + len(_CLOSE) :]) if 0 <= start < end else (f"{text}\n" if text else "", "")
    concepts = ", ".join(
        f"{c['concept']} {c['score']:.2f} [{c['low']:.2f}, {c['high']:.2f}]" for c in (record["top_concepts"] or [])[:5]
    )
    said = f"{concepts} ({record['probes']} image pairs)" if concepts else clean(str(record["message"]), limit=_TEXT)
    named = record["license"]
    license_name = "not stated" if named is None else clean(str(named), limit=80)
    return f"{around[0]}{_OPEN} {said}; licence: {license_name} {_CLOSE}{around[1]}"


def _base_name(record: Mapping[str, Any]) -> str:
    family = record["family"]
    return "Unknown" if family is None else BASE_NAMES.get(str(family), str(family))


def _records(connection: duckdb.DuckDBPyConnection) -> Iterator[dict[str, Any]]:
    cursor = connection.execute(_SQL)
    names = [str(column[0]) for column in cursor.description or ()]
    while rows := cursor.fetchmany(2_000):
        for row in rows:
            yield dict(zip(names, row, strict=True))


def _weight_files(folder: Path) -> Iterator[Path]:
    for root, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            if name.endswith(".safetensors") and not (Path(root) / name).is_symlink():
                yield Path(root) / name


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _read(sidecar: Path) -> dict[str, Any] | None:
    """What is in a sidecar; empty when there is none, None when it is no JSON object."""
    try:
        content = json.loads(sidecar.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (ValueError, OSError):
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
    return json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
