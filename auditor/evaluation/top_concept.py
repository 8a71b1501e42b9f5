"""Is the strongest concept the right one, and does nothing come out as nothing?"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import binomtest

from auditor.evaluation.bank import Bank, Note, TrainedAdapter
from auditor.evaluation.variants import no_effect, published_scores, scores_of
from auditor.finexl.significance import effect_test
from auditor.measuring.scoring import Scorer
from auditor.results.result_file import Result


@dataclass(frozen=True)
class Share:
    """Right of cases with an exact (Clopper-Pearson) 95 % interval."""

    right: int
    cases: int
    low: float
    high: float


@dataclass(frozen=True)
class Naming:
    """Adapters named right by each variant; wrong names of the order of naming in plain sight.

    Attributes:
        shipped: By the order of naming: the style's concept comes first, or its planted synonym.
        clustered: By this, where a word that the recipe cannot tell from the right one counts as right, too.
        strongest: By the largest score in place of that order.
        published: By Algorithm 1; None, as the next two, where nothing proposes.
        private: By the private explanation that is the default, `robust`.
        vlm_named: Adapters whose proposals hold the style or a synonym.
        chance: Of one draw from the lexicon.
        mistakes: Style and name of each adapter that the order of naming names wrongly.
    """

    shipped: Share
    clustered: Share
    strongest: Share
    published: Share | None
    private: Share | None
    vlm_named: Share | None
    chance: float
    mistakes: tuple[tuple[str, str], ...]


def share(right: int, cases: int) -> Share:
    """A proportion with its exact interval."""
    interval = binomtest(right, cases).proportion_ci(0.95)
    return Share(right, cases, float(interval.low), float(interval.high))


def evaluate_naming(bank: Bank, styles: Sequence[str], note: Note | None = None, *, first: int = 0) -> Naming:
    """First concept of every full-strength single-style adapter.

    Args:
        bank: Trains and audits what is missing.
        styles: Taught.
        note: Told after each audit.
        first: Number of the first training of each style. Others than those that were looked at are fresh adapters;
            the first edition has one training of each style, whatever the number.
    """
    trainings = range(first, first + bank.world.seeds)
    lessons = [(style, bank.world.styled(style, number)) for style in styles for number in trainings]
    cases = [(style, TrainedAdapter(lesson, lesson.steps)) for style, lesson in lessons]
    audited = bank.results([case for _, case in cases], note)
    results = [(style, audited[case]) for style, case in cases]
    scorer, means = bank.opened.scorer, bank.world.names

    def count(right: Callable[[str, Result], bool]) -> Share:
        return share(sum(right(style, result) for style, result in results), len(results))

    def told(variant: str) -> Share | None:
        if bank.opened.proposer is None:
            return None
        return count(
            lambda style, result: top_concept(result, published_scores(scorer, result, variant)) in means(style)
        )

    def said(style: str, result: Result) -> bool:
        return bool(means(style) & {scorer.lexicon.canonical(phrase.text) for phrase in result.record.phrases})

    named = [(style, first_name(scorer, result)) for style, result in results]
    group = dict(zip(scorer.lexicon.names, scorer.clusters().tolist(), strict=True))
    return Naming(
        shipped=share(sum(top in means(style) for style, top in named), len(named)),
        clustered=share(sum(group.get(top) in {group[n] for n in means(style)} for style, top in named), len(named)),
        strongest=count(lambda style, result: top_concept(result, scores_of(scorer, result)) in means(style)),
        published=told("paper"),
        private=told("robust"),
        vlm_named=None if bank.opened.proposer is None else count(said),
        chance=1 / len(scorer.lexicon.names),
        mistakes=tuple((style, top) for style, top in named if top not in means(style)),
    )


def first_name(scorer: Scorer, result: Result) -> str:
    """First concept in the order of naming; "nothing" where there is no effect or no weight above 0."""
    found = scorer.shared(result.arrays["differences"].astype(np.float64))
    return "nothing" if no_effect(result) or not found.score.any() else found.names[int(found.naming[0])]


def top_concept(result: Result, weights: Mapping[str, float]) -> str:
    """Strongest concept; "nothing" where there is no effect or no weight above 0, whatever the variant."""
    top = max(weights, key=lambda name: weights[name])
    return "nothing" if no_effect(result) or weights[top] <= 0 else top


@dataclass(frozen=True)
class Nulls:
    """How often nothing is taken for something."""

    base_against_base: Share
    """Audits of the base against itself with other seeds that claim an effect (`right` counts the claims)."""
    idle: Share
    """Adapters that learned nothing and come out `no_effect`."""
    alpha: float


def evaluate_nulls(bank: Bank, audits: int = 60, note: Note | None = None) -> Nulls:
    """Base against base with other seeds, and adapters that learned nothing."""
    opened = bank.opened
    prompts, seeds = list(opened.probes.prompts), list(opened.probes.seeds)
    claims = 0
    for number in range(audits):
        shift = 10_000_019 * (number + 1)
        shown = opened.generator.generate(prompts, [s + shift for s in seeds])
        differences = opened.encoder.encode_images(shown) - opened.reference.features
        # The floor comes from other seeds than the ones on trial.
        claims += effect_test(differences, opened.reference.noise, alpha=opened.scorer.solver.alpha).status == "effect"
        if note is not None:
            note(f"base against base {number + 1}")
    cases = [TrainedAdapter(lesson, lesson.steps) for lesson in bank.world.idle]
    idle = sum(result.record.outcome == "no_effect" for result in bank.results(cases).values())
    return Nulls(share(claims, audits), share(idle, len(cases)), opened.scorer.solver.alpha)
