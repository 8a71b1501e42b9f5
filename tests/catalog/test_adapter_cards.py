"""Cards of single repos."""

import json
from dataclasses import asdict

import pytest

from auditor.catalog.adapter_cards import read_cards
from auditor.errors import UserError
from auditor.results.result_file import write_result


def test_a_card_holds_everything_known(world, build):
    write_result(world.results, build.rich(world.item("ann/rich"), world.recipe, world.lexicon))
    world.item("bob/copy", content="ann/rich")
    world.item("ann/rich", path="second.safetensors", file_sha256=build.sha("other"))
    world.merge()
    first, second = read_cards(world.database, "Ann/Rich")
    assert first.card["concepts"] == "vibrant 0.80, watercolor 0.40"
    assert set(first.card["flags"]) == {"base_assumed", "card_mismatch", "dose_not_rising", "copied"}
    assert first.copies_in == ("bob/copy",)
    assert [record["concept"] for record in first.scores] == ["vibrant", "watercolor"]
    assert {record["variant"] for record in first.explanations} == {"robust", "paper"}
    assert [record["concept"] for record in first.phrases] == [None, "vibrant"]
    assert first.trigger["interaction_norm"] == 0.2
    assert (first.subject["noun"], first.subject["norm"], first.subject["leak"]) == ("dog", 0.6, 0.5)
    assert second.subject is None
    assert len(first.dose) == 3
    assert (second.card["outcome"], second.scores) == ("pending", ())
    assert json.dumps([asdict(card) for card in (first, second)], allow_nan=False)


def test_one_file_of_a_repo(catalog):
    assert len(read_cards(catalog.database, "ann/vibrant", "lora.safetensors")) == 1
    with pytest.raises(UserError, match=r"other\.safetensors"):
        read_cards(catalog.database, "ann/vibrant", "other.safetensors")


def test_an_unknown_repo_names_near_ones(catalog):
    with pytest.raises(UserError, match="ann/vibrant"):
        read_cards(catalog.database, "ann/vibrnt")


def test_a_repo_is_found_by_its_address_or_a_part_of_its_name(catalog):
    def repos(text):
        return {card.card["repo_id"] for card in read_cards(catalog.database, text)}

    assert repos("https://a.hub/ann/vibrant/tree/main") == {"ann/vibrant"}
    assert repos("vivid") == {"ann/vivid-paint"} == repos("VIVID-P")
    with pytest.raises(UserError, match=r"several repos have 'ann/' in their name: ann/.*; name one"):
        read_cards(catalog.database, "ann/")
    with pytest.raises(UserError, match="the catalog has no repo 'nothing-like-it'"):
        read_cards(catalog.database, "nothing-like-it")
