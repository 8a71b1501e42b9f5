"""Table 9 of the paper: how well each base would do as the ideal model, whose pictures show what its prompts say."""

from __future__ import annotations

from collections.abc import Sequence

from auditor.common.package_paths import package_path
from auditor.evaluation import published_figures as paper
from auditor.evaluation.bank import Bank
from auditor.evaluation.paper_table import Figure, PaperTable, TableRow, missing_rows, published
from auditor.evaluation.paper_work import PaperWork
from auditor.evaluation.training_lengths import style_names
from auditor.finexl.attribution import Interval, bootstrap_mean
from auditor.finexl.concepts import alignment
from auditor.pocket.second.styles.catalogue import STYLES as SECOND_STYLES
from auditor.pocket.training.later_bases import ensure_later_bases
from auditor.settings import Settings

SECOND = "pocket, second edition"
"""Another training, on three times as many styles, with an encoder of its own."""


def ideal_table(work: PaperWork, rendered: Interval, others: dict[str, PaperWork | None]) -> PaperTable:
    """T9.

    Args:
        work: On the base.
        rendered: Of the renderer in the base's place.
        others: By kind of generator, as the table calls it; None where the settings have no such base.
    """
    bank, held_out = work.bank, work.options.held_out
    styles = style_names(held_out)
    rows = [TableRow("the renderer", "ours", (Figure.of(rendered),)), _row(bank.base_name, bank, styles)]
    for name, folder in ensure_later_bases(bank.base_path, bank.folder, work.options.later_steps).items():
        replaced = _with_base(bank.settings, bank.base_name, {"path": folder})
        rows.append(_row(f"{bank.base_name}, {name}", Bank(replaced, proposals=False), styles))
    shared = [style for style in styles if style in SECOND_STYLES]
    rows.append(_row(SECOND, Bank(_second(bank.settings, bank.base_name), proposals=False), shared))
    for kind, other in others.items():
        if other is None:
            rows.extend(missing_rows((kind,), 1, "no base of this kind in the settings"))
        else:
            rows.append(_row(kind, other.bank, styles))
    return PaperTable(
        "T9",
        "the model used as the ideal one: cosine of text side and image side",
        f"{len(styles)} styles ({len(shared)} of them known to the second edition too); an interval resamples styles. "
        f"A base's pictures are those of the recipe's reference ({bank.settings.recipe.solver.image_probes} probes). "
        f"The later ones went on from the pocket's for {work.options.later_steps} steps (see F10).",
        ("alignment",),
        (*(published(name, row) for name, row in paper.T9.items()), *rows),
        "number",
        "more",
    )


def _row(name: str, bank: Bank, styles: Sequence[str]) -> TableRow:
    opened = bank.opened
    places = [opened.lexicon.names.index(style) for style in styles]
    text, image = opened.reference.text.vectors[places], opened.reference.image.vectors[places]
    return TableRow(name, "ours", (Figure.of(bootstrap_mean(alignment(text, image))),))


def _with_base(settings: Settings, name: str, changes: dict[str, object]) -> Settings:
    recipe = settings.recipe
    bases = recipe.bases | {name: recipe.bases[name].model_copy(update=changes)}
    return settings.model_copy(update={"recipe": recipe.model_copy(update={"bases": bases})})


def _second(settings: Settings, name: str) -> Settings:
    """The second edition's base and encoder, each with the other's words for what both know."""
    changed = _with_base(settings, name, {"path": package_path("pocket/second/weights/base")})
    encoder = settings.recipe.encoder.model_copy(update={"path": package_path("pocket/second/weights/clip")})
    return changed.model_copy(update={"recipe": changed.recipe.model_copy(update={"encoder": encoder})})
