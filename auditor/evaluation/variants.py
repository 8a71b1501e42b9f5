"""Ways of turning one audit into a score for a named style: the default, the published one, and steps between."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from auditor.evaluation.bank import Bank
from auditor.finexl.paper import explain_paper
from auditor.finexl.shared_basis import ScoreOptions, score
from auditor.measuring.scoring import Scorer, make_scorer
from auditor.records.result import Explanation
from auditor.results.result_file import Result

Variant = Callable[[Result, str], float]

SHIPPED = "robust"
PUBLISHED = "paper"


def variants(bank: Bank, *, ablations: bool = False) -> dict[str, Variant]:
    """Named scoring variants, all on the same pictures.

    Those of the model's phrases are left out where nothing proposes.

    Args:
        bank: Gives encoder, lexicon and reference.
        ablations: Add the parts of the default variant one by one.
    """
    scorer = bank.opened.scorer
    chosen: dict[str, Variant] = {
        SHIPPED: _joint(scorer),
        "level": _level(scorer),
        PUBLISHED: _published(scorer),
        "paper, perfect proposals": lambda result, style: told(scorer, result, [style])[0],
        "private robust": lambda result, style: published_scores(scorer, result, "robust")[style],
        "projection": _projection(scorer),
        "text basis": _joint(_with(bank, basis="text")),
        "image basis": _joint(_with(bank, basis="image")),
        "least squares": _joint(scorer, "ols"),
    }
    if ablations:
        for basis in ("text", "image", "mean", "agreement", "stacked", "either"):
            for common in ("none", "mean", "null"):
                chosen[f"nnls {basis} {common}"] = _joint(_with(bank, basis=basis, common=common))
    if bank.opened.proposer is None:
        for name in (PUBLISHED, "private robust"):
            del chosen[name]
    return {name: _where_there_is_an_effect(scored) for name, scored in chosen.items()}


def told(scorer: Scorer, result: Result, styles: Sequence[str], e_ortho: float | None = None) -> list[float]:
    """Weights of Algorithm 1 when its proposals are exactly the given styles; 0 for one that it drops."""
    names = list(scorer.lexicon.names)
    vectors = scorer.reference.text.vectors[[names.index(style) for style in styles]]
    mean = result.arrays["divergence"].astype(np.float64)
    limit = scorer.solver.e_ortho if e_ortho is None else e_ortho
    found = explain_paper(mean, styles, vectors, e_ortho=limit, e_decomp=scorer.solver.e_decomp)
    weights = dict(zip(found.names, found.weights, strict=True))
    return [weights.get(style, 0.0) for style in styles]


def no_effect(result: Result) -> bool:
    """Whether the audit says that there is nothing to score; every variant then answers 0."""
    return result.record.outcome == "no_effect"


def scores_of(scorer: Scorer, result: Result, solver: str = "nnls") -> dict[str, float]:
    """Shared-basis scores of all concepts, computed again from the stored differences."""
    options = ScoreOptions(solver=solver)  # type: ignore[arg-type]
    found = score(result.arrays["differences"].astype(np.float64), scorer.basis, options)
    return {name: float(value) for name, value in zip(found.names, found.score, strict=True)}


def published_scores(scorer: Scorer, result: Result, variant: str = PUBLISHED) -> dict[str, float]:
    """Weights of a private explanation by lexicon concept: a style's is the sum over its names; 0 when absent."""
    return weights_by_concept(scorer, result.record.explanations, variant)


def weights_by_concept(scorer: Scorer, explanations: Sequence[Explanation], variant: str) -> dict[str, float]:
    """The same of explanations that are in no result."""
    explained = next((e for e in explanations if e.variant == variant), None)
    weights = dict.fromkeys(scorer.lexicon.names, 0.0)
    for concept in explained.concepts if explained else ():
        name = scorer.lexicon.canonical(concept.concept)
        if name is not None:
            weights[name] += concept.weight
    return weights


def _with(bank: Bank, **changes: str) -> Scorer:
    opened = bank.opened
    solver = opened.scorer.solver.model_copy(update=changes)
    return make_scorer(solver, opened.lexicon, opened.probes.prompts, opened.reference, opened.encoder)


def _joint(scorer: Scorer, solver: str = "nnls") -> Variant:
    return lambda result, style: scores_of(scorer, result, solver)[style]


def _where_there_is_an_effect(scored: Variant) -> Variant:
    return lambda result, style: 0.0 if no_effect(result) else scored(result, style)


def _level(scorer: Scorer) -> Variant:
    place = {name: row for row, name in enumerate(scorer.lexicon.names)}

    def level(result: Result, style: str) -> float:
        return float(scorer.level_map.matrix[place[style]] @ result.arrays["divergence"].astype(np.float64))

    return level


def _projection(scorer: Scorer) -> Variant:
    def project(result: Result, style: str) -> float:
        return scorer.projections(result.arrays["divergence"].astype(np.float64), [style])[style]

    return project


def _published(scorer: Scorer) -> Variant:
    return lambda result, style: published_scores(scorer, result)[style]
