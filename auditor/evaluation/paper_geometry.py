"""Tables 8 to 11 of the paper: encoders, the ideal model, the decomposition's threshold, and how many probes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from auditor.evaluation import published_figures as paper
from auditor.evaluation.encoder_geometry import EncoderTable, evaluate_encoders
from auditor.evaluation.long_audits import KnownAdapter, long_audit, single_style_adapters
from auditor.evaluation.paper_ideal import ideal_table
from auditor.evaluation.paper_table import Figure, PaperTable, TableRow, published
from auditor.evaluation.paper_work import PaperWork
from auditor.evaluation.training_lengths import style_names
from auditor.evaluation.variants import no_effect
from auditor.finexl.arrays import FloatArray, cosines
from auditor.finexl.attribution import bootstrap_mean, rank_error
from auditor.finexl.paper import explain_paper
from auditor.measuring.reference import text_directions
from auditor.results.result_file import Result

LARGEST_SHARE = 1 / 3
"""Of a long audit's probes that may be drawn; the others say what V is."""


def geometry_tables(work: PaperWork, others: dict[str, PaperWork | None]) -> list[PaperTable]:
    """T8 and T9; `others` are the bases of other kinds, as T9 calls them."""
    options, opened = work.options, work.bank.opened
    styles = style_names(held_out=options.held_out)
    encoders = evaluate_encoders(options.encoders, opened.lexicon, styles, options.scenes, work.note)
    return [_encoders(encoders), ideal_table(work, encoders.rows[0].alignment, others)]


def _encoders(found: EncoderTable) -> PaperTable:
    rows = []
    for row in found.rows:
        measured = (row.linearity, row.orthogonality, row.alignment)
        name = row.encoder.rstrip("/").rpartition("/")[2]
        rows.append(TableRow(name, "ours", tuple(Figure.of(value) for value in measured)))
        chance = (row.linearity_chance, row.orthogonality_chance, row.alignment_chance)
        rows.append(TableRow(f"{name}: chance", "chance", tuple(Figure(value) for value in chance)))
    return PaperTable(
        "T8",
        "encoders: linearity (more is better), orthogonality (less), alignment (more)",
        f"{found.cases} styles, {found.pairs} pairs of them, {found.scenes} scenes; an interval resamples styles. "
        "Orthogonality is the mean absolute cosine. The renderer takes the place of the ideal model. Chance: two other "
        "styles' sum, random directions, another style's pictures.",
        ("linearity", "orthogonality", "alignment"),
        (*(published(name, row) for name, row in paper.T8.items()), *rows),
    )


def threshold_table(work: PaperWork) -> PaperTable:
    """T10: Algorithm 1 with other thresholds, for the model's phrases and for the whole lexicon."""
    cases = {style: work.ladder(style) for style in work.options.styles}
    results = work.bank.results([case for ladder in cases.values() for case in ladder], work.note)
    rows: list[TableRow] = []
    for source in ("phrases", "lexicon"):
        kept: dict[str, list[Figure]] = defaultdict(list)
        for threshold in paper.THRESHOLDS:
            counts, residuals, reached, errors = [], [], [], []
            for style, ladder in cases.items():
                found = [_decomposed(work, results[case], source, threshold) for case in ladder]
                weights = [weight.get(style, 0.0) for weight, _, _ in found]
                errors.append(rank_error(np.arange(len(ladder)), weights))
                _, count, residual = found[-1]
                counts.append(count)
                residuals.append(residual)
                reached.append(float(residual < threshold))
            for name, values in (
                ("concepts", counts),
                ("decomposition error", residuals),
                ("share that reaches the threshold", reached),
                ("rank error", errors),
            ):
                kept[name].append(Figure.of(bootstrap_mean(values)))
        rows += [TableRow(f"{name}, {source}", "ours", tuple(figures)) for name, figures in kept.items()]
    return PaperTable(
        "T10",
        "the threshold e_decomp of Algorithm 1",
        f"{len(cases)} styles; concepts and error are of the longest training, the rank error over "
        f"{len(work.options.steps)} lengths; an interval resamples styles. Candidates: the model's phrases in their "
        "order of discovery, and the whole lexicon, nearest to V first. The lexicon has "
        f"{len(work.bank.opened.lexicon.names)} concepts, so no more can be needed.",
        tuple(f"{threshold:g}" for threshold in paper.THRESHOLDS),
        (*(published(name, row) for name, row in paper.T10.items()), *rows),
    )


def _decomposed(
    work: PaperWork, result: Result, source: str, threshold: float
) -> tuple[dict[str, float], float, float]:
    """Weights by lexicon concept, number of concepts kept, and relative residual."""
    if no_effect(result):
        return {}, 0.0, 1.0
    opened, scorer = work.bank.opened, work.bank.opened.scorer
    mean = result.arrays["divergence"].astype(np.float64)
    names, vectors = _candidates(work, result, source, mean)
    found = explain_paper(mean, names, vectors, e_ortho=scorer.solver.e_ortho, e_decomp=threshold)
    weights: dict[str, float] = defaultdict(float)
    for name, weight in zip(found.names, found.weights, strict=True):
        weights[opened.lexicon.canonical(name) or name] += weight
    return dict(weights), float(len(found.names)), found.relative_residual


def _candidates(work: PaperWork, result: Result, source: str, mean: FloatArray) -> tuple[list[str], FloatArray]:
    opened, scorer = work.bank.opened, work.bank.opened.scorer
    if source == "lexicon":
        vectors = np.asarray(opened.reference.text.vectors, dtype=np.float64)
        order = np.argsort(-cosines(mean, vectors), kind="stable")
        return [opened.lexicon.names[i] for i in order], vectors[order]
    said = [text for reply in result.record.replies if reply.invalid is None for text in reply.concepts]
    names = list(dict.fromkeys(said))
    plain = opened.reference.plain_texts
    return names, text_directions(opened.encoder, plain, scorer.prompts, names, opened.lexicon).vectors


def probes_table(work: PaperWork) -> PaperTable:
    """T11: how far V of few probes is from V of many others."""
    options = work.options
    zoo = single_style_adapters(work.bank, work.bank.world.style_names(options.held_out))[: options.zoo]
    adapters: dict[str, list[KnownAdapter]] = {paper.DATA_SETS[0]: zoo}
    for data in options.others:
        cases = [work.ladder(aspect, data.way)[-1] for aspect in data.aspects[: options.long_audits]]
        work.bank.ensure([case.lesson for case in cases])
        adapters[data.name] = [
            KnownAdapter(case.lesson.name, work.bank.path(case), case.lesson.styles, options.held_out) for case in cases
        ]
    rows = [TableRow(name, "ours", tuple(_distances(work, adapters.get(name, [])))) for name in paper.DATA_SETS]
    counts = ", ".join(f"{len(of_set)} of {name}" for name, of_set in adapters.items())
    total = options.passes * len(work.bank.opened.all_probes)
    return PaperTable(
        "T11",
        "probes: cosine distance of V from V of many",
        f"Adapters: {counts}; {total} probes each. V of so many probes, drawn {options.draws} times, against V of all "
        "the others, whose own error is in the figure. An interval resamples adapters. The synthetic ones are the "
        "zoo's, at full strength, the others the longest trainings of their ladders.",
        tuple(f"{count} probes" for count in paper.PROBES),
        (*(published(name, row) for name, row in paper.T11.items()), *rows),
    )


def _distances(work: PaperWork, adapters: Sequence[KnownAdapter]) -> list[Figure]:
    if not adapters:
        return [Figure(None, missing="not in this run")] * len(paper.PROBES)
    options, rng = work.options, np.random.default_rng(11)
    distances: dict[int, list[float]] = defaultdict(list)
    for adapter in adapters:
        rows = long_audit(work.bank, adapter, options.passes, work.note)
        flat = rows.reshape(-1, rows.shape[-1])
        for count in paper.PROBES:
            if count <= LARGEST_SHARE * len(flat):
                distances[count].append(float(np.mean([_distance(flat, count, rng) for _ in range(options.draws)])))
    return [
        Figure.of(bootstrap_mean(distances[count]))
        if distances[count]
        else Figure(None, missing=f"needs {round(count / LARGEST_SHARE)} probes for each adapter")
        for count in paper.PROBES
    ]


def _distance(flat: FloatArray, count: int, rng: np.random.Generator) -> float:
    drawn = rng.permutation(len(flat))
    few, rest = flat[drawn[:count]].mean(axis=0), flat[drawn[count:]].mean(axis=0)
    return 1.0 - float(cosines(few, rest[None])[0])
