"""Is the strongest concept the right one, and does nothing come out as nothing?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from scipy.stats import binomtest

from auditor.evaluation.bank import Bank, Note, TrainedAdapter
from auditor.evaluation.variants import no_effect, published_scores, scores_of
from auditor.finexl.significance import effect_test
from auditor.pocket.training.lessons import IDLE, idle_lesson, style_lesson
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
    """Adapters named right by each variant; the default's wrong names in plain sight."""

    shipped: Share
    published: Share
    private: Share
    """By the private explanation that is the default, `robust`."""
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
    named: dict[str, list[str]] = {"shared": [], "paper": [], "robust": []}
    proposed = 0
    for style, case in cases.items():
        result = results[case]
        named["shared"].append(top_concept(result, scores_of(scorer, result)))
        for variant in ("paper", "robust"):
            named[variant].append(top_concept(result, published_scores(scorer, result, variant)))
        said = {scorer.lexicon.canonical(p.text) for p in result.record.phrases}
        proposed += style in said
    n = len(cases)
    shipped, published, private = (
        share(sum(top == style for top, style in zip(tops, cases, strict=True)), n) for tops in named.values()
    )
    mistakes = tuple((style, top) for style, top in zip(cases, named["shared"], strict=True) if top != style)
    return Naming(shipped, published, private, 1 / len(scorer.lexicon.names), mistakes, share(proposed, n))


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
    cases = [TrainedAdapter(idle_lesson(number), idle_lesson().steps) for number in range(IDLE)]
    idle = sum(result.record.outcome == "no_effect" for result in bank.results(cases).values())
    return Nulls(share(claims, audits), share(idle, len(cases)), opened.scorer.solver.alpha)
