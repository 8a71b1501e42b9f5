"""The shipped lexicons are valid, and phrases find their concept through spelling variants."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditor.errors import UserError
from auditor.lexicons import Concept, Lexicon, concept_key, load_lexicon
from auditor.settings import PROFILES, resolve

GENERAL = load_lexicon("general-1")
POCKET = load_lexicon("pocket-1")


@pytest.mark.parametrize("lexicon", [GENERAL, POCKET], ids=lambda lexicon: lexicon.identifier)
def test_every_name_and_alias_is_lower_case_and_unique(lexicon: Lexicon) -> None:
    keys = Counter(concept_key(p) for c in lexicon.concepts for p in (c.name, *c.aliases))
    assert [key for key, count in keys.items() if count > 1] == []
    for concept in lexicon.concepts:
        for phrase in (concept.name, *concept.aliases):
            assert phrase == phrase.lower().strip() and phrase.isascii() and len(phrase) <= 40
            assert lexicon.canonical(phrase) == concept.name
    assert all(lexicon.canonical(word) is None for word in lexicon.neutral_words)


def test_general_is_broad() -> None:
    facets = Counter(c.facet for c in GENERAL.concepts)
    assert len(GENERAL.concepts) >= 600 and len(GENERAL.neutral_words) >= 30
    assert set(facets) == {
        "medium",
        "palette",
        "light",
        "texture",
        "composition",
        "era_and_movement",
        "mood",
        "rendering_quality",
        "subject_kinds",
    }
    assert min(facets.values()) >= 50
    assert GENERAL.phrase("a boat", "gothic") == "a boat, gothic style"


def test_pocket_is_what_the_renderer_draws() -> None:
    assert len(POCKET.concepts) == 30
    assert all(len(c.aliases) == 2 for c in POCKET.concepts)
    assert sum(c.facet == "subject" for c in POCKET.concepts) == 6
    assert POCKET.phrase("a red boat on sand", "vivid") == "a red boat on sand, vivid"


@pytest.mark.parametrize(
    ("phrase", "concept"),
    [
        ("Water-Colours", "watercolor"),
        ("WATER COLOR", "watercolor"),
        ("colourful", "vibrant"),
        ("greyscale", "black and white"),
        ("Pixel-Art", "pixel art"),
        ("pixellated", "pixelated"),
        ("  oil   paintings ", "oil painting"),
        ("moustaches", "moustache"),
        ("mosaics", "mosaic"),
        ("selfies", "self-portrait"),
        ("zombies", "zombie"),
        ("churches", "cathedral"),
        ("stylised", "stylized"),
        ("Children’s book illustrations", "children's book illustration"),
        ("art_deco", "art deco"),
        ("definitely not a concept", None),
        ("", None),
        ("!!", None),
    ],
)
def test_spelling_variants(phrase: str, concept: str | None) -> None:
    assert GENERAL.canonical(phrase) == concept


@given(st.text(max_size=40))
def test_any_text_can_be_asked_for_and_joined(text: str) -> None:
    assert GENERAL.canonical(text) is None or GENERAL.canonical(text) in GENERAL.names
    assert concept_key(text.upper().lower()) == concept_key(text.upper().lower().replace("-", " "))
    assert GENERAL.phrase(text, "{prompt}") == f"{text}, {{prompt}} style"


def test_hash_follows_content() -> None:
    assert load_lexicon("pocket-1").content_hash == POCKET.content_hash
    other = Lexicon(POCKET.name, POCKET.version, "{concept} {prompt}", POCKET.neutral_words, POCKET.concepts)
    assert other.content_hash != POCKET.content_hash
    reordered = Lexicon(POCKET.name, POCKET.version, POCKET.template, POCKET.neutral_words, POCKET.concepts[::-1])
    assert reordered.content_hash != POCKET.content_hash


@pytest.mark.parametrize(
    ("template", "concepts", "message"),
    [
        ("{prompt}", (), "template"),
        ("{prompt}, {concept}", (Concept("Vivid", "palette"),), "lower case"),
        ("{prompt}, {concept}", (Concept("--", "palette"),), "not empty"),
        ("{prompt}, {concept}", (Concept("vivid", ""),), "facet"),
        ("{prompt}, {concept}", (Concept("vivid", "a"), Concept("vivid", "b")), "twice"),
        (
            "{prompt}, {concept}",
            (Concept("oil paint", "x"), Concept("c", "x", ("oil-paints",))),
            "already belongs",
        ),
    ],
)
def test_bad_lexicons_are_named(template: str, concepts: tuple[Concept, ...], message: str) -> None:
    with pytest.raises(UserError, match=message):
        Lexicon("own", 1, template, (), concepts)


def test_own_files(tmp_path: Path) -> None:
    path = tmp_path / "own.json"
    path.write_text(
        json.dumps(
            {
                "name": "own",
                "version": 2,
                "template": "{concept} {prompt}",
                "neutral_words": [],
                "concepts": [{"name": "vivid", "facet": "palette"}],
            }
        )
    )
    own = load_lexicon(path)
    assert (own.identifier, own.names, own.concepts[0].facet) == ("own-2", ("vivid",), "palette")
    for text in ("{", "[]", '{"name": "x"}', '{"concepts": 3}'):
        path.write_text(text)
        with pytest.raises(UserError, match="well formed"):
            load_lexicon(path)


@pytest.mark.parametrize("profile", PROFILES)
def test_profiles_add_concepts_in_their_lexicons_own_way(profile: str) -> None:
    chosen = resolve(profile=profile, environment={}).settings.recipe
    assert load_lexicon(chosen.lexicon, chosen.concept_template) == load_lexicon(chosen.lexicon)


def test_a_recipes_own_template_is_another_lexicon() -> None:
    changed = load_lexicon("general-1", "{concept}, {prompt}")
    assert changed.phrase("a cat", "vivid") == "vivid, a cat"
    assert changed.concepts == GENERAL.concepts and changed.content_hash != GENERAL.content_hash


@pytest.mark.parametrize("name", ["nope", "../probes/general-1", "missing.json"])
def test_unknown_lexicons_list_the_known_ones(name: str) -> None:
    with pytest.raises(UserError, match="general-1, pocket-1"):
        load_lexicon(name)
