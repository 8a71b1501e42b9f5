"""What an export holds first, at most and never, and which of two repos with the same bytes a sidecar speaks of."""

import hashlib
import json
from contextlib import closing

import numpy as np
import pytest

from auditor.catalog.export import folders
from auditor.catalog.export.bundle import annotate, export
from auditor.catalog.export.folders import check_replaceable, new_folder, write_marker
from auditor.catalog.export.gallery_data import ROWS, _reached
from auditor.catalog.export.manager_sidecar import merge_into
from auditor.catalog.export.neighbour_pieces import Neighbours, _compare
from auditor.catalog.export.score_pieces import Scores
from auditor.catalog.export.tables import TABLES, columns_of
from auditor.catalog.export.webui_sidecar import complete_webui
from auditor.catalog.reading import open_catalog, reading_catalog
from auditor.errors import UserError
from auditor.records.result import ANY_RECIPE, AuditRecord, DosePoint
from auditor.results.result_file import Result, png_bytes, write_result
from tests.catalog.test_sidecars import RECORD


def failure(world, item):
    record = AuditRecord(
        item=item, file_sha256=item.file_sha256, recipe_id=ANY_RECIPE, outcome="skipped", reason="unsupported_format",
        message="Of another form.", base_name=None,
    )  # fmt: skip
    write_result(world.results, Result(record, {}))


def piece(folder, name):
    text = (folder / "site" / f"{name}.js").read_text()
    return json.loads(f"[{text.removeprefix('piece(').removesuffix(');' + chr(10))}]")[1]


def quiet(build, world, item):
    changes = {"outcome": "no_effect", "reason": "no_learned_change"}
    write_result(world.results, build.result(item, world.recipe, world.lexicon, {}, **changes))


@pytest.fixture
def mixed(world, build):
    """Two scored adapters, a more downloaded one without effect, and a skipped one, most downloaded of all."""
    world.add("ann/second", {"vibrant": 0.5})
    world.add("bob/first", {"vibrant": 0.4})
    quiet(build, world, world.item("cat/quiet"))
    failure(world, world.item("dan/skipped"))
    world.merge()
    return world


@pytest.mark.parametrize(("most", "pages"), [(9, 3), (2, 2), (0, 0)])
def test_a_dry_run_counts_the_pages_that_there_will_be(mixed, tmp_path, most, pages):
    planned = export(mixed.database, tmp_path / "out", mixed.results, ["site"], max_pages=most, dry_run=True)
    made = export(mixed.database, tmp_path / "out", mixed.results, ["site"], max_pages=most)
    assert planned.rows == made.rows and made.rows["pages"] == pages
    assert len(list((tmp_path / "out").glob("pages/*/*.html"))) == pages


def test_what_is_scored_comes_before_what_does_nothing_and_then_the_most_downloaded(mixed, tmp_path):
    export(mixed.database, tmp_path / "out", mixed.results, ["site"], max_pages=1)
    assert piece(tmp_path / "out", "core")["columns"]["repo"] == ["bob/first", "ann/second", "cat/quiet"]
    (page,) = (tmp_path / "out").glob("pages/*/*.html")
    assert "<title>bob/first" in page.read_text()
    rows = piece(tmp_path / "out", "detail/0")["rows"]
    assert [row["href"] is not None for row in rows] == [True, False, False]
    assert (rows[0]["share"], rows[0]["probes"]) == ("90 %", 12)
    assert piece(tmp_path / "out", "rest") == [["skipped", "unsupported_format", "", 1, ["dan/skipped"]]]


def test_a_page_whose_result_file_is_away_is_counted_and_makes_room_for_the_next(mixed, tmp_path):
    with closing(open_catalog(mixed.database)) as connection:
        cursor = connection.execute(f"SELECT repo_id, result_file FROM ({ROWS})")
        files = dict(cursor.fetchall())
    (mixed.results / files["bob/first"]).unlink()
    report = export(mixed.database, tmp_path / "out", mixed.results, ["site"], max_pages=1)
    assert (report.rows["pages"], report.pages_without_result) == (1, 1)
    (page,) = (tmp_path / "out").glob("pages/*/*.html")
    assert "<title>ann/second" in page.read_text()


def test_a_card_shows_two_pairs_at_most_and_the_weakest_strength_that_is_enough(world, build, tmp_path):
    dose = tuple(DosePoint(scale=s, norm=s, projections={"vibrant": s / 5, "dark": 0.0}) for s in (0.25, 0.5, 1.0))
    made = build.result(world.item("ann/many"), world.recipe, world.lexicon, {"vibrant": 0.5}, dose=dose)
    arrays, thumbnails = dict(made.arrays), []
    for probe in range(3):
        for side in ("base", "adapter"):
            level = 10 * probe + (side == "adapter")
            arrays[f"thumb_{probe}_{side}"] = png_bytes(np.full((8, 8, 3), level, np.uint8))
        thumbnails.append((probe, f"prompt {probe}"))
    record = made.record.model_copy(update={"thumbnails": tuple(thumbnails)})
    write_result(world.results, Result(record, arrays))
    world.merge(max_pairs=3)
    with closing(open_catalog(world.database)) as connection:
        assert connection.execute("SELECT count(*) FROM pairs").fetchall() == [(3,)]
        assert list(_reached(connection).values()) == [0.5]
    export(world.database, tmp_path / "out", world.results, ["site"])
    (row,) = piece(tmp_path / "out", "detail/0")["rows"]
    assert [pair[2] for pair in row["pairs"]] == ["prompt 0", "prompt 1"]
    assert len(piece(tmp_path / "out", "detail/0")["pictures"]) == 4


def test_chips_are_what_is_surely_there_and_of_the_trigger_only_where_it_was_asked():
    plain = np.array([[[900, 0, 1000], [300, 100, 500], [400, 200, 600]]] * 3, np.int16)
    scores = Scores(np.arange(3), np.array([1]), ("doubtful", "less", "more"), 0.001, plain, plain[:1] // 2)
    assert [name for name, *_ in scores.strongest(0, 8)] == ["more", "less"]
    assert scores.strongest(0, 1) == [["more", 0.4, 0.2, 0.6]]
    assert [scores.strongest_with_trigger(number, 1) for number in range(3)] == [[], [["more", 0.2, 0.1, 0.3]], []]


def test_where_there_are_few_adapters_the_places_of_further_neighbours_stay_empty():
    found = Neighbours(np.full((3, 4), -1, np.int32), np.zeros((3, 4), np.float32))
    units = np.array([[1.0, 0.0], [0.8, 0.6]], np.float32)
    _compare(units, np.array([0, 2], np.int32), found)
    assert [found.of(number) for number in range(3)] == [[[2, 0.8]], [], [[0, 0.8]]]
    _compare(units[:1], np.array([1], np.int32), found)
    assert found.of(1) == []


# --- folders


def test_an_empty_folder_or_an_earlier_export_is_replaced_and_nothing_else(tmp_path):
    check_replaceable(tmp_path / "absent")
    (tmp_path / "empty").mkdir()
    check_replaceable(tmp_path / "empty")
    (tmp_path / "earlier").mkdir()
    write_marker(tmp_path / "earlier", {})
    check_replaceable(tmp_path / "earlier")
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    (tmp_path / "file").write_text("mine")
    for name in ("dangling", "file"):
        with pytest.raises(UserError, match="not an earlier export"):
            check_replaceable(tmp_path / name)


def test_what_a_killed_export_left_is_swept_by_the_next_one(tmp_path):
    (tmp_path / ".out.123.abcd.tmp").mkdir()
    (tmp_path / ".out.123.abcd.tmp" / "half").write_text("x")
    (tmp_path / ".other.123.abcd.tmp").mkdir()
    with new_folder(tmp_path / "out") as folder:
        write_marker(folder, {})
    assert sorted(path.name for path in tmp_path.iterdir()) == [".other.123.abcd.tmp", "out"]
    assert [path.name for path in (tmp_path / "out").iterdir()] == [folders.MARKER]


@pytest.mark.parametrize("error", [AttributeError("no such call"), OSError("no such library")])
def test_where_names_cannot_be_exchanged_the_new_export_takes_the_old_ones_place_in_two_steps(
    tmp_path, monkeypatch, error
):
    def library(*_, **__):
        raise error

    monkeypatch.setattr(folders.ctypes, "CDLL", library)
    for content in ("old", "new"):
        with new_folder(tmp_path / "out") as folder:
            write_marker(folder, {})
            (folder / "file").write_text(content)
    assert (tmp_path / "out" / "file").read_text() == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


# --- sidecars


def test_of_repos_with_the_same_bytes_the_most_downloaded_speaks(world, build, tmp_path):
    sha = hashlib.sha256(b"bytes").hexdigest()
    first, _ = (world.item(name, file_sha256=sha) for name in ("ann/first", "bob/popular"))
    write_result(world.results, build.result(first, world.recipe, world.lexicon, {"vibrant": 0.5}))
    world.item("dan/waits", file_sha256=hashlib.sha256(b"other").hexdigest())
    world.merge()
    loras = tmp_path / "loras"
    loras.mkdir()
    for name, content in (("a", b"bytes"), ("b", b"other")):
        (loras / f"{name}.safetensors").write_bytes(content)
    done = annotate(world.database, loras)
    assert (done.written, done.unknown) == (1, 1), "what waits for its audit has nothing to say yet"
    assert json.loads((loras / "a.metadata.json").read_text())["auditor"]["repo_id"] == "bob/popular"


@pytest.mark.parametrize("empty", [None, "", "Unknown"])
def test_a_base_is_filled_in_only_where_none_is_named(empty):
    assert merge_into({"base_model": empty}, RECORD, "x", None)["base_model"] == "SDXL 1.0"
    assert merge_into({"base_model": "Pony"}, RECORD, "x", None)["base_model"] == "Pony"
    assert merge_into({}, {**RECORD, "family": "other_family"}, "x", None)["base_model"] == "other_family"
    new = merge_into({}, {**RECORD, "family": None}, "x", None)
    assert (new["base_model"], new["preview_nsfw_level"], new["preview_url"]) == ("Unknown", 0, ""), "nothing is known"


def test_what_somebody_changed_since_we_filled_it_in_is_theirs():
    made = complete_webui({}, RECORD)
    assert made is not None
    assert (made["preferred weight"], made["notes"]) == (0, ""), "which say that none is preferred and nothing noted"
    theirs = complete_webui({**made, "activation text": "my word"}, {**RECORD, "trigger": "new"})
    assert theirs is not None and theirs["activation text"] == "my word"
    assert theirs["modelspec.trigger_phrase"] == "new"


def test_columns_are_described_with_their_types_and_meanings(catalog):
    (scores,) = (table for table in TABLES if table.name == "scores")
    with reading_catalog(catalog.database) as connection:
        described = {name: (kind, meaning) for name, kind, meaning in columns_of(connection, scores)}
    assert (described["concept"][0], described["score"][0]) == ("VARCHAR", "FLOAT")
    assert described["base"] == ("VARCHAR", "Base model it was applied to") and all(m for _, m in described.values())
