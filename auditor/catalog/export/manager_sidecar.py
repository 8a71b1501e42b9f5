"""What a sidecar of ComfyUI-Lora-Manager says: our part brought up to date, everything else as it was.

A value of a type that we do not expect is somebody's, and kept. What we added ourselves is remembered under `auditor`,
so that it can be renewed or taken back; what the user had already is the user's.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from auditor.common.text_safety import clean

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


def merge_into(existing: Mapping[str, Any], record: Mapping[str, Any], name: str, file: Path | None) -> dict[str, Any]:
    """A sidecar with our part brought up to date; everything else as it was.

    Args:
        existing: What is in the sidecar; empty for a new one.
        record: Row of the catalog.
        name: File name without its ending, for a new sidecar.
        file: The local file, for a new sidecar.
    """
    made = {**_new(record, name, file), **existing}
    if made["notes"] is None or isinstance(made["notes"], str):
        made["notes"] = _notes(made["notes"], record)
    if made.get("base_model") in (None, "", "Unknown"):
        made["base_model"] = _base_name(record)
    before = existing.get(_OURS)
    if before is not None and not isinstance(before, dict):
        return made  # somebody's own field: what we add elsewhere could not be told from the user's later on
    ours, before = _our_part(record), before or {}
    if made["tags"] is None or isinstance(made["tags"], list):
        made["tags"], ours["tags"] = _renewed(made["tags"], before.get("tags"), ours["tags"])
    if made["civitai"] is None or isinstance(made["civitai"], dict):
        stale = before.get("trained_words", _words_of_ours(made["civitai"]) if before else None)
        made["civitai"], ours["trained_words"] = _civitai(made["civitai"], stale, record)
    made[_OURS] = ours
    return made


def _renewed(existing: Any, stale: object, current: list[str]) -> tuple[list[Any], list[str]]:
    """A list without the words that we added earlier and with those of today; and which of these are ours."""
    kept = [word for word in existing or [] if not isinstance(stale, list) or word not in stale]
    added = [word for word in current if word not in kept]
    return [*kept, *added], added


def _words_of_ours(civitai: Mapping[str, Any] | None) -> object:
    """Trigger words that a sidecar of ours held before they were remembered: the manager's record has more fields."""
    return civitai["trainedWords"] if civitai is not None and civitai.keys() == {"trainedWords"} else None


def _civitai(existing: dict[str, Any] | None, stale: object, record: Mapping[str, Any]) -> tuple[Any, list[str]]:
    """The manager's record of the model's page, with trigger words where there are none or only ours."""
    words = [trigger_of(record)] if trigger_of(record) else []
    stored = (existing or {}).get("trainedWords")
    if stored is not None and not isinstance(stored, list):
        return existing, []
    theirs = [word for word in stored or [] if not isinstance(stale, list) or word not in stale]
    if theirs or not (words or stored):
        return ({**(existing or {}), "trainedWords": theirs} if stored else existing), []
    return {**(existing or {}), "trainedWords": words}, words


def trigger_of(record: Mapping[str, Any]) -> str:
    """The declared trigger text, harmless; empty when there is none."""
    return clean(str(record["trigger"]), limit=_TEXT) if record["trigger"] else ""


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
        "trigger_only": bool(record.get("trigger_only")),
        "repo_id": clean(str(record["repo_id"]), limit=_TEXT),
        "commit_sha": record["commit_sha"],
        "license": None if record["license"] is None else clean(str(record["license"]), limit=_TEXT),
        "recipe_id": record["recipe_id"],
        "probes": record["probes"],
        "explained_share": record["explained_share"],
        "tags": [str(c["concept"]) for c in concepts],
        "concepts": [{k: c[k] if k == "concept" else round(c[k], 4) for k in c} for c in concepts],
    }


def _notes(existing: str | None, record: Mapping[str, Any]) -> str:
    """Existing notes with our passage replaced or added at the end."""
    text = existing or ""
    end = text.rfind(_CLOSE)
    start = text.rfind(_OPEN, 0, max(end, 0))  # the last pair: a user's own words may hold either mark
    around = (text[:start], text[end + len(_CLOSE) :]) if start >= 0 else (f"{text}\n" if text else "", "")
    named = record["license"]
    license_name = "not stated" if named is None else clean(str(named), limit=80)
    return f"{around[0]}{_OPEN} {measured(record)}; licence: {license_name} {_CLOSE}{around[1]}"


def measured(record: Mapping[str, Any]) -> str:
    """One line: the strongest concepts with their intervals, or why there are none."""
    concepts = ", ".join(
        f"{c['concept']} {c['score']:.2f} [{c['low']:.2f}, {c['high']:.2f}]" for c in (record["top_concepts"] or [])[:5]
    )
    with_trigger = ", with the trigger" if bool(record.get("trigger_only")) else ""
    if concepts:
        return f"{concepts} ({record['probes']} image pairs{with_trigger})"
    return clean(str(record["message"]), limit=_TEXT)


def _base_name(record: Mapping[str, Any]) -> str:
    family = record["family"]
    return "Unknown" if family is None else BASE_NAMES.get(str(family), str(family))
