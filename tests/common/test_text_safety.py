"""Hostile text: nothing that steers a terminal or reorders a line comes through."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditor.common.text_safety import clean

any_text = st.text(st.characters(exclude_categories=()), max_size=60)


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("plain", "plain"),
        ("\x1b[31mred\x1b[0m", "red"),
        ("a\x1b]0;title\x07b", "ab"),
        ("a\x1b]8;;http://x\x1b\\link", "alink"),
        ("\x9b2Jx", "x"),
        ("a\rb\nc\td", "a b c d"),
        ("abc\u202etxt.exe", "abctxt.exe"),
        ("zero\u200bwidth\ufeff", "zerowidth"),
        ("\U000e0041tag", "tag"),
        ("lone \ud800", "lone \ufffd"),
        ("naïve 水彩 👩\u200d🎨", "naïve 水彩 👩\u200d🎨"),
    ],
)
def test_examples(raw, shown):
    assert clean(raw) == shown


@given(any_text, st.booleans())
def test_nothing_controlling_is_left_and_cleaning_is_idempotent(text, multiline):
    shown = clean(text, multiline=multiline)
    allowed = set("\n\t") if multiline else set()
    for character in set(shown) - allowed - set("\u200c\u200d"):
        assert unicodedata.category(character) not in {"Cc", "Cf", "Cs"}
    assert clean(shown, multiline=multiline) == shown
    shown.encode("utf-8")


@given(any_text, st.integers(1, 20))
def test_limit_is_kept(text, limit):
    shown = clean(text, limit=limit)
    assert len(shown) <= limit
    assert len(clean(text)) <= limit or shown.endswith("…")
