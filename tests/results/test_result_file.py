"""Result files: what is written is read back; whatever is altered is noticed."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from safetensors.numpy import save_file

from auditor.records.result import ANY_RECIPE, RESULT_SCHEMA_VERSION, AuditRecord, ConceptScore, WorkItem
from auditor.results.result_file import (
    SCORE_COLUMNS,
    THUMBNAIL_SIDE,
    CorruptResult,
    Result,
    list_results,
    read_differences,
    read_packed,
    read_result,
    thumbnail_bytes,
    write_result,
)


def make_result(message: str = "Refused.", values: tuple[float, ...] = (1.0, 2.0)) -> Result:
    item = WorkItem(repo_id="a/b", commit_sha="0" * 40, path="x.safetensors", file_sha256="ab" * 32, base_name=None)
    record = AuditRecord(
        item=item,
        file_sha256="ab" * 32,
        recipe_id=ANY_RECIPE,
        outcome="quarantined",
        reason="corrupt_file",
        message=message,
        base_name=None,
    )
    return Result(record, {"divergence": np.asarray(values, np.float32)})


@given(message=st.text(max_size=200), values=st.lists(st.floats(-10, 10, width=32), min_size=1, max_size=9))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_round_trip(tmp_path: Path, message: str, values: list[float]) -> None:
    made = make_result(message.encode("utf-8", "replace").decode(), tuple(values))
    back = read_result(write_result(tmp_path, made))
    assert back.record == made.record
    assert np.array_equal(back.arrays["divergence"], made.arrays["divergence"])


@given(
    st.lists(st.floats(-10, 10), min_size=1, max_size=9),
    st.one_of(st.none(), st.floats(-1, 1)),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_scores_come_back_to_the_last_bit(tmp_path, values, alignment, name) -> None:
    scores = tuple(
        ConceptScore(
            **{"concept": f"{name}{place}", "score": v, "low": -v, "high": v / 3, "projection": v / 7},
            **{"alignment": alignment, "place": place or None},
        )
        for place, v in enumerate(values)
    )
    made = make_result()
    path = write_result(tmp_path, Result(made.record.model_copy(update={"scores": scores}), made.arrays))
    assert read_result(path).record.scores == scores
    packed = read_packed(path)
    assert packed.record.scores == ()
    assert packed.scores is not None and packed.scores.values[:, 0].tolist() == values
    assert set(packed.arrays) == set(made.arrays)


@pytest.mark.parametrize("columns", [5, 9])
def test_a_result_of_before_there_were_levels_or_places_is_read_without_them(tmp_path, monkeypatch, columns) -> None:
    made = make_result()
    scores = (ConceptScore(concept="warm", score=1.0, low=0.5, high=2.0, projection=0.7, alignment=None),)
    with monkeypatch.context() as before:
        before.setattr("auditor.results.result_file.SCORE_COLUMNS", SCORE_COLUMNS[:columns])
        path = write_result(tmp_path, Result(made.record.model_copy(update={"scores": scores}), made.arrays))
    assert read_result(path).record.scores == scores
    packed = read_packed(path)
    assert packed.scores is not None and np.isnan(packed.scores.values[0, 4:]).all()


def test_single_differences_are_read_without_the_rest(tmp_path: Path) -> None:
    made = make_result()
    rows = np.arange(6, dtype=np.float16).reshape(2, 3)
    path = write_result(tmp_path, Result(made.record, {**made.arrays, "differences": rows}))
    assert np.array_equal(read_differences(path), read_result(path).arrays["differences"])
    whole = path.read_bytes()
    path.write_bytes(whole[:-1])
    with pytest.raises(CorruptResult):
        read_differences(path)
    for other in ({"divergence": np.zeros(3)}, {"differences": np.array([[np.nan]])}):
        save_file(other, path)
        with pytest.raises(CorruptResult):
            read_differences(path)


def test_kept_pictures_are_small() -> None:
    noise = np.random.default_rng(0).integers(0, 256, size=(64, 64, 3), dtype=np.uint8)
    small = Image.open(io.BytesIO(thumbnail_bytes(noise).tobytes()))
    assert np.array_equal(np.asarray(small), noise), "a small picture is kept as it is"
    large = Image.open(io.BytesIO(thumbnail_bytes(np.kron(noise, np.ones((16, 8, 1), np.uint8))).tobytes()))
    assert large.size == (THUMBNAIL_SIDE // 2, THUMBNAIL_SIDE)


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


def test_a_result_of_a_newer_version_is_refused_by_name(tmp_path: Path) -> None:
    made = make_result()
    newer = made.record.model_copy(update={"schema_version": RESULT_SCHEMA_VERSION + 1})
    path = write_result(tmp_path, Result(newer, made.arrays))
    with pytest.raises(CorruptResult, match="a newer version of auditor wrote it"):
        read_result(path)
