"""Is the strongest concept the right one, and does nothing come out as nothing?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from scipy.stats import binomtest

from auditor.evaluation.bank import Bank, Note, TrainedAdapter
from auditor.evaluation.variants import published_scores, scores_of
from auditor.finexl.significance import effect_test
from auditor.pocket.training.lessons import IDLE, idle_lesson, style_lesson


@dataclass(frozen=True)
class Share:
    """Right of cases with an exact (Clopper-Pearson) 95 % interval."""

    right: int
    cases: int
    low: float
    high: float


@dataclass(frozen=True)
class Naming:
    """Named right by the default and by the published variant; wrong names in plain sight."""

    shipped: Share
    published: Share
    chance: float
    mistakes: tuple[tuple[str, str], ...]
    vlm_named: Share
    """Adapters whose proposals hold the style or a synonym."""


def share(right: int, cases: int) -> Share:
    """A proportion with its exact interval."""
    interval = binomtest(right, cases).proportion_ci(0.95)
    return Share(right, cases, float(interval.low), float(interval.high))


def evaluate_naming(bank: Bank, styles: Sequence[str], note: Note | None = None) -> Naming:
    """Top concept of every full-strength single-style adapter."""
    cases = {style: TrainedAdapter(style_lesson(style), style_lesson(style).steps) for style in styles}
    results = bank.results(list(cases.values()), note)
    scorer = bank.opened.scorer
    mistakes, published, proposed = [], 0, 0
    for style, case in cases.items():
        scores = scores_of(scorer, results[case])
        top = max(scores, key=lambda name: scores[name])
        if top != style or scores[top] <= 0:
            mistakes.append((style, top))
        weights = published_scores(scorer, results[case])
        published += max(weights, key=lambda name: weights[name]) == style and weights[style] > 0
        said = {scorer.lexicon.canonical(p.text) for p in results[case].record.phrases}
        proposed += style in said
    n = len(cases)
    return Naming(
        share(n - len(mistakes), n),
        share(published, n),
        1 / len(scorer.lexicon.names),
        tuple(mistakes),
        share(proposed, n),
    )


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
    cases = [TrainedAdapter(idle_lesson(number), idle_lesson().steps) for number in range(IDLE)]
    idle = sum(result.record.outcome == "no_effect" for result in bank.results(cases).values())
    return Nulls(share(claims, audits), share(idle, len(cases)), opened.scorer.solver.alpha)
