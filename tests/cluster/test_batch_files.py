"""The batch files as a node runs them, with stand-ins for Slurm's programs and for Python."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

STAGES = ("audit", "crawl", "export", "merge", "prefetch", "propose")


@pytest.mark.parametrize("name", STAGES)
def test_batch_files_are_strict_static_and_requeue(repository: Path, name: str) -> None:
    path = repository / "slurm" / f"{name}.sbatch"
    text = path.read_text()
    subprocess.run(["bash", "-n", path], check=True)
    assert text.startswith("#!/bin/bash\n")
    assert "set -euo pipefail" in text
    for option in (f"--job-name=auditor-{name}", "--open-mode=append", "--requeue", "--time="):
        assert f"#SBATCH {option}" in text
    assert "--mem" not in text, "a directive could not be taken back: sites that forbid it would refuse every job"
    lines = text.splitlines()
    directives = [number for number, line in enumerate(lines) if line.startswith("#SBATCH")]
    first_command = next(n for n, line in enumerate(lines) if line and not line.startswith("#"))
    assert max(directives) < first_command, "Slurm ignores directives after the first command"
    assert all((repository / job).exists() for job in {part for part in text.split() if part.startswith("jobs/")})


def test_cron_examples_only_submit(repository: Path) -> None:
    for name in ("crontab.example", "scrontab.example"):
        lines = [li for li in (repository / "slurm" / name).read_text().splitlines() if li and not li.startswith("#")]
        assert lines and all(line.endswith("auditor submit") for line in lines)


class Node:
    """Starts a batch file and notes what it called."""

    def __init__(self, repository: Path, folder: Path) -> None:
        self.repository, self.folder = repository, folder
        shutil.copytree(repository / "slurm", folder / "slurm")
        (folder / "bin").mkdir()
        (folder / "night").mkdir()
        self.program("scontrol", '[ "$1" != show ] || echo "JobId=100 JobState=${STATE:-RUNNING} Reason=None"')
        self.program("sleep", ":")

    def program(self, name: str, body: str) -> Path:
        path = self.folder / "bin" / name
        path.write_text(f'#!/bin/bash\necho "{name} $*" >> "{self.folder}/calls"\n{body}\n')
        path.chmod(0o755)
        return path

    def start(self, script: str, *arguments: str, python: str, requeue: int = 0, **environment: str) -> Any:
        worker = self.program("python", f'case "$1" in jobs/requeue.py) exit {requeue};; esac\n{python}')
        batch_file, run_folder = self.folder / "slurm" / f"{script}.sbatch", self.folder / "night"
        return subprocess.Popen(
            ["bash", str(batch_file), str(run_folder), f"{script}.-", *arguments],
            cwd=self.folder,
            env={
                "PATH": f"{self.folder}/bin:{os.environ['PATH']}",
                "SLURM_JOB_ID": "100",
                "SLURM_ARRAY_JOB_ID": "97",
                "SLURM_ARRAY_TASK_ID": "3",
                "PYTHON_BIN": str(worker),
                **environment,
            },
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def calls(self) -> list[str]:
        file = self.folder / "calls"
        return [c for c in file.read_text().splitlines() if not c.startswith("sleep")] if file.exists() else []


@pytest.fixture
def node(repository: Path, tmp_path: Path) -> Node:
    return Node(repository, tmp_path)


@pytest.mark.parametrize(("worker", "task"), [(0, 0), (4, 0), (1, 1), (3, 3)])
def test_a_task_ends_as_its_worker_did_but_forgives_failed_items(node: Node, worker: int, task: int) -> None:
    assert node.start("audit", "abc", "8", python=f"exit {worker}").wait(20) == task
    assert node.calls() == ["python jobs/audit.py --offline --slices abc --task 11"]


@pytest.mark.parametrize("worker", ["exit 75", "kill -9 $$", "exit 139"])
def test_a_task_that_stopped_or_was_killed_puts_itself_back(node: Node, worker: str) -> None:
    node.start("audit", "abc", "8", python=worker).wait(20)
    assert node.calls()[1:] == [
        "scontrol show job --oneliner 97_3",
        "python jobs/requeue.py audit.-.3",
        "scontrol requeue 97_3",
    ]


def test_a_task_that_was_there_too_often_fails_and_not_with_75(node: Node) -> None:
    assert node.start("audit", "abc", "0", python="exit 75", requeue=1).wait(20) == 1
    assert "scontrol requeue 97_3" not in node.calls()


@pytest.mark.parametrize("state", ["COMPLETING", "CANCELLED", "PREEMPTED"])
def test_a_job_that_is_on_its_way_out_is_not_put_back(node: Node, state: str) -> None:
    assert node.start("audit", "abc", "0", python="exit 75", STATE=state).wait(20) == 1
    assert not [call for call in node.calls() if "requeue" in call]


@pytest.mark.parametrize("number", [signal.SIGUSR2, signal.SIGTERM])
def test_the_warning_reaches_the_worker_and_the_shell_waits(node: Node, number: signal.Signals) -> None:
    waits = (
        f'trap "read -t 0.3 < /dev/zero; exit 75" USR2 TERM\ntouch "{node.folder}/up"\n'
        "while :; do read -t 0.05 <> <(:); done"
    )
    job = node.start("audit", "abc", "0", python=waits)
    _until((node.folder / "up").exists)
    job.send_signal(number)
    job.wait(20)
    assert node.calls()[-1] == "scontrol requeue 97_3"


def test_crawl_plans_and_submits_the_rest_even_if_single_items_failed(node: Node) -> None:
    job = node.start("crawl", python='case "$1" in jobs/crawl.py) exit 4;; esac')
    _, stderr = job.communicate(timeout=20)
    assert job.returncode == 0, stderr
    assert node.calls() == ["python jobs/crawl.py", "python jobs/plan.py", "python jobs/submit.py --continue night"]


def test_a_container_stands_before_every_call_of_python(node: Node) -> None:
    node.program("box", 'shift; exec "$@"')
    job = node.start("merge", python="exit 4", CONTAINER="box --gpu")
    _, stderr = job.communicate(timeout=20)
    assert job.returncode == 0, stderr
    assert (node.folder / "night" / "merged").read_text().startswith("20")
    assert node.calls()[0] == f"box --gpu {node.folder}/bin/python jobs/merge.py"


def _until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)
