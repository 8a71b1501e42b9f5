from __future__ import annotations

from pathlib import Path

import pytest

from auditor.common.atomic_files import replacing, write_bytes, write_text
from auditor.common.packaged_json import read_packaged
from auditor.errors import UserError


def test_a_block_that_fails_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    target = tmp_path / "folder" / "file"
    write_text(target, "old")
    with pytest.raises(RuntimeError), replacing(target) as temporary:
        temporary.write_text("half of the n")
        raise RuntimeError
    assert target.read_text() == "old"
    assert [p.name for p in target.parent.iterdir()] == ["file"]


def test_the_old_file_stands_until_the_block_ends(tmp_path: Path) -> None:
    target = tmp_path / "file"
    write_bytes(target, b"old")
    with replacing(target) as temporary:
        temporary.write_bytes(b"new")
        assert target.read_bytes() == b"old"
    assert target.read_bytes() == b"new"
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_shipped_names_and_own_paths_and_nothing_else(tmp_path: Path) -> None:
    own = tmp_path / "own.json"
    own.write_text('{"a": 1}')
    assert read_packaged("auditor.probes", own, "probe set") == {"a": 1}
    assert read_packaged("auditor.probes", "pocket-1", "probe set")["name"] == "pocket"
    with pytest.raises(UserError, match=r"no probe set '\.\./lexicons/pocket-1'; use general-1, pocket-1"):
        read_packaged("auditor.probes", "../lexicons/pocket-1", "probe set")
    own.write_text("{")
    with pytest.raises(UserError, match="not well formed"):
        read_packaged("auditor.probes", own, "probe set")
