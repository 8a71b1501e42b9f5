"""The project's own files: pins, build server, Slurm scripts, links, and what the package must never do."""

import os
import re
import subprocess
import tomllib
from pathlib import Path

import pytest


def _tracked(repository: Path, pattern: str) -> list[Path]:
    skipped = {".venv", ".git", ".auditor", "node_modules"}
    return [path for path in sorted(repository.rglob(pattern)) if skipped.isdisjoint(path.parts)]


def _canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _project(repository: Path) -> dict:
    return tomllib.loads((repository / "pyproject.toml").read_text())["project"]


def test_every_dependency_has_one_exact_pin(repository):
    lines = [line for line in (repository / "constraints.txt").read_text().splitlines() if line[:1] not in ("", "#")]
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.+!]+", line) for line in lines)
    pins = [_canonical(line.partition("==")[0]) for line in lines]
    assert len(pins) == len(set(pins))
    project = _project(repository)
    wanted = [*project["dependencies"], *project["optional-dependencies"]["dev"]]
    names = {_canonical(re.match(r"[A-Za-z0-9._-]+", line).group()) for line in wanted}
    assert names <= set(pins)


def test_the_package_never_imports_the_vlm_server(repository):
    pattern = re.compile(r"^\s*(?:import|from)\s+vllm\b", re.M)
    assert not [path for path in _tracked(repository / "auditor", "*.py") if pattern.search(path.read_text())]
    assert "vllm" not in {_canonical(line) for line in _project(repository)["dependencies"]}


def test_build_server_runs_make_test(repository):
    script = repository / ".ci" / "run"
    assert os.access(script, os.X_OK)
    assert "set -euo pipefail" in script.read_text()
    assert "make test" in script.read_text()


def test_make_alone_lists_the_targets(repository):
    done = subprocess.run(["make", "-s"], cwd=repository, capture_output=True, text=True, check=True)
    listed = set(re.findall(r"^  make (\S+)", done.stdout, re.M))
    assert {"setup", "demo", "test", "check", "docs", "train-pocket", "clean"} <= listed


def test_links_between_documents_lead_somewhere(repository):
    broken = []
    for page in [*repository.glob("*.md"), *_tracked(repository / "docs", "*.md")]:
        text = re.sub(r"```.*?```", "", page.read_text(), flags=re.S)
        for target in re.findall(r"\]\(([^)\s]+)\)", text):
            file = target.partition("#")[0]
            if file and "://" not in file and not (page.parent / file).exists():
                broken.append(f"{page.name}: {target}")
    assert not broken


def test_docker_image_is_pinned_and_not_root(repository):
    text = (repository / "Dockerfile").read_text()
    assert re.search(r"^ARG CUDA_IMAGE=\S+:\d[\w.-]+$", text, re.M)
    assert "VLLM_VERSION=0.33.0" in text
    assert re.search(r"^USER auditor$", text, re.M)
    assert "--constraint constraints.txt" in text


SBATCH = ("audit", "crawl", "merge")


@pytest.mark.parametrize("name", SBATCH)
def test_sbatch_files_are_strict_and_requeue(repository, name):
    path = repository / "slurm" / f"{name}.sbatch"
    text = path.read_text()
    subprocess.run(["bash", "-n", path], check=True)
    assert text.startswith("#!/bin/bash\n")
    assert "set -euo pipefail" in text
    for option in (f"--job-name=auditor-{name}", "--open-mode=append", "--requeue", "--time=", "--mem="):
        assert f"#SBATCH {option}" in text
    directives = [number for number, line in enumerate(text.splitlines()) if line.startswith("#SBATCH")]
    first_command = next(n for n, line in enumerate(text.splitlines()) if line and not line.startswith("#"))
    assert max(directives) < first_command, "Slurm ignores directives after the first command"


@pytest.fixture
def cluster(repository, tmp_path):
    """Runs a batch script as a node would, with stand-ins for Slurm's programs and for Python."""
    (tmp_path / "slurm").mkdir()
    (tmp_path / "slurm" / "cluster.env").write_text((repository / "slurm" / "cluster.env").read_text())
    programs = tmp_path / "bin"
    programs.mkdir()

    def program(name: str, body: str) -> Path:
        path = programs / name
        path.write_text(f"#!/bin/bash\n{body}\n")
        path.chmod(0o755)
        return path

    for name in ("sbatch", "scontrol"):
        program(name, f'echo "{name} $*" >> "{tmp_path}/calls"; echo 4711')

    def start(script: str, *arguments: str, python: str, **environment: str) -> subprocess.Popen:
        worker = program("python", f'echo "python $*" >> "{tmp_path}/calls"\n{python}')
        return subprocess.Popen(
            ["bash", str(repository / "slurm" / f"{script}.sbatch"), *arguments],
            env={
                "PATH": f"{programs}:{os.environ['PATH']}",
                "HOME": str(tmp_path),
                "SLURM_SUBMIT_DIR": str(tmp_path),
                "SLURM_JOB_ID": "100",
                "SLURM_ARRAY_TASK_ID": "3",
                "PYTHON_BIN": str(worker),
                **environment,
            },
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def calls() -> list[str]:
        file = tmp_path / "calls"
        return file.read_text().splitlines() if file.exists() else []

    start.calls = calls
    start.folder = tmp_path
    return start


@pytest.mark.parametrize(("worker", "task"), [(0, 0), (4, 0), (1, 1), (3, 3)])
def test_audit_task_ends_as_its_worker_did_but_forgives_failed_items(cluster, worker, task):
    job = cluster("audit", "40", python=f"exit {worker}")
    assert job.wait(20) == task
    assert cluster.calls() == ["python jobs/audit.py --task 3 --tasks 40"]


def test_audit_task_requeues_itself_but_not_for_ever(cluster):
    assert cluster("audit", "40", python="exit 75").wait(20) == 0
    assert cluster.calls()[-1] == "scontrol requeue 100"
    job = cluster("audit", "40", python="exit 75", SLURM_RESTART_COUNT="5")
    assert job.wait(20) == 75
    assert [call for call in cluster.calls() if call.startswith("scontrol")] == ["scontrol requeue 100"]


def test_audit_task_passes_the_warning_on_and_waits(cluster):
    job = cluster(
        "audit",
        "40",
        python=f'trap "sleep 0.3; exit 75" USR2\ntouch "{cluster.folder}/up"\nwhile :; do sleep 0.05; done',
    )
    for _ in range(400):
        if (cluster.folder / "up").exists():
            break
        with pytest.raises(subprocess.TimeoutExpired):
            job.wait(0.05)
    job.send_signal(12)  # SIGUSR2
    assert job.wait(20) == 0
    assert cluster.calls()[-1] == "scontrol requeue 100"


def test_crawl_submits_audits_and_the_merge_behind_them(cluster):
    job = cluster("crawl", python='case "$1" in jobs/plan.py) echo 12;; jobs/crawl.py) exit 4;; esac')
    _, stderr = job.communicate(timeout=20)
    assert job.returncode == 0, stderr
    assert cluster.calls() == [
        "python jobs/crawl.py",
        "python jobs/plan.py",
        "sbatch --parsable --array=0-11%16 slurm/audit.sbatch 12",
        "sbatch --parsable --dependency=afterany:4711,singleton --kill-on-invalid-dep=yes slurm/merge.sbatch",
    ]


def test_crawl_with_nothing_new_submits_nothing(cluster):
    job = cluster("crawl", python='case "$1" in jobs/plan.py) echo 0;; esac')
    assert job.wait(20) == 0
    assert not [call for call in cluster.calls() if call.startswith("sbatch")]
