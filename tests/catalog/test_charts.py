"""Charts show the numbers they were given: bars as long as scores, whiskers from low to high, a line per tick."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from itertools import pairwise

import pytest

from auditor.catalog.charts import Axis, _spread, dose_lines, paired_bars, score_bars
from auditor.catalog.morning import HistoryPoint
from auditor.catalog.report_charts import count_bars, history_lines
from auditor.records.result import ConceptScore, DosePoint


def bars(chart: str) -> list[tuple[str, float, float]]:
    """Kind, start and width of the bars, without those of the legend."""
    found = re.findall(r'<rect class="([^"]+)" x="([\d.]+)" y="[\d.]+" width="([\d.]+)"', chart)
    return [(kind, float(x), float(width)) for kind, x, width in found if float(width) != 12]


def lines(chart: str, kind: str) -> list[tuple[float, float]]:
    """Both ends of the lines of a kind."""
    found = re.findall(rf'<line class="{kind}" x1="([\d.]+)" y1="[\d.]+" x2="([\d.]+)"', chart)
    return [(float(start), float(end)) for start, end in found]


def test_two_bars_of_a_concept_are_as_long_as_its_scores_and_one_of_nothing_is_seen() -> None:
    row = {
        "concept": "vibrant",
        "score_a": 0.8,
        "low_a": 0.7,
        "high_a": 0.9,
        "score_b": 0.2,
        "low_b": 0.0,
        "high_b": 0.4,
    }
    none = {**row, "score_b": 0.0, "low_b": 0.0, "high_b": 0.0}
    chart = paired_bars(("one", "two"), [row, none])
    (a, x, wide), (b, _, narrow), _, (_, _, nothing) = bars(chart)
    assert (a, b, x, nothing) == ("bar", "bar b", 200, 1.0)
    assert wide == pytest.approx(4 * narrow, abs=0.3)
    (low, high), (zero, middle), *_ = lines(chart, "whisker")
    assert len(lines(chart, "whisker")) == 4 and zero == 200
    assert (low + high) / 2 - 200 == pytest.approx(wide, abs=0.1) and middle - 200 == pytest.approx(2 * narrow, abs=0.2)
    assert paired_bars(("one", "two"), []) == ""


def test_a_bar_of_a_single_adapter_ends_at_its_score_and_1_is_marked_only_where_the_axis_reaches_it() -> None:
    def chart(score: float) -> str:
        return score_bars([ConceptScore(concept="a", score=score, low=0, high=score, projection=0, alignment=None)])

    ((_, x, width),) = bars(chart(2.0))
    assert x + width == pytest.approx(lines(chart(2.0), "whisker")[0][1], abs=0.1)
    assert (len(lines(chart(2.0), "grid unit")), len(lines(chart(0.5), "grid unit"))) == (1, 0)


@pytest.mark.parametrize("two", [False, True])
def test_a_whisker_runs_through_the_middle_of_its_bar(two: bool) -> None:
    row = {"concept": "vibrant"} | {f"{name}_{side}": 0.5 for name in ("score", "low", "high") for side in "ab"}
    single = ConceptScore(concept="a", score=0.5, low=0.4, high=0.6, projection=0, alignment=None)
    chart = paired_bars(("one", "two"), [row, row]) if two else score_bars([single, single])
    found = re.findall(r'<rect class="bar[ b]*" x="[\d.]+" y="([\d.]+)" width="[\d.]+" height="([\d.]+)" rx="3"', chart)
    middles = [float(y) + float(height) / 2 for y, height in found]
    through = re.findall(r'<line class="whisker" x1="[\d.]+" y1="([\d.]+)" x2="[\d.]+" y2="\1"', chart)
    assert len(middles) == (4 if two else 2) and [float(y) for y in through] == pytest.approx(middles, abs=0.1)


def test_the_effect_of_a_strength_stands_over_it_with_a_line_for_every_tick() -> None:
    points = [DosePoint(scale=s, norm=s, projections={"vibrant": 2 * s}) for s in (1.0, 0.5)]
    chart = dose_lines(points)
    ticks = lines(chart, "grid")
    assert len(ticks) == len(Axis(0.0, 2.0 * 1.06, 222.0, 12.0).ticks()) and len(set(ticks)) == 1
    ((start, end),) = set(ticks)
    paths = re.findall(r'points="([^"]+)"', chart)
    norms, vibrant = ([tuple(map(float, at.split(","))) for at in path.split()] for path in paths)
    assert [x for x, _ in norms] == pytest.approx([(start + end) / 2, end], abs=0.1)
    assert 222 - vibrant[1][1] == pytest.approx(2 * (222 - norms[1][1]), abs=0.2)


def test_a_concept_without_a_value_at_a_strength_is_drawn_at_nothing_there() -> None:
    points = [DosePoint(scale=1.0, norm=1.0, projections={}), DosePoint(scale=2.0, norm=2.0, projections={"dark": 2.0})]
    norms, dark = re.findall(r'points="([^"]+)"', dose_lines(points))
    heights = [[float(at.split(",")[1]) for at in path.split()] for path in (norms, dark)]
    assert heights[1] == pytest.approx([222.0, heights[0][1]], abs=0.1)


def test_labels_keep_apart() -> None:
    placed = _spread([10.0, 11.0, 50.0], 17.0)
    assert all(abs(a - b) >= 17.0 - 1e-9 for i, a in enumerate(placed) for b in placed[:i])
    assert _spread([10.0, 50.0], 17.0) == [10.0, 50.0]


def test_counts_are_bars_inside_their_box_and_only_nothing_has_none() -> None:
    chart = count_bars("counts", [("a", 10.0, "ten"), ("b", 5.0, "five"), ("c", 0.001, "hardly"), ("d", 0.0, "none")])
    (height,) = map(float, re.findall(r'viewBox="0 0 [\d.]+ ([\d.]+)"', chart))
    found = re.findall(r' y="(-?[\d.]+)" width="[\d.]+" height="([\d.]+)"', chart)
    places = [(float(y), float(y) + float(high)) for y, high in found]
    assert len(places) == 4 and all(start >= 0 and end <= height for start, end in places)
    assert all(end <= start for (_, end), (start, _) in pairwise(places))
    ten, five, hardly, none = (width for _, _, width in bars(chart))
    assert (ten, none) == (pytest.approx(2 * five, abs=0.2), 0.0) and 0.0 < hardly <= 1.0


def test_a_history_runs_from_the_first_merge_at_the_left_to_the_last_at_the_right() -> None:
    listed = [3, 9, 5]
    history = [
        HistoryPoint(datetime(2030, 1, day, tzinfo=UTC), count, count - 1) for day, count in enumerate(listed, 1)
    ]
    chart = history_lines(history)
    ((left, right),) = set(lines(chart, "grid"))
    for path in re.findall(r'points="([^"]+)"', chart):
        xs = [float(at.split(",")[0]) for at in path.split()]
        assert xs == pytest.approx([left, (left + right) / 2, right], abs=0.1)
    assert history_lines(history[:1]) == ""
