"""Pairs of pictures as one file: base left, adapter right, a row per pair, what it shows written above."""

from __future__ import annotations

import io
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageDraw

from auditor.catalog.reading import reading_catalog
from auditor.common.text_safety import clean

_SIDE, _LABEL, _GAP = 160, 18, 4


@dataclass(frozen=True)
class StoredPair:
    """Base and adapter on one prompt and one noise, as the picture files that are stored."""

    prompt: str
    base: bytes
    adapter: bytes


def stored_pairs(database: Path, audit_id: int, limit: int = 2) -> list[StoredPair]:
    """The catalog's pairs of an audit, in the order of the probes."""
    sql = (
        "SELECT p.prompt, b.picture, a.picture FROM pairs p JOIN images b ON b.image_sha256 = p.base_image "
        "JOIN images a ON a.image_sha256 = p.adapter_image WHERE p.audit_id = ? ORDER BY p.probe LIMIT ?"
    )
    with reading_catalog(database) as connection:
        rows = connection.execute(sql, [audit_id, limit]).fetchall()
    return [StoredPair(str(prompt), bytes(base), bytes(adapter)) for prompt, base, adapter in rows]


def picture_sheet(groups: Sequence[tuple[str, Sequence[StoredPair]]]) -> bytes:
    """A PNG of all pairs.

    Args:
        groups: Titles, such as an adapter's name, and the pairs under each. Titles may be a stranger's.

    Raises:
        ValueError: There is no pair at all.
    """
    rows = [(title if not number else "", pair) for title, pairs in groups for number, pair in enumerate(pairs)]
    if not rows:
        raise ValueError("a sheet needs a pair")
    height = sum(_SIDE + _LABEL * (2 if title else 1) + _GAP for title, _ in rows)
    sheet = Image.new("RGB", (2 * _SIDE + 3 * _GAP, height + _GAP), "white")
    draw = ImageDraw.Draw(sheet)
    top = _GAP
    for title, pair in rows:
        for text, colour in ((title, "black"), (pair.prompt, "#555555")):
            if text:
                draw.text((_GAP, top), _plain(text), fill=colour)
                top += _LABEL
        for column, picture in enumerate((pair.base, pair.adapter)):
            with closing(Image.open(io.BytesIO(picture))) as opened:
                shown = opened.convert("RGB").resize((_SIDE, _SIDE))
            sheet.paste(shown, (_GAP + column * (_SIDE + _GAP), top))
        top += _SIDE + _GAP
    buffer = io.BytesIO()
    sheet.save(buffer, format="PNG")
    return buffer.getvalue()


def _plain(text: str) -> str:
    """What the built-in font has letters for."""
    return clean(text, limit=52).encode("latin-1", "replace").decode("latin-1")
