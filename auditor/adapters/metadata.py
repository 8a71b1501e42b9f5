"""Read a file's metadata as claims: bounded, cleaned, stored, and never acted upon.

The one exception is the alpha / rank scale (scaling.py), without which a file cannot be applied right.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice

from auditor.adapters import limits
from auditor.adapters.limited_json import LimitedJsonError, parse_limited_json
from auditor.common.text_safety import clean
from auditor.records.adapter import MetadataClaims, TriggerClaim

_FIELDS: Mapping[str, tuple[str, ...]] = {
    "base_model": ("ss_base_model_version", "ss_sd_model_name", "baseModel", "base_model"),
    "base_model_hash": ("ss_new_sd_model_hash", "ss_sd_model_hash"),
    "base_checkpoint": ("ss_sd_model_name", "base_model", "baseModel"),
    "architecture": ("modelspec.architecture", "family"),
    "network_module": ("ss_network_module",),
    "network_dim": ("ss_network_dim",),
    "network_alpha": ("ss_network_alpha",),
    "resolution": ("modelspec.resolution", "ss_resolution"),
    "clip_skip": ("ss_clip_skip",),
    "output_name": ("ss_output_name", "modelspec.title", "name"),
    "software": ("software", "trained_with"),
}
_MODELSPEC_TRIGGERS = ("modelspec.trigger_phrase",)
_FILE_TRIGGERS = ("trigger_phrase", "ss_trigger_words", "trigger_words", "trainedWords", "instance_prompt")
_MAX_JSON_CHARS = 2_000_000
_TAG_SHARE = 0.9
"""A tag on at least this share of a folder's most frequent tag's count is a trigger candidate."""


def read_claims(metadata: Mapping[str, str]) -> MetadataClaims:
    """Pick the known fields out of a header's metadata. Never raises on what an uploader wrote."""
    fields = {field: _first(metadata, names) for field, names in _FIELDS.items()}
    return MetadataClaims(algorithm=_algorithm(metadata), triggers=_triggers(metadata), **fields)


def _first(metadata: Mapping[str, str], names: tuple[str, ...]) -> str | None:
    for name in names:
        if (text := _claim(metadata.get(name, ""))) is not None:
            return text
    return None


def _claim(text: str) -> str | None:
    # cut before cleaning: a field may hold a picture of several megabytes
    shown = clean(text[: 4 * limits.MAX_CLAIM_CHARS], limit=limits.MAX_CLAIM_CHARS).strip()
    return shown if shown and shown != "None" else None


def _algorithm(metadata: Mapping[str, str]) -> str | None:
    arguments = _json(metadata.get("ss_network_args", ""))
    algorithm = arguments.get("algo") if isinstance(arguments, dict) else None
    return _claim(algorithm) if isinstance(algorithm, str) else None


def _triggers(metadata: Mapping[str, str]) -> tuple[TriggerClaim, ...]:
    found: dict[str, TriggerClaim] = {}
    for claim in _trigger_claims(metadata):
        found.setdefault(claim.text.casefold(), claim)
    return tuple(islice(found.values(), limits.MAX_TRIGGERS))


def _trigger_claims(metadata: Mapping[str, str]) -> Iterator[TriggerClaim]:
    for name in _MODELSPEC_TRIGGERS:
        if (text := _claim(metadata.get(name, ""))) is not None:
            yield TriggerClaim(text, "modelspec")
    for name in _FILE_TRIGGERS:
        if (text := _claim(metadata.get(name, ""))) is not None:
            yield TriggerClaim(text, "file_metadata")
    folders = _json(metadata.get("ss_tag_frequency", ""))
    for tags in islice(folders.values(), 64) if isinstance(folders, dict) else ():
        for tag in _frequent(tags):
            if (text := _claim(tag)) is not None:
                yield TriggerClaim(text, "tag_frequency")


def _frequent(tags: object) -> list[str]:
    """Tags about as frequent as the most frequent one of their folder, which is in every caption."""
    if not isinstance(tags, dict):
        return []
    counts = {tag: n for tag, n in tags.items() if type(n) is int and n > 0}
    if not counts:
        return []
    most = max(counts.values())
    frequent = [tag for tag, n in counts.items() if n >= _TAG_SHARE * most]
    # ties in the file's own order: a trainer's captions begin with the trigger
    return [tag.replace("\\(", "(").replace("\\)", ")") for tag in sorted(frequent, key=lambda tag: -counts[tag])][
        : limits.MAX_TRIGGERS
    ]


def _json(text: str) -> object:
    if not text or len(text) > _MAX_JSON_CHARS:
        return None
    try:
        return parse_limited_json(text.encode("utf-8", "replace"), max_nodes=200_000)
    except LimitedJsonError:
        return None
