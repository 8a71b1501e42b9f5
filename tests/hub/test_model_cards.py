"""Cards may hold anything; what is read from them is clean, capped and of our types."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auditor.hub.listed_entries import MalformedEntry, parse_entry
from auditor.hub.model_cards import (
    MAX_LIST_ITEMS,
    MAX_TEXT_CHARS,
    card_json,
    clean_text,
    read_base_claim,
    read_card,
)

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=6,
)
CARD_KEYS = st.sampled_from(
    ["base_model", "base_model_relation", "license", "license_name", "tags", "widget", "instance_prompt"]
)
ENTRY_KEYS = st.sampled_from(
    [
        "tags",
        "cardData",
        "siblings",
        "gated",
        "private",
        "lastModified",
        "createdAt",
        "downloads",
        "pipeline_tag",
    ]
)


@pytest.mark.parametrize(
    ("claim", "kind", "repo_id"),
    [
        ("runwayml/stable-diffusion-v1-5", "repo", "runwayml/stable-diffusion-v1-5"),
        ("  'black-forest-labs/FLUX.1-dev' ", "repo", "black-forest-labs/FLUX.1-dev"),
        ("https://huggingface.co/a/b/tree/main", "repo", "a/b"),
        ("https://huggingface.co/a/b?x=1", "repo", "a/b"),
        ("huggingface.co/a/b", "repo", "a/b"),
        ("https://civitai.com/models/1234", "url", None),
        ("https://huggingface.co.evil.example/a/b", "url", None),
        ("https://[bad/a/b", "url", None),
        ("/home/me/models/sdxl", "local_path", None),
        ("C:\\models\\sdxl.safetensors", "local_path", None),
        ("models/sd/v1-5.ckpt", "local_path", None),
        ("../a/b", "local_path", None),
        ("~/a", "local_path", None),
        ("Pony Diffusion V6 XL", "name", None),
        ({"id": "a/b"}, "repo", "a/b"),
    ],
)
def test_base_claims(claim: object, kind: str, repo_id: str | None) -> None:
    found = read_base_claim(claim)
    assert found is not None
    assert (found.kind, found.repo_id) == (kind, repo_id)


@pytest.mark.parametrize("claim", [None, "", "  ", 7, [], {}, {"id": 3}, "\u202e\u0000"])
def test_no_base_claim(claim: object) -> None:
    assert read_base_claim(claim) is None


def test_a_usual_card() -> None:
    card = {
        "base_model": ["a/b", "/home/me/x"],
        "license": "other",
        "license_name": "openrail++",
        "instance_prompt": "photo of <s0><s1>",
        "widget": [{"text": "a cat"}, {"src": "x", "prompt": "a dog"}, 3],
        "tags": ["lora", "not-for-all-audiences"],
    }
    facts = read_card(card, ("base_model:adapter:c/d", "base_model:a/b", "license:mit"))
    assert facts.base_models == ("a/b", "c/d")
    assert [claim.text for claim in facts.base_claims] == ["a/b", "/home/me/x", "c/d"]
    assert (facts.license, facts.base_relation, facts.nsfw) == ("openrail++", "adapter", True)
    assert facts.instance_prompt == "photo of <s0><s1>"
    assert [(item.text, item.source) for item in facts.triggers] == [
        ("photo of <s0><s1>", "instance_prompt"),
        ("a cat", "widget"),
        ("a dog", "widget"),
    ]


def test_without_a_card_the_tags_speak() -> None:
    facts = read_card(None, ("license:mit", "base_model:finetune:a/b"))
    assert (facts.license, facts.base_models, facts.base_relation) == ("mit", ("a/b",), "finetune")
    assert read_card(["x"]).base_models == ()


def test_text_is_cleaned() -> None:
    assert clean_text("a\x1b[31m\u202eb\ud800\n c") == "a[31mb c"
    assert clean_text("x" * 10_000) == "x" * MAX_TEXT_CHARS
    assert clean_text("\u200b") is None


def test_a_long_card_is_not_kept() -> None:
    assert card_json({"a": "x" * 100_000}) is None
    assert card_json({"b": 1, "a": "é"}) == '{"a":"\\u00e9","b":1}'


@settings(max_examples=40, deadline=None)
@given(st.dictionaries(CARD_KEYS, JSON, max_size=7) | JSON, st.lists(st.text(max_size=20), max_size=5))
def test_any_card_is_read(card: object, tags: list[str]) -> None:
    facts = read_card(card, tags)
    card_json(card)
    texts = [
        *facts.base_models,
        *(claim.text for claim in facts.base_claims),
        facts.license,
        facts.instance_prompt,
    ]
    texts += [item.text for item in facts.triggers]
    for text in texts:
        assert text is None or (0 < len(text) <= MAX_TEXT_CHARS and text.encode("utf-8"))
    assert all(item.text.isprintable() for item in facts.triggers)
    assert len(facts.base_claims) <= MAX_LIST_ITEMS


@settings(max_examples=40, deadline=None)
@given(st.dictionaries(ENTRY_KEYS, JSON, max_size=7))
def test_any_entry_is_read_or_quarantined(values: dict[str, object]) -> None:
    try:
        repo = parse_entry({"id": "a/b", "sha": "0" * 40, **values})
    except MalformedEntry as error:
        assert "siblings" in values and str(error)
    else:
        assert repo.downloads >= 0 and repo.gated in (None, "auto", "manual")


@given(JSON)
@settings(max_examples=25, deadline=None)
def test_what_is_no_entry_is_quarantined(value: object) -> None:
    with pytest.raises(MalformedEntry):
        parse_entry(value)
