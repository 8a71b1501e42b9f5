"""What the doctor says of the vLLM that tasks would start, by programs that print a help as it does."""

from __future__ import annotations

from pathlib import Path

import pytest

from auditor.doctor.check import Check
from auditor.doctor.vllm_checks import TESTED, check_vllm
from auditor.settings import resolve

OPTIONS = (
    "--revision --served-model-name --host --port --generation-config --dtype --limit-mm-per-prompt "
    "--mm-processor-kwargs --allowed-media-domains --uvicorn-log-level --max-model-len"
)


def asked(folder: Path, script: str, *, version: str = TESTED) -> Check:
    """The check over a program of that script, beside a Python that says a version."""
    for name, text in (("vllm", script), ("python", f"echo {version}")):
        (folder / name).write_text(f"#!/bin/sh\n{text}\n")
        (folder / name).chmod(0o755)
    command = f"serving.command=['{folder / 'vllm'}', 'serve', '{{model}}']"
    return check_vllm(resolve(profile="hub", work_dir=folder, overrides=[command], environment={}).settings)


def only(ask: str, options: str = OPTIONS) -> str:
    """A script that prints options when it is asked so, as words of its last argument tell."""
    return f'case "$*" in *"{ask}") echo "options: {options}";; *) echo "no such option" >&2; exit 2;; esac'


@pytest.mark.parametrize("ask", ["serve --help=all", "serve --help"])
def test_a_program_that_takes_all_options_is_fine(tmp_path: Path, ask: str) -> None:
    check = asked(tmp_path, only(ask))
    assert check.status == "ok" and f"vLLM {TESTED} takes the 11 options" in check.found
    assert check.advice is None


def test_options_that_it_does_not_take_are_named(tmp_path: Path) -> None:
    older = OPTIONS.replace("--allowed-media-domains ", "").replace("--port ", "--port-range ")
    check = asked(tmp_path, only("--help", older), version="0.9.1")
    assert check.status == "missing" and "vLLM 0.9.1 does not take --allowed-media-domains, --port" in check.found
    assert TESTED in str(check.advice)


def test_another_version_is_named(tmp_path: Path) -> None:
    check = asked(tmp_path, only("--help"), version="0.40.0")
    assert check.status == "ok" and TESTED in check.found and "0.40.0" in check.found


@pytest.mark.parametrize("script", ["echo broken >&2; exit 1", "exit 0", "echo nothing of use"])
def test_a_program_that_says_nothing_is_a_warning(tmp_path: Path, script: str) -> None:
    assert asked(tmp_path, script).status == "warning"


def test_the_version_is_the_pinned_one(repository: Path) -> None:
    assert f"vllm=={TESTED}" in (repository / "constraints-vllm.txt").read_text().split()
