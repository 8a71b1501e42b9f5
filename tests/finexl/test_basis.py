"""Which concepts are one direction, and which of them gives the atom."""

from __future__ import annotations

import numpy as np
import pytest

from auditor.finexl.basis import make_basis
from auditor.finexl.concepts import MERGE_COSINE, ConceptDirections, combine


def turned(degrees: list[float]) -> np.ndarray:
    angles = np.deg2rad(degrees)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1)


@pytest.mark.parametrize(("beyond", "group"), [(0.001, [0, 0]), (-0.001, [0, 1])])
def test_concepts_are_one_direction_only_above_the_cosine_of_a_merge(beyond: float, group: list[int]) -> None:
    close = MERGE_COSINE + beyond
    assert make_basis("ab", [[1.0, 0.0], [close, np.sqrt(1 - close**2)]]).group.tolist() == group


def test_the_first_of_them_gives_the_atom() -> None:
    basis = make_basis("abc", [[2.0, 0.0], [0.0, 1.0], [3.0, 0.0]])
    assert basis.group.tolist() == [0, 1, 0]
    assert basis.atoms.tolist() == [[2.0, 0.0], [0.0, 1.0]]


def test_a_concept_between_two_directions_goes_with_the_first() -> None:
    assert make_basis("abc", turned([0, 10, 5])).group.tolist() == [0, 1, 0]
    assert make_basis("abc", turned([10, 0, 5])).group.tolist() == [0, 1, 0]


def test_a_concept_without_a_direction_stands_alone() -> None:
    assert make_basis("abc", [[0.0, 0.0], [1.0, 0.0], [0.0, 0.0]]).group.tolist() == [0, 1, 2]


@pytest.mark.parametrize(("degrees", "group"), [(3, [0, 0]), (30, [0, 1])])
@pytest.mark.parametrize("other", ["text", "image"])
def test_concepts_of_two_atoms_are_one_direction_only_where_both_agree(
    degrees: float, group: list[int], other: str
) -> None:
    alike, apart = (ConceptDirections(turned([0, by]), np.full(2, 0.1)) for by in (0, degrees))
    sides = (apart, alike) if other == "text" else (alike, apart)
    assert make_basis("ab", combine(*sides, "either")).group.tolist() == group
