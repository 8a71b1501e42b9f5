"""Runs the program in this process, the way a shell would see it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from auditor.cli.main import run


@dataclass(frozen=True)
class Finished:
    """How a command ended."""

    code: int
    stdout: str
    stderr: str


Auditor = Callable[..., Finished]


@pytest.fixture
def auditor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Auditor:
    """Calls `auditor ARGUMENTS` in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str) -> Finished:
        capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            run(arguments)
        captured = capsys.readouterr()
        code = end.value.code
        return Finished(code if isinstance(code, int) else int(code is not None), captured.out, captured.err)

    return call
