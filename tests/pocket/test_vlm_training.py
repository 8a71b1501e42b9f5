from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch

from auditor.pocket.drawn_subjects import EDITS
from auditor.pocket.styles import STYLES
from auditor.pocket.training.style_pairs import separable_pairs
from auditor.pocket.vlm.architecture import build_model
from auditor.pocket.vlm.objective import Batch, ConceptHead, Objective, sample_batch
from auditor.pocket.vlm.pairs import (
    CONCEPTS,
    MIN_STRENGTH,
    PAIRS_PER_CASE,
    Case,
    answer_text,
    build_pool,
    draw_case,
    sample_case,
    synonyms,
)
from auditor.proposing.schema import parse_reply


def test_cases_cover_nothing_one_and_two_concepts_strongest_first() -> None:
    rng = np.random.default_rng(0)
    cases = [sample_case(rng) for _ in range(2000)]
    assert {len(c.concepts) for c in cases} == {0, 1, 2}
    assert {n for c in cases for n in c.names} == set(STYLES) | set(EDITS)
    for case in cases:
        strengths = dict(case.concepts)
        assert [strengths[n] for n in case.names] == sorted(strengths.values(), reverse=True)
        assert all(MIN_STRENGTH <= s <= 1 for s in strengths.values())
    styled = [sample_case(rng, edits=False) for _ in range(500)]
    assert {n for c in styled for n in c.names} == set(STYLES)


def test_two_styles_of_a_case_can_both_be_seen() -> None:
    pairs = {frozenset(p) for p in separable_pairs(held_out=None)}
    assert frozenset({"vibrant", "watercolor"}) in pairs
    assert frozenset({"monochrome", "embossed"}) not in pairs, "a relief is grey already"
    rng = np.random.default_rng(1)
    for case in (sample_case(rng, edits=False) for _ in range(300)):
        assert len(case.names) < 2 or frozenset(case.names) in pairs


def test_a_style_changes_every_pair_and_nothing_changes_little() -> None:
    def change(case: Case) -> np.ndarray:
        drawn = draw_case(case, np.random.default_rng(1)).astype(float)
        return np.abs(drawn[:, 1] - drawn[:, 0]).mean((1, 2, 3))

    assert change(Case((("dark", 1.0),))).min() > 3 * change(Case(())).max()


def test_an_edit_shows_in_the_first_pairs() -> None:
    gold = []
    for seed in range(8):
        plain = draw_case(Case(()), np.random.default_rng(seed), pairs=2)
        edited = draw_case(Case((("crowned", 1.0),)), np.random.default_rng(seed), pairs=2)
        assert plain.shape == edited.shape == (2, 2, 64, 64, 3)
        gold.append((np.abs(edited.astype(int) - (250, 205, 40)).sum(-1) < 30).sum((2, 3)))
    before, after = np.concatenate(gold).T
    # Roughening shifts colours, so a single crown may keep few pixels of the exact gold; most keep dozens.
    assert (after >= before + 5).all()
    assert np.median(after - before) > 40


def test_an_interrupted_pool_goes_on_to_the_same_end(tmp_path: Path) -> None:
    whole = build_pool(tmp_path / "whole", 6, seed=3)
    broken = tmp_path / "broken"
    build_pool(broken, 6, seed=3)
    (broken / "concepts.json").unlink()
    images = np.load(broken / "images.npy", mmap_mode="r+")
    images[4:] = 0
    images.flush()
    (broken / "progress.txt").write_text("4")
    again = build_pool(broken, 6, seed=3)
    assert np.array_equal(again.images, whole.images) and again.concepts == whole.concepts
    assert whole.images.shape == (6, PAIRS_PER_CASE, 2, 64, 64, 3)


def test_the_codec_sees_both_pictures_of_every_second_case(tmp_path: Path) -> None:
    pool = build_pool(tmp_path, 4, seed=3, codec=np.zeros_like)
    assert [bool(case.any()) for case in pool.images] == [True, False, True, False]


def test_a_broken_pool_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "images.npy", np.zeros((2, 3), np.uint8))
    (tmp_path / "concepts.json").write_text("[[]]")
    with pytest.raises(ValueError, match="not a pool"):
        build_pool(tmp_path, 1, seed=0)


def test_every_target_is_a_valid_reply() -> None:
    rng = np.random.default_rng(0)
    for first, second in pairwise(CONCEPTS):
        assert parse_reply(answer_text((first, second))).concepts == (first, second)
        words = parse_reply(answer_text((first, second), rng)).concepts
        assert words[0] in (first, *synonyms(first)) and words[1] in (second, *synonyms(second))
    assert answer_text(()) == '{"concepts": []}'


def test_batches_depend_on_the_step_alone(tmp_path: Path) -> None:
    pool = build_pool(tmp_path, 4, seed=3)
    one, two = (sample_batch([pool, pool], [0.5, 0.5], 3, np.random.default_rng([1, 2])) for _ in range(2))
    assert torch.equal(one.pictures, two.pictures) and one.replies == two.replies
    assert one.pictures.shape[0] == 3 and one.pictures.dtype == torch.float32
    assert one.pictures.min() >= 0 and one.pictures.max() <= 1
    for row, concepts in zip(one.present, one.concepts, strict=True):
        assert {CONCEPTS[i] for i in torch.nonzero(row)[:, 0]} == set(concepts)


def test_the_share_of_two_concept_cases_can_be_set(tmp_path: Path) -> None:
    pool = build_pool(tmp_path, 24, seed=3)
    assert {len(c) > 1 for c in pool.concepts} == {True, False}
    for share, several in ((1.0, True), (0.0, False)):
        batch = sample_batch([pool], [1.0], 12, np.random.default_rng(2), two_share=share)
        assert {len(c) > 1 for c in batch.concepts} == {several}


def test_loss_falls_and_the_gradient_reaches_the_first_layer(tmp_path: Path) -> None:
    model, processor = build_model(seed=1)
    objective, head = Objective(model, processor), ConceptHead()
    batch = sample_batch([build_pool(tmp_path, 4, seed=3)], [1.0], 4, np.random.default_rng(0))
    optimiser = torch.optim.AdamW([*model.parameters(), *head.parameters()], lr=2e-3)
    seen: list[float] = []
    for step in range(10):
        concept_loss, reply_loss = objective.losses(batch, head, vision_only=step < 2)
        loss = 0.1 * concept_loss + reply_loss
        seen.append(reply_loss.item())
        optimiser.zero_grad()
        loss.backward()
        assert model.model.visual.patch_embed.proj.weight.grad.abs().sum() > 0  # type: ignore[union-attr]
        optimiser.step()
    assert seen[:2] == [0.0, 0.0] and seen[-1] < 0.5 * seen[2]


def test_padding_of_short_replies_teaches_nothing() -> None:
    model, processor = build_model()
    ids, targets = Objective(model, processor).encode_replies(('{"concepts": []}', '{"concepts": ["neon", "dark"]}'))
    assert len({len(r) for r in ids}) == 1
    end = processor.tokenizer.eos_token_id
    row = targets[0].tolist()
    assert row[row.index(end) + 1 :] == [-100] * (len(row) - row.index(end) - 1)
    assert json.loads(processor.tokenizer.decode(row[: row.index(end)])) == {"concepts": []}


def test_first_named_accepts_synonyms_and_empty_lists() -> None:
    model, processor = build_model()
    objective = Objective(model, processor)
    opening = processor.tokenizer('{"concepts": ["')["input_ids"]
    nothing = processor.tokenizer('{"concepts": []}')["input_ids"][-1]
    says = {0: (opening[-1], "vivid"), 1: (nothing, "x"), 2: (opening[-1], "dark"), 3: (opening[-1], "dark")}

    def fixed(_tokens: torch.Tensor, replies: list[list[int]]) -> torch.Tensor:
        logits = torch.zeros(len(replies), len(opening) + 1, 960)
        for row, (start, word) in says.items():
            logits[row, len(opening) - 1, start] = 1
            logits[row, len(opening), processor.tokenizer(word)["input_ids"][0]] = 1
        return logits

    objective.reply_logits = fixed  # type: ignore[method-assign]
    concepts = (("vibrant",), (), ("neon",), ())
    batch = Batch(torch.zeros(4, 1, 2, 64, 64, 3), torch.zeros(4, len(CONCEPTS)), ("",) * 4, concepts)
    assert objective.first_named(batch) == 0.5
