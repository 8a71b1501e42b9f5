"""`auditor evaluate …`: the paper's experiments on adapters whose content is known."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from auditor.cli.context import settings_of, start_logs
from auditor.cli.help_text import SummaryGroup
from auditor.cli.options import AsJson
from auditor.cli.output import emit_json, emit_table, say
from auditor.cli.progress import progress
from auditor.errors import UserError

if TYPE_CHECKING:
    from auditor.evaluation.top_concept import Share

evaluate_app = typer.Typer(
    no_args_is_help=True,
    cls=SummaryGroup,
    rich_markup_mode=None,
    help="Measure how right the scores are.\n\nExample:\n\n    auditor evaluate levels",
)
Development = Annotated[bool, typer.Option("--development", help="Development styles instead of held-out ones.")]


@evaluate_app.command("levels")
def levels_command(
    context: typer.Context,
    count: Annotated[int, typer.Option("--levels", help="3, 5, 8 or 10 training lengths.")] = 10,
    development: Development = False,
    ablations: Annotated[bool, typer.Option("--ablations", help="Every basis and common direction.")] = False,
    as_json: AsJson = False,
) -> None:
    """Rank training lengths of one style by its score (paper, Tables 1 and 2).

    Trains the ladders when they are missing: about a minute a style on two cores.

    Example:

        auditor evaluate levels
    """
    from auditor.evaluation.bank import Bank
    from auditor.evaluation.training_lengths import evaluate_levels
    from auditor.pocket.training.lessons import LEVELS

    settings = settings_of(context)
    start_logs(context, settings, "evaluate-levels")
    if count not in (3, 5, 8, 10):
        raise UserError("the paper's numbers of levels are 3, 5, 8 and 10")
    chosen = [LEVELS[round(i * (len(LEVELS) - 1) / (count - 1))] for i in range(count)]
    bank = Bank(settings)
    styles = bank.world.style_names(held_out=not development)
    with progress("levels", len(styles) * len(chosen)) as step:
        table = evaluate_levels(bank, styles, chosen, ablations=ablations, note=lambda n: step(1, n))
    if as_json:
        emit_json(asdict(table))
        return
    emit_table(
        ("variant", "rank MAE", "95 % interval", *styles),
        [
            (r.variant, f"{r.error:.2f}", f"{r.low:.2f} to {r.high:.2f}", *(f"{e:.1f}" for e in r.per_style))
            for r in table.rows
        ],
        title=f"{table.cases} adapters, {len(styles)} styles x {table.levels} levels",
    )
    say(f"chance: random order {table.chance_random:.2f}, all tied {table.chance_tied:.2f}; interval over styles")


@evaluate_app.command("aspects")
def aspects_command(context: typer.Context, development: Development = False, as_json: AsJson = False) -> None:
    """Find each adapter's place in the two-aspect mixture grid (paper, Table 3).

    Example:

        auditor evaluate aspects
    """
    from auditor.evaluation.aspects import evaluate_aspects
    from auditor.evaluation.bank import Bank

    settings = settings_of(context)
    start_logs(context, settings, "evaluate-aspects")
    bank = Bank(settings)
    with progress("aspects") as step:
        table = evaluate_aspects(bank, bank.world.aspect_pairs(not development), note=lambda n: step(1, n))
    if as_json:
        emit_json(asdict(table))
        return
    emit_table(
        ("variant", "accuracy", "95 % interval"),
        [(r.variant, f"{100 * r.accuracy:.1f} %", f"{100 * r.low:.1f} to {100 * r.high:.1f} %") for r in table.rows],
        title=f"{table.cases} cases, {len(table.pairs)} pairs, {table.adapters} adapters",
    )
    say(f"chance: {100 * table.chance:.1f} %; interval over pairs")


@evaluate_app.command("naming")
def naming_command(
    context: typer.Context,
    development: Development = False,
    training: Annotated[
        int, typer.Option("--training", min=0, help="First of the independent trainings (second edition).")
    ] = 0,
    as_json: AsJson = False,
) -> None:
    """Count single-style adapters whose first concept is the right one.

    Example:

        auditor evaluate naming --json
    """
    from auditor.evaluation.bank import Bank
    from auditor.evaluation.top_concept import evaluate_naming

    settings = settings_of(context)
    start_logs(context, settings, "evaluate-naming")
    bank = Bank(settings)
    found = evaluate_naming(bank, bank.world.style_names(held_out=not development), first=training)
    if as_json:
        emit_json(asdict(found))
        return
    counted = {
        "robust": found.shipped,
        "robust, by the largest score": found.strongest,
        "robust, or a word that it cannot tell from the right one": found.clustered,
        "private robust": found.private,
        "paper": found.published,
        "VLM proposals": found.vlm_named,
    }
    emit_table(
        ("variant", "named right", "95 % interval"),
        [share_row(name, counts) for name, counts in counted.items() if counts is not None],
    )
    say(f"chance: {100 * found.chance:.1f} %; wrong: {', '.join(f'{a} as {b}' for a, b in found.mistakes) or 'none'}")


@evaluate_app.command("nulls")
def nulls_command(
    context: typer.Context,
    audits: Annotated[int, typer.Option("--audits", min=1, help="Audits of the base against itself.")] = 60,
    as_json: AsJson = False,
) -> None:
    """Count how often nothing is taken for something.

    Example:

        auditor evaluate nulls --audits 60
    """
    from auditor.evaluation.bank import Bank
    from auditor.evaluation.top_concept import evaluate_nulls

    settings = settings_of(context)
    start_logs(context, settings, "evaluate-nulls")
    with progress("nulls", audits) as step:
        found = evaluate_nulls(Bank(settings), audits, note=lambda n: step(1, n))
    if as_json:
        emit_json(asdict(found))
        return
    emit_table(
        ("what", "count", "95 % interval"),
        [
            share_row("base against base, effect claimed", found.base_against_base),
            share_row("adapters that learned nothing, no_effect", found.idle),
        ],
    )
    say(f"the test's own level is {100 * found.alpha:.0f} %")


@evaluate_app.command("search")
def search_quality_command(
    context: typer.Context,
    trained: Annotated[bool, typer.Option("--trained", help="Adapters trained here, not the zoo's catalog.")] = False,
    limit: Annotated[int, typer.Option("--pairs", min=1, help="At most so many pairs of trained adapters.")] = 100,
    development: Development = False,
    as_json: AsJson = False,
) -> None:
    """Count two-style questions whose first answer is right.

    Asks the catalog that `auditor nightly` built over the pocket zoo; with --trained or --development it trains
    and audits one adapter for each style and each pair of styles that can be seen together, which takes an hour.

    Example:

        auditor evaluate search --trained
    """
    from auditor.evaluation.search_quality import evaluate_search, evaluate_trained_search

    settings = settings_of(context)
    if trained or development:
        from auditor.evaluation.bank import Bank

        start_logs(context, settings, "evaluate-search")
        bank = Bank(settings, proposals=False)
        styles, pairs = bank.world.style_names(not development), bank.world.search_pairs(not development)[:limit]
        with progress("search", len(styles) + len(pairs)) as step:
            found = evaluate_trained_search(bank, styles, pairs, note=lambda n: step(1, n))
    else:
        found = evaluate_search(settings.catalog_path)
    if as_json:
        emit_json(asdict(found))
        return
    emit_table(("question", "first answer", "right"), [(q, a, "yes" if r else "no") for q, a, r in found.answers])
    emit_table(("search", "right first", "95 % interval"), [share_row("two styles", found.right)])
    say(f"chance: {100 * found.chance:.1f} % of {found.adapters} adapters")


@evaluate_app.command("subjects")
def subjects_command(context: typer.Context, as_json: AsJson = False) -> None:
    """Count adapters for one subject whose first concept is the one they were taught.

    Asks the catalog that `auditor nightly` built over the pocket zoo.

    Example:

        auditor evaluate subjects
    """
    from auditor.evaluation.subject_quality import evaluate_subjects

    found = evaluate_subjects(settings_of(context).catalog_path)
    if as_json:
        emit_json(asdict(found))
        return
    emit_table(
        ("adapter", "word", "class", "taught", "first", "effect", "without the word", "contexts"),
        [
            (c.repo_id, c.token, c.noun, c.taught, c.first, f"{c.norm:.2f}", f"{c.leak:.2f}", str(c.contexts))
            for c in found.cases
        ],
    )
    emit_table(("subjects", "right first", "95 % interval"), [share_row("one subject", found.right)])
    say(f"chance: {100 * found.chance:.1f} %")


@evaluate_app.command("proposals")
def proposals_command(context: typer.Context, development: Development = False, as_json: AsJson = False) -> None:
    """Count how often the VLM names what an adapter changed, one style or two, on scenes it has not seen.

    Example:

        auditor evaluate proposals
    """
    from auditor.evaluation.bank import Bank
    from auditor.evaluation.proposal_quality import evaluate_proposals
    from auditor.evaluation.training_lengths import style_names
    from auditor.pocket.training.style_pairs import separable_pairs

    settings = settings_of(context)
    start_logs(context, settings, "evaluate-proposals")
    pairs = separable_pairs(held_out=False)[::4] if development else separable_pairs(held_out=True)[::3]
    styles = style_names(held_out=not development)
    with progress("proposals", len(styles) + len(pairs)) as step:
        found = evaluate_proposals(Bank(settings), styles, pairs, note=lambda n: step(1, n))
    if as_json:
        emit_json(asdict(found))
        return
    emit_table(
        ("replies", "share", "95 % interval", "cases", "adapters", "chance"),
        [
            (
                r.question,
                f"{100 * r.share:.0f} %",
                f"{100 * r.low:.0f} to {100 * r.high:.0f} %",
                str(r.cases),
                str(r.adapters),
                f"{100 * r.chance:.1f} %",
            )
            for r in found.rows
        ],
    )
    say("interval over adapters; named least: " + ", ".join(f"{s} {100 * x:.0f} %" for s, x in found.weakest))


@evaluate_app.command("captions")
def captions_command(
    context: typer.Context,
    count: Annotated[int, typer.Option("--count", min=2, max=500, help="Pictures, and captions to choose from.")] = 100,
    base: Annotated[str | None, typer.Option("--base", help="A key of recipe.bases.")] = None,
    as_json: AsJson = False,
) -> None:
    """Count the base's pictures whose own caption the encoder picks out of all of them.

    Example:

        auditor evaluate captions --count 100
    """
    from auditor.evaluation.captions import evaluate_captions

    found = evaluate_captions(settings_of(context), count, base)
    if as_json:
        emit_json(asdict(found))
        return
    emit_table(("what", "right", "95 % interval"), [share_row(f"own caption of {count}", found.right)])
    say(f"chance: {100 * found.chance:.1f} %; such as {'; '.join(f'{a} as {b}' for a, b in found.mistakes[:3])}")


def share_row(name: str, found: Share) -> tuple[str, str, str]:
    """A proportion as a row of a table."""
    return name, f"{found.right} of {found.cases}", f"{100 * found.low:.0f} to {100 * found.high:.0f} %"
