"""Output helpers: streams, safety, progress."""

import json
import math

import pytest

from auditor.cli import output
from auditor.cli.progress import Heartbeat, progress

HOSTILE = "a/b\x1b[2J\x1b]0;owned\x07 [red]x[/red] \u202egnp.exe\nnext"


@pytest.fixture(autouse=True)
def talkative():
    output.set_quiet(False)
    yield
    output.set_quiet(False)


def test_tables_keep_hostile_text_in_its_cell(capsys):
    output.emit_table(("repo", "score"), [(HOSTILE, 0.5), (None, 12)], numeric=("score",))
    lines = capsys.readouterr().out.splitlines()
    assert lines == [
        "repo                           score",
        "a/b [red]x[/red] gnp.exe next    0.5",
        "–                                 12",
    ]


@pytest.mark.parametrize("terminal", [False, True])
def test_headings_are_cleaned_and_no_markup(capsys, monkeypatch, terminal):
    """A PIVOT makes headings of what uploaders wrote."""
    monkeypatch.setattr("sys.stdout.isatty", lambda: terminal)
    monkeypatch.setenv("COLUMNS", "120")
    output.emit_table(("licence", HOSTILE), [("mit", 1)], numeric=(HOSTILE,))
    printed = capsys.readouterr().out
    assert "a/b [red]x[/red] gnp.exe next" in printed
    assert not any(live in printed for live in ("\x1b[2J", "\x07", "\u202e"))


def test_a_table_has_its_title_in_a_pipe_too(capsys):
    output.emit_table(("concept",), [("vibrant",)], title=f"with its trigger, {HOSTILE}")
    expected = ["with its trigger, a/b [red]x[/red] gnp.exe next", "concept", "vibrant"]
    assert capsys.readouterr().out.splitlines() == expected


def test_a_narrow_terminal_gets_blocks_and_no_broken_words(capsys, monkeypatch):
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    columns = ("", "adapter", "why", "strength", "trigger", "base", "licence", "beware")
    row = (1, "ana-k/meadow-lora", "vibrant 0.34 [0.18, 0.50], watercolor 0.49 [0.14, 0.83]", "0.5 to 1.5", None,
           "pocket", "creativeml-openrail-m", "[red]x[/red]")  # fmt: skip
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "80")
    output.emit_table(columns, [row])
    narrow = capsys.readouterr().out
    assert narrow.splitlines()[0].rstrip() == "1 ana-k/meadow-lora" and max(map(len, narrow.splitlines())) <= 80
    assert "licence   creativeml-openrail-m" in narrow and "[red]x[/red]" in narrow
    assert "trigger" not in narrow, "what says nothing has no line"
    monkeypatch.setenv("COLUMNS", "140")
    output.emit_table(columns, [row])
    assert "adapter" in capsys.readouterr().out, "there is room for a table"


def test_json_is_ascii_and_finite(capsys):
    output.emit_json({"repo": HOSTILE})
    text = capsys.readouterr().out
    assert text.isascii()
    assert "\x1b" not in text
    assert json.loads(text)["repo"] == HOSTILE
    with pytest.raises(ValueError, match="JSON compliant"):
        output.emit_json({"score": math.nan})


def test_talk_goes_to_stderr_and_quiet_keeps_warnings(capsys):
    output.summary(["3 audited"], next_command="auditor merge")
    output.set_quiet(True)
    output.say("not this")
    output.warn("but this")
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.splitlines() == ["3 audited", "next: auditor merge", "warning: but this"]


def test_heartbeat_speaks_seldom_and_says_how_long(capsys):
    now = [0.0]
    step = Heartbeat("auditing", 10, 30.0, lambda: now[0])
    for _ in range(4):
        now[0] += 10.0
        step(note="owner/na\x1b[31mme")
    step.finish()
    lines = capsys.readouterr().err.splitlines()
    assert lines == [
        "auditing 3/10 (30 %), 0.1/s, about 70 s left, owner/name",
        "auditing: 4 done in 40.0 s",
    ]


def test_progress_off_a_terminal_ends_with_a_count(capsys):
    with progress("merging", 2) as step:
        step()
        step()
    assert capsys.readouterr().err.startswith("merging: 2 done")


def test_quiet_progress_is_silent(capsys):
    output.set_quiet(True)
    with progress("merging", 2) as step:
        step(note="x")
    assert capsys.readouterr().err == ""
