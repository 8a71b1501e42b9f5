"""Small charts as inline SVG. Colours and type come from the page's style sheet, so they follow its theme."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

from auditor.common.text_safety import clean
from auditor.records.result import ConceptScore, DosePoint

_WIDTH = 720.0
_LABEL_CHARS = 26
_MAX_LINES = 4


@dataclass(frozen=True)
class Axis:
    """A linear scale from values to pixels, with round ticks."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        """Pixel position of a value, kept inside the chart."""
        share = (value - self.low) / (self.high - self.low)
        return self.start + min(max(share, 0.0), 1.0) * (self.end - self.start)

    def ticks(self, count: int = 4) -> list[float]:
        """About `count` round values inside the axis."""
        rough = (self.high - self.low) / count
        power = 10.0 ** math.floor(math.log10(rough))
        step = next(s * power for s in (1.0, 2.0, 2.5, 5.0, 10.0) if s * power >= rough * 0.999)
        first = math.ceil(self.low / step - 1e-9)
        return [i * step for i in range(first, math.floor(self.high / step + 1e-9) + 1)]


def score_bars(scores: Sequence[ConceptScore]) -> Markup:
    """Horizontal bars with their intervals, in the order given; 1 is marked when the axis reaches it."""
    if not scores:
        return Markup("")
    row, top = 30, 8
    height = top + row * len(scores) + 26
    axis = Axis(0.0, max(0.1, *(s.high * 1.04 for s in scores)), 200.0, _WIDTH - 120.0)
    parts = [_open(height, "Concept scores with intervals")]
    bottom = top + row * len(scores)
    for tick in axis.ticks():
        kind = "grid unit" if abs(tick - 1.0) < 1e-9 else "grid"
        parts.append(_line(axis(tick), top, axis(tick), bottom, kind))
        parts.append(_text(axis(tick), bottom + 18, f"{tick:g}", "tick", "middle"))
    for index, s in enumerate(scores):
        y = top + row * index
        middle = y + row / 2
        label = clean(s.concept, limit=_LABEL_CHARS)
        parts.append("<g>" + f"<title>{escape(clean(s.concept))}: {_numbers(s)}</title>")
        parts.append(_text(190, middle + 5, label, "label", "end"))
        width = max(axis(s.score) - axis(0.0), 1.0)
        parts.append(
            f'<rect class="bar" x="{axis(0.0):.1f}" y="{y + 7:.1f}" width="{width:.1f}" height="{row - 14}" rx="3"/>'
        )
        parts.append(_line(axis(s.low), middle, axis(s.high), middle, "whisker"))
        for end in (s.low, s.high):
            parts.append(_line(axis(end), middle - 5, axis(end), middle + 5, "whisker"))
        parts.append(_text(_WIDTH, middle + 5, _numbers(s), "value", "end") + "</g>")
    return Markup("".join([*parts, "</svg>"]))


def paired_bars(names: tuple[str, str], rows: Sequence[Mapping[str, object]]) -> Markup:
    """Two bars with their intervals per concept, one adapter's over the other's.

    Args:
        names: Of the two, for the legend; may be a stranger's.
        rows: With concept, score_a, low_a, high_a and the same of b.
    """
    if not rows:
        return Markup("")
    row, top = 44, 30

    def value(record: Mapping[str, object], name: str) -> float:
        return float(str(record[name]))

    highest = max(value(record, f"high_{side}") for record in rows for side in "ab")
    axis = Axis(0.0, max(0.1, highest * 1.04), 200.0, _WIDTH - 60.0)
    bottom = top + row * len(rows)
    parts = [_open(bottom + 26, "Scores of both adapters with intervals")]
    for index, (name, kind) in enumerate(zip(names, ("bar", "bar b"), strict=True)):
        parts.append(f'<rect class="{kind}" x="{200 + 260 * index}" y="6" width="12" height="12" rx="2"/>')
        parts.append(_text(218 + 260 * index, 17, clean(name, limit=30), "label", "start"))
    for tick in axis.ticks():
        parts.append(_line(axis(tick), top, axis(tick), bottom, "grid unit" if abs(tick - 1.0) < 1e-9 else "grid"))
        parts.append(_text(axis(tick), bottom + 18, f"{tick:g}", "tick", "middle"))
    for index, record in enumerate(rows):
        y = top + row * index
        parts.append(_text(190, y + row / 2 + 5, clean(str(record["concept"]), limit=_LABEL_CHARS), "label", "end"))
        for place, (side, kind) in enumerate((("a", "bar"), ("b", "bar b"))):
            middle = y + 13 + 18 * place
            width = max(axis(value(record, f"score_{side}")) - axis(0.0), 1.0)
            parts.append(f'<rect class="{kind}" x="200" y="{middle - 7}" width="{width:.1f}" height="14" rx="3"/>')
            low, high = axis(value(record, f"low_{side}")), axis(value(record, f"high_{side}"))
            parts.append(_line(low, middle, high, middle, "whisker"))
    return Markup("".join([*parts, "</svg>"]))


def dose_lines(points: Sequence[DosePoint]) -> Markup:
    """Length of V and the leading projections against the strength of the adapter."""
    if len(points) < 2:
        return Markup("")
    ordered = sorted(points, key=lambda point: point.scale)
    names = list(ordered[-1].projections)[:_MAX_LINES]
    lines = [("|V|", [point.norm for point in ordered])]
    lines += [(name, [point.projections.get(name, 0.0) for point in ordered]) for name in names]
    values = [value for _, series in lines for value in series]
    height, bottom = 260, 222.0
    x = Axis(0.0, ordered[-1].scale, 44.0, _WIDTH - 190.0)
    y = Axis(min(0.0, *values), max(0.05, *values) * 1.06, bottom, 12.0)
    parts = [_open(height, "Effect against adapter strength")]
    for tick in y.ticks():
        parts.append(_line(x.start, y(tick), x.end, y(tick), "grid"))
        parts.append(_text(x.start - 8, y(tick) + 4, f"{tick:g}", "tick", "end"))
    for point in ordered:
        parts.append(_text(x(point.scale), bottom + 20, f"× {point.scale:g}", "tick", "middle"))
    heights = _spread([y(series[-1]) for _, series in lines], 17.0)
    for index, ((name, series), label_y) in enumerate(zip(lines, heights, strict=True)):
        places = [(x(point.scale), y(value)) for point, value in zip(ordered, series, strict=True)]
        path = " ".join(f"{px:.1f},{py:.1f}" for px, py in places)
        parts.append(f'<polyline class="line s{index}" points="{path}"/>')
        parts += [f'<circle class="dot s{index}" cx="{px:.1f}" cy="{py:.1f}" r="3.5"/>' for px, py in places]
        parts.append(_text(x.end + 12, label_y + 4, clean(name, limit=_LABEL_CHARS), f"name s{index}", "start"))
    return Markup("".join([*parts, "</svg>"]))


def share_bar(share: float) -> Markup:
    """A share between 0 and 1 as a filled bar."""
    filled = min(max(share, 0.0), 1.0) * 200
    return Markup(
        f'<svg class="share" viewBox="0 0 200 10" role="img" aria-label="{share:.0%}">'
        f'<rect class="track" width="200" height="10" rx="5"/>'
        f'<rect class="bar" width="{filled:.1f}" height="10" rx="5"/></svg>'
    )


def _spread(wanted: Sequence[float], gap: float) -> list[float]:
    """Positions near the wanted ones that are at least `gap` apart, so that labels do not overlap."""
    order = sorted(range(len(wanted)), key=lambda index: wanted[index])
    placed = list(wanted)
    for before, after in itertools.pairwise(order):
        placed[after] = max(placed[after], placed[before] + gap)
    return placed


def _numbers(s: ConceptScore) -> str:
    return f"{s.score:.2f}  [{s.low:.2f}, {s.high:.2f}]"


def _open(height: float, title: str) -> str:
    return f'<svg class="chart" viewBox="0 0 {_WIDTH:.0f} {height:.0f}" role="img" aria-label="{escape(title)}">'


def _line(x1: float, y1: float, x2: float, y2: float, kind: str) -> str:
    return f'<line class="{kind}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def _text(x: float, y: float, text: str, kind: str, anchor: str) -> str:
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'
