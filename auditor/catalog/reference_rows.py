"""What every result refers to, as rows: recipes, lexicon, probes and shared bases."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from auditor.catalog.bulk_insert import Loader
from auditor.lexicons import Lexicon, concept_key
from auditor.probes import ProbeSet
from auditor.records.recipe import Recipe


@dataclass(frozen=True, eq=False)
class BasisVectors:
    """The shared basis of one recipe as the scores used it.

    Attributes:
        names: Concepts in lexicon order (k).
        vectors: f(C) (k, D).
        common: Common directions (r, D).
        levels: Rows that make levels of V (k, D); None in a folder made before there were levels.
        clusters: First concept that each one cannot be told apart from (k,), as its place among `names`.
    """

    names: tuple[str, ...]
    vectors: NDArray[np.floating]
    common: NDArray[np.floating]
    levels: NDArray[np.floating] | None = None
    clusters: NDArray[np.generic] | None = None


def load_reference(
    loader: Loader,
    recipes: Sequence[Recipe],
    lexicon: Lexicon,
    basis_vectors: Mapping[str, BasisVectors],
    probe_sets: Sequence[ProbeSet],
) -> None:
    """Insert the rows that do not depend on any result."""
    for r in {recipe.recipe_id: recipe for recipe in recipes}.values():
        values = r.model_dump(mode="json")
        loader.add(
            "recipes",
            *(r.recipe_id, r.algorithm_version, r.base_name, r.base_repo, r.base_fingerprint, r.family),
            *(r.probe_set, r.probe_count, r.lora_scale, r.seed, r.encoder, r.concept_template),
            *(r.lexicon, r.proposer, _json(values["generation"]), _json(values["solver"]), _json(values)),
            lexicon.neutral_words,
        )
    for position, concept in enumerate(lexicon.concepts):
        loader.add("concepts", concept.name, concept.facet, position)
        for alias in dict.fromkeys((concept.name, *concept.aliases)):
            loader.add("concept_aliases", alias, concept_key(alias), concept.name)
    for probe_set in {item.name: item for item in probe_sets}.values():
        for position, prompt in enumerate(probe_set.prompts):
            loader.add("probes", probe_set.name, position, prompt)
    for recipe_id, basis in basis_vectors.items():
        for name, vector in zip(basis.names, basis.vectors, strict=True):
            loader.add("concept_vectors", recipe_id, name, np.asarray(vector, dtype=np.float32))
        if basis.levels is not None:
            for name, row in zip(basis.names, basis.levels, strict=True):
                loader.add("level_vectors", recipe_id, name, np.asarray(row, dtype=np.float32))
        if basis.clusters is not None:
            for name, leader in zip(basis.names, basis.clusters.astype(np.intp).tolist(), strict=True):
                loader.add("concept_clusters", recipe_id, name, basis.names[leader])
        for position, direction in enumerate(basis.common):
            loader.add("common_directions", recipe_id, position, np.asarray(direction, dtype=np.float32))
    loader.flush()


def _json(value: object) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"))
