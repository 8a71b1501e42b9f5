"""Front matter is a stranger's YAML."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auditor.pocket.hub_server.card import front_matter

BOMB = "a: &a [x, x, x, x, x, x, x, x]\n" + "".join(
    f"{chr(98 + i)}: &{chr(98 + i)} [{', '.join(['*' + chr(97 + i)] * 9)}]\n" for i in range(9)
)


@pytest.mark.parametrize(
    ("readme", "expected"),
    [
        ("---\nlicense: mit\n---\ntext", {"license": "mit"}),
        ("\ufeff---\r\nlicense: mit\r\n---\r\n", {"license": "mit"}),
        ("---\n1: {2: .nan}\ndate: 2024-01-01\n---\n", {"1": {"2": None}, "date": "2024-01-01"}),
        ("# no front matter", None),
        ("---\nnever closed: 1\n", None),
        ("---\n- a\n- list\n---\n", None),
        ("---\n!!python/object/apply:os.system ['true']\n---\n", None),
        ("---\n" + BOMB + "---\n", None),
        ("---\n" + "a: b\n" * 20_000 + "---\n", None),
        ("---\n" + "[" * 5_000 + "\n---\n", None),
        ("---\n---\n", None),
        ("", None),
    ],
)
def test_front_matter(readme: str, expected: object) -> None:
    assert front_matter(readme) == expected


@settings(max_examples=40, deadline=None)
@given(st.text(max_size=100))
def test_any_text_gives_json_or_nothing(text: str) -> None:
    found = front_matter(f"---\n{text}\n---\n")
    assert found is None or isinstance(json.dumps(found, allow_nan=False), str)
