"""Tables 7 and 12 of the paper: what the vision-language model says, and how much its prompt's wording matters."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from functools import partial

import numpy as np

from auditor.audit.proposers import load_proposer
from auditor.common.atomic_files import replacing
from auditor.errors import PrerequisiteMissing
from auditor.evaluation import published_figures as paper
from auditor.evaluation.bank import TrainedAdapter
from auditor.evaluation.paper_table import Figure, PaperTable, TableRow, published
from auditor.evaluation.paper_work import PaperWork
from auditor.evaluation.variants import no_effect, published_scores, weights_by_concept
from auditor.finexl.attribution import bootstrap_mean
from auditor.proposing.proposer import Proposer
from auditor.proposing.template import TEMPLATE, PromptTemplate
from auditor.results.result_file import Result

CONDENSED = replace(
    TEMPLATE,
    instruction='What did the after pictures gain? JSON {"concepts": ["..."]}: up to twelve short lowercase phrases.',
)
ELABORATED = replace(
    TEMPLATE,
    instruction=(
        "Every after picture shows the same scene as the before picture in its place. Go through them pair by pair. "
        "Think of style and medium, of palette and colour, of light and contrast, of texture and sharpness, and of "
        "things that were added. Then write down the visual concepts that the after pictures have gained in common, "
        'the strongest first. Your reply is JSON and nothing else: {"concepts": ["..."]}, with up to twelve lowercase '
        "phrases of at most five words each, and an empty list if nothing changed."
    ),
)
WORDINGS: dict[str, PromptTemplate] = {"original": TEMPLATE, "condensed": CONDENSED, "elaborated": ELABORATED}


def alternatives_table(work: PaperWork) -> PaperTable:
    """T7: from an adapter's phrases, a judge picks the right description of several."""
    names, rng = work.bank.opened.lexicon.names, np.random.default_rng(7)
    results = work.bank.results([work.longest(style) for style in work.options.styles], work.note)
    columns: list[Figure] = []
    for count in paper.ALTERNATIVES:
        shares = []
        for style in work.options.styles:
            phrases = [phrase.text for phrase in results[work.longest(style)].record.phrases]
            others = [name for name in names if name != style]
            right = []
            for _ in range(work.options.draws):
                drawn = [style, *rng.choice(others, count - 1, replace=False).tolist()]
                best = work.rivals.judge.best(phrases, [drawn[i] for i in rng.permutation(count)])
                right.append((style in best) / len(best) if best else 0.0)
            shares.append(float(np.mean(right)))
        columns.append(Figure.of(bootstrap_mean(shares)))
    chance = tuple(Figure(1 / count) for count in paper.ALTERNATIVES)
    model = work.bank.settings.recipe.proposer.model or "none"
    return PaperTable(
        "T7",
        "concept proposals, matched to one of several descriptions",
        f"Adapters at their longest training, {len(work.options.styles)}; {work.options.draws} draws of other lexicon "
        f"concepts each; an interval resamples adapters. Judge: {work.rivals.judge.name}.",
        tuple(f"{count} alternatives" for count in paper.ALTERNATIVES),
        (
            *(published(name, row) for name, row in paper.T7.items()),
            TableRow(model, "ours", tuple(columns)),
            TableRow("chance", "chance", chance),
        ),
        "share",
        "more",
    )


def wording_table(work: PaperWork) -> PaperTable:
    """T12: Algorithm 1 with the phrases that three wordings of the prompt bring."""
    rows = []
    for wording in WORDINGS:
        weights = _weights(work, wording)
        figures = []
        for count in paper.WORDING_LEVELS:
            steps = work.spread(count)
            lacking = Figure(None, missing="fewer training lengths in this run")
            figures.append(Figure.of(work.rank_errors(partial(_weight, weights), steps)) if steps else lacking)
        rows.append(TableRow(f"paper, {wording}", "ours", tuple(figures)))
    return PaperTable(
        "T12",
        "wording of the prompt",
        f"Rank error of `paper`, {len(work.options.styles)} styles; an interval resamples styles. The pocket's "
        "vision-language model was trained on the original wording alone, so the other two ask more of it than of a "
        "model that follows instructions.",
        tuple(f"{count} levels" for count in paper.WORDING_LEVELS),
        (*(published(name, row) for name, row in paper.T12.items()), *rows),
    )


def _weight(weights: Mapping[TrainedAdapter, Mapping[str, float]], case: TrainedAdapter, style: str) -> float:
    return weights[case][style]


def _weights(work: PaperWork, wording: str) -> dict[TrainedAdapter, dict[str, float]]:
    """Algorithm 1's weights by concept, of every adapter of the ladders."""
    cases = [case for style in work.options.styles for case in work.ladder(style)]
    results, scorer = work.bank.results(cases, work.note), work.bank.opened.scorer
    if WORDINGS[wording] == TEMPLATE:
        return {case: published_scores(scorer, results[case]) for case in cases}
    proposer = load_proposer(work.bank.settings, WORDINGS[wording])
    if proposer is None:
        raise PrerequisiteMissing("these settings have no VLM: set recipe.proposer.kind")
    folder = work.bank.folder / "wordings" / f"{work.bank.opened.recipe.recipe_id}-{WORDINGS[wording].hash[:8]}"
    found: dict[TrainedAdapter, dict[str, float]] = {}
    for case in cases:
        kept = folder / f"{(results[case].record.item.file_sha256 or case.lesson.name)[:16]}.json"
        if not kept.exists():
            kept.parent.mkdir(parents=True, exist_ok=True)
            weights = _asked_again(work, case, results[case], proposer)
            with replacing(kept) as temporary:
                temporary.write_text(json.dumps(weights), encoding="utf-8")
            if work.note is not None:
                work.note(f"{wording}, {case.lesson.name} at {case.step}")
        found[case] = json.loads(kept.read_text(encoding="utf-8"))
    return found


def _asked_again(work: PaperWork, case: TrainedAdapter, result: Result, proposer: Proposer) -> dict[str, float]:
    """Algorithm 1's weights with this proposer's phrases about the audit's pictures, which are drawn again."""
    scorer = work.bank.opened.scorer
    if no_effect(result):
        return dict.fromkeys(scorer.lexicon.names, 0.0)
    evidence = work.rivals.evidence(case)
    said = proposer.propose(evidence.base, evidence.shown)
    discovered = [text for reply in said.replies if reply.invalid is None for text in reply.concepts]
    differences = result.arrays["differences"].astype(np.float64)
    return weights_by_concept(scorer, scorer.explain(differences, said.phrases, discovered), "paper")
