"""The project's own files: pins, build server, Slurm scripts, links, and what the package must never do."""

import ast
import os
import re
import subprocess
import tomllib
from collections import Counter
from pathlib import Path


def _tracked(repository: Path, pattern: str) -> list[Path]:
    skipped = {".venv", ".git", ".auditor", "node_modules"}
    return [path for path in sorted(repository.rglob(pattern)) if skipped.isdisjoint(path.parts)]


def _canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _project(repository: Path) -> dict:
    return tomllib.loads((repository / "pyproject.toml").read_text())["project"]


def _pins(file: Path) -> dict[str, str]:
    """Name to version; fails where a line is no exact pin, or a name stands twice."""
    lines = [line for line in file.read_text().splitlines() if line[:1] not in ("", "#")]
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.+!]+", line) for line in lines)
    pins = {_canonical(name): version for name, _, version in (line.partition("==") for line in lines)}
    assert len(pins) == len(lines)
    return pins


def test_every_dependency_has_one_exact_pin(repository):
    project = _project(repository)
    wanted = [*project["dependencies"], *project["optional-dependencies"]["dev"]]
    names = {_canonical(re.match(r"[A-Za-z0-9._-]+", line).group()) for line in wanted}
    assert names <= set(_pins(repository / "constraints.txt"))


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


def _modules(repository: Path) -> list[Path]:
    # The second pocket world has the first one's names until it takes its place.
    replacement = repository / "auditor" / "pocket" / "second"
    return [path for path in _tracked(repository / "auditor", "*.py") if not path.is_relative_to(replacement)]


def test_no_module_is_longer_than_a_sitting(repository):
    long = [path.name for path in _modules(repository) if path.read_text().count("\n") > 300]
    assert not long, "split it by what its parts are for"


def test_only_tables_are_kept_from_the_formatter(repository):
    """A kept statement is a table: a literal, an alias or a call that holds rows, or the cases of a test."""
    others = []
    for path in [*_modules(repository), *_tracked(repository / "tests", "*.py")]:
        text = path.read_text()
        kept = {number for number, line in enumerate(text.splitlines(), 1) if line.endswith("# fmt: skip")}
        if not kept:
            continue
        tables = set()
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Assign | ast.AnnAssign):
                tables.add(node.end_lineno)
            elif isinstance(node, ast.FunctionDef):
                tables |= {decorator.end_lineno for decorator in node.decorator_list}
        others += [f"{path.name}:{number}" for number in sorted(kept - tables)]
    assert not others, "CONTRIBUTING.md says what may be kept from the formatter"


def test_no_two_modules_share_a_name(repository):
    names = [path.name for path in _modules(repository) if not path.name.startswith("__")]
    twice = {name for name in names if names.count(name) > 1}
    assert twice <= set(SAME_MEANING), "a reader who searches for a module finds one"


def test_no_two_public_classes_share_a_name(repository):
    counts = Counter(
        node.name
        for path in _modules(repository)
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_")
    )
    assert not [name for name, count in counts.items() if count > 1], "a reader who searches for a class finds one"


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
    # The wheels bring CUDA's libraries: an image with a second set of them is gigabytes for nothing.
    assert re.search(r"^ARG CUDA_IMAGE=nvidia/cuda:\d[\d.]+-base-\S+$", text, re.M)
    assert re.search(r"^USER auditor$", text, re.M)
    # A variable would beat the settings that a run was submitted with.
    assert not re.search(r"^[^#]*AUDITOR_", text, re.M)


def test_docker_image_installs_nothing_but_pinned_versions(repository):
    text = re.sub(r"\\\n", " ", (repository / "Dockerfile").read_text())
    installs = re.findall(r"pip install ([^&\n]*)", text)
    assert len(installs) == 3 and all("--constraint" in install for install in installs)
    assert "COPY constraints-vllm.txt /tmp/" in text and "COPY pyproject.toml constraints.txt ./" in text
    pins = _pins(repository / "constraints-vllm.txt")
    # docs/vlm.md tells GPU nodes without the image what to install.
    assert f"vllm=={pins['vllm']}" in (repository / "docs" / "vlm.md").read_text()
    assert {"torch", "transformers", "nvidia-cuda-runtime"} <= set(pins)
