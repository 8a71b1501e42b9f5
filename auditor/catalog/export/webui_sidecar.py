"""`<file>.json` as AUTOMATIC1111's web UI and its relatives keep it, with the ModelSpec fields; only what is absent.

The weight file itself is never rewritten for the sake of its header: another hash would be another file to everybody.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from auditor.catalog.export.manager_sidecar import measured, trigger_of
from auditor.common.text_safety import clean

_VERSIONS: Mapping[str, str] = {"sd15": "SD1", "sd21": "SD2", "sdxl": "SDXL"}
"""Our families in the web UI's words; it knows no others."""
_ARCHITECTURES: Mapping[str, str] = {
    "sd15": "stable-diffusion-v1/lora",
    "sd21": "stable-diffusion-v2-768-v/lora",
    "sdxl": "stable-diffusion-xl-v1-base/lora",
    "flux1": "flux-1-dev/lora",
}
_OURS = "auditor"
"""Field that remembers what we filled in: it is renewed as long as nobody has changed it."""
_KNOWN = frozenset({"description", "sd version", "activation text", "preferred weight", "negative text", "notes"})
"""Names by which such a file is told from anything else that ends in .json."""


def complete_webui(existing: Mapping[str, Any], record: Mapping[str, Any]) -> dict[str, Any] | None:
    """The file with what is absent filled in, and what we filled in renewed; None when it is something else.

    Args:
        existing: What is in the file; empty for a new one.
        record: Row of the catalog.
    """
    if existing and not _KNOWN & existing.keys():
        return None
    family = str(record["family"])
    concepts = [str(concept["concept"]) for concept in record["top_concepts"] or []]
    fields = {
        "description": measured(record),
        "sd version": _VERSIONS.get(family, "Unknown"),
        "activation text": trigger_of(record),
        "preferred weight": 0,
        "notes": "",
        "modelspec.title": clean(str(record["repo_id"]), limit=300),
        "modelspec.architecture": _ARCHITECTURES.get(family),
        "modelspec.trigger_phrase": trigger_of(record) or None,
        "modelspec.tags": ", ".join(concepts) or None,
        "modelspec.license": clean(str(record["license"]), limit=80) if record["license"] else None,
    }
    known = existing.get(_OURS)
    before = known if isinstance(known, dict) else {}
    theirs = {name: value for name, value in existing.items() if name not in before or before[name] != value}
    ours = {name: value for name, value in fields.items() if value is not None and name not in theirs}
    if known is not None and not isinstance(known, dict):
        return {**ours, **theirs}
    # in the order in which a user's file has them
    made = {name: theirs.get(name, ours.get(name)) for name in existing if name in theirs or name in ours} | ours
    return {**made, _OURS: ours}
