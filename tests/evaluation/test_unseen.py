"""An adapter whose style no concept names is explained less than one whose style has a concept."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest

from auditor.evaluation.bank import Bank, TrainedAdapter
from auditor.evaluation.unseen import evaluate_unseen, explained, without
from auditor.pocket.second.training.lora import Lesson
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
    rows = vector + 2 * noise
    mean, first = rows.mean(axis=0), vector / np.linalg.norm(vector)
    assert share > (mean @ first) ** 2 / (mean @ mean) + 0.02
    assert explained(made, np.zeros((12, D)))[0] == 0.0


@pytest.mark.parametrize(("held_out", "alarms"), [(True, 1), (False, 1)])
def test_styles_that_nothing_names_are_held_against_what_few_development_styles_stay_below(
    held_out: bool, alarms: int
) -> None:
    made = scorer("mean")
    rng = np.random.default_rng(2)
    strange = rng.normal(size=D)
    for atom in made.basis.atoms:  # what no concept goes along
        strange -= (strange @ atom) / (atom @ atom) * atom
    strange *= np.linalg.norm(made.basis.atoms[0]) / np.linalg.norm(strange)
    foreign = {"plain": 0.0, "mixed": 0.4, "own": 0.1, "odd": 0.6, "unnamed": 3.0}  # share of it in each style's change
    scatter = 0.01 * np.linalg.norm(strange) / np.sqrt(D) * rng.normal(size=(12, D))

    def results(cases: list[TrainedAdapter], note: object) -> dict[TrainedAdapter, SimpleNamespace]:
        changes = {case: made.basis.atoms[0] + foreign[case.lesson.styles[0]] * strange for case in cases}
        return {case: SimpleNamespace(arrays={"differences": v + scatter}) for case, v in changes.items()}

    out = {"plain": False, "mixed": False, "own": True, "odd": True}
    world = SimpleNamespace(
        unnamed=(Lesson("unnamed-1", ("unnamed",)),),
        styled=lambda style, seed: Lesson(f"{style}-{seed}", (style,)),
        style_names=lambda which: tuple(style for style, is_out in out.items() if is_out == which),
    )
    bank = cast(Bank, SimpleNamespace(world=world, results=results, opened=SimpleNamespace(scorer=made)))
    found = evaluate_unseen(bank, held_out)
    assert (found.unexplained.right, found.unexplained.cases) == (1, 1)
    assert (found.false_alarms.right, found.false_alarms.cases) == (alarms, 2)
    known = [
        explained(made, made.basis.atoms[0] + foreign[style] * strange + scatter)[0] for style in ("plain", "mixed")
    ]
    assert found.limit == pytest.approx(np.quantile(known, 0.05)) and min(known) < found.limit < max(known)
    (judged,) = found.styles
    assert judged.known is None and judged.unseen < found.limit < 1
