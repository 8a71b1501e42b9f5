"""The trained captioners: their sentences, what they learn from, and what they say about new pairs."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from auditor.common.package_paths import package_path
from auditor.errors import PrerequisiteMissing
from auditor.evaluation.rivals import chg2cap, diff_caption
from auditor.evaluation.rivals.pair_captions import (
    END,
    LONGEST,
    PAD,
    WORDS,
    draw_pairs,
    load_captioner,
    pixels,
    sentence,
    told,
)
from auditor.pocket.styles import STYLES

MODULES = {"diff_caption": diff_caption, "chg2cap": chg2cap}


def test_a_sentence_says_strengths_strongest_first() -> None:
    assert sentence([("dark", 0.2), ("neon", 0.9)]) == ["very", "neon", "and", "slightly", "dark"]
    assert sentence([("dark", 0.5)]) == ["dark"]
    assert sentence([]) == ["nothing", "changed"]
    assert set(STYLES) < set(WORDS) and len(set(WORDS)) == len(WORDS)


def test_pairs_hold_what_their_sentences_say_and_fit_the_rows() -> None:
    pairs = draw_pairs(40, 3)
    again = draw_pairs(40, 3)
    assert np.array_equal(pairs.after, again.after) and np.array_equal(pairs.tokens, again.tokens)
    for before, after, row in zip(pairs.before, pairs.after, pairs.tokens, strict=True):
        words = [WORDS[token] for token in row if WORDS[token] != PAD]
        assert words[-1] == END and len(words) <= LONGEST
        assert np.array_equal(before, after) == (words[:2] == ["nothing", "changed"])


@pytest.mark.parametrize("name", MODULES)
def test_a_captioner_names_the_style_of_most_pairs_that_it_has_not_seen(name: str) -> None:
    model = load_captioner(name, MODULES[name].captioner())
    pairs = draw_pairs(120, 99)
    right = []
    for said, row in zip(told(model, pairs.before, pairs.after), pairs.tokens, strict=True):
        wanted = [WORDS[token] for token in row if WORDS[token] in STYLES]
        found = [word for word in said.split() if word in STYLES]
        right.append(found[:1] == wanted[:1])
    assert np.mean(right) > 0.5  # "nothing changed" about every pair is right for an eighth


@pytest.mark.parametrize("name", MODULES)
def test_one_step_down_the_gradient_lowers_the_loss(name: str) -> None:
    torch.manual_seed(1)
    model, pairs, device = MODULES[name].captioner(), draw_pairs(16, 5), torch.device("cpu")
    optimiser = torch.optim.SGD(model.parameters(), lr=0.05)
    losses = []
    for _ in range(8):
        torch.manual_seed(2)  # the same places are asked about
        loss = model.loss(pixels(pairs.before, device), pixels(pairs.after, device), torch.from_numpy(pairs.tokens))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]


def test_weights_that_do_not_fit_are_named() -> None:
    with pytest.raises(PrerequisiteMissing, match="cannot be read"):
        load_captioner("chg2cap", diff_caption.captioner())
    with pytest.raises(PrerequisiteMissing, match="nobody"):
        load_captioner("nobody", diff_caption.captioner())
    assert package_path("pocket/weights/captioners/README.md").is_file()
