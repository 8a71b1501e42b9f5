"""What cron jobs and containers leave out: no HOME, no locale but C, few open files."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.audit.conftest import small_hub

# One such process forks the commands, each of which then has its own: the libraries are loaded once.
PROGRAM = """
import json, os, resource, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
import auditor.catalog.merge, auditor.hub.crawler, auditor.planning.manifest, auditor.planning.prefetch
from auditor.cli.main import run
for number, arguments in enumerate(json.loads(sys.argv[1])):
    pid = os.fork()
    if not pid:
        for stream, name in ((1, "out"), (2, "err")):
            os.dup2(os.open(f"{sys.argv[2]}/{number}.{name}", os.O_WRONLY | os.O_CREAT), stream)
        run(arguments)
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""
BARE = {"PATH": os.defpath, "LANG": "C", "PYTHONPATH": str(Path(__file__).resolve().parents[2])}


def auditor(folder: Path, options: Sequence[str], commands: Sequence[Sequence[str]]) -> list[tuple[int, str]]:
    """Exit code and stderr of each command."""
    lines = json.dumps([["--profile", "pocket", *options, *command] for command in commands])
    process = [sys.executable, "-c", PROGRAM, lines, str(folder)]
    done = subprocess.run(process, env=BARE, capture_output=True, encoding="utf-8", timeout=240, check=False)
    assert done.returncode == 0, done.stderr[-1000:]
    codes = map(int, done.stdout.split())
    return [(code, (folder / f"{number}.err").read_text("utf-8")) for number, code in enumerate(codes)]


def test_stages_need_neither_home_nor_locale_nor_many_files(tmp_path: Path) -> None:
    hub = small_hub(tmp_path / "hub", ("mkr/moss-lora", "grab-bag/zeros", "grab-bag/readme-only"))
    options = ("--work-dir", str(tmp_path / "work"), "--set", "hub.odd_repos=false", "--set", f"hub.serve_folder={hub}")
    stages = ("crawl", "plan", "prefetch", "merge")
    *ended, asked = auditor(tmp_path, options, [*([stage] for stage in stages), ["search", "wässrig"]])
    for stage, (code, said) in zip(stages, ended, strict=True):
        assert code == 0, (stage, said[-1000:])
    assert asked[0] in (0, 2) and "wässrig" in asked[1] and "Traceback" not in asked[1]
