"""Files of our own, cut, flipped, emptied and exchanged: named, moved aside, made again; never used as they are."""

from __future__ import annotations

import errno
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from auditor.common.atomic_files import replacing, write_bytes
from auditor.common.own_files import Damaged, reading
from auditor.hub.listing_file import iter_listing, read_quarantine, write_listing, write_quarantine
from auditor.measuring.shards import load_arrays, save_arrays
from auditor.planning.manifest import Manifest, read_manifest, write_manifest
from auditor.planning.slices import cut, read_slice, write_slices
from auditor.records.listing import ListedRepo, QuarantinedEntry, SettledItem
from auditor.records.result import WorkItem

REPOS = [ListedRepo(f"o/{n}", "a" * 40, tags=tuple(f"tag {n} {i}" for i in range(40))) for n in range(300)]
ITEMS = tuple(
    WorkItem(repo_id=f"o/{n}", commit_sha="a" * 40, path=f"{n}.safetensors", file_sha256=None, base_name="b")
    for n in range(300)
)
SETTLED = tuple(SettledItem(f"o/{n}", "a" * 40, None, "skipped", "gated", f"because {n}") for n in range(300))
UNREAD = [QuarantinedEntry("lora", 0, n, None, f"no id {n}", "{}") for n in range(300)]


def listing(folder: Path) -> tuple[Path, Callable[[], Any]]:
    write_listing(folder / "listing.parquet", REPOS)
    return folder / "listing.parquet", lambda: list(iter_listing(folder / "listing.parquet"))


def quarantine(folder: Path) -> tuple[Path, Callable[[], Any]]:
    write_quarantine(folder / "q.parquet", UNREAD)
    return folder / "q.parquet", lambda: read_quarantine(folder / "q.parquet")


def items(folder: Path) -> tuple[Path, Callable[[], Any]]:
    write_manifest(folder, Manifest(ITEMS, SETTLED))
    return folder / "items.parquet", lambda: read_manifest(folder)


def settled(folder: Path) -> tuple[Path, Callable[[], Any]]:
    return folder / "settled.parquet", items(folder)[1]


def slices(folder: Path) -> tuple[Path, Callable[[], Any]]:
    stored = write_slices(folder, cut(ITEMS, 1_000))
    return folder / f"{stored}.parquet", lambda: read_slice(folder, stored, 0)


def reference(folder: Path) -> tuple[Path, Callable[[], Any]]:
    arrays = {name: np.random.default_rng(0).normal(size=(40, 40)).astype(np.float32) for name in ("images", "text")}
    save_arrays(folder / "r.safetensors", arrays)

    def read() -> list[list[float]]:
        return [array.tolist() for array in load_arrays(folder / "r.safetensors", "reference").values()]

    return folder / "r.safetensors", read


FILES = [listing, quarantine, items, settled, slices, reference]


@pytest.mark.parametrize("make", FILES)
def test_damage_is_named_moved_aside_and_never_used(make: Any, tmp_path: Path) -> None:
    path, read = make(tmp_path)
    whole, good = path.read_bytes(), read()
    rng = random.Random(0)
    unnoticed = 0
    for trial in range(120):
        content = bytearray(whole)
        if trial == 0:
            content = bytearray()
        elif trial == 1:
            content = bytearray(b"<html>not found</html>")
        elif trial % 4 == 0:
            del content[rng.randrange(len(content)) :]
        elif trial % 4 == 1:
            start = rng.randrange(len(content) - 20)
            content[start : start + 20] = bytes(20)
        else:
            place = rng.randrange(len(content))
            content[place] ^= 1 << rng.randrange(8)
        path.write_bytes(content)
        try:
            found = read()
        except Damaged as error:
            assert str(path) in str(error) and "run: auditor" in str(error)
            assert not path.exists()
            (aside,) = tmp_path.glob(f"{path.name}.damaged-*")
            assert aside.read_bytes() == bytes(content)
            aside.unlink()
        else:
            assert found == good, f"trial {trial}: other values than were written"
            unnoticed += 1
    # Bytes that say nothing: statistics, padding, the library's own name. What was read was right.
    assert unnoticed < 100
    path.write_bytes(whole)
    assert read() == good


def test_a_file_that_is_gone_meanwhile_is_not_called_damaged(tmp_path: Path) -> None:
    """The reader of these files says so without the number of the system's error."""
    with pytest.raises(FileNotFoundError):
        load_arrays(tmp_path / "taken by another task.safetensors", "part of a reference")
    assert not list(tmp_path.iterdir())


def test_trouble_of_the_disk_is_no_damage(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"good")
    for error in (OSError(errno.EIO, "Input/output error"), PermissionError(errno.EACCES, "no"), MemoryError()):
        with pytest.raises(type(error)), reading(path, "file", "auditor x"):
            raise error
    assert path.read_bytes() == b"good"


def test_a_full_disk_names_the_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match="No space") as caught:
        write_bytes(tmp_path / "wanted.json", b"x")
    assert caught.value.filename == str(tmp_path / "wanted.json")


def test_a_disk_that_went_away_is_told_from_a_file_that_never_was(tmp_path: Path) -> None:
    wanted = tmp_path / "disk" / "wanted.json"
    with pytest.raises(OSError, match="taken away") as caught, replacing(wanted) as temporary:
        temporary.write_bytes(b"x")
        shutil.rmtree(tmp_path / "disk")
    assert (caught.value.errno, caught.value.filename) == (errno.ESTALE, str(wanted))
    with pytest.raises(FileNotFoundError, match="elsewhere"), replacing(wanted) as temporary:
        temporary.write_bytes((tmp_path / "elsewhere").read_bytes())
    assert list(wanted.parent.iterdir()) == []
