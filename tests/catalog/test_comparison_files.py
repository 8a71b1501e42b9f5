"""Files that put evidence before people: the page of two adapters, sheets of pairs, the section for a model card."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from auditor.catalog.compare_page import render_comparison
from auditor.catalog.comparisons import compare
from auditor.catalog.model_card_section import model_card_section, section_picture
from auditor.catalog.picture_sheets import StoredPair, picture_sheet, stored_pairs
from auditor.catalog.reading import run_sql
from auditor.results.result_file import Result, png_bytes, write_result

HOSTILE = "</title><script>x()</script> | `` [a](b)"


def picture(level: int) -> np.ndarray:
    return png_bytes(np.full((8, 8, 3), level, np.uint8))


@pytest.fixture
def pair_of_adapters(world, build):
    """Two adapters with pictures on one prompt and on one of their own each."""
    for number, (repo, scores) in enumerate((("ann/one", {"vibrant": 0.9}), ("bob/two", {"watercolor": 0.7}))):
        made = build.result(world.item(repo), world.recipe, world.lexicon, scores)
        arrays = dict(made.arrays)
        for probe in (0, number + 1):
            arrays |= {f"thumb_{probe}_base": picture(10), f"thumb_{probe}_adapter": picture(100 + 50 * number)}
        record = made.record.model_copy(update={"thumbnails": ((0, "a boat"), (number + 1, f"prompt {number}"))})
        write_result(world.results, Result(record, arrays))
    world.merge()
    return world


def test_the_page_of_two_adapters(pair_of_adapters) -> None:
    database = pair_of_adapters.database
    page = render_comparison(database, compare(database, "ann/one", "bob/two"))
    assert "ann/one is more vibrant; bob/two is more watercolor" in page
    assert page.count("<svg") == 1 and 'aria-label="Scores of both adapters with intervals"' in page
    # pictures of the shared prompt alone: base, one, two
    assert page.count("<img ") == 3 and "a boat: with bob/two" in page and "prompt 0" not in page
    assert "<script" not in page and "http" not in page.replace('http-equiv="Content-Security-Policy"', "")


def test_pairs_come_in_the_order_of_the_probes(pair_of_adapters) -> None:
    ((audit,),) = run_sql(pair_of_adapters.database, "SELECT audited('bob/two', NULL)", 1).rows
    assert [pair.prompt for pair in stored_pairs(pair_of_adapters.database, audit)] == ["a boat", "prompt 1"]


def test_a_sheet_shows_base_left_and_adapter_right() -> None:
    pair = StoredPair(HOSTILE, picture(10).tobytes(), picture(200).tobytes())
    with Image.open(io.BytesIO(picture_sheet([("Łódź \x1b[31m", [pair]), ("two", [pair, pair])]))) as sheet:
        pixels = np.asarray(sheet.convert("L"))
    left, right = pixels[:, :160], pixels[:, 170:]
    filled = 3 * 150 * 150  # but for the words above, which have their own shades
    assert (left == 10).sum() > filled > (left == 200).sum()
    assert (right == 200).sum() > filled > (right == 10).sum()
    of_a_picture = (right[:, 5:-15] == 200).all(axis=1)
    assert of_a_picture.sum() == 3 * 160 and of_a_picture[-5] and (pixels[-4:] == 255).all()
    with pytest.raises(ValueError, match="needs a pair"):
        picture_sheet([("none", [])])


def test_the_section_quotes_only_what_is_sure(world, build) -> None:
    made = build.result(world.item("ann/one"), world.recipe, world.lexicon, {"vibrant": 0.9, "dark": 0.05})
    text = model_card_section(made, world.recipe, None)
    assert "It makes pictures: **vibrant**" in text and "| vibrant | 0.90 | 0.80 to 1.00 |" in text
    assert "dark" not in text and "![" not in text
    assert f"recipe `{world.recipe.recipe_id}`" in text and "12 pairs" in text
    assert section_picture(made) is not None
    bare = made.record.model_copy(update={"thumbnails": ()})
    assert section_picture(Result(bare, {})) is None


def test_the_section_names_three_concepts_and_lists_eight_of_those_that_are_sure(world, build) -> None:
    names = world.lexicon.names[:10]
    made = build.result(world.item("ann/one"), world.recipe, world.lexicon, {n: 2 - i / 8 for i, n in enumerate(names)})
    text = model_card_section(made, world.recipe, None)
    assert f"It makes pictures: **{', '.join(names[:3])}**." in text
    rows = [line.split(" | ")[0].removeprefix("| ") for line in text.splitlines() if line.startswith("| ")]
    assert rows == ["concept", *names[:8]]


def test_what_acts_with_its_word_is_said_with_its_word(world, build) -> None:
    rich = build.rich(world.item("ann/one"), world.recipe, world.lexicon, HOSTILE)
    quiet = rich.record.model_copy(update={"scores": ()})
    text = model_card_section(Result(quiet, rich.arrays), None, "audit.png")
    assert text.splitlines()[2].startswith("With its trigger ``` sks </title>")
    assert "16 pairs" in text and "(audit.png)" in text
    plain = build.result(world.item("bob/two"), world.recipe, world.lexicon, {})
    assert "No concept is sure to be there" in model_card_section(plain, None, None)
