"""Tables of the docs that tests write: WRITE_DOCS=1 writes them, otherwise they must say what the tests say."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path


def check_table(page: Path, name: str, heading: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Compare one marked table of a page with rows, or write it."""
    begin, end = f"<!-- {name}: written by WRITE_DOCS=1 pytest -->", f"<!-- end of {name} -->"
    lines = [f"| {' | '.join(heading)} |", "|" + "---|" * len(heading)]
    lines += [f"| {' | '.join(str(cell).replace('|', '/') for cell in row)} |" for row in rows]
    wanted = f"{begin}\n" + "\n".join(lines) + f"\n{end}"
    text = page.read_text(encoding="utf-8")
    head, found, rest = text.partition(begin)
    assert found, f"{page.name} has no place for {name}"
    if os.environ.get("WRITE_DOCS"):
        page.write_text(f"{head}{wanted}{rest.partition(end)[2]}", encoding="utf-8")
    assert wanted in page.read_text(encoding="utf-8"), f"{page.name} says something else; WRITE_DOCS=1 writes it"
