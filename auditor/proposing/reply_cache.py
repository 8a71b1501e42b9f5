"""Replies kept by content: the same model, prompt, images and sampling are never asked twice.

One JSON file per reply under `folder/ab/abcdef….json`, written to a temporary name and moved into place,
which is safe on file systems that several nodes share. A file that cannot be read counts as absent.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path

import structlog

from auditor.common.atomic_files import write_text

_log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class ReplyKey:
    """Everything that decides a reply. `model` includes its revision."""

    model: str
    template: str
    schema: str
    images: tuple[str, ...]
    seed: int
    temperature: float
    max_tokens: int

    @property
    def digest(self) -> str:
        """SHA-256 of the canonical JSON form."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True)
class KeptReply:
    """A raw reply, and the form in which the server was asked (see `Form.name`)."""

    text: str
    form: str = ""


class ReplyCache:
    """A folder of replies."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, key: ReplyKey) -> Path:
        """Where the reply to `key` lies, or would lie."""
        return self.folder / key.digest[:2] / f"{key.digest}.json"

    def get(self, key: ReplyKey) -> KeptReply | None:
        """The reply, or None when there is none or its file is damaged."""
        try:
            stored = json.loads(self.path(key).read_text("utf-8"))
        except (OSError, ValueError, RecursionError):
            return None
        if not isinstance(stored, dict) or not isinstance(stored.get("reply"), str):
            return None
        # The key is compared too: a file copied under a wrong name must not answer.
        if stored.get("key") != json.loads(json.dumps(asdict(key))):
            return None
        form = stored.get("form", "")
        return KeptReply(stored["reply"], form if isinstance(form, str) else "")

    def put(self, key: ReplyKey, reply: str, form: str = "") -> None:
        """Keep a reply. A full or read-only disk costs the cache, not the audit, and is logged."""
        path = self.path(key)
        try:
            write_text(path, json.dumps({"key": asdict(key), "reply": reply, "form": form}, sort_keys=True))
        except OSError as error:
            _log.warning("reply_not_cached", path=str(path), error=str(error))
