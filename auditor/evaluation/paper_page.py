"""All tables of the paper beside ours, in one run and on one page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from auditor.audit.proposers import judge_endpoint
from auditor.common.atomic_files import replacing
from auditor.errors import UserError
from auditor.evaluation import published_figures as paper
from auditor.evaluation.bank import Bank, Note, own_bases
from auditor.evaluation.data_sets import data_sets_table
from auditor.evaluation.paper_curves import curve_tables
from auditor.evaluation.paper_edits import edit_tables
from auditor.evaluation.paper_geometry import geometry_tables, probes_table, threshold_table
from auditor.evaluation.paper_levels import aspect_table, kind_table, level_tables
from auditor.evaluation.paper_proposals import alternatives_table, wording_table
from auditor.evaluation.paper_table import PaperTable, markdown
from auditor.evaluation.paper_versions import versions_table
from auditor.evaluation.paper_work import PaperOptions, PaperWork
from auditor.evaluation.retrieval import retrieval_table
from auditor.evaluation.rivals.judging import Judge, Matcher
from auditor.evaluation.rivals.llm_judge import LanguageModelJudge
from auditor.evaluation.rivals.on_bank import RivalBank
from auditor.families.generator_kinds import GeneratorKind
from auditor.settings import Settings

OTHER_KINDS: tuple[GeneratorKind, ...] = ("gan", "autoregressive")
_ORDER = ("T1", "T2", "T3", "T4", "T5", "T6", "T7", "T8", "T9", "T10", "T11", "T12", "F6", "F8", "F9", "F10", "D", "R")


def evaluate_paper(settings: Settings, options: PaperOptions, note: Note | None = None) -> list[PaperTable]:
    """Make every table that can be made; what was made before is read back.

    Args:
        settings: With a base of our own and a vision-language model.
        options: Size of the run.
        note: Told about each adapter.

    Raises:
        UserError: The settings name no vision-language model, or not one base of our own.
    """
    asking = _all_pairs_asked_about(_small(settings, options))
    work = _work("diffusers", asking, options, note)
    gan, tokens = (_of_kind(kind, asking, options, note) for kind in OTHER_KINDS)
    levels = level_tables(work)
    readings = [row.name for row in levels[0].rows if row.kind == "rival"]
    tables = [
        *levels,
        aspect_table(work),
        kind_table("T5", "single aspect on a GAN", paper.T5, gan),
        kind_table("T6", "single aspect on an autoregressive generator", paper.T6, tokens),
        alternatives_table(work),
        *geometry_tables(work, {"GAN": gan, "autoregressive": tokens}),
        threshold_table(work),
        probes_table(work),
        wording_table(work),
        retrieval_table(work),
        *curve_tables(work),
        versions_table(work),
        *edit_tables(asking, options, _judge, readings, note),
        data_sets_table(options.sets, work.bank.opened.encoder, work.bank.opened.lexicon),
    ]
    return sorted(tables, key=lambda table: _ORDER.index(table.key))


def _work(kind: GeneratorKind, settings: Settings, options: PaperOptions, note: Note | None) -> PaperWork:
    bank = Bank(settings, kind=kind)
    return PaperWork(options, bank, RivalBank(bank, _judge(settings, bank)), note)


def _of_kind(kind: GeneratorKind, settings: Settings, options: PaperOptions, note: Note | None) -> PaperWork | None:
    """The same work on a base of another kind; None where the settings have none."""
    if not own_bases(settings, kind):
        return None
    return _work(kind, settings, options.of_kinds(), note)


KEEPING_UP = """\
Why some keep up: GSCLIP-style's t and CARLoS-style's cosine set the mean difference in the recipe's encoder against
the change of the words, as `projection` does. Along the ladder of one style nothing else changes, so that these three
order as well as a level does, and an error of 0 leaves nothing to be ahead of. In mixtures of two styles the cosine
is free of strength and is asked for the two words alone; a level is measured beside all the lexicon's. Diff Caption-
style and Chg2Cap-style have learned from pairs that this world's renderer drew, which no other explainer has.
"""


def write_page(
    path: Path, tables: Sequence[PaperTable], options: PaperOptions, rivals: Sequence[tuple[str, str]]
) -> None:
    """Write the page.

    Args:
        path: A Markdown file.
        tables: In order.
        options: Of the run.
        rivals: Names and replaced parts.
    """
    command = "auditor evaluate paper" + ("" if options.held_out else " --quick")
    styles = "held-out" if options.held_out else "development"
    head = (
        "# The paper's tables\n\n"
        f"Written by `{command}`; no cell is written by hand. Rows of the paper are its own figures, on its own\n"
        f"data and models; all others are of the pocket world, on {styles} styles. So the two kinds of rows cannot be\n"
        "subtracted from each other; rows of ours, rivals and chance can. A figure is followed by its 95 % interval\n"
        "and the number of cases. `robust` is the score, which names adapters; `level` orders them by one\n"
        "concept ([why two](method.md)); `paper` is Algorithm 1 with the model's phrases.\n"
        "\nThe data sets: *synthetic* are the renderer's styles; *style transfer* the same styles, carried over from\n"
        "exemplars by patches; *painters* are hands that mix two of the styles, with subjects and a composition of\n"
        "their own. Table D shows what is in their pictures.\n"
    )
    if not options.held_out:
        head += (
            "\nThis is the small run, on styles that thresholds and solver were chosen on: it shows that every table\n"
            "is made, not how good anything is. Audits have few probes in it.\n"
        )
    told = "\n".join(f"- **{name}**: {replaced}" for name, replaced in rivals)
    close = f"## Rivals\n\nWhat was replaced in each:\n\n{told}\n\n{KEEPING_UP}"
    with replacing(path) as temporary:
        temporary.write_text("\n".join([head, *map(markdown, tables), close]), encoding="utf-8")


def _small(settings: Settings, options: PaperOptions) -> Settings:
    """The settings with no more probes than the options allow."""
    recipe, solver = settings.recipe, settings.recipe.solver
    count = min(recipe.probe_count, options.probes or recipe.probe_count)
    of_concepts = min(solver.image_probes, options.image_probes or solver.image_probes)
    changes = {
        "probe_count": count,
        "looks": tuple(look for look in recipe.looks if look <= count),
        "solver": solver.model_copy(update={"image_probes": of_concepts}),
    }
    return settings.model_copy(update={"recipe": recipe.model_copy(update=changes)})


def _all_pairs_asked_about(settings: Settings) -> Settings:
    """As many questions as show every pair of an audit once."""
    recipe = settings.recipe
    if recipe.proposer.kind == "none":
        raise UserError("the paper's method needs a vision-language model: set recipe.proposer.kind")
    requests = -(-recipe.probe_count // recipe.proposer.pairs_per_request)
    proposer = recipe.proposer.model_copy(update={"requests": requests})
    return settings.model_copy(update={"recipe": recipe.model_copy(update={"proposer": proposer})})


def _judge(settings: Settings, bank: Bank) -> Judge:
    endpoint = judge_endpoint(settings)
    lexicon = bank.opened.lexicon
    return Matcher(lexicon) if endpoint is None else LanguageModelJudge(endpoint, lexicon)
