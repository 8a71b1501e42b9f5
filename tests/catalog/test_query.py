"""From words to terms."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditor.catalog.query import MAX_CHARS, near_names, parse
from auditor.errors import UserError
from auditor.lexicons import concept_key, load_lexicon

LEXICON = load_lexicon("pocket-1")
ALIASES = {concept_key(a): c.name for c in LEXICON.concepts for a in (c.name, *c.aliases)}
NAMES = st.sampled_from([a for c in LEXICON.concepts for a in (c.name, *c.aliases)])


def read(text):
    return [(term.role, term.concept or f"?{term.text}") for term in parse(text, ALIASES).terms]


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("most vibrant watercolor LoRA", [("wanted", "vibrant"), ("wanted", "watercolor")]),
        ("vibrant watercolor", [("wanted", "vibrant"), ("wanted", "watercolor")]),
        ("the most COLOURFUL water-colours style, please", [("wanted", "vibrant"), ("wanted", "watercolor")]),
        ("least blurry", [("least", "blurry")]),
        ("least blurry watercolor", [("least", "blurry"), ("wanted", "watercolor")]),
        ("vibrant but not dark", [("wanted", "vibrant"), ("without", "dark")]),
        ("not dark or foggy, vibrant", [("without", "dark"), ("without", "foggy"), ("wanted", "vibrant")]),
        ("without dark and vibrant", [("without", "dark"), ("wanted", "vibrant")]),
        ("motion blurred", [("wanted", "motion-blurred")]),
        ("motion-blurred blurry", [("wanted", "motion-blurred"), ("wanted", "blurry")]),
        ("dark cornered", [("wanted", "vignetted")]),
        ("cottage garden", [("wanted", "?cottage garden")]),
        ("vibrant house of cards loras", [("wanted", "vibrant"), ("wanted", "?house of cards")]),
        ("a watercolor of the Eiffel Tower", [("wanted", "watercolor"), ("wanted", "?Eiffel Tower")]),
        ("most baroque but not foggy", [("wanted", "?baroque"), ("without", "foggy")]),
        ("vivid vibrant colorful", [("wanted", "vibrant")]),
        ("日本 vibrant", [("wanted", "?日本"), ("wanted", "vibrant")]),
    ],
)
def test_words_become_terms(text, terms):
    assert read(text) == terms


@pytest.mark.parametrize("text", ["", "   ", "most lora", "the style of a model", "?!", "not"])
def test_nothing_to_look_for_is_said(text):
    with pytest.raises(UserError, match="for example"):
        read(text)


def test_contradictions_and_excess_are_refused():
    with pytest.raises(UserError, match="both wanted and not"):
        read("vibrant but not vivid")
    with pytest.raises(UserError, match="at most 8"):
        read(", ".join(LEXICON.names[:9]))
    with pytest.raises(UserError, match="characters"):
        read("x" * (MAX_CHARS + 1))


@given(st.lists(NAMES, min_size=1, max_size=8, unique_by=lambda name: LEXICON.canonical(name)))
def test_any_names_in_any_order_are_found(names):
    query = parse(f"most {', '.join(names)} LoRA", ALIASES)
    assert query.concepts("wanted") == [LEXICON.canonical(name) for name in names]
    assert query.phrases == ()


@given(st.text(max_size=200))
def test_any_text_is_read_or_refused(text):
    try:
        query = parse(text, ALIASES)
    except UserError:
        return
    assert query.terms
    assert all(term.concept in LEXICON.names or term.concept is None for term in query.terms)
    assert all(term.text.strip() for term in query.terms)


def test_near_names_for_slips():
    assert near_names("vibrnt", ALIASES) == ["vibrant"]
    assert near_names("qqqq", ALIASES) == []
