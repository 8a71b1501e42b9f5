"""Charts of the morning report as inline SVG; colours and type come from the page's style sheet."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup, escape

from auditor.catalog.charts import Axis
from auditor.catalog.morning import HistoryPoint

_WIDTH, _ROW = 720.0, 26


def count_bars(title: str, rows: Sequence[tuple[str, float, str]]) -> Markup:
    """Horizontal bars.

    Args:
        title: What a screen reader is told.
        rows: Label, value (0 or more) and the value in words.
    """
    if not rows:
        return Markup("")
    height = _ROW * len(rows) + 8
    axis = Axis(0.0, max(1e-9, *(value for _, value, _ in rows)), 200.0, _WIDTH - 130.0)
    parts = [_open(title, height)]
    for index, (label, value, words) in enumerate(rows):
        y = 4 + _ROW * index
        width = max(axis(value) - axis(0.0), 1.0 if value else 0.0)
        parts.append(_text(190, y + 17, label, "label", "end"))
        parts.append(f'<rect class="bar" x="200" y="{y + 5}" width="{width:.1f}" height="{_ROW - 10}" rx="3"/>')
        parts.append(_text(200 + width + 8, y + 17, words, "value", "start"))
    return Markup("".join([*parts, "</svg>"]))


def history_lines(history: Sequence[HistoryPoint]) -> Markup:
    """Units listed and units audited, merge after merge; empty for fewer than two."""
    if len(history) < 2:
        return Markup("")
    height, bottom = 220, 188.0
    x = Axis(0.0, float(len(history) - 1), 60.0, _WIDTH - 90.0)
    y = Axis(0.0, max(1.0, *(float(point.listed) for point in history)) * 1.05, bottom, 12.0)
    parts = [_open("Units listed and units audited, by merge", height)]
    for tick in y.ticks():
        parts.append(f'<line class="grid" x1="{x.start}" y1="{y(tick):.1f}" x2="{x.end}" y2="{y(tick):.1f}"/>')
        parts.append(_text(x.start - 8, y(tick) + 4, f"{tick:,.0f}", "tick", "end"))
    for place, anchor in ((0, "start"), (len(history) - 1, "end")):
        parts.append(_text(x(place), bottom + 20, f"{history[place].finished_at:%Y-%m-%d}", "tick", anchor))
    for index, (name, values) in enumerate(
        (("listed", [p.listed for p in history]), ("audited", [p.audited for p in history]))
    ):
        points = " ".join(f"{x(i):.1f},{y(value):.1f}" for i, value in enumerate(values))
        parts.append(f'<polyline class="line s{index}" points="{points}"/>')
        parts.append(_text(x.end + 10, y(values[-1]) + 4, name, f"name s{index}", "start"))
    return Markup("".join([*parts, "</svg>"]))


def _open(title: str, height: float) -> str:
    return f'<svg class="chart" viewBox="0 0 {_WIDTH:.0f} {height:.0f}" role="img" aria-label="{escape(title)}">'


def _text(x: float, y: float, text: str, kind: str, anchor: str) -> str:
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'
