"""The morning report as a page and as Markdown. Names come from strangers: escaped in the one, quoted in the other."""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from markupsafe import Markup, escape

from auditor.catalog.morning import SHOWN, MorningReport
from auditor.catalog.report_charts import count_bars, history_lines
from auditor.common.text_safety import clean, markdown_code


def render_html(report: MorningReport) -> str:
    """One self-contained page without script or network."""
    return _template("report.html").render(
        report=report,
        shown=SHOWN,
        headline=headline(report),
        outcomes=count_bars(
            "Units by outcome", [(name.replace("_", " "), now, _moved(now, old)) for name, now, old in report.outcomes]
        ),
        stages=count_bars("Time by stage", [(name, s, duration(s)) for name, s in report.stages]),
        coverage=count_bars(
            "Share of the listed units that is audited, by family",
            [
                (c.name or "not known", c.audited / max(c.units, 1), f"{c.audited:,} of {c.units:,}")
                for c in report.coverage
            ],
        ),
        history=history_lines(report.history),
        duration=duration,
        clean=clean,
        commands=_commands,
    )


def render_markdown(report: MorningReport) -> str:
    """The same in Markdown; names stand in code spans, where nothing is a link or a heading."""
    return _template("report.md").render(
        report=report, shown=SHOWN, headline=headline(report), duration=duration, code=markdown_code, moved=_moved
    )


def _commands(text: str) -> Markup:
    """Our own text with what stands in backticks as code."""
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text))))


def headline(report: MorningReport) -> str:
    """The night in one sentence."""
    night = "The first night" if report.since is None else f"Since {report.since:%Y-%m-%d %H:%M} UTC"
    scored = sum(count for _, outcome, count in report.by_base if outcome in ("scored", "scored_partial"))
    said = f"{night}: {report.audits:,} files audited, {scored:,} of them scored, in {duration(report.spent_s)}"
    if report.expected_s is not None:
        said += f" (expected {duration(report.expected_s)} by the nights before)"
    return f"{said}."


def duration(seconds: float) -> str:
    """In the unit that people would use."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _moved(now: int, old: int) -> str:
    return f"{now:,}" if now == old else f"{now:,} ({now - old:+,})"


@lru_cache(maxsize=2)
def _template(name: str) -> Template:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).with_name("templates")),
        autoescape=name.endswith(".html"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(name)
