"""Sidecars beside a user's files: ours is added and renewed, theirs is theirs."""

import hashlib
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auditor.catalog.export.bundle import annotate
from auditor.catalog.export.manager_sidecar import merge_into
from auditor.catalog.export.webui_sidecar import complete_webui
from auditor.errors import UserError
from auditor.results.result_file import write_result


def test_sidecars_complete_what_is_there(world, tmp_path, build):
    loras = tmp_path / "loras" / "sub"
    loras.mkdir(parents=True)
    known = b"bytes of a file that was audited"
    item = world.item("ann/local", file_sha256=hashlib.sha256(known).hexdigest(), trigger="sks")
    write_result(world.results, build.rich(item, world.recipe, world.lexicon))
    world.merge()
    for name, content in (("mine", known), ("broken", known), ("other", b"never seen")):
        (loras / f"{name}.safetensors").write_bytes(content)
    mine = {
        "file_name": "mine",
        "notes": "I like this.",
        "tags": ["my tag"],
        "base_model": "SDXL 1.0",
        "favorite": True,
        "from_the_future": {"x": [1]},
    }
    (loras / "mine.metadata.json").write_text(json.dumps(mine))
    (loras / "broken.metadata.json").write_text("{half")
    done = annotate(world.database, tmp_path / "loras")
    assert (done.written, done.unknown, done.unreadable) == (2, 1, (str(loras / "broken.metadata.json"),))
    made = json.loads((loras / "mine.metadata.json").read_text())
    assert {name: made[name] for name in ("favorite", "from_the_future", "base_model")} == {
        name: mine[name] for name in ("favorite", "from_the_future", "base_model")
    }
    assert made["tags"] == ["my tag", "vibrant", "watercolor"] and made["notes"].startswith("I like this.\n[auditor] ")
    assert made["civitai"] == {"trainedWords": ["sks"]}
    plain = json.loads((loras / "mine.json").read_text())
    assert plain["activation text"] == plain["modelspec.trigger_phrase"] == "sks"
    assert plain["modelspec.tags"] == "vibrant, watercolor"
    required = "file_name model_name file_path size modified sha256 base_model preview_url"
    assert set(required.split()) <= set(made)
    assert (loras / "broken.metadata.json").read_text() == "{half"
    again = annotate(world.database, tmp_path / "loras")
    assert (again.written, again.unchanged) == (0, 2)
    with pytest.raises(UserError, match="no folder"):
        annotate(world.database, tmp_path / "nowhere")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=5,
)
FIELDS = st.sampled_from(["notes", "tags", "base_model", "civitai", "auditor", "sha256", "mine", "usage_tips"])
RECORD = {
    "file_sha256": "ab" * 32, "repo_id": "a/b", "path": "x.safetensors", "size_bytes": 5, "license": None,
    "trigger": "sks", "outcome": "scored", "reason": None, "message": "Scored.", "commit_sha": "c" * 40, "nsfw": False,
    "top_concepts": [{"concept": "vibrant", "score": 0.5, "low": 0.4, "high": 0.6}], "explained_share": 0.5,
    "probes": 12, "recipe_id": "r", "status": "explained", "family": "sdxl", "trigger_only": False,
}  # fmt: skip


@given(st.dictionaries(FIELDS, JSON, max_size=6))
@settings(max_examples=80, deadline=None)
def test_any_sidecar_is_completed_once_and_keeps_what_is_its_own(existing):
    made = merge_into(existing, RECORD, "x", None)
    assert merge_into(made, RECORD, "x", None) == made
    for name in ("sha256", "mine", "usage_tips"):
        if name in existing:
            assert made[name] == existing[name]
    if existing.get("auditor") is not None and not isinstance(existing["auditor"], dict):
        assert {**existing, "notes": 0, "base_model": 0} == {n: made[n] for n in existing} | {
            "notes": 0,
            "base_model": 0,
        }
        return
    for name, ours in (("notes", str), ("tags", list), ("civitai", dict)):
        if existing.get(name) is not None and not isinstance(existing[name], ours):
            assert made[name] == existing[name]
    if isinstance(existing.get("notes"), str):
        assert made["notes"].startswith(existing["notes"].partition("[auditor]")[0])
    rescored = {**RECORD, "top_concepts": []}
    if not isinstance(made["tags"], list):
        return
    own = existing["tags"] if isinstance(existing.get("tags"), list) else []
    assert ("vibrant" in merge_into(made, rescored, "x", None)["tags"]) == ("vibrant" in own)


@pytest.mark.parametrize(
    ("existing", "civitai"),
    [
        ({}, {"trainedWords": ["new word"]}),
        ({"civitai": {}}, {"trainedWords": ["new word"]}),
        ({"civitai": None}, {"trainedWords": ["new word"]}),
        ({"civitai": {"id": 5, "trainedWords": []}}, {"id": 5, "trainedWords": ["new word"]}),
        ({"civitai": {"trainedWords": ["theirs"]}}, {"trainedWords": ["theirs"]}),
        ({"civitai": {"trainedWords": "theirs"}}, {"trainedWords": "theirs"}),
        ({"civitai": "https://x"}, "https://x"),
        ({"civitai": {"trainedWords": ["old"]}, "auditor": {"trained_words": ["old"]}}, {"trainedWords": ["new word"]}),
        ({"civitai": {"trainedWords": ["old"]}, "auditor": {"tags": []}}, {"trainedWords": ["new word"]}),
        ({"civitai": {"id": 1, "trainedWords": ["x"]}, "auditor": {"tags": []}}, {"id": 1, "trainedWords": ["x"]}),
        (
            {"civitai": {"trainedWords": ["old", "theirs"]}, "auditor": {"trained_words": ["old"]}},
            {"trainedWords": ["theirs"]},
        ),
    ],
)
def test_trigger_words_are_filled_in_and_renewed(existing, civitai):
    made = merge_into(existing, {**RECORD, "trigger": "new word"}, "x", None)
    assert made["civitai"] == civitai
    assert merge_into(made, {**RECORD, "trigger": "new word"}, "x", None) == made
    back = merge_into(made, {**RECORD, "trigger": None}, "x", None)
    assert "new word" not in str(back["civitai"])


def test_what_a_civitai_file_says_is_not_hidden(world, tmp_path, build):
    item = world.item("ann/local", file_sha256=hashlib.sha256(b"known").hexdigest())
    write_result(world.results, build.rich(item, world.recipe, world.lexicon))
    world.merge()
    for name in ("a.safetensors", "b.SAFETENSORS"):
        (tmp_path / name).write_bytes(b"known")
    (tmp_path / "c.safetensors").symlink_to(tmp_path / "a.safetensors")
    (tmp_path / "gone.safetensors").symlink_to(tmp_path / "nowhere")
    (tmp_path / "a.civitai.info").write_text("{}")
    (tmp_path / "b.json").write_text('{"what": "something else"}')
    done = annotate(world.database, tmp_path)
    assert done.left_to_civitai == 1 and done.unreadable == (str(tmp_path / "gone.safetensors"),)
    names = {path.name for path in tmp_path.iterdir()}
    assert "a.metadata.json" not in names and {"b.metadata.json", "c.metadata.json", "a.json", "c.json"} <= names
    assert (tmp_path / "b.json").read_text() == '{"what": "something else"}'
    (tmp_path / "a.metadata.json").write_text('{"civitai": {"id": 7}}')  # as the manager makes it
    assert annotate(world.database, tmp_path).left_to_civitai == 0
    assert json.loads((tmp_path / "a.metadata.json").read_text())["civitai"]["id"] == 7


@pytest.mark.parametrize(
    ("notes", "kept"),
    [
        ("see [auditor] docs", "see [auditor] docs\n"),
        ("a [/auditor] b", "a [/auditor] b\n"),
        ("[/auditor][auditor]", "[/auditor][auditor]\n"),
        ("[auditor] x [/auditor] and [auditor]", " and [auditor]"),  # a pair is taken for a passage of ours
    ],
)
def test_marks_among_a_users_words_cost_none_of_them(notes, kept):
    made = merge_into({"notes": notes}, RECORD, "x", None)
    again = merge_into(made, {**RECORD, "license": "mit"}, "x", None)["notes"]
    ours = again[again.rindex("[auditor] vibrant") : again.index("licence: mit [/auditor]") + 23]
    assert again.replace(ours, "") == kept


def test_what_json_allows_in_a_users_file_stays(world, tmp_path, build):
    item = world.item("ann/local", file_sha256=hashlib.sha256(b"known").hexdigest())
    write_result(world.results, build.rich(item, world.recipe, world.lexicon))
    world.merge()
    files = {
        "nan": '{"rating": NaN, "mine": 1}',
        "half": '{"mine": "\\ud83d"}',
        "bom": '\ufeff{"mine": 1}',
        "deep": '{"mine": ' + "[" * 100_000 + "]" * 100_000 + "}",
        "list": "[]",
    }
    for name, text in files.items():
        (tmp_path / f"{name}.safetensors").write_bytes(b"known")
        (tmp_path / f"{name}.metadata.json").write_text(text)
    done = annotate(world.database, tmp_path)
    assert {Path(path).stem.partition(".")[0] for path in done.unreadable} == {"deep", "list"}
    made = {name: json.loads((tmp_path / f"{name}.metadata.json").read_text()) for name in ("nan", "half", "bom")}
    assert (
        made["nan"]["rating"] != made["nan"]["rating"] and made["half"]["mine"] == "\ud83d" and made["bom"]["mine"] == 1
    )
    assert annotate(world.database, tmp_path).written == 0


def test_links_to_folders_and_sidecars_are_followed(world, tmp_path, build):
    item = world.item("ann/local", file_sha256=hashlib.sha256(b"known").hexdigest())
    write_result(world.results, build.rich(item, world.recipe, world.lexicon))
    world.merge()
    drive, loras = tmp_path / "drive", tmp_path / "loras"
    for folder in (drive, loras):
        folder.mkdir()
    (drive / "a.safetensors").write_bytes(b"known")
    (drive / "kept.json").write_text('{"mine": 1}')
    (drive / "a.metadata.json").symlink_to("kept.json")
    (drive / "circle").symlink_to(loras)
    (loras / "drive").symlink_to(drive)
    (loras / "again").symlink_to(drive)
    done = annotate(world.database, loras)
    assert (done.written, done.unreadable) == (1, ())
    assert (drive / "a.metadata.json").is_symlink() and json.loads((drive / "kept.json").read_text())["auditor"]


def test_an_adapter_that_acts_with_its_trigger_only_carries_its_tags(world, tmp_path, build):
    item = world.item("ann/local", file_sha256=hashlib.sha256(b"known").hexdigest(), trigger="sks")
    rich = build.rich(item, world.recipe, world.lexicon)
    write_result(world.results, build.result(item, world.recipe, world.lexicon, {}, arms=rich.record.arms))
    world.merge()
    (tmp_path / "a.safetensors").write_bytes(b"known")
    annotate(world.database, tmp_path)
    made = json.loads((tmp_path / "a.metadata.json").read_text())
    assert made["auditor"]["trigger_only"] and made["tags"] and "with the trigger" in made["notes"]


@given(st.dictionaries(st.sampled_from(["notes", "sd version", "modelspec.title", "mine"]), JSON, max_size=4))
@settings(max_examples=60, deadline=None)
def test_a_web_uis_file_keeps_every_word(existing):
    made = complete_webui(existing, RECORD)
    ours = not existing or bool({"notes", "sd version"} & existing.keys())
    assert (made is not None) == ours
    if existing:
        assert complete_webui({**existing, "notes": "", "auditor": "me"}, RECORD)["auditor"] == "me"
    if made is not None:
        assert {name: made[name] for name in existing} == existing
        assert complete_webui(made, RECORD) == made
        renewed = complete_webui(made, {**RECORD, "trigger": "new", "message": "x", "top_concepts": []})
        assert {name: renewed[name] for name in existing} == existing
        assert renewed["activation text"] == "new" and "modelspec.tags" not in renewed
        assert ("description" in existing) or renewed["description"] == "x"
