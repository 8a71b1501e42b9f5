"""Slices: every item in one, of one base, and what is stored is what is read back."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditor.errors import UserError
from auditor.planning.slices import cut, item_keys, read_slice, slices_id, write_slices
from auditor.records.result import WorkItem
from tests.work_items import make_item

items = st.lists(
    st.tuples(st.integers(0, 400), st.sampled_from(["a", "b", None]), st.integers(0, 60)), unique_by=lambda t: t[0]
).map(lambda rows: [make_item(*row) for row in rows])


@given(items=items, size=st.integers(1, 9))
def test_every_item_is_in_one_slice_of_one_base_and_copies_stay_together(items: list[WorkItem], size: int) -> None:
    slices = cut(items, size)
    flat = [item for part in slices for item in part]
    assert sorted(item.key for item in flat) == sorted(item.key for item in items)
    where: dict[tuple[str | None, str | None], set[int]] = {}
    for number, part in enumerate(slices):
        assert len({item.base_name for item in part}) == 1
        assert 1 <= len({item.file_sha256 for item in part}) <= size
        for item in part:
            where.setdefault((item.base_name, item.file_sha256), set()).add(number)
    assert all(len(numbers) == 1 for numbers in where.values())
    assert cut(items, size) == slices and slices_id(slices) == slices_id(cut(items, size))


@given(items=items, limit=st.integers(1, 500))
def test_no_slice_takes_longer_than_it_may(items: list[WorkItem], limit: int) -> None:
    def seconds(item: WorkItem) -> float:
        return float(int(item.file_sha256 or "0", 16))  # copies of the same bytes take as long

    slices = cut(items, 50, seconds=seconds, limit_s=lambda base: float(limit))
    assert sorted(item.key for part in slices for item in part) == sorted(item.key for item in items)
    for part in slices:
        distinct = {item.file_sha256: seconds(item) for item in part}
        assert len(distinct) == 1 or sum(distinct.values()) <= limit


def test_slices_are_read_back_and_damage_is_noticed(tmp_path: Path) -> None:
    slices = cut([make_item(n, base) for base in ("a", "b") for n in range(5)], 2)
    stored = write_slices(tmp_path, slices)
    assert tuple(read_slice(tmp_path, stored, n) for n in range(len(slices))) == slices
    assert item_keys(tmp_path, stored, [0, 1]) == {i.key for part in slices[:2] for i in part}
    with pytest.raises(UserError, match="no number 99"):
        read_slice(tmp_path, stored, 99)
    with pytest.raises(UserError, match="no slices"):
        read_slice(tmp_path, "../../etc/passwd", 0)
    other = write_slices(tmp_path, slices[:1])
    (tmp_path / f"{stored}.parquet").write_bytes((tmp_path / f"{other}.parquet").read_bytes())
    with pytest.raises(UserError, match="does not hold"):
        read_slice(tmp_path, stored, 0)
