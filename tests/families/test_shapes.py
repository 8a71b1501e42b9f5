"""The packaged table of shapes is what diffusers' classes have."""

from __future__ import annotations

from tests.published_shapes import TABLE, text


def test_the_table_of_shapes_is_written_from_the_classes() -> None:
    assert TABLE.read_text("utf-8") == text(), "run: python -m tests.published_shapes"
