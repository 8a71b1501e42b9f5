from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path

import pytest

from auditor.proposing.reply_cache import KeptReply, ReplyCache, ReplyKey

KEY = ReplyKey("model@1", "t", "s", ("a", "b"), seed=1, temperature=0.0, max_tokens=9)


def test_a_reply_comes_back_as_it_was(tmp_path: Path) -> None:
    cache = ReplyCache(tmp_path / "deep" / "cache")
    assert cache.get(KEY) is None
    cache.put(KEY, '{"concepts": ["ü\\u0000"]}', "one sheet")
    assert cache.get(KEY) == KeptReply('{"concepts": ["ü\\u0000"]}', "one sheet")
    assert [p.name for p in cache.folder.rglob("*") if p.is_file()] == [f"{KEY.digest}.json"]


@pytest.mark.parametrize("field", [f.name for f in fields(ReplyKey)])
def test_every_part_of_the_key_counts(field: str, tmp_path: Path) -> None:
    cache = ReplyCache(tmp_path)
    cache.put(KEY, "x")
    changed = {str: "other", tuple: ("b", "a"), int: 77, float: 0.5}[type(getattr(KEY, field))]
    other = replace(KEY, **{field: changed})  # type: ignore[arg-type]
    assert cache.get(other) is None


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b"\xff\xfe", b'{"reply": 3}', b'{"reply": "x", "key": {}}'])
def test_a_damaged_file_counts_as_absent_and_is_replaced(damage: bytes, tmp_path: Path) -> None:
    cache = ReplyCache(tmp_path)
    cache.put(KEY, "good")
    cache.path(KEY).write_bytes(damage)
    assert cache.get(KEY) is None
    cache.put(KEY, "good")
    assert cache.get(KEY) == KeptReply("good")


def test_a_file_under_another_keys_name_does_not_answer(tmp_path: Path) -> None:
    cache = ReplyCache(tmp_path)
    cache.put(KEY, "x")
    other = replace(KEY, seed=2)
    cache.path(other).parent.mkdir(parents=True, exist_ok=True)
    cache.path(KEY).rename(cache.path(other))
    assert cache.get(other) is None


def test_a_failing_disk_costs_the_cache_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = ReplyCache(tmp_path)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    cache.put(KEY, "x")
    monkeypatch.undo()
    assert cache.get(KEY) is None
    assert not [p for p in tmp_path.rglob("*") if p.is_file()]
