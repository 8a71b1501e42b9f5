"""What a trigger names: real spellings of instance prompts, tags and widgets, and what is left alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditor.errors import UserError
from auditor.probes.subjects import Subject, find_subject, load_contexts

GENERAL = load_contexts("subject-1")


@pytest.mark.parametrize(
    ("texts", "token", "phrase", "plain"),
    [
        (["a photo of sks dog"], "sks", "sks dog", "dog"),
        (["TOK woman"], "TOK", "TOK woman", "woman"),
        (["photo of xyz man with a beard"], "xyz", "xyz man", "man"),
        (["red and white TOK sneakers"], "TOK", "red and white TOK sneakers", "red and white sneakers"),
        (["a sks cat in a room"], "sks", "sks cat", "cat"),
        (["a sks cat toy on a table"], "sks", "sks cat toy", "cat toy"),
        (["woman ohwx"], "ohwx", "woman ohwx", "woman"),
        (["ld2x, woman"], "ld2x", "ld2x woman", "woman"),
        (["a photo of <s0><s1> dog"], "<s0><s1>", "<s0><s1> dog", "dog"),
        (["ohwx", "ohwx", "1girl", "solo"], "ohwx", "ohwx girl", "girl"),
        (["emma watson, 1girl"], "emma watson", "emma watson girl", "girl"),
        (["smart falcon", "1girl"], "smart falcon", "smart falcon girl", "girl"),
    ],
)
def test_word_and_class_are_told_apart(texts: list[str], token: str, phrase: str, plain: str) -> None:
    found = find_subject(texts, GENERAL)
    assert found is not None and (found.token, found.phrase, found.plain) == (token, phrase, plain)
    assert found.plain.split()[-1] == found.noun


@pytest.mark.parametrize(
    "texts",
    [
        ["TOK"],  # of what class?
        ["dog"],  # nothing was taught
        ["in the style of TOK"],
        ["sks style dog"],
        ["TOK style", "1girl"],  # the most trusted text says that it is a style
        ["<s0><s1>"],
        ["smart falcon"],
        [""],
        [],
    ],
)
def test_a_style_or_an_unknown_class_is_no_subject(texts: list[str]) -> None:
    assert find_subject(texts, GENERAL) is None


def test_prompts_are_grammatical_and_differ_in_the_word_alone() -> None:
    dog = Subject("sks", "dog", "sks dog", "dog")
    assert GENERAL.filled(dog.phrase, dog.noun)[0] == "a sks dog on a beach"
    assert GENERAL.filled("owl", "owl")[0] == "an owl on a beach"
    assert GENERAL.filled("TOK sneakers", "sneakers")[0] == "TOK sneakers on a beach"
    assert len(GENERAL) == 32


def test_every_class_is_one_word_and_no_ordinary_one() -> None:
    for contexts in (GENERAL, load_contexts("pocket-subject-1")):
        assert not contexts.nouns & (contexts.ordinary_words | contexts.style_words)
        assert all(noun.isalpha() for noun in contexts.nouns)


@given(st.lists(st.text(max_size=400), max_size=6))
def test_nothing_that_strangers_write_is_an_error(texts: list[str]) -> None:
    found = find_subject(texts, GENERAL)
    if found is not None:
        # what the base is asked for is made of known words and single words of the text, never of its punctuation
        assert found.noun in GENERAL.nouns and found.token
        assert len(GENERAL.filled(found.phrase, found.noun)) == len(GENERAL)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"contexts": [{"prompt": "a dog", "seed": 1}]}, "every prompt needs one {subject}"),
        ({"contexts": [{"prompt": "a {subject}", "seed": -1}]}, "seeds must lie"),
        ({"contexts": 2 * [{"prompt": "a {subject}", "seed": 1}]}, "prompts must differ"),
        ({"aliases": {"1girl": "girlie"}}, "girlie is no class"),
        ({"classes": 3}, "not well formed"),
    ],
)
def test_contexts_of_ones_own_are_checked(tmp_path: Path, change: dict[str, object], says: str) -> None:
    raw = json.loads((Path("auditor/probes/contexts/pocket-subject-1.json")).read_text("utf-8")) | change
    path = tmp_path / "own.json"
    path.write_text(json.dumps(raw), "utf-8")
    with pytest.raises(UserError, match=says):
        load_contexts(path)
