"""The null of free phrases: made once per encoder and number of words, kept, and made again when it is damaged."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from auditor.catalog.phrase_null import STRINGS, null_vectors, random_words

IDENTITY = ("an encoder", "{prompt}, {concept}", ["a boat", "a tree"])


class Embedding:
    """Counts what it is asked for, and gives every text a row of its own."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def __call__(self, texts):  # type: ignore[no-untyped-def]
        self.texts += texts
        return np.stack([np.frombuffer(text.ljust(4).encode()[:4], np.uint8) / 255 for text in texts])


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "auditor" / "phrase-null"


def test_it_is_embedded_once_for_all_phrases_of_so_many_words(cache: Path) -> None:
    embed = Embedding()
    first = null_vectors("small house", IDENTITY, embed)
    assert embed.texts == random_words(2) and first.shape == (STRINGS, 4)
    np.testing.assert_array_equal(null_vectors("old  boat", IDENTITY, embed), first)
    assert len(embed.texts) == STRINGS
    for phrase, identity in (("house", IDENTITY), ("small house", ("another encoder", *IDENTITY[1:]))):
        before = len(embed.texts)
        null_vectors(phrase, identity, embed)
        assert len(embed.texts) == before + STRINGS
    assert len(list(cache.iterdir())) == 3


@pytest.mark.parametrize("damage", [b"", b"not an array", b"PK\x03\x04 half an archive", np.nan, "word"])
def test_what_is_damaged_is_made_again(cache: Path, damage: bytes | float | str) -> None:
    embed = Embedding()
    made = null_vectors("a", IDENTITY, embed)
    (file,) = cache.iterdir()
    if isinstance(damage, bytes):
        file.write_bytes(damage)
    else:
        np.save(file, np.full((STRINGS, 4), damage, np.float32 if damage != "word" else None))
    np.testing.assert_allclose(null_vectors("a", IDENTITY, embed), made)
    assert len(embed.texts) == 2 * STRINGS


def test_a_cache_that_cannot_be_written_costs_time_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(blocked))
    assert null_vectors("a b", IDENTITY, Embedding()).shape == (STRINGS, 4)


def test_random_words_have_as_many_words_and_stay_the_same() -> None:
    assert all(len(text.split()) == 3 for text in random_words(3)) and random_words(3) == random_words(3)
    assert len(set(random_words(1))) == STRINGS


def test_it_is_kept_in_the_users_cache_wherever_that_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for name, folder in (("", tmp_path / ".cache"), (str(tmp_path / "elsewhere"), tmp_path / "elsewhere")):
        monkeypatch.setenv("XDG_CACHE_HOME", name)
        null_vectors("a", IDENTITY, Embedding())
        assert len(list((folder / "auditor" / "phrase-null").iterdir())) == 1


def test_words_have_three_to_nine_letters_and_phrases_six_words_at_most(cache: Path) -> None:
    lengths = {len(word) for text in random_words(6) for word in text.split()}
    assert lengths == set(range(3, 10))
    embed = Embedding()
    null_vectors("one two three four five six seven", IDENTITY, embed)
    assert embed.texts == random_words(6)
