"""An adapter whose style no concept names is explained less than one whose style has a concept."""

from __future__ import annotations

import numpy as np
import pytest

from auditor.evaluation.unseen import explained, without
from tests.measuring.test_scoring import D, scorer


def test_a_lexicon_without_a_concept_explains_less_of_it_and_takes_it_for_another() -> None:
    made = scorer("mean")
    name = made.lexicon.names[2]
    vector = made.basis.atoms[made.basis.owner == made.basis.group[2]][0]
    differences = vector + 0.05 * np.linalg.norm(vector) / np.sqrt(D) * np.random.default_rng(0).normal(size=(12, D))
    known, top = explained(made, differences)
    assert (top, known) == (name, pytest.approx(1.0, abs=0.02))
    rest = without(made, name)
    assert rest.lexicon.names == tuple(n for n in made.lexicon.names if n != name)
    unseen, taken_for = explained(rest, differences)
    assert unseen < 0.9 and taken_for != name


def test_scatter_is_not_held_against_the_lexicon() -> None:
    made = scorer("mean")
    vector = made.basis.atoms[0]
    noise = np.linalg.norm(vector) / np.sqrt(D) * np.random.default_rng(1).normal(size=(24, D))
    share, _ = explained(made, vector + 2 * noise)
    assert share > made.shared(vector + 2 * noise).explained_share + 0.02
    assert explained(made, np.zeros((12, D)))[0] == 0.0
