"""The question box answers as the command line does, question by question, and says plainly what it cannot answer."""

import json
import re
from pathlib import Path

import pytest

from auditor.catalog.search import search
from auditor.errors import UserError

pytestmark = pytest.mark.browser
SHARED = json.loads((Path(__file__).parent.parent / "question_cases.json").read_text(encoding="utf-8"))["cases"]
QUESTIONS = sorted(
    {case["question"] for case in SHARED if case["question"].strip() and case.get("lexicon", "pocket-1") == "pocket-1"}
)
MORE = [
    "vibrant watercolor", "vibrant watercolor dark", "vibrant watercolor for sdxl", "watercolor", "dark or foggy",
    "striped, not dotted", "quite vibrant", "vibrant between 0.2 and 0.6", "without dark", "least blurry",
    "more vibrant than watercolor", "popular", "most liked vibrant", "watercolor, commercial use ok", "@mkr",
    "with a trigger", "trigger:qmxt", "strength 0.5", "under 50 mb", "does nothing", "meadow", "ana-k/meadow-lora",
    "like ana-k/meadow-lora", "like mkr/moss-lora, mit licence", "top 3 vibrant",
    "like mkr/moss-lora but more vibrant and less dark", "like mkr/moss-lora but not dark", "newest like meadow",
    "like meadow but a bit darker, for sdxl", "like meadow but much more foggy", "like mkr/moss-lora but dark > 0.3",
    "like ivy_lab/fern-lora but more striped or dotted",
    "like tomo/cedar-lora but more foggy than dark",
    "popular like ana-k/meadow-lora but more foggy", "3 like mkr/moss-lora but without foggy, popular",
    "vibrant exact:no", "vibrant exact:yes", "not sfw", "vibrant not after 2024",
]  # fmt: skip
ASK = """async (text) => {
    byId("words").value = text;
    await ask();
    const band = (hit) => ["surely", "maybe", "near"][hit.band];
    return {hits: hits.map((hit) => [hit.row.repo, band(hit), hit.arm === 1, hit.pointing ?? null]),
            cosines: hits.filter((hit) => hit.cosine !== undefined).map((hit) => [hit.row.repo, hit.cosine]),
            said: byId("understood").textContent};
}"""
ALL = 10_000
# The site's numbers have sixteen bits: hits whose fit, lower ends or projections closer than this may change places.
TIE = 5e-4
MEASURED = ("scored", "scored_partial", "no_effect")


@pytest.fixture
def box(visitor):
    visit = visitor.open()
    yield lambda text: visit.page.evaluate(ASK, text)
    assert visit.clean(), (visit.said, visit.elsewhere)


def by_command(database, text):
    """Hits that the site can list, and how the question was understood; None when it is refused."""
    try:
        found = search(database, text, ALL)
    except UserError:
        return None, ""
    return [hit for hit in found.hits if hit.outcome in MEASURED], found.understood


def listed(hit):
    return [hit.repo_id, hit.band, hit.with_trigger]


def ranks(hit):
    """What a hit is ranked by, the first that is known."""
    return hit.fit, hit.at_least or None, sum(match.projection for match in hit.matched)


def difference(expected, seen):
    """The first place at which two lists differ by more than a tie; None when they do not."""
    by_name = {(hit.repo_id, hit.with_trigger): hit for hit in expected}
    pointing = {(repo, worded): cosine for repo, _, worded, cosine in seen}
    for place, (wanted, (repo, band, worded, cosine)) in enumerate(zip(expected, seen, strict=False)):
        if listed(wanted) == [repo, band, worded]:
            continue
        mine = by_name.get((repo, worded))
        theirs = pointing.get((wanted.repo_id, wanted.with_trigger))
        if wanted.band == band and None not in (theirs, cosine, mine) and not (wanted.fit or wanted.at_least):
            # Where no interval lies above 0 the cosine ranks, which a hit of the command does not carry.
            if abs(theirs - cosine) > TIE or mine.at_least:
                return place, listed(wanted), [repo, band, worded]
            continue
        known = (
            [] if mine is None else [(a, b) for a, b in zip(ranks(wanted), ranks(mine), strict=True) if a is not None]
        )
        if not known or wanted.band != band or known[0][1] is None or abs(known[0][0] - known[0][1]) > TIE:
            return place, listed(wanted), [repo, band, worded]
    return None


def compared(gallery, box, text):
    """What is wrong with the site's answer, or nothing."""
    expected, understood = by_command(gallery.database, text)
    seen = box(text)
    if expected is None:
        # The page has no text encoder: it leaves such words out and says so.
        return "answered what the command line refuses" if seen["hits"] and "Left out: " not in seen["said"] else None
    if understood not in seen["said"]:
        return seen["said"]
    if re.fullmatch(r"like \S+", understood):  # alone, the stored neighbours
        expected = expected[: len(seen["hits"])]
    if len(expected) != len(seen["hits"]) or (text.startswith("like") and not expected):
        return len(expected), len(seen["hits"])
    cosines = dict(seen["cosines"])
    far = (
        [
            (hit.repo_id, hit.fit, cosines[hit.repo_id])
            for hit in expected
            if abs(hit.fit - cosines.get(hit.repo_id, 9)) > TIE
        ]
        if cosines
        else []
    )
    return far or difference(expected, seen["hits"])


def test_questions_have_the_same_answers(gallery, box):
    answers = {text: compared(gallery, box, text) for text in [*QUESTIONS, *MORE]}
    assert not {text: wrong for text, wrong in answers.items() if wrong}


def test_words_that_a_recipe_cannot_tell_apart_answer_for_each_other(gallery, box, lexicon):
    one, two = lexicon.names[2:4]
    answers = {
        text: compared(gallery, box, text) for text in (one, two, f"{one}, vibrant", f"very {one}", f"not {two}")
    }
    assert not {text: wrong for text, wrong in answers.items() if wrong}
    assert f"{one} cannot be told from {two}" in box(one)["said"]


def test_every_pair_of_concepts_ranks_alike(gallery, box, lexicon):
    names = lexicon.names[::5]
    answers = {(one, two): compared(gallery, box, f"{one}, {two}") for one in names for two in names if one != two}
    assert not {pair: wrong for pair, wrong in answers.items() if wrong}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("hand carved zebrawood", "auditor search 'hand carved zebrawood'"),
        ("watercolour vibrnt zebrawood", "Left out: no concept of this catalog is called “zebrawood”"),
        ("watercolor of zebrawood", "auditor search 'watercolor of zebrawood'"),
        ("watercolor without a licence", "A card without a licence allows nothing"),
        ("cc0 watercolor", "Licences in this catalog: "),
        ("watercolor over 1m downloads", "leave out a filter or a word"),
        ("like ana-k/meadow-lora but more zebrawood", "“like” can be moved along concepts only"),
        ("like nobody/nothing", "There is no scored adapter"),
        ("not audited", "Not audited, and why"),
        ("it's $(rm) `x`", """'it'"'"'s"""),
    ],
)
def test_what_the_site_cannot_answer_it_says(box, text, said):
    assert said in box(text)["said"]


def test_filters_beside_the_box_are_part_of_the_question(gallery, visitor):
    page = visitor.open("#words=vibrant&base=sdxl&license=mit").page
    hits = page.evaluate("hits.map((hit) => hit.row.repo)")
    found = search(gallery.database, "vibrant for sdxl, mit licence", ALL)
    assert hits == [hit.repo_id for hit in found.hits] and hits
