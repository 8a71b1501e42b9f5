"""What share of the listed files is audited, and what the rest is: the view `coverage`, added up."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from auditor.catalog.reading import open_catalog

Grouping = Literal["family", "format", "base", "reason"]

_SQL = """
WITH why AS (
    SELECT name, first(reason ORDER BY units DESC, reason) AS main_reason
    FROM (SELECT {column} AS name, reason, sum(units) AS units FROM coverage
          WHERE NOT audited AND outcome <> 'pending' GROUP BY ALL)
    GROUP BY ALL)
SELECT c.{column} AS name,
    coalesce(sum(units) FILTER (audited), 0)::BIGINT AS audited,
    coalesce(sum(units) FILTER (NOT audited AND outcome <> 'pending'), 0)::BIGINT AS not_audited,
    coalesce(sum(units) FILTER (outcome = 'pending'), 0)::BIGINT AS pending,
    coalesce(sum(downloads) FILTER (NOT audited), 0)::BIGINT AS downloads_without,
    any_value(why.main_reason) AS main_reason
FROM coverage c LEFT JOIN why ON why.name IS NOT DISTINCT FROM c.{column}
GROUP BY c.{column}
ORDER BY sum(units) DESC, c.{column} NULLS LAST
"""


@dataclass(frozen=True)
class Covered:
    """One group of listed units.

    Attributes:
        name: Family, format, base or reason; None where it is not known.
        audited: Measured units.
        not_audited: Units that ended without a measurement.
        pending: Units still to be done.
        downloads_without: Downloads of the repos whose units were not measured, or not yet.
        main_reason: Why most of `not_audited` were not; None when there are none.
    """

    name: str | None
    audited: int
    not_audited: int
    pending: int
    downloads_without: int
    main_reason: str | None

    @property
    def units(self) -> int:
        """All of them."""
        return self.audited + self.not_audited + self.pending


def read_coverage(database: Path, by: Grouping) -> tuple[Covered, ...]:
    """Add up a catalog's coverage, the largest group first.

    Args:
        database: The catalog.
        by: Column of the view.

    Raises:
        UserError: There is no catalog, or not one of this version.
    """
    with closing(open_catalog(database)) as connection:
        rows = connection.execute(_SQL.format(column=by)).fetchall()
    return tuple(Covered(*row) for row in rows)
