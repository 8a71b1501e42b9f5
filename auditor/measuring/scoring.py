"""From features to the numbers of a record: effect, shared scores, private explanations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from auditor.encoding.encoder import Encoder
from auditor.finexl import robust
from auditor.finexl.basis import Basis, make_basis
from auditor.finexl.clusters import clusters, reading_errors
from auditor.finexl.concepts import combine, common_span, half_differences
from auditor.finexl.divergence import divergence, precision
from auditor.finexl.levels import LevelMap, Levels, choose_penalty, level_map, levels
from auditor.finexl.paper import explain_paper
from auditor.finexl.shared_basis import ScoreOptions, SharedScores, score
from auditor.finexl.significance import EffectTest, effect_test
from auditor.lexicons.loader import Lexicon
from auditor.measuring.reference import Reference, text_directions
from auditor.records.proposals import ProposedPhrase
from auditor.records.result import ConceptScore, Effect, ExplainedConcept, Explanation
from auditor.settings import SolverSettings

Floats = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Scorer:
    """The solver of one recipe, ready for any adapter."""

    solver: SolverSettings
    lexicon: Lexicon
    prompts: tuple[str, ...]
    reference: Reference
    encoder: Encoder
    basis: Basis
    level_map: LevelMap
    halves: NDArray[np.float64]

    def concept_scores(
        self, differences: NDArray[np.floating], shared: SharedScores | None = None
    ) -> tuple[ConceptScore, ...]:
        """The record of differences (n, D): scores, projections and levels in lexicon order.

        Args:
            differences: d_i (n, D).
            shared: Their scores on the shared basis where they are known already.
        """
        found = self.shared(differences) if shared is None else shared
        signed = levels(differences, self.level_map, found.score, confidence=1 - self.solver.alpha)
        return concept_scores(found, signed, self.basis)

    def clusters(self) -> NDArray[np.intp]:
        """First concept that each one cannot be told apart from (k,), as its place in the lexicon."""
        vectors = self.vectors(self.lexicon.names)
        return clusters(vectors, self.level_map.reliability, reading_errors(vectors, self.halves))

    def shared(self, differences: NDArray[np.floating]) -> SharedScores:
        """Scores on the shared basis of differences (n, D)."""
        options = ScoreOptions(
            solver=self.solver.fit,
            ridge=self.solver.ridge,
            confidence=1 - self.solver.alpha,
        )
        return score(differences, self.basis, options)

    def test(self, differences: NDArray[np.floating], noise: NDArray[np.floating] | None = None) -> EffectTest:
        """Is there an effect at all?

        Args:
            differences: d_i (n, D).
            noise: Base with other seeds minus base (m, D), on the same kind of prompts; None: the reference's.
        """
        noise = self.reference.noise if noise is None else noise
        return effect_test(differences, noise, alpha=self.solver.alpha, resamples=self.solver.null_draws)

    def explain(
        self, differences: NDArray[np.floating], phrases: Sequence[ProposedPhrase], discovered: Sequence[str] = ()
    ) -> tuple[Explanation, ...]:
        """Both private explanations.

        Args:
            differences: d_i (n, D).
            phrases: As proposed. Without any, `robust` takes the whole lexicon; Algorithm 1 then has no candidates
                and explains nothing.
            discovered: Texts of the phrases in the order in which the replies named them, which is the order that
                Algorithm 1 takes them in; those that are missing come last, as given.
        """
        mean = divergence(differences).mean
        place = {text: number for number, text in reversed(list(enumerate(discovered)))}
        in_order = sorted(phrases, key=lambda phrase: place.get(phrase.text, len(place)))
        taken = phrases or [ProposedPhrase(name, 0.0, 0.0) for name in self.lexicon.names]
        return (self._robust(mean, taken), self._paper(mean, in_order))

    def projections(self, mean: NDArray[np.floating], names: Sequence[str]) -> dict[str, float]:
        """<V, f> / |f|^2 of some lexicon concepts, for the dose response."""
        vectors = self.vectors(names)
        return {n: float(mean @ f / max(float(f @ f), 1e-12)) for n, f in zip(names, vectors, strict=True)}

    def _robust(self, mean: NDArray[np.floating], phrases: Sequence[ProposedPhrase]) -> Explanation:
        support: dict[str, float] = {}
        for phrase in phrases:
            name = self.lexicon.canonical(phrase.text) or phrase.text
            support[name] = min(1.0, support.get(name, 0.0) + phrase.support)
        names = list(support)
        vectors = self.vectors(names)
        options = robust.RobustOptions(
            order=self.solver.order,
            redundancy=self.solver.redundancy,
            max_redundancy=self.solver.max_redundancy,
            max_concepts=self.solver.max_concepts,
            stop_residual=self.solver.e_decomp,
            minimum_share=self.solver.minimum_share,
        )
        found = robust.explain(
            mean,
            names,
            vectors,
            support=[round(100 * support[n]) for n in names],
            common=self.basis.common,
            options=options,
        )
        concepts = tuple(
            ExplainedConcept(
                concept=c.name, weight=c.weight, support=support[c.name], in_lexicon=c.name in self.lexicon.names
            )
            for c in found.concepts
        )
        return Explanation(variant="robust", concepts=concepts, explained_share=found.explained_share)

    def _paper(self, mean: NDArray[np.floating], phrases: Sequence[ProposedPhrase]) -> Explanation:
        # Algorithm 1 takes phrases as they were said, by their text side alone.
        texts = [p.text for p in phrases]
        plain = self.reference.plain_texts
        vectors = text_directions(self.encoder, plain, self.prompts, texts, self.lexicon).vectors
        found = explain_paper(mean, texts, vectors, e_ortho=self.solver.e_ortho, e_decomp=self.solver.e_decomp)
        support = {p.text: p.support for p in phrases}
        concepts = tuple(
            ExplainedConcept(
                concept=name,
                weight=float(weight),
                support=support[name],
                in_lexicon=self.lexicon.canonical(name) is not None,
            )
            for name, weight in sorted(zip(found.names, found.weights, strict=True), key=lambda c: -abs(c[1]))
        )
        return Explanation(variant="paper", concepts=concepts, explained_share=max(0.0, 1 - found.relative_residual**2))

    def vectors(self, names: Sequence[str]) -> NDArray[np.float64]:
        """f(C): the basis' own atom for lexicon concepts, the text side for everything else (k, D)."""
        known = {name: row for row, name in enumerate(self.basis.names)}
        strange = [n for n in names if n not in known]
        text = text_directions(self.encoder, self.reference.plain_texts, self.prompts, strange, self.lexicon).vectors
        rows = dict(zip(strange, text, strict=True))
        # Two views share one unit of length, so each is shorter by the square root of their number.
        atoms = self.basis.atoms.reshape(-1, self.basis.views, self.basis.dimension) * np.sqrt(self.basis.views)
        single = atoms.mean(1)
        for name in names:
            if name in known:
                rows[name] = single[self.basis.owner == self.basis.group[known[name]]].mean(0)
        return np.stack([rows[n] for n in names]).astype(np.float64)


def make_scorer(
    solver: SolverSettings, lexicon: Lexicon, prompts: Sequence[str], reference: Reference, encoder: Encoder
) -> Scorer:
    """Fix the shared basis: both sides of every concept, the common direction taken off."""
    text_span = common_span(reference.text.vectors, mode=solver.common, null_vectors=reference.neutral_text)
    image_span = common_span(reference.image.vectors, mode=solver.common, null_vectors=reference.neutral_image)
    combined = combine(
        reference.text, reference.image, solver.basis, text_span=text_span, image_span=image_span, length=solver.length
    )
    basis = make_basis(lexicon.names, combined, common=image_span if solver.basis == "image" else text_span)
    halves = half_differences(reference.text.vectors, reference.image.vectors, text_span, image_span)
    scaled = halves * np.linalg.norm(combined.atoms, axis=1)[combined.owner.argsort(kind="stable")].reshape(
        len(halves), -1
    ).mean(axis=1, keepdims=True)
    penalty = solver.level_penalty or choose_penalty(basis, scaled, reference.noise, len(prompts))
    return Scorer(solver, lexicon, tuple(prompts), reference, encoder, basis, level_map(basis, penalty, scaled), halves)


def concept_scores(shared: SharedScores, signed: Levels, basis: Basis) -> tuple[ConceptScore, ...]:
    """Arrays to records, in lexicon order."""
    aligned = basis.alignment
    return tuple(
        ConceptScore(
            concept=name,
            score=float(shared.score[i]),
            low=float(shared.low[i]),
            high=float(shared.high[i]),
            projection=float(shared.projection[i]),
            alignment=None if aligned is None else float(np.clip(aligned[i], -1, 1)),
            level=float(signed.level[i]),
            level_low=float(signed.low[i]),
            level_high=float(signed.high[i]),
            level_doubt=float(signed.doubt[i]),
            place=int(shared.place[i]) or None,
        )
        for i, name in enumerate(shared.names)
    )


def effect_record(
    differences: NDArray[np.floating], test: EffectTest, shared: SharedScores, solver: SolverSettings
) -> Effect:
    """Size and certainty of the change as a whole."""
    status = "explained" if shared.explained_share >= solver.minimum_share else "unexplained"
    return Effect(
        probes=len(differences),
        norm=test.norm,
        floor=test.floor,
        p_value=test.p_value,
        cosine_error=float(min(1.0, precision(differences).cosine_error)),
        explained_share=shared.explained_share,
        status="no_effect" if test.status == "no_effect" else status,
        named_share=shared.first_share,
    )
