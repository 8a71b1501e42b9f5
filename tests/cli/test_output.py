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
