"""What a card, tags and file names say where two of them speak, and what stays out unless it is asked for."""

from __future__ import annotations

import pytest

from auditor.hub.listed_entries import MAX_FILES, MalformedEntry, identify, parse_entry
from auditor.hub.model_cards import MAX_CARD_CHARS, MAX_LIST_ITEMS, card_json, clean_texts, read_base_claim, read_card
from auditor.hub.queries import Query, default_queries
from auditor.hub.repo_units import units
from auditor.hub.select import select_files
from auditor.hub.training_steps import ladders, step_of
from auditor.records.listing import ListedFile, ListedRepo, SettledItem, Unit
from auditor.records.outcomes import Reason

STANDARD = "pytorch_lora_weights.safetensors"
UNET = "unet/diffusion_pytorch_model.safetensors"


def triggers(**card: object) -> list[tuple[str, str]]:
    return [(found.text, found.source) for found in read_card(card).triggers]


def test_an_instance_prompt_that_is_shown_as_an_example_too_stands_once_and_first() -> None:
    widget = [{"text": "a dog"}, {"text": "sks dog"}, {"text": "a dog"}]
    assert triggers(instance_prompt="sks dog", widget=widget) == [("sks dog", "instance_prompt"), ("a dog", "widget")]


def test_a_dash_is_no_example_and_the_text_of_one_goes_before_its_prompt() -> None:
    assert triggers(widget=[{"text": "-"}, {"text": "a cat", "prompt": "a dog"}]) == [("a cat", "widget")]


def test_the_relation_that_the_card_states_goes_before_the_tags() -> None:
    tags = ("base_model:adapter:a/b",)
    assert read_card({"base_model_relation": "merge"}, tags).base_relation == "merge"
    assert read_card({"base_model_relation": "cousin"}, tags).base_relation == "adapter"


def test_another_licence_without_a_name_stays_other_and_the_card_goes_before_the_tag() -> None:
    assert read_card({"license": "other"}, ("license:mit",)).license == "other"
    assert read_card({"license": "apache-2.0"}, ("license:mit",)).license == "apache-2.0"


@pytest.mark.parametrize("text", ["a/b--c", "a/b..c"])
def test_what_no_repo_can_be_called_is_a_name(text: str) -> None:
    claim = read_base_claim(text)
    assert claim is not None and (claim.kind, claim.repo_id) == ("name", None)


def test_more_folders_than_a_repo_has_are_a_path_on_somebodys_machine() -> None:
    claim = read_base_claim("models/stable diffusion/my base")
    assert claim is not None and claim.kind == "local_path"


def test_of_a_long_list_only_the_first_distinct_texts_are_kept() -> None:
    assert clean_texts(["same"] * 10 + [str(n) for n in range(100)]) == (
        "same",
        *(str(n) for n in range(MAX_LIST_ITEMS - 1)),
    )


@pytest.mark.parametrize(("more", "kept"), [(0, True), (1, False)])
def test_a_card_is_kept_up_to_its_limit(more: int, kept: bool) -> None:
    frame = len('{"a":""}')
    assert (card_json({"a": "x" * (MAX_CARD_CHARS - frame + more)}) is not None) is kept


@pytest.mark.parametrize(("more", "usable"), [(0, True), (1, False)])
def test_an_entry_is_read_up_to_its_limit_of_files(more: int, usable: bool) -> None:
    entry = {"id": "a/b", "sha": "0" * 40, "siblings": [{"rfilename": "x"}] * (MAX_FILES + more)}
    if usable:
        assert identify(entry).repo_id == "a/b"
    else:
        with pytest.raises(MalformedEntry, match="more than"):
            identify(entry)


def test_a_clock_that_was_never_set_tells_no_time_and_true_is_no_count() -> None:
    odd = {"lastModified": "1969-12-31T23:59:59Z", "createdAt": "1970-01-01T00:00:00Z", "downloads": True, "likes": 2.5}
    repo = parse_entry({"id": "a/b", "sha": "0" * 40, **odd})
    assert (repo.last_modified, repo.created_at) == (None, "1970-01-01T00:00:00Z")
    assert (repo.downloads, repo.likes) == (0, 2)


# --- steps of one training


def test_the_epoch_goes_before_the_step_and_a_name_is_never_all_steps() -> None:
    assert step_of("s-epoch-000002-step-000050.safetensors") == ("s", (2, 50))
    (choice,) = select_files(
        ["s-epoch-000001-step-000900.safetensors", "s-epoch-000002-step-000050.safetensors"]
    ).chosen
    assert choice.path == "s-epoch-000002-step-000050.safetensors"
    assert step_of("-000004.safetensors") == ("-000004", ())


def test_one_training_is_one_unit_however_its_names_are_capitalised() -> None:
    assert ladders(["Style-000002.safetensors", "style-000004.safetensors"]) == [
        ["Style-000002.safetensors", "style-000004.safetensors"]
    ]


def test_checkpoints_belong_to_a_file_of_a_standard_name_before_a_nearer_one() -> None:
    found = select_files([STANDARD, "a/style.safetensors", "a/checkpoint-5/x.safetensors"])
    assert {variant.path: variant.of for variant in found.variants} == {"a/checkpoint-5/x.safetensors": STANDARD}


def test_of_two_files_as_near_the_one_of_the_shorter_path_has_the_checkpoint() -> None:
    found = select_files(["much-longer-name.safetensors", "short.safetensors", "checkpoint-5/x.safetensors"])
    assert {variant.of for variant in found.variants} == {"short.safetensors"}


# --- repos that are settled without being opened, and those that are not


def repo(*paths: str, **fields: object) -> ListedRepo:
    return ListedRepo("a/b", "0" * 40, files=tuple(map(ListedFile, paths)), **fields)  # type: ignore[arg-type]


def reason(found: Unit | SettledItem) -> Reason | None:
    return found.reason if isinstance(found, SettledItem) else None


def test_a_base_called_like_another_part_makes_no_part_of_its_adapter() -> None:
    (item,) = units(repo(STANDARD, tags=("base_model:adapter:a/controlnet-canny",)))
    assert isinstance(item, Unit)
    (item,) = units(repo(STANDARD, tags=("controlnet-canny",)))
    assert reason(item) == "not_text_to_image"


def test_a_whole_model_is_refused_as_pickles_only_when_all_of_it_is() -> None:
    parts = ["model_index.json", "unet/diffusion_pytorch_model.bin", "vae/diffusion_pytorch_model.bin"]
    assert [reason(item) for item in units(repo(*parts))] == ["refused_format"]
    assert [reason(item) for item in units(repo(*parts, "text_encoder/model.safetensors"))] == ["unsupported_format"]


@pytest.mark.parametrize(("other", "companions"), [("vae/x", ("model_index.json",)), ("scheduler/x", ())])
def test_a_whole_model_brings_its_index_only_when_it_has_other_parts_of_its_own(
    other: str, companions: tuple[str, ...]
) -> None:
    parts = ("model_index.json", UNET, f"{other}/diffusion_pytorch_model.safetensors".replace("/x/", "/"))
    (item,) = (found for found in units(repo(*parts), full_models=True) if isinstance(found, Unit))
    assert (item.path, item.companions) == (UNET, companions)


# --- what is asked of the Hub


def test_bases_that_are_named_take_the_place_of_all_known_ones() -> None:
    every, named = default_queries(), default_queries(["a/b"])
    assert Query(author="sd-concepts-library") in every and not any(query.author for query in named)
    prefix = "base_model:adapter:"
    assert [f for query in named for f in query.filters if f.startswith(prefix)] == [f"{prefix}a/b"]
    assert sum(f.startswith(prefix) for query in every for f in query.filters) > 10


def test_whole_models_are_looked_for_only_when_asked() -> None:
    whole = {Query(("dreambooth", "text-to-image")), Query(("base_model:finetune:a/b",))}
    assert not whole & set(default_queries(["a/b"]))
    assert whole <= set(default_queries(["a/b"], full_models=True))
    assert Query(("base_model:finetune:a/b",)) in default_queries(["c/d"], copied=["a/b"])


def test_a_walk_goes_by_creation_unless_the_newest_changes_are_wanted() -> None:
    query = Query(("lora", "flux"), author="ann", search="water colour")
    assert "filter=lora&filter=flux&author=ann&search=water+colour&sort=createdAt&limit=7&" in query.url(
        "http://h", limit=7, newest_first=False
    )
    assert "&sort=lastModified&" in query.url("http://h", limit=7, newest_first=True)
    assert (query.name, Query().name) == ("lora+flux+author=ann+search=water colour", "everything")
