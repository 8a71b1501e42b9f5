"""The project's own files: pins, build server, Slurm scripts, links, and what the package must never do."""

import os
import re
import subprocess
import tomllib
from pathlib import Path


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


# Base names that stand twice on purpose: they mean the same in both rooms.
SAME_MEANING = {
    "loader.py": "reads a versioned data file that travels with the package: lexicons, probes",
    "listing.py": "the Hub's listing: as records, and as the loopback Hub serves it",
    "tokenizer.py": "the pocket models' tokenizers: CLIP's and the vision-language model's",
}


def test_no_two_modules_share_a_name(repository):
    # The second pocket world has the first one's names until it takes its place.
    replacement = repository / "auditor" / "pocket" / "second"
    modules = [p for p in _tracked(repository / "auditor", "*.py") if not p.is_relative_to(replacement)]
    names = [path.name for path in modules if not path.name.startswith("__")]
    twice = {name for name in names if names.count(name) > 1}
    assert twice <= set(SAME_MEANING), "a reader who searches for a module finds one"


def test_build_server_runs_make_test(repository):
    script = repository / ".ci" / "run"
    assert os.access(script, os.X_OK)
    assert "set -euo pipefail" in script.read_text()
    assert "make test" in script.read_text()


def test_make_alone_lists_the_targets(repository):
    done = subprocess.run(["make", "-s"], cwd=repository, capture_output=True, text=True, check=True)
    listed = set(re.findall(r"^  make (\S+)", done.stdout, re.M))
    assert {"setup", "demo", "test", "check", "unit", "lint", "types", "imports", "docs", "train-pocket"} <= listed
    assert "clean" in listed


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
    # A variable would beat the settings that a run was submitted with.
    assert not re.search(r"^[^#]*AUDITOR_", text, re.M)
    assert "--constraint constraints.txt" in text
