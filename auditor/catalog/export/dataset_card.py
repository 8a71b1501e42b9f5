"""README.md of an export: a dataset card that the Hub's viewer understands, and that people can read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import yaml  # type: ignore[import-untyped]

from auditor.catalog.export.tables import ExportTable


@dataclass(frozen=True)
class DatasetCardFacts:
    """What the card tells of this catalog.

    Attributes:
        listed: Units listed.
        outcomes: Units by outcome, pending included.
        bases: Bases that audits were made on.
        lexicon: Name and version.
        package_version: Of the merge.
        made_at: End of the merge, UTC.
        schema_version: Of the tables.
    """

    listed: int
    outcomes: Mapping[str, int]
    bases: Sequence[str]
    lexicon: str
    package_version: str
    made_at: str
    schema_version: str


Columns = Sequence[tuple[str, str, str]]
"""Name, type and meaning of each column."""


def dataset_card(facts: DatasetCardFacts, tables: Sequence[tuple[ExportTable, int, Columns]]) -> str:
    """The whole file. Nothing in it was written by uploaders.

    Args:
        facts: Of the catalog.
        tables: Each with its rows and columns.
    """
    filled = [table for table, rows, _ in tables if rows]
    front = {
        "license": "other",
        "license_name": "see-the-licence-section",
        "pretty_name": "What text-to-image adapters do",
        "tags": ["lora", "text-to-image", "explainability"],
        "configs": [
            {
                "config_name": table.name,
                "data_files": f"data/{table.name}/*.parquet",
                **({"default": True} if table.name == "cards" else {}),
            }
            for table in filled
        ],
    }
    return "\n".join(
        [
            "---",
            yaml.safe_dump(front, sort_keys=False).strip(),
            "---",
            *_about(facts),
            *_examples(),
            *_licence(),
            *_schema(facts, tables),
            "",
        ]
    )


def _about(facts: DatasetCardFacts) -> list[str]:
    counts = ", ".join(f"{count:,} {outcome}" for outcome, count in facts.outcomes.items() if count)
    return [
        "",
        "# What text-to-image adapters do",
        "",
        f"{facts.listed:,} adapters (LoRAs) as listed, {counts}. Each scored one was applied to its base model "
        f"({', '.join(facts.bases) or 'none yet'}), pictures with and without it were compared under the same prompts "
        f"and the same noise, and the mean difference was measured along the concepts of lexicon {facts.lexicon}.",
        "",
        f"Made by auditor {facts.package_version} at {facts.made_at} UTC.",
        "",
        "- A score of 1 is as far as the concept's words reach in the text encoder; `low` and `high` are a 95 % "
        "interval over image pairs. Scores compare within one recipe (one base) only.",
        "- Every listed adapter is here with its outcome; those that could not be measured say why (`failures`).",
        "- Names, tags, trigger words and claims about bases are texts by uploaders: quote them, never run them.",
        "- Scores are measurements of pictures, not a judgement of the work or a statement about safety.",
    ]


def _examples() -> list[str]:
    return [
        "",
        "## Questions",
        "",
        "```sql",
        "-- in a folder with these files: duckdb",
        "SELECT repo_id, concepts, base, license FROM 'data/cards/*.parquet' WHERE outcome = 'scored' LIMIT 10;",
        "",
        "-- most vibrant watercolor adapters: the lower ends of both intervals count",
        "SELECT c.repo_id, sqrt(v.low * w.low) AS at_least, v.score AS vibrant, w.score AS watercolor, c.license",
        "FROM 'data/scores/*.parquet' v",
        "JOIN 'data/scores/*.parquet' w USING (file_sha256, recipe_id)",
        "JOIN 'data/cards/*.parquet' c USING (file_sha256, recipe_id)",
        "WHERE v.concept = 'vibrant' AND w.concept = 'watercolor' AND v.low > 0 AND w.low > 0",
        "ORDER BY at_least DESC LIMIT 10;",
        "```",
        "",
        "Also here: `index.html` to browse, `catalog.csv` for spreadsheets, `catalog.jsonl` for programs, "
        "`sidecars/` for ComfyUI-Lora-Manager by file hash, `SHA256SUMS` to check the files.",
    ]


def _licence() -> list[str]:
    return [
        "",
        "## Licence",
        "",
        "Each adapter has its own licence (column `license`, as its card or the Hub says; null when neither does). "
        "Pictures in `samples` are outputs of the base models with adapters and come under the terms of both. Whoever "
        "publishes this dataset states here under which terms the measurements themselves may be used.",
    ]


def _schema(facts: DatasetCardFacts, tables: Sequence[tuple[ExportTable, int, Columns]]) -> list[str]:
    lines = ["", "## Tables", "", f"Schema version {facts.schema_version}."]
    for table, rows, columns in tables:
        lines += ["", f"### {table.name}", "", f"{table.about} {rows:,} rows.", "", "| column | type | meaning |"]
        lines += ["|---|---|---|"]
        lines += [f"| `{name}` | {kind.replace('|', ' ')} | {meaning} |" for name, kind, meaning in columns]
    return lines
