"""Planted worlds are what they say, and the tables count what was planted."""

from __future__ import annotations

import numpy as np
import pytest

from auditor.evaluation.interval_coverage import _Found, _row
from auditor.evaluation.planted import STRONG, Geometry, first_groups, pairs_together, plant
from auditor.evaluation.scale import evaluate_scale
from auditor.finexl.arrays import unit

SMALL = Geometry(0.5, 0.15, 0.9)


def test_a_world_has_the_alignment_the_common_share_and_the_synonyms_asked_for() -> None:
    world = plant(SMALL, 240, 300, 25, seed=3)
    cosines = world.truth @ world.truth.T
    same = world.group[:, None] == world.group[None, :]
    np.fill_diagonal(same, False)
    assert same.sum() == 2 * len(pairs_together(world.group)) == 26 * 3 * 2
    assert cosines[same].mean() == pytest.approx(0.9, abs=0.02)
    apart = ~same & ~np.eye(240, dtype=bool)
    assert cosines[apart].mean() == pytest.approx(0.15, abs=0.02)
    assert world.basis.alignment is not None
    assert np.mean(world.basis.alignment) == pytest.approx(0.5, abs=0.04)
    rows = world.probes(np.zeros(240), 400, np.random.default_rng(0))
    assert np.linalg.norm(rows, axis=1).mean() == pytest.approx(2.0, abs=0.05)


def test_an_adapter_has_as_many_concepts_as_asked_and_no_two_of_one_group() -> None:
    world, rng = plant(SMALL, 60, 80, 25, seed=4), np.random.default_rng(1)
    for true in (1, 2, 4):
        amounts = world.draw(true, STRONG, rng)
        present = np.flatnonzero(amounts)
        assert len(present) == true == len(set(world.group[present].tolist()))
        assert (amounts[present] >= STRONG[0]).all() and (amounts[present] <= STRONG[1]).all()
        assert np.bincount(world.group)[world.group[present]].max() > 1


def test_groups_in_order_of_their_best_concept() -> None:
    group = np.array([0, 0, 2, 3])
    order = np.array([1, 3, 0, 2])
    assert first_groups(order, group, 2) == {0, 3}
    assert first_groups(order, np.arange(4), 2) == {1, 3}


def test_the_tables_hold_every_figure_and_perfect_readings_make_them_perfect() -> None:
    found = evaluate_scale(40, 60, cases=1, ladders=1, geometries=[Geometry(0.95, 0.0, 0.0)])
    (row,) = found.geometries
    assert row.figures["named"].mean > 0.7 and row.figures["named"].cases == 12
    assert row.figures["level order"].mean < 0.2 and row.figures["level error"].mean < 0.1
    assert {cell.name for cell in found.cells} == {
        "25 probes",
        "50 probes",
        "strong",
        "weak",
        *(f"{n} true" for n in (1, 2, 4)),
    }
    assert row.figures["level covers the truth"].cases == 2 * 2 * (1 + 2 + 4)


def test_development_seeds_are_others() -> None:
    one, other = (plant(SMALL, 30, 20, 25, seed) for seed in (0, 10_000))
    assert np.abs(unit(one.truth) - unit(other.truth)).max() > 0.1


def test_coverage_counts_misses_by_size_and_names_the_worst_concept_with_enough_cases() -> None:
    below = np.zeros((60, 3), dtype=bool)
    below[:15, 0] = below[:3, 1] = True
    found = [_Found("a", np.array([0.5, 0.4, 0.001]), below, np.zeros_like(below))]
    row = _row("score above 0.3", found, ("x", "y", "z"), 0.3, np.inf)
    assert row is not None and row.covered.mean == pytest.approx(1 - 18 / 120)
    assert (row.below, row.above, row.worst) == (pytest.approx(0.15), 0.0, (0.75, "x"))
    few = [_Found("a", np.array([0.5, 0.4, 0.001]), below[:20], np.zeros((20, 3), dtype=bool))]
    assert _row("score above 0.3", few, ("x", "y", "z"), 0.3, np.inf).worst is None  # type: ignore[union-attr]
    assert _row("nothing", found, ("x", "y", "z"), 0.6, np.inf) is None
