"""What the pictures of one checkpoint have more than those of the base that it is compared with."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from auditor.common.pictures import bound_side
from auditor.generation.generator import Generator
from auditor.measuring.arm_images import usable_pictures
from auditor.measuring.arms import spread_rows
from auditor.measuring.explanations import discovery_order
from auditor.measuring.opened_base import OpenedBase
from auditor.measuring.scoring import effect_record
from auditor.records.result import ConceptScore, Effect, Explanation


@dataclass(frozen=True, eq=False)
class CheckpointScores:
    """One checkpoint as the difference to a base; n usable probes.

    Attributes:
        name: Of the checkpoint.
        effect: Size and certainty of the difference as a whole.
        scores: In lexicon order; none where there is no effect.
        explanations: In the words proposed for its pairs; none where there is no effect.
        differences: d_i (n, D).
        dropped: Probes left out because a picture shows nothing.
    """

    name: str
    effect: Effect
    scores: tuple[ConceptScore, ...]
    explanations: tuple[Explanation, ...]
    differences: NDArray[np.float32]
    dropped: int


def score_checkpoint(opened: OpenedBase, generator: Generator, name: str) -> CheckpointScores:
    """Draw every probe with a checkpoint, from the same seeds as the base, and explain the differences.

    Where latents have the base's shape, a pair also starts from the same noise; else the pictures of a pair have only
    their prompt in common, scatter more, and intervals are wider.

    Args:
        opened: The base that it is compared with. Its own generator is not used.
        generator: The checkpoint, nothing applied.
        name: For the result and for errors.

    Raises:
        ItemError: More than a tenth of the pictures show nothing.
        VlmUnavailable: The proposer does not answer now.
    """
    probes, scorer = opened.probes, opened.scorer
    images = generator.generate(probes.prompts, probes.seeds)
    keep = usable_pictures(generator.last_checks, f"{name} cannot be compared")
    differences = (opened.encoder.encode_images(images) - opened.reference.features)[keep]
    test, shared = scorer.test(differences), scorer.shared(differences)
    scores: tuple[ConceptScore, ...] = ()
    explanations: tuple[Explanation, ...] = ()
    if test.status == "effect":
        scores = scorer.concept_scores(differences, shared)
        explanations = _explained(opened, images, np.flatnonzero(keep), differences)
    effect = effect_record(differences, test, shared, scorer.solver)
    return CheckpointScores(name, effect, scores, explanations, differences, int((~keep).sum()))


def _explained(
    opened: OpenedBase, images: NDArray[np.uint8], rows: NDArray[np.intp], differences: NDArray[np.float32]
) -> tuple[Explanation, ...]:
    """Both private explanations, in the phrases that the proposer names for some pairs."""
    if opened.proposer is None:
        return opened.scorer.explain(differences, ())
    shown = rows[list(spread_rows(len(rows), opened.pairs_shown))]
    sides = opened.reference.images, images
    limit = min(opened.max_side, *(pictures.shape[1] for pictures in sides))  # a pair is shown at one size
    before, after = (np.stack([bound_side(picture, limit) for picture in pictures[shown]]) for pictures in sides)
    proposals = opened.proposer.propose(before, after)
    return opened.scorer.explain(differences, proposals.phrases, discovery_order(proposals))
