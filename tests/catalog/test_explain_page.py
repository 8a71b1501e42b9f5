"""The page: complete, self-contained, and deaf to what uploaders write."""

import re
from html.parser import HTMLParser

import pytest

from auditor.catalog.charts import Axis, dose_lines, score_bars
from auditor.catalog.explain_page import explain_table, render_page, warnings
from auditor.records.listing import ListedRepo
from auditor.records.result import ConceptScore, DosePoint
from auditor.results.result_file import Result

HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)> {{7*7}} \x1b[31m \u202e </style>"


class Outline(HTMLParser):
    """Tags, attributes and visible text."""

    void = frozenset({"meta", "img", "link", "br"})

    def __init__(self, page):
        super().__init__()
        self.tags, self.attributes, self.text, self.open = [], [], "", []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in self.void:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


@pytest.fixture
def result(world, build):
    return build.rich(world.item("ann/vivid-paint", trigger="sks"), world.recipe, world.lexicon)


def page_of(world, result, **options):
    repo = world.repos[0] if world.repos else None
    return render_page(result, repo, recipe=world.recipe, **options)


def test_the_page_says_everything(world, result):
    text = Outline(page_of(world, result)).text
    record = result.record
    for expected in (
        "ann/vivid-paint",
        record.file_sha256,
        record.item.commit_sha,
        record.recipe_id,
        "Scored.",
        "mit (commercial use ok, by the card)",
        "vibrant",
        "0.80  [0.70, 0.90]",
        "FineXL as published",
        "FineXL, robust variant",
        "a red boat",
        "90 %",
        "sks",
        "auditor explain ann/vivid-paint",
        "FROM similar_to('ann/vivid-paint', k := 10);",
        "does not grow",
        "names another base",
        "× 1.5",
        "generate 1.5 s",
        "pocket-1",
    ):
        assert expected in text, expected
    # Visually hidden or not, every element is closed.
    assert Outline(page_of(world, result)).open == []


def test_the_page_is_self_contained(world, result):
    outline = Outline(page_of(world, result))
    assert not {"script", "link", "iframe", "object", "form"} & set(outline.tags)
    sources = [value for _, name, value in outline.attributes if name in ("src", "href", "srcset", "action")]
    assert sources
    assert all(value.startswith("data:image/png;base64,") for value in sources)
    assert not [name for _, name, _ in outline.attributes if name.startswith("on")]
    assert "http://" not in page_of(world, result).replace("http://www.w3.org", "")
    assert "default-src 'none'" in page_of(world, result)


def test_nothing_hostile_becomes_markup(world, build):
    item = world.item(f"eve/{HOSTILE}", path=f"{HOSTILE}.safetensors", trigger=HOSTILE, base_claim=HOSTILE)
    hostile = build.rich(item, world.recipe, world.lexicon, HOSTILE)
    repo = ListedRepo(item.repo_id, item.commit_sha, license=HOSTILE, tags=(HOSTILE,))
    page = render_page(hostile, repo, recipe=world.recipe, index_href="index.html")
    outline = Outline(page)
    harmless = Outline(
        render_page(
            build.rich(world.item("a/b", base_claim="c", trigger="t"), world.recipe, world.lexicon),
            ListedRepo("a/b", "c" * 40, license="mit", tags=("x",)),
            recipe=world.recipe,
            index_href="index.html",
        )
    )
    assert outline.tags == harmless.tags
    assert "alert(1)" in outline.text and "49" not in re.findall(r"\{\{.{0,9}", outline.text)
    assert "\x1b" not in page and "\u202e" not in page
    assert outline.open == []


def test_pictures_of_adult_repos_are_folded_away(world, result):
    repo = ListedRepo("ann/vivid-paint", "a" * 40, nsfw=True)
    assert "details" in Outline(render_page(result, repo)).tags
    assert "details" not in Outline(page_of(world, result)).tags


def test_a_failure_has_a_page_too(world, build):
    plain = build.result(world.item("ann/gone"), world.recipe, world.lexicon, {})
    changes = {"outcome": "gone", "reason": "file_gone", "scores": (), "effect": None, "thumbnails": ()}
    gone = Result(plain.record.model_copy(update={**changes, "dose_rises": None}), {})
    text = Outline(page_of(world, gone)).text
    assert "Nothing was measured" in text
    assert "similar_to" not in text


@pytest.mark.parametrize("kept", [True, False])
def test_pictures_are_said_to_be_drawn_with_a_trigger_only_where_there_are_some_and_one(world, build, kept):
    """Without pictures nothing was drawn with it; without a trigger's arms no word is looked for."""
    rich = build.rich(world.item("ann/own", trigger="sks"), world.recipe, world.lexicon)
    pictures = ((0, "sks dog on a beach"),) if kept else ()
    shown = Result(rich.record.model_copy(update={"thumbnails": pictures}), rich.arrays)
    plain = Result(shown.record.model_copy(update={"arms": None}), rich.arrays)
    said = "same noise, with the trigger"
    assert (said in Outline(page_of(world, shown)).text) == kept
    assert said not in Outline(page_of(world, plain)).text


def test_concepts_without_a_score_name_no_adapter(world, build):
    rich = build.rich(world.item("ann/own"), world.recipe, world.lexicon)
    assert {s.score for s in rich.record.scores} > {0.0}
    assert [name for name, *_ in explain_table(rich, limit=99)][:2] == ["vibrant", "watercolor"]
    none = tuple(s.model_copy(update={"score": 0.0}) for s in rich.record.scores)
    page = page_of(world, Result(rich.record.model_copy(update={"scores": none}), rich.arrays))
    assert "FROM most(" not in page and "FROM similar_to(" in page


def test_bytes_that_are_no_picture_are_left_out(world, result):
    arrays = {**result.arrays, "thumb_0_base": result.arrays["thumb_0_base"][1:]}
    assert "img" not in Outline(page_of(world, Result(result.record, arrays))).tags


def test_table_rows_come_strongest_first(result):
    rows = explain_table(result, limit=1)
    assert rows == [("vibrant", 0.8, pytest.approx(0.7), pytest.approx(0.9), 0.8, None)]


def test_warnings_only_when_they_apply(world, build):
    plain = build.result(world.item("ann/fine"), world.recipe, world.lexicon, {"vibrant": 0.5})
    assert warnings(plain.record, world.repos[0]) == []
    assert any("licence" in text for text in warnings(plain.record, ListedRepo("ann/fine", "a" * 40)))


@pytest.mark.parametrize(
    ("share", "status", "said"),
    [(0.49, "explained", True), (0.0, "explained", True), (0.5, "explained", False), (None, "explained", False),
     (0.1, "unexplained", False), (0.1, "no_effect", False)],
)  # fmt: skip
def test_a_first_concept_that_says_less_than_half_is_warned_of(world, build, share, status, said):
    plain = build.result(world.item("ann/fine"), world.recipe, world.lexicon, {"vibrant": 0.5}).record
    effect = plain.effect.model_copy(update={"named_share": share, "status": status})
    found = warnings(plain.model_copy(update={"effect": effect}), world.repos[0])
    assert any("No concept alone accounts for half" in text for text in found) == said


def test_of_the_five_strongest_concepts_those_are_named_on_which_encoder_and_base_disagree(world, build):
    names = world.lexicon.names[:6]
    strengths = {name: 0.9 - place / 10 for place, name in enumerate(names)}
    plain = build.result(world.item("ann/fine"), world.recipe, world.lexicon, strengths)
    sides = dict(zip(names, (0.5, 0.49, None, 0.9, -0.2, 0.0), strict=True))
    scores = tuple(s.model_copy(update={"alignment": sides.get(s.concept)}) for s in plain.record.scores)
    found = warnings(plain.record.model_copy(update={"scores": scores}), world.repos[0])
    assert found == [f"Encoder and base disagree about what these words look like: {names[1]}, {names[4]}."]


def test_charts_keep_inside_their_box():
    scores = [ConceptScore(concept=f"c{i}", score=i, low=0, high=3 * i, projection=0, alignment=None) for i in range(4)]
    points = [DosePoint(scale=s, norm=s, projections={"<b>": -s, "x": 9 * s}) for s in (2.0, 0.5)]
    for chart in (score_bars(scores), dose_lines(points)):
        numbers = [float(n) for n in re.findall(r' (?:x|x1|x2|cx)="([-\d.]+)"', chart)]
        assert numbers and min(numbers) >= 0 and max(numbers) <= 720
        assert "<b>" not in chart
    assert dose_lines(points[:1]) == "" == score_bars([])


@pytest.mark.parametrize("top", [0.013, 0.1, 0.97, 1.0, 7.3, 1e6])
def test_ticks_are_few_round_and_inside(top):
    ticks = Axis(0.0, top, 0, 100).ticks()
    assert 3 <= len(ticks) <= 6
    assert ticks[0] == 0 and ticks[-1] <= top * (1 + 1e-9)
