"""Which of two hits comes first where two rules of `evidence_sql` and of `search` both apply."""

import pytest

from auditor.catalog.search import search
from auditor.errors import UserError
from auditor.results.result_file import Result, write_result


def doubtful(result, *concepts):
    """The result with intervals of these concepts that reach 0."""
    scores = tuple(s.model_copy(update={"low": 0.0}) if s.concept in concepts else s for s in result.record.scores)
    return Result(result.record.model_copy(update={"scores": scores}), result.arrays)


def with_trigger(build, world, repo_id, plain, worded):
    """An adapter whose weights alone have the scores of `plain`, and with its trigger those of `worded`."""
    rich = build.rich(world.item(repo_id, trigger="sks"), world.recipe, world.lexicon)
    arms = rich.record.arms.model_copy(update={"trigger": "sks", "scores": worded.record.scores})
    write_result(world.results, Result(plain.record.model_copy(update={"arms": arms}), plain.arrays))


@pytest.mark.parametrize(
    ("alone", "sure_alone", "worded", "sure_worded", "counts"),
    [
        (0.7, False, 0.3, True, "trigger"),
        (0.3, True, 0.7, True, "weights"),
        (0.3, False, 0.7, False, "weights"),
        (0.3, True, 0.7, False, "weights"),
    ],
)
def test_the_arm_of_the_better_band_counts_and_of_one_band_the_weights_alone(
    world, build, alone, sure_alone, worded, sure_worded, counts
):
    item = world.item("ann/woken", trigger="sks")
    made = []
    for score, sure in ((alone, sure_alone), (worded, sure_worded)):
        result = build.result(item, world.recipe, world.lexicon, {"vibrant": score})
        made.append(result if sure else doubtful(result, "vibrant"))
    with_trigger(build, world, "ann/woken", *made)
    world.merge()
    (hit,) = search(world.database, "vibrant").hits
    assert hit.band == ("surely" if sure_alone or sure_worded else "maybe")
    assert (hit.with_trigger, hit.matched[0].score) == (
        (True, pytest.approx(worded)) if counts == "trigger" else (False, pytest.approx(alone))
    )


@pytest.mark.parametrize("order", ["popular", "newest", "smallest", "oldest", "most liked"])
def test_another_order_is_that_of_hits_which_are_equally_sure(world, build, order):
    """The one that may have it is the most downloaded; the surer ones come first all the same."""
    world.add("ann/sure", {"vibrant": 0.3})
    world.add("bob/sure", {"vibrant": 0.9})
    write_result(
        world.results,
        doubtful(build.result(world.item("cat/maybe"), world.recipe, world.lexicon, {"vibrant": 0.9}), "vibrant"),
    )
    world.add("dan/near", {"vibrant": 0.07})
    world.merge()
    hits = search(world.database, f"{order} vibrant").hits
    assert [hit.band for hit in hits] == ["surely", "surely", "maybe", "near"]
    if order == "popular":
        assert [hit.repo_id for hit in hits[:2]] == ["bob/sure", "ann/sure"]


def test_of_equal_weights_the_most_downloaded_stands_for_all(world, build):
    for repo_id in ("ann/first", "zoe/copy"):
        item = world.item(repo_id, content="the same")
        write_result(world.results, build.result(item, world.recipe, world.lexicon, {"vibrant": 0.9}))
    world.merge()
    (hit,) = search(world.database, "vibrant").hits
    assert (hit.repo_id, hit.copies) == ("zoe/copy", 2)


def test_the_repo_of_just_this_name_comes_before_more_popular_ones_that_hold_it(world):
    for repo_id in ("ann/tideway", "ann/tideway-two", "bob/ann-tideway"):
        world.add(repo_id, {"foggy": 0.5})
    world.merge()
    assert [hit.repo_id for hit in search(world.database, "ann/tideway").hits] == ["ann/tideway", "ann/tideway-two"]
    assert [hit.repo_id for hit in search(world.database, "tideway").hits] == [
        "bob/ann-tideway",
        "ann/tideway-two",
        "ann/tideway",
    ]


def test_like_means_the_repo_of_just_this_name_or_else_the_most_popular_that_holds_it(world):
    world.add("ann/tideway", {"foggy": 0.5})
    world.add("ann/tideway-two", {"dark": 0.5})
    world.add("bob/dark", {"dark": 0.7})
    world.add("cat/foggy", {"foggy": 0.7})
    world.merge()
    assert search(world.database, "like ann/tideway").hits[0].repo_id == "cat/foggy"
    assert search(world.database, "like tideway").hits[0].repo_id == "bob/dark"
    with pytest.raises(UserError, match="no scored adapter"):
        search(world.database, "like ann/tide")


@pytest.mark.parametrize(("said", "step"), [("a bit more", 0.5), ("more", 1.0), ("much more", 2.0)])
def test_a_neighbour_is_moved_by_its_length_half_of_it_or_twice(world, said, step):
    world.add("ann/vibrant", {"vibrant": 0.9})
    world.add("bob/watercolor", {"watercolor": 0.4})
    world.merge()
    (hit,) = search(world.database, f"like ann/vibrant but {said} watercolor").hits
    assert hit.fit == pytest.approx(step / (1 + step**2) ** 0.5, abs=1e-4)


def test_a_neighbour_is_moved_away_from_what_is_wanted_less(world):
    world.add("ann/both", {"vibrant": 0.6, "watercolor": 0.6})
    world.add("bob/vibrant", {"vibrant": 0.4})
    world.add("cat/watercolor", {"watercolor": 0.4})
    world.merge()
    hits = search(world.database, "like ann/both but less watercolor").hits
    assert [hit.repo_id for hit in hits] == ["bob/vibrant", "cat/watercolor"] and hits[0].fit > 0 > hits[1].fit


def test_side_effects_are_the_three_strongest_others_that_are_surely_there(world, build):
    strengths = {"vibrant": 0.5, "dark": 0.9, "blurry": 0.6, "foggy": 0.4, "watercolor": 0.8, "posterized": 0.3}
    result = build.result(world.item("ann/rich"), world.recipe, world.lexicon, strengths)
    write_result(world.results, doubtful(result, "dark"))
    world.merge()
    (hit,) = search(world.database, "vibrant").hits
    assert hit.side_effects == ("watercolor", "blurry", "foggy")


def test_what_has_nothing_of_a_concept_surely_has_less_than_an_amount_and_never_surely_more(world):
    world.add("ann/none", {"dark": 0.5})
    world.merge()
    for asked, band in (("dark, vibrant < 0.3", "surely"), ("dark, vibrant > 0.05", "near")):
        assert [(hit.repo_id, hit.band) for hit in search(world.database, asked).hits] == [("ann/none", band)]
