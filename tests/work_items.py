"""Work items of made-up repos."""

from __future__ import annotations

from auditor.records.result import WorkItem


def make_item(number: int, base: str | None = "pocket", content: int | None = None) -> WorkItem:
    sha256 = f"{number if content is None else content:064x}"
    return WorkItem(
        repo_id=f"o/{number}", commit_sha="0" * 40, path="x.safetensors", file_sha256=sha256, base_name=base
    )
