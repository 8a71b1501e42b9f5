"""`auditor evaluate paper`: what a page says, where we stand, and that a small run has the page's tables."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from auditor.evaluation import published_figures as paper
from auditor.evaluation.data_sets import DataSet
from auditor.evaluation.paper_edits import probes_of
from auditor.evaluation.paper_levels import kind_table, level_tables
from auditor.evaluation.paper_page import _all_pairs_asked_about, _of_kind, _small, _work, evaluate_paper, write_page
from auditor.evaluation.paper_proposals import wording_table
from auditor.evaluation.paper_table import (
    LEAST_CASES,
    Figure,
    PaperTable,
    TableRow,
    cell,
    markdown,
    published,
    shape,
    standing,
)
from auditor.evaluation.paper_work import PaperOptions, quick_options, whole_options
from auditor.evaluation.rivals.rival_list import load_rivals
from auditor.evaluation.training_lengths import style_names
from auditor.pocket.drawn_subjects import EDITS
from auditor.pocket.styles import STYLES
from auditor.pocket.training import gan_copies, lora, token_copies
from auditor.pocket.training.lessons import EDIT_SCALES
from auditor.pocket.ways_of_drawing import words_of
from auditor.settings import Settings, resolve

pytestmark = pytest.mark.timeout(1800)  # some 200 seconds of one core
PAGE = Path(__file__).parents[2] / "docs" / "paper.md"
SMALL = (
    "recipe.probe_count=6",
    "recipe.looks=[]",
    "recipe.bases.pocket.steps=4",
    "recipe.solver.image_probes=1",
    "recipe.solver.null_draws=100",
)


def _table(ours: Figure, *rivals: Figure, better: str = "less") -> PaperTable:
    rows = (TableRow("robust", "ours", (ours,)), *(TableRow(f"r{i}", "rival", (f,)) for i, f in enumerate(rivals)))
    return PaperTable("T1", "a", "b", ("x",), rows, better=better)  # type: ignore[arg-type]


def test_where_we_stand_is_told_by_intervals_and_direction() -> None:
    ours = Figure(0.5, 0.4, 0.6, 9)
    apart, overlapping, better = Figure(0.9, 0.7, 1.0, 9), Figure(0.6, 0.5, 0.8, 9), Figure(0.3, 0.1, 0.5, 9)
    assert standing(_table(ours, apart)) == (
        "x: robust is ahead of 1 of 1 rival readings with disjoint 95 % intervals.",
    )
    (said,) = standing(_table(ours, apart, overlapping, better))
    assert "ahead of 1 of 3" in said and "overlapping intervals: r1" in said and "**not ahead**: r2" in said
    (said,) = standing(_table(ours, apart, better="more"))
    assert "**not ahead**: r0" in said
    assert "**not ahead**: r0" in standing(_table(ours, ours))[0]
    few = Figure(0.5, 0.4, 0.6, 3)
    assert standing(_table(few, apart)) == (
        "x: robust is ahead of 1 of 1 rival readings, on too few cases (3) for intervals.",
    )
    assert standing(_table(Figure(None, missing="later"), apart)) == ()
    assert standing(_table(ours, Figure(None, missing="later"))) == ()


def test_the_row_that_orders_is_set_against_the_rivals_beside_the_one_that_names() -> None:
    names, orders, rival = Figure(0.9, 0.8, 1.0, 9), Figure(0.1, 0.0, 0.2, 9), Figure(0.5, 0.4, 0.6, 9)
    rows = (
        TableRow("robust", "ours", (names,)),
        TableRow("level", "ours", (orders,)),
        TableRow("r", "rival", (rival,)),
    )
    table = PaperTable("T1", "a", "b", ("x",), rows)
    (said,) = standing(table)
    assert said.startswith("x: robust is ahead of 0 of 1") and said.endswith("**not ahead**: r.")
    first, second = standing(replace(table, compared=("level", "robust")))
    assert first == "x: level is ahead of 1 of 1 rival readings with disjoint 95 % intervals." and second == said
    assert "| **level** | 0.10" in markdown(replace(table, compared=("level", "robust")))
    assert "| level | 0.10" in markdown(table)


def test_cells_and_rows() -> None:
    assert cell(Figure(0.5), "number") == "0.50"
    assert cell(Figure(0.004), "number") == "0.004"
    assert cell(Figure(0.5, 0.25, 0.75, 8), "share") == "50.0 % (25.0 to 75.0; 8)"
    assert cell(Figure(None, missing="needs a GAN"), "share") == "needs a GAN"
    row = published("FineXL", (0.7, None))
    assert (row.name, row.figures[1].missing) == ("FineXL (paper)", "–")
    said = markdown(_table(Figure(0.5, 0.4, 0.6, 9), Figure(0.9, 0.7, 1.0, 9)))
    assert "| **robust** | 0.50 (0.40 to 0.60; 9) |" in said and said.startswith("## T1: a")


def test_the_small_run_touches_no_held_out_style_and_the_whole_one_no_other() -> None:
    for options, held_out in ((quick_options(), False), (whole_options(), True)):
        assert [data.name for data in options.sets] == list(paper.DATA_SETS)
        for data in options.sets:
            aspects = {*data.aspects, *(aspect for pair in data.pairs for aspect in pair)}
            used = {word for aspect in aspects for word in words_of(data.way, aspect)}
            assert used and {STYLES[style].held_out for style in used} == {held_out} == {options.held_out}
    assert whole_options().styles == style_names(held_out=True)
    kinds = whole_options().of_kinds()
    assert [len(data.aspects) for data in kinds.sets] == [LEAST_CASES] * 3
    for few, all_of_them in zip(kinds.sets, whole_options().sets, strict=True):
        assert few.aspects == all_of_them.aspects[:LEAST_CASES] and few.way == all_of_them.way
    assert quick_options().of_kinds() == quick_options()
    assert set(whole_options().edits) == set(EDITS) and whole_options().edit_scales == EDIT_SCALES


def test_the_small_run_asks_about_fewer_pairs_and_the_whole_one_about_all(tmp_path: Path) -> None:
    settings = resolve(profile="pocket", work_dir=tmp_path, environment={}).settings
    whole = _all_pairs_asked_about(_small(settings, whole_options())).recipe
    assert (whole.probe_count, whole.proposer.requests, whole.looks) == (24, 8, settings.recipe.looks)
    assert whole.solver == settings.recipe.solver
    small = _all_pairs_asked_about(_small(settings, quick_options())).recipe
    assert (small.probe_count, small.proposer.requests, small.solver.image_probes) == (8, 3, 3)


def test_probes_about_one_subject_are_its_captions_and_always_the_same() -> None:
    probes = probes_of("face", 24)["probes"]
    assert isinstance(probes, list) and len({probe["prompt"] for probe in probes}) == 24
    assert all(" face " in probe["prompt"] for probe in probes)
    assert probes_of("face", 24)["probes"] == probes and probes_of("face", 6)["probes"] != probes


def _sections(page: Path) -> dict[str, tuple[list[str], list[list[str]]]]:
    """Of a page: key → headings and rows of cells."""
    found = {}
    for part in page.read_text(encoding="utf-8").split("\n## ")[1:]:
        lines = (line.strip("|").split("|") for line in part.splitlines() if line.startswith("|"))
        rows = [[cell.strip(" *") for cell in line] for line in lines]
        if rows:
            found[part.partition(":")[0]] = (rows[0][1:], rows[2:])
    return found


OPTIONS = PaperOptions(
    False,
    ("vibrant",),
    (),
    steps=(20, 60, 100),
    scenes=3,
    zoo=1,
    passes=1,
    draws=2,
    later_steps=2,
    others=(DataSet("painter", ("hand 16",), ()),),
    edits=("moustache",),
    edit_scales=(0.2, 1.0),
    long_audits=1,
)


def _of_two_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Trainings step on two pictures: they are most of the time, and no table here says how good anything is."""
    for train in (lora.Trainer.train, gan_copies.CopyTrainer.train, token_copies.fine_tune):

        def shorter(model: object, lesson: lora.Lesson, train: Any = train) -> Any:
            return train(model, replace(lesson, batch=2))

        monkeypatch.setattr(f"{train.__module__}.{train.__qualname__}", shorter)


def _settings(work: Path) -> Settings:
    return resolve(profile="pocket", work_dir=work, overrides=SMALL, environment={}).settings


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[PaperTable], Path]:
    work = tmp_path_factory.mktemp("paper")
    with pytest.MonkeyPatch.context() as monkeypatch:
        _of_two_pictures(monkeypatch)
        tables = evaluate_paper(_settings(work), OPTIONS)
    write_page(work / "page.md", tables, OPTIONS, [(r.name, r.replaced) for r in load_rivals().values()])
    return tables, work / "page.md"


def test_a_small_run_has_the_tables_rows_and_columns_of_the_page(small: tuple[list[PaperTable], Path]) -> None:
    tables, page = small
    made, committed = _sections(page), _sections(PAGE)
    assert list(made) == list(committed) == [table.key for table in tables]
    assert page.read_text("utf-8").partition("## Rivals")[2] == PAGE.read_text("utf-8").partition("## Rivals")[2]
    for key, (columns, rows) in made.items():
        assert columns == committed[key][0] == list(shape(tables)[key])
        assert [row[0] for row in rows] == [row[0] for row in committed[key][1]], key


def test_every_cell_has_a_figure_with_interval_and_cases_or_says_what_is_missing(
    small: tuple[list[PaperTable], Path],
) -> None:
    for table in small[0]:
        for row in table.rows:
            assert len(row.figures) == len(table.columns), (table.key, row.name)
            for figure in row.figures:
                if figure.value is None:
                    assert figure.missing, (table.key, row.name)
                elif row.kind in ("ours", "rival"):
                    assert figure.low is not None and figure.high is not None and figure.cases, (table.key, row.name)
                    assert figure.low <= figure.value <= figure.high
    filled = {
        t.key for t in small[0] for row in t.rows for f in row.figures if row.kind == "ours" and f.value is not None
    }
    # this run has no pair, and fewer than five training lengths
    assert filled == {table.key for table in small[0]} - {"T3", "F8", "R"} - {"T1", "T12"}
    by_key = {table.key: table for table in small[0]}
    for key in ("T5", "T6"):
        robust = next(row for row in by_key[key].rows if row.name == "robust")
        assert [figure.missing for figure in robust.figures] == ["", "not in this run", ""], key
    moustache = by_key["F9"].rows[0].figures
    assert [figure.value is not None for figure in moustache] == [False, True, *[False] * 7, True]


def test_the_committed_page_has_no_cell_without_figure_or_reason() -> None:
    for key, (columns, rows) in _sections(PAGE).items():
        for row in rows:
            assert len(row) == len(columns) + 1, key
            assert all(cell == "–" or re.match(r"^-?\d+\.\d+", cell) or len(cell) > 5 for cell in row[1:]), (key, row)


def test_a_run_goes_on_with_what_is_on_disk(
    small: tuple[list[PaperTable], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is trained, audited or asked twice, and the tables are the same."""
    tables, page = small

    def never(*_: object, **__: object) -> None:
        raise AssertionError("it is on disk")

    for rival in load_rivals().values():
        monkeypatch.setattr(type(rival), "explain", never)
    monkeypatch.setattr("auditor.evaluation.bank.audit_file", never)
    monkeypatch.setattr("auditor.evaluation.paper_proposals._asked_again", never)
    monkeypatch.setattr("auditor.pocket.training.trained_files.save_file", never)
    settings = _all_pairs_asked_about(_settings(page.parent))
    by_key = {table.key: table for table in tables}
    work = _work("diffusers", settings, OPTIONS, None)
    assert [*level_tables(work), wording_table(work)] == [by_key[key] for key in ("T1", "T2", "T12")]
    for kind, key, figures in (("gan", "T5", paper.T5), ("autoregressive", "T6", paper.T6)):
        again = kind_table(key, by_key[key].title, figures, _of_kind(kind, settings, OPTIONS, None))
        assert again == by_key[key]
