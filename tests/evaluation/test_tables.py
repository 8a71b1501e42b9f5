"""The tables' own arithmetic: ranks to grid levels, chance lines, lessons that fit together."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from auditor.evaluation.aspects import CHANCE, levels_from_scores
from auditor.evaluation.proposal_quality import both_by_chance, together
from auditor.evaluation.top_concept import share, top_concept
from auditor.evaluation.training_lengths import style_names
from auditor.pocket.styles import STYLES
from auditor.pocket.training.lessons import GRID, LEVELS, PAIRS_HELD_OUT, STEPS, evaluation_lessons, mixture_lesson
from auditor.pocket.training.lora import PICTURES, training_pictures
from auditor.records.outcomes import Outcome
from auditor.records.result import AuditRecord, WorkItem
from auditor.results.result_file import Result


def test_levels_by_rank() -> None:
    assert levels_from_scores([0.0, 0.4, 0.9, 0.1, 0.5, 0.05]) == [0, 1, 2, 0, 1, 0]


def test_a_tie_inside_a_level_is_harmless_and_across_a_cut_is_wrong() -> None:
    assert levels_from_scores([0.0, 0.5, 0.9, 0.0, 0.6, 0.0]) == [0, 1, 2, 0, 1, 0]
    assert levels_from_scores([0.0] * 6) == [None] * 6


def test_chance_line_is_what_random_orders_reach() -> None:
    rng = np.random.default_rng(0)
    level = {0: 0, 0.5: 1, 1: 2}
    truth = [(level[a], level[b]) for a, b in GRID]
    right = 0
    for _ in range(4000):
        found = zip(levels_from_scores(rng.random(6)), levels_from_scores(rng.random(6)), strict=True)
        right += sum(f == t for f, t in zip(found, truth, strict=True))
    assert right / 24_000 == pytest.approx(CHANCE, abs=0.01)


def test_held_out_styles_are_half_and_pairs_hold_no_other() -> None:
    held_out, development = style_names(True), style_names(False)
    assert len(held_out) == len(development) == len(STYLES) // 2
    assert len(PAIRS_HELD_OUT) >= 15 and len({frozenset(p) for p in PAIRS_HELD_OUT}) == len(PAIRS_HELD_OUT)
    assert set(itertools.chain.from_iterable(PAIRS_HELD_OUT)) <= set(held_out)
    assert len(LEVELS) == 10 and LEVELS[-1] == STEPS


def test_points_on_an_axis_are_trained_once() -> None:
    assert mixture_lesson("warm", "dark", (0.5, 0)) == mixture_lesson("warm", "neon", (0.5, 0))
    names = [lesson.name for lesson in evaluation_lessons(PAIRS_HELD_OUT)]
    assert len(names) == len(set(names))


def test_mixture_pictures_keep_their_shares_and_captions_do_not_name_styles() -> None:
    lesson = mixture_lesson("monochrome", "sepia", (0.5, 0.5))
    images, captions, _ = training_pictures(lesson, np.random.default_rng(lesson.seed))
    grey = [bool(np.ptp(image.astype(int), axis=2).max() <= 1) for image in images]
    assert sum(grey) == PICTURES // 2
    assert not any(word in caption for caption in captions for word in ("monochrome", "sepia"))


def test_exact_interval() -> None:
    found = share(12, 12)
    assert (found.high, round(found.low, 3)) == (1.0, 0.735)


def test_replies_of_an_audit_are_joined_and_chance_counts_what_was_said() -> None:
    said = [("warm", "dark"), ("neon", "warm"), ("sepia",), (), ("dark",)]
    assert together(said, 2) == [("warm", "dark", "neon"), ("sepia",)]
    assert together(said, 3) == [("warm", "dark", "neon", "sepia")]
    replies = {frozenset(["warm", "dark"]): together(said, 2)}
    drawn = [set(pair) <= {0, 1, 2} for pair in itertools.combinations(range(10), 2)]
    assert both_by_chance(replies, 10) == pytest.approx(sum(drawn) / len(drawn) / 2)


@pytest.mark.parametrize(
    ("outcome", "weights", "named"),
    [
        ("scored", {"warm": 0.2, "dark": 0.7}, "dark"),
        ("scored", {"warm": 0.0, "dark": 0.0}, "nothing"),
        ("no_effect", {"warm": 0.2, "dark": 0.7}, "nothing"),
    ],
)
def test_an_adapter_without_effect_has_no_top_concept_whatever_weights_say(
    outcome: Outcome, weights: dict[str, float], named: str
) -> None:
    item = WorkItem(
        repo_id="a/b", commit_sha="0" * 40, path="x.safetensors", file_sha256="0" * 64, size_bytes=1, base_name="pocket"
    )
    reason = "inside_noise_floor" if outcome == "no_effect" else None
    record = AuditRecord(
        item=item, base_name="pocket", file_sha256="0" * 64, recipe_id="r", outcome=outcome, reason=reason, message=""
    )
    assert top_concept(Result(record, {}), weights) == named
