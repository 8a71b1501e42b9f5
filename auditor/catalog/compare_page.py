"""Two adapters beside each other as one self-contained HTML page: in words, as a chart, in numbers, in pictures."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from auditor.catalog.charts import paired_bars
from auditor.catalog.comparisons import Comparison
from auditor.catalog.picture_sheets import StoredPair, stored_pairs
from auditor.catalog.reading import reading_catalog
from auditor.catalog.result_rows import picture_type
from auditor.catalog.strength import Strength, strength_for
from auditor.common.text_safety import clean

_SHOWN = 12
_PAIRS = 4


@dataclass(frozen=True)
class Side:
    """One of the two: its name, what it has that the other lacks and at which strength, and its pictures by prompt."""

    name: str
    only: tuple[tuple[str, Strength | None], ...]
    pairs: dict[str, StoredPair]


def render_comparison(database: Path, found: Comparison) -> str:
    """The page.

    Args:
        database: The catalog that `found` was read from.
        found: The comparison.
    """
    rows = found.table.records()[:_SHOWN]
    sides = [_side(database, found.first, found.only_first), _side(database, found.second, found.only_second)]
    shared = [prompt for prompt in sides[0].pairs if prompt in sides[1].pairs]
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).with_name("templates")),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("compare.html").render(
        found=found,
        sides=sides,
        rows=rows,
        bars=paired_bars((found.first, found.second), rows),
        shared=shared,
        address=_address,
        clean=clean,
    )


def _side(database: Path, name: str, only: tuple[str, ...]) -> Side:
    with reading_catalog(database) as connection:
        (audit,) = connection.execute("SELECT audited(?, NULL)", [name]).fetchone() or (None,)
        columns = ("scale", "norm", "projections")
        rows = connection.execute(
            "SELECT scale, norm, projections FROM dose WHERE audit_id = ? ORDER BY scale", [audit]
        ).fetchall()
    dose = [dict(zip(columns, row, strict=True)) for row in rows]
    pairs = stored_pairs(database, int(audit), _PAIRS) if audit is not None else []
    return Side(
        name,
        tuple((concept, strength_for([concept], dose)) for concept in only),
        {pair.prompt: pair for pair in pairs},
    )


def _address(picture: bytes) -> Markup:
    return Markup(f"data:{picture_type(picture)};base64,{base64.b64encode(picture).decode('ascii')}")
