"""Result files: what is written is read back; whatever is altered is noticed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from auditor.audit.result_file import CorruptResult, Result, list_results, read_result, write_result
from auditor.records.result import ANY_RECIPE, AuditRecord, WorkItem


def make_result(message: str = "Refused.", values: tuple[float, ...] = (1.0, 2.0)) -> Result:
    item = WorkItem(repo_id="a/b", commit_sha="0" * 40, path="x.safetensors", file_sha256="ab" * 32, base_name=None)
    record = AuditRecord(item=item, file_sha256="ab" * 32, recipe_id=ANY_RECIPE, outcome="quarantined",
                         reason="corrupt_file", message=message, base_name=None)  # fmt: skip
    return Result(record, {"divergence": np.asarray(values, np.float32)})


@given(message=st.text(max_size=200), values=st.lists(st.floats(-10, 10, width=32), min_size=1, max_size=9))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_round_trip(tmp_path: Path, message: str, values: list[float]) -> None:
    made = make_result(message.encode("utf-8", "replace").decode(), tuple(values))
    back = read_result(write_result(tmp_path, made))
    assert back.record == made.record
    assert np.array_equal(back.arrays["divergence"], made.arrays["divergence"])


@given(place=st.floats(0, 1), flip=st.integers(1, 255))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_flipped_byte_is_noticed(tmp_path: Path, place: float, flip: int) -> None:
    path = write_result(tmp_path, make_result())
    content = bytearray(path.read_bytes())
    content[int(place * (len(content) - 1))] ^= flip
    path.write_bytes(content)
    try:
        back = read_result(path)
    except CorruptResult:
        return
    # A flip inside the header's padding or spelling may leave the content as it was; nothing else may pass.
    assert back.record == make_result().record
    assert np.array_equal(back.arrays["divergence"], make_result().arrays["divergence"])


@pytest.mark.parametrize("content", [b"", b"{}", b"\x00" * 100])
def test_other_content_is_noticed(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.safetensors"
    path.write_bytes(content)
    with pytest.raises(CorruptResult):
        read_result(path)


def test_listing_shows_published_files_only(tmp_path: Path) -> None:
    path = write_result(tmp_path, make_result())
    path.with_name(f".{path.name}.1.abc.tmp").write_bytes(b"half")
    assert list(list_results(tmp_path)) == [path]
