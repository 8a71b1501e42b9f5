"""Listings survive the trip through Parquet, and a half-written one is never seen."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from auditor.errors import UserError
from auditor.hub.listing_file import iter_listing, read_quarantine, write_listing, write_quarantine
from auditor.records.listing import ListedFile, ListedRepo, QuarantinedEntry, TriggerCandidate

FULL = ListedRepo(
    "a/b", "0" * 40, "2024-01-01T00:00:00Z", None, ("lora",), "text-to-image", "diffusers", "mit", ("c/d",),
    ("c/d", "x"), "adapter", "photo of sks",
    (TriggerCandidate("photo of sks", "instance_prompt"),), "auto", True, False, 2**40, 3,
    True, (ListedFile("x'; DROP TABLE.safetensors", 2**40, "f" * 64), ListedFile("é")), ("q",), '{"a":1}',
)  # fmt: skip


def test_round_trip(tmp_path: Path) -> None:
    repos = [FULL, ListedRepo("e/f", "1" * 40)] * 2_500
    assert write_listing(tmp_path / "l.parquet", repos) == 5_000
    assert list(iter_listing(tmp_path / "l.parquet")) == repos
    entries = [QuarantinedEntry("q", 1, 2, None, "no id", "{")]
    write_quarantine(tmp_path / "q.parquet", entries)
    assert read_quarantine(tmp_path / "q.parquet") == entries
    assert write_listing(tmp_path / "empty.parquet", []) == 0
    assert list(iter_listing(tmp_path / "empty.parquet")) == []


def test_a_failing_write_leaves_the_old_listing(tmp_path: Path) -> None:
    path = tmp_path / "l.parquet"
    write_listing(path, [FULL])

    def broken() -> Iterator[ListedRepo]:
        yield ListedRepo("e/f", "1" * 40)
        raise RuntimeError("killed")

    with pytest.raises(RuntimeError):
        write_listing(path, broken())
    assert list(iter_listing(path)) == [FULL]
    assert [item.name for item in tmp_path.iterdir()] == ["l.parquet"]


def test_what_cannot_be_read_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "l.parquet").write_bytes(b"not parquet")
    for path in (tmp_path / "absent.parquet", tmp_path / "l.parquet"):
        with pytest.raises(UserError, match="auditor crawl"):
            list(iter_listing(path))
    write_quarantine(tmp_path / "q.parquet", [])
    with pytest.raises(UserError, match="another version"):
        list(iter_listing(tmp_path / "q.parquet"))
