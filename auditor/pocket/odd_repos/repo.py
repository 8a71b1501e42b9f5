"""One odd repo: its files, its card, and what the Hub knows of it; served from memory or written to a folder."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from auditor.pocket.hub_server import Repo, synthetic_repo
from auditor.pocket.hub_server.made_up_counts import made_up_counts

BASE_REPO = "pocket/base"


@dataclass(frozen=True, slots=True)
class OddRepo:
    """A repo that is not what a simple tool expects.

    Attributes:
        shape: Number in the list of shapes, 1 to 40; 0 for one beside the list.
        repo_id: `owner/name`.
        about: What is odd about it, in a few words.
        files: Path → content, or path → size of a file that is listed but has no content.
        card: Front matter of its README; None for no README at all.
        meta: Fields of `RepoMeta`: gated, disabled, entry_drop and so on.
    """

    shape: int
    repo_id: str
    about: str
    files: Mapping[str, bytes | int]
    card: Mapping[str, Any] | None = field(default_factory=lambda: {"base_model": BASE_REPO})
    meta: Mapping[str, Any] = field(default_factory=dict)

    def served(self) -> Repo:
        """The repo as the pocket Hub holds it."""
        return synthetic_repo(self.repo_id, self._files(), **self._meta())

    def write(self, folder: Path) -> None:
        """Write the repo below a folder of repos. A file without content cannot be written."""
        target = folder / self.repo_id
        for path, content in self._files().items():
            if isinstance(content, int):
                raise ValueError(f"{self.repo_id}/{path} has a size but no content")
            (target / path).parent.mkdir(parents=True, exist_ok=True)
            (target / path).write_bytes(content)
        (target / ".hub.json").write_text(json.dumps(self._meta()), encoding="utf-8")

    def _files(self) -> dict[str, bytes | int]:
        return {**self.files, **({} if self.card is None else {"README.md": self._readme()})}

    def _readme(self) -> bytes:
        """JSON values are YAML too."""
        card = {
            "license": "other",
            "pipeline_tag": "text-to-image",
            "tags": ["lora", "text-to-image", "diffusers"],
            **(self.card or {}),
        }
        lines = [f"{name}: {json.dumps(value)}" for name, value in card.items() if value is not None]
        name = self.repo_id.partition("/")[2]
        return "\n".join(["---", *lines, "---", "", f"# {name}", "", "Something I made. Have fun!", ""]).encode()

    def _meta(self) -> dict[str, Any]:
        return {**made_up_counts(self.repo_id, 500), "tags": ("lora", "text-to-image"), **self.meta}
