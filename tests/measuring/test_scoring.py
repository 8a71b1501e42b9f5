"""The scorer on made-up directions: lengths of every basis, and what is not encoded again."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from auditor.finexl.concepts import ConceptDirections
from auditor.lexicons import load_lexicon
from auditor.measuring.reference import Reference
from auditor.measuring.scoring import Scorer, effect_record, make_scorer
from auditor.records.proposals import ProposedPhrase
from auditor.settings import SolverSettings

LEXICON = load_lexicon("pocket-1")
D = 64


class NoEncoder:
    """Nothing is left to encode."""

    def encode_texts(self, texts: Any) -> Any:
        raise AssertionError(f"{len(texts)} texts are encoded again")


def scorer(basis: str, *, sides_agree: bool = True) -> Scorer:
    random = np.random.default_rng(7)
    k = len(LEXICON.names)
    text = ConceptDirections(random.normal(size=(k, D)) * random.uniform(0.5, 2, (k, 1)), np.full(k, 0.1))
    image = text if sides_agree else ConceptDirections(random.normal(size=(k, D)), np.full(k, 0.1))
    empty = np.zeros((0, D), np.float32)
    few = np.zeros((3, D), np.float32)
    reference = Reference(np.zeros((3, 2, 2, 3), np.uint8), few, few, few, text, image, empty, empty)
    solver = SolverSettings(basis=basis)  # type: ignore[arg-type]
    return make_scorer(solver, LEXICON, ("a", "b", "c"), reference, NoEncoder())  # type: ignore[arg-type]


@pytest.mark.parametrize("basis", ["text", "image", "mean", "agreement", "stacked", "either"])
def test_where_both_sides_agree_every_basis_has_vectors_of_their_length(basis: str) -> None:
    made = scorer(basis)
    np.testing.assert_allclose(made.vectors(LEXICON.names), made.reference.text.vectors, rtol=1e-6, atol=1e-9)


def test_an_adapter_that_is_twice_a_concept_weighs_two_on_the_stacked_basis() -> None:
    made, name = scorer("stacked"), LEXICON.names[4]
    differences = np.tile(2 * made.reference.text.vectors[4], (6, 1)).astype(np.float32)
    (concept,) = made._robust(differences.mean(0), [ProposedPhrase(name, 1.0, 0.0)]).concepts
    assert concept.weight == pytest.approx(2.0, rel=1e-5)
    assert made.projections(differences.mean(0), [name])[name] == pytest.approx(2.0, rel=1e-5)


@pytest.mark.parametrize(("said", "support"), [(("vibrant",), 0.6), (("vibrant", "colourful"), 1.0)])
def test_what_several_phrases_of_one_concept_said_is_added_up_to_all_at_most(
    said: tuple[str, ...], support: float
) -> None:
    made = scorer("stacked")
    mean = made.reference.text.vectors[LEXICON.names.index("vibrant")].astype(np.float32)
    (concept,) = made._robust(mean, [ProposedPhrase(text, 0.6, 0.0) for text in said]).concepts
    assert (concept.concept, concept.support, concept.in_lexicon) == ("vibrant", pytest.approx(support), True)


def test_without_proposals_algorithm_1_explains_nothing_and_the_default_takes_the_lexicon() -> None:
    made = scorer("mean", sides_agree=False)
    differences = np.tile(made.vectors(LEXICON.names[2:3])[0], (6, 1)).astype(np.float32)
    robust, paper = made.explain(differences, ())
    assert [c.concept for c in robust.concepts] == [LEXICON.names[2]]
    assert (paper.concepts, paper.explained_share) == ((), 0.0)


def test_algorithm_1_takes_phrases_in_the_order_of_discovery(monkeypatch: pytest.MonkeyPatch) -> None:
    made = scorer("mean")
    first, second = np.eye(D)[0], np.array([0.8, 0.6, *[0.0] * (D - 2)])  # the later one is dropped as redundant
    monkeypatch.setattr(
        "auditor.measuring.scoring.text_directions",
        lambda *given: ConceptDirections(np.stack([{"one": first, "two": second}[t] for t in given[3]]), np.zeros(2)),
    )
    phrases = [ProposedPhrase("one", 1.0, 0.0), ProposedPhrase("two", 0.5, 1.0)]
    monkeypatch.setattr(Scorer, "_robust", lambda *_: None)
    differences = np.tile(first + second, (6, 1))
    for order in (["one", "two"], ["two", "one"], ["one", "two", "one"], ["two"], ["one"]):
        paper = made.explain(differences, phrases, order)[1]
        assert [c.concept for c in paper.concepts] == order[:1]


def test_a_p_value_needs_draws() -> None:
    with pytest.raises(ValidationError, match="null_draws"):
        SolverSettings(null_draws=0)


def test_a_smaller_alpha_gives_a_wider_interval() -> None:
    made, random = scorer("mean"), np.random.default_rng(3)
    vectors = made.reference.text.vectors
    differences = vectors[2] + random.normal(size=(12, D)) * 0.5
    scorers = [replace(made, solver=made.solver.model_copy(update={"alpha": alpha})) for alpha in (0.05, 0.5)]
    wide, narrow = (each.shared(differences) for each in scorers)
    assert wide.low[2] < narrow.low[2] <= narrow.high[2] < wide.high[2]
    sure, unsure = (each.concept_scores(differences)[2] for each in scorers)
    ends = (sure.level_low, unsure.level_low, unsure.level_high, sure.level_high)
    assert None not in ends and ends[0] < ends[1] < ends[2] < ends[3]


@pytest.mark.parametrize(("least", "status"), [(0.0, "explained"), (1.0, "explained"), (1.01, "unexplained")])
def test_a_change_is_explained_from_the_least_share_on(least: float, status: str) -> None:
    made = scorer("mean")
    differences = np.tile(made.reference.text.vectors[2], (8, 1)).astype(np.float32)
    shared = replace(made.shared(differences), explained_share=1.0)
    solver = made.solver.model_copy(update={"minimum_share": least})
    assert effect_record(differences, made.test(differences), shared, solver).status == status
