"""The other two data sets: styles carried over by patches, and hands of painters; and edits drawn to a scale."""

from __future__ import annotations

import numpy as np
import pytest

from auditor.common.package_paths import package_path
from auditor.encoding.open_clip_encoder import OpenClipEncoder
from auditor.evaluation.data_sets import DataSet, data_sets_table, other_sets, small_sets
from auditor.lexicons.loader import load_lexicon
from auditor.pocket import style_transfer
from auditor.pocket.painters import FAVOURED, HANDS, hand_names, hand_pairs, hand_scene
from auditor.pocket.scenes import Array, render, sample_scene
from auditor.pocket.styles import STYLES, apply_style
from auditor.pocket.training.lessons import (
    EDIT_SCALES,
    GRID,
    edit_scale_lesson,
    gan_ladder_lesson,
    ladder_lesson,
    mixture_lesson,
    token_ladder_lesson,
)
from auditor.pocket.training.lora import PICTURES, training_pictures
from auditor.pocket.training.style_pairs import separable_pairs
from auditor.pocket.training.token_copies import training_pairs
from auditor.pocket.ways_of_drawing import words_of


def test_a_style_is_carried_over_without_its_formula(monkeypatch: pytest.MonkeyPatch) -> None:
    """Once the exemplars are there, the renderer's style is not asked again; the encoder still sees the style."""
    scene = sample_scene(np.random.default_rng(2))
    plain = render(scene)
    style_transfer._books("monochrome")

    def never(*_: object) -> Array:
        raise AssertionError("the formula was used")

    monkeypatch.setattr(style_transfer, "apply_style", never)
    drawn = style_transfer.transfer_style(plain, "monochrome")
    assert drawn.shape == plain.shape and drawn.dtype == np.float32 and 0 <= drawn.min() <= drawn.max() <= 1
    assert np.ptp(drawn, axis=2).max() < 0.01 < np.ptp(plain, axis=2).max()
    by_formula = apply_style(plain, "monochrome", 1.0, np.random.default_rng(0))
    assert 0.002 < np.abs(drawn - by_formula).mean() < np.abs(plain - by_formula).mean()


def test_the_encoder_sees_each_data_set_for_what_it_is() -> None:
    encoder = OpenClipEncoder(package_path("pocket/weights/clip"))
    sets = (DataSet("renderer", ("inverted", "pinkish"), ()), *small_sets())
    table = data_sets_table(sets, encoder, load_lexicon("pocket-1"))
    rows = {row.name: [figure.value or 0.0 for figure in row.figures] for row in table.rows}
    for name in ("synthetic", "style transfer", "painters"):
        assert rows[name][0] > 0.7 > rows["chance"][0]
    alone, together = rows["painters"][1:]
    assert together > alone + 0.03, "no single word describes a hand"
    few = data_sets_table(sets[:1], encoder, load_lexicon("pocket-1"))
    assert [row.name for row in few.rows] == [row.name for row in table.rows]
    assert few.rows[1].figures[0].missing == "not in this run"


def test_hands_mix_two_styles_that_can_be_seen_together_and_pairs_share_no_word() -> None:
    held_out, development = hand_names(True), hand_names(False)
    assert len(held_out) == 15 and {*held_out, *development} == set(HANDS)
    for hand in HANDS.values():
        assert STYLES[hand.brush].held_out == STYLES[hand.palette].held_out
        assert frozenset(hand.words) in {frozenset(pair) for pair in separable_pairs(hand.held_out)}
        assert all(0.4 < strength < 1 for strength in hand.strengths)
    assert len({hand.words for hand in HANDS.values()}) == len(HANDS)
    for held in (True, False):
        pairs = hand_pairs(held)
        assert len(pairs) == len(hand_names(held)) and {first for first, _ in pairs} == set(hand_names(held))
        assert not any(set(HANDS[a].words) & set(HANDS[b].words) for a, b in pairs)


def test_a_hand_has_its_own_subjects_and_composition() -> None:
    rng = np.random.default_rng(4)
    scenes = [hand_scene("hand 1", rng) for _ in range(200)]
    favourites = sum(scene.subject in HANDS["hand 1"].subjects for scene in scenes) / len(scenes)
    assert FAVOURED - 0.1 < favourites < 1
    assert np.mean([scene.x for scene in scenes]) == pytest.approx(HANDS["hand 1"].place[0], abs=0.01)
    assert np.mean([scene.radius for scene in scenes]) == pytest.approx(HANDS["hand 1"].radius, abs=0.01)


def test_the_three_ways_are_three_lessons_and_the_renderers_keep_their_names() -> None:
    assert ladder_lesson("sepia").name == "ladder-sepia" and mixture_lesson("", "", (0, 0)).name == "mixture-plain"
    for lesson in (ladder_lesson, gan_ladder_lesson, token_ladder_lesson):
        names = {lesson("sepia").name, lesson("sepia", "patches").name, lesson("hand 2", "painter").name}
        assert len(names) == 3 and not any(" " in name for name in names)
    first, second, third = (
        training_pictures(lesson, np.random.default_rng(1))[0]
        for lesson in (ladder_lesson("sepia"), ladder_lesson("sepia", "patches"), ladder_lesson("hand 2", "painter"))
    )
    assert len({array.tobytes() for array in (first, second, third)}) == 3
    plain, painted = training_pairs(token_ladder_lesson("hand 16", "painter"))
    assert plain.shape == painted.shape and np.abs(plain.astype(int) - painted).mean() > 5


def test_pictures_of_a_mixture_of_hands_are_by_either_hand() -> None:
    """The first half is composed as the first hand does, the second half as the second."""
    lesson = mixture_lesson("hand 16", "hand 17", (0.5, 0.5), "painter")
    _, captions, scenes = training_pictures(lesson, np.random.default_rng(lesson.seed))
    half = PICTURES // 2
    assert all(scene.x < 0.45 for scene in scenes[:half]) and all(scene.x > 0.55 for scene in scenes[half:])
    assert not any(word in caption for caption in captions for word in ("grainy", "pinkish", "dotted", "cool"))
    assert mixture_lesson("hand 16", "hand 17", (1, 0), "painter") == ladder_lesson("hand 16", "painter")
    assert {mixture_lesson("a", "b", point, "patches").way for point in GRID if any(point)} == {"patches"}


def test_words_of_an_aspect_and_the_mean_over_them() -> None:
    assert words_of("painter", "hand 1") == ("blurry", "monochrome") and words_of("patches", "neon") == ("neon",)
    numbers = {"blurry": 0.2, "monochrome": 0.6}
    scored = DataSet("painter", (), ()).over_words(lambda case, word: numbers[word] * case)
    assert scored(2.0, "hand 1") == pytest.approx(0.8)
    assert [data.name for data in other_sets()] == ["style transfer", "painters"]


def test_an_edit_goes_as_far_as_its_scale_and_nothing_else_changes() -> None:
    lessons = [edit_scale_lesson("moustache", scale) for scale in EDIT_SCALES]
    assert len({lesson.name for lesson in lessons}) == 10 and len({lesson.seed for lesson in lessons}) == 1
    drawn = [training_pictures(lesson, np.random.default_rng(lesson.seed)) for lesson in lessons]
    assert all(scenes == drawn[0][2] and captions == drawn[0][1] for _, captions, scenes in drawn)
    plain = np.stack([np.round(render(scene) * 255).astype(int) for scene in drawn[0][2]])
    changed = [float(np.abs(images - plain).mean()) for images, _, _ in drawn]
    assert changed == sorted(changed) and changed[0] > 0
