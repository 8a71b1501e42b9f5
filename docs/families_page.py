"""The page of families, written from their table."""

from __future__ import annotations


def families_page(notice: str) -> str:
    """Every family of bases, with the values that stand for what a base's settings leave out.

    Args:
        notice: First lines, which say that the page is generated.
    """
    from auditor.families.published_models import MODELS
    from auditor.families.table import AUDITABLE, TOLD_APART

    parts = [
        notice,
        "# Families of bases\n\n",
        "A base is one model; a family is the architecture and the training that it shares with what was trained from ",
        "it. A base whose settings name a `family` and no `pipeline` takes from here what they leave out. What lands ",
        "where is counted in [architectures.md](../architectures.md); how a file is told to belong to a family stands ",
        "in [adapters.md](../adapters.md).\n\n## Audited, where a base is switched on\n\n",
        "| family | first model | pipeline | size | dtype | steps | guidance | sampler | blocks | text encoders |\n",
        "|---|---|---|---|---|---|---|---|---|---|\n",
    ]
    for family in AUDITABLE:
        drawn = family.rendering
        if drawn is None:
            continue
        blocks = ", ".join(f"{count} `{stem}`" for stem, count in family.blocks.items())
        cells = (
            f"`{family.name}`",
            f"`{family.repo}`",
            f"`{drawn.pipeline}`",
            drawn.size,
            drawn.dtype,
            drawn.steps,
            drawn.guidance,
            f"`{drawn.sampler}`",
            blocks,
            ", ".join(family.text_encoders) or "not adapted",
        )
        parts.append("| " + " | ".join(str(cell) for cell in cells) + " |\n")
    parts.append(
        "\n## Told apart, so that none is taken for another\n\n| family | first model | makes |\n|---|---|---|\n"
    )
    for family in TOLD_APART:
        parts.append(f"| `{family.name}`: {family.title} | `{family.repo}` | {family.task.replace('_', '-')} |\n")
    parts.append("\n## Lineage of published models\n\n| model | family | trained from | makes |\n|---|---|---|---|\n")
    for model in MODELS:
        parent = f"`{model.parent}`" if model.parent else "–"
        parts.append(f"| `{model.repo}` | `{model.family}` | {parent} | {model.task.replace('_', '-')} |\n")
    return "".join(parts)
