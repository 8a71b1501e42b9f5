"""Every block of SQL in docs/for-analysts.md runs, and most of them find something."""

import re
from pathlib import Path

import pytest

from auditor.catalog.reading import open_catalog

PAGE = Path(__file__).resolve().parents[2] / "docs" / "for-analysts.md"
BLOCKS = re.findall(r"```sql\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.S)
# Nothing in the catalog of the tests is like this.
MAY_BE_EMPTY = ("card_mismatch", "status = 'no_effect'")


@pytest.mark.parametrize("sql", BLOCKS)
def test_block_runs(catalog, sql):
    with open_catalog(catalog.database) as connection:
        rows = connection.execute(sql).fetchall()
    assert rows or any(words in sql for words in MAY_BE_EMPTY)


def test_the_page_has_blocks():
    assert len(BLOCKS) >= 10
