"""A Hub full of attacks through the real chain; then every page, file and command is searched for one that lives.

A command that is not in `COMMANDS` fails the first test: list there how it is called, or why it prints nothing of
uploaders.
"""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pytest
import typer.main

from auditor.cli.main import app, run
from auditor.results.result_file import list_results
from tests.hostile import traces
from tests.hostile.attacks import ATTACKS, MARK, METADATA_FILES, OWNER, hostile_repos
from tests.stub_vlm import StubServer

pytestmark = pytest.mark.timeout(900)
QUICK = (
    "recipe.bases.pocket.steps=4", "recipe.probe_count=8", "recipe.looks=[]", "recipe.dose_scales=[0.5]",
    "recipe.dose_probes=2", "recipe.solver.image_probes=1",
    "recipe.solver.null_draws=200", "recipe.proposer.kind=openai", "recipe.proposer.requests=1",
    "recipe.trigger_arms=true",
)  # fmt: skip
STAGES = ("crawl", "plan", "prefetch", "audit", "propose", "merge")
NOTHING_OF_UPLOADERS = {
    "config": "settings",
    "demo": "the pocket world, by commands that are listed here",
    "cluster init": "batch files",
    "cost": "counts",
    "compare-bases": "bases that the settings name, and folders of our own",
    "evaluate": "our own adapters, whose content is known",
}  # fmt: skip
"""Command, or group of commands → what it is about instead."""

REPO, OTHER = f"{OWNER}/script", f"{OWNER}/line"
COMMANDS: dict[str, list[tuple[str, ...]]] = {
    "doctor": [(), ("--json",), ("--hub",)],
    "nightly": [("--dry-run", "--json"), ()],
    "explain": [(f"{OWNER}/metadata-0",), (REPO, "--json")],
    "crawl": [("--full", "--json")],
    "plan": [("--json",), ("--dry-run",)],
    "calibrate": [("--adapters", "1", "--minutes", "30", "--json")],
    "prefetch": [("--json",), ("--dry-run",)],
    "audit": [("--json",), ("--dry-run",)],
    "propose": [("--json",), ("--dry-run",)],
    "merge": [("--rebuild", "--json")],
    "report": [(), ("--json",)],
    "export": [("--out", "out"), ("--out", "out-json", "--json"), ("--dry-run",)],
    "search": [("vibrant",), ("vibrant", "--json"), ("vibrant", "--explain"), ("vibrant", "--base", "nothing like it"),
               ("vibrant", "--license", "nothing like it"), (f"like {REPO} but more vibrant",), (f"{OWNER}/prompt",),
               *[(f"vibrant, license {text}",) for text in (ATTACKS["script"], ATTACKS["sql"])]],
    "show": [*[(f"{OWNER}/{name}",) for name in ATTACKS], (REPO, "--json"), (f"{OWNER}/scrip",),
             (REPO, "--file", "nothing like it")],
    "similar": [(REPO,), (REPO, "--json"), (f"{OWNER}/x",)],
    "compare": [(REPO, OTHER), (REPO, OTHER, "--json"), (REPO, f"{OWNER}/x"),
                (REPO, OTHER, "--page", "both.html")],
    "duplicates": [(), ("--json",), ("--by-effect",)],
    "diff": [("old.duckdb", "CATALOG"), ("CATALOG", "old.duckdb"), ("old.duckdb", "CATALOG", "--json")],
    "sql": [*[(f"SELECT CAST({field} AS INTEGER) FROM lora_card WHERE repo_id = '{OWNER}/{name}'",)
              for field in ("path", "license", "trigger", "message", "tags[-1]", "base_claim")
              for name in ("line", "title", "order", "screen")],
            ("SELECT error('x' || path) FROM adapters WHERE path LIKE '%FORGED%'",),
            ("FROM lora_card", "--limit", "5000"), ("SHOW TABLES", "--json")],
    "submit": [("--dry-run",), ("--dry-run", "--json")],
    "status": [(), ("--json",), *[("--coverage", "--by", by, *more) for by in ("family", "format", "base", "reason")
                                  for more in ((), ("--json",))]],
    "retry": [("--reason", "corrupt_file", "--dry-run", "--json"), ("--reason", "hostile_metadata", "--dry-run")],
    "lexicon candidates": [(), ("--json",)],
}  # fmt: skip
"""Command → the ways in which it is called, after all stages have run."""


@dataclass(frozen=True)
class Said:
    """What a command wrote."""

    code: int
    stdout: str
    stderr: str


class _Stream(io.StringIO):
    """A stream in memory, as complete as one of the system's."""

    def __init__(self, terminal: bool) -> None:
        super().__init__()
        self.terminal = terminal

    def fileno(self) -> int:
        return 2

    def isatty(self) -> bool:
        return self.terminal


Auditor = Callable[..., Said]


def _caller(options: list[str]) -> Auditor:
    def call(*arguments: str, terminal: bool = False) -> Said:
        out, err = _Stream(terminal), _Stream(terminal)
        with redirect_stdout(out), redirect_stderr(err), pytest.raises(SystemExit) as end:
            run([*options, *arguments])
        code = end.value.code
        return Said(code if isinstance(code, int) else int(code is not None), out.getvalue(), err.getvalue())

    return call


@dataclass(frozen=True)
class Night:
    """All stages have run over the hostile Hub."""

    folder: Path
    auditor: Auditor
    said: dict[str, Said]
    asked: list[str]
    """Requests of the vision-language model."""

    @property
    def catalog(self) -> Path:
        return self.folder / "work" / "catalog.duckdb"


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory, reference_folder: Path) -> Iterator[Night]:
    folder = tmp_path_factory.mktemp("hostile")
    for name in ("work", "hub", "here"):
        (folder / name).mkdir()
    (folder / "work" / "reference").symlink_to(reference_folder)
    stub = StubServer()
    texts = list(ATTACKS.values())
    stub.behave = lambda _, number: json.dumps({"concepts": [*texts[number % 4 :: 4], f"glow {MARK}", "vibrant"]})
    settings = (*QUICK, f"serving.address={stub.url}", f"hub.serve_folder={folder / 'hub'}", "hub.odd_repos=true")
    options = ["-v", "--profile", "pocket", "--work-dir", str(folder / "work")]
    call = _caller([*options, *(part for setting in settings for part in ("--set", setting))])
    repos = list(hostile_repos())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("auditor.pocket.odd_repos.odd_repos", lambda zoo, base: repos)
        patch.chdir(folder / "here")
        said = {stage: call(stage) for stage in STAGES}
        _older(folder / "work" / "catalog.duckdb", folder / "here" / "old.duckdb")
        yield Night(folder, call, said, [json.dumps(request) for request in stub.requests])
    stub.stop()


def _older(catalog: Path, copy: Path) -> None:
    """A catalog of a night before, with fewer adapters and other outcomes and scores."""
    shutil.copy(catalog, copy)
    with duckdb.connect(str(copy)) as connection:
        connection.execute("UPDATE scores SET low = low + 9, high = high + 9, score = score + 9")
        connection.execute(f"UPDATE adapters SET outcome = 'failed' WHERE path LIKE '%{MARK}%' AND outcome = 'scored'")
        connection.execute(f"UPDATE adapters SET path = 'older ' || path WHERE repo_id LIKE '{OWNER}/s%'")


def leaves(command: Any, name: str = "") -> Iterator[str]:
    """Names of all commands."""
    inner = getattr(command, "commands", None)
    if inner is None:
        yield name
        return
    for part, below in inner.items():
        yield from leaves(below, f"{name} {part}".strip())


def test_every_command_is_listed() -> None:
    about_others = {name for name in leaves(typer.main.get_command(app)) if name.split()[0] not in NOTHING_OF_UPLOADERS}
    assert about_others - set(NOTHING_OF_UPLOADERS) == set(COMMANDS)


def test_the_attacks_reach_the_catalog(night: Night) -> None:
    """Otherwise the tests below look at nothing."""
    for stage, said in night.said.items():
        assert said.code == 0, (stage, said.stderr[-2000:])
    with duckdb.connect(str(night.catalog), read_only=True) as catalog:

        def number(sql: str) -> int:
            return int(catalog.execute(sql).fetchall()[0][0])

        scored = number("SELECT count(DISTINCT repo_id) FROM adapters WHERE outcome = 'scored'")
        assert scored == len(ATTACKS) + METADATA_FILES + 1
        for field in ("path", "license", "trigger", "base_claim", "instance_prompt", "array_to_string(tags, ' ')"):
            reached = number(f"SELECT count(DISTINCT repo_id) FROM adapters WHERE {field} LIKE '%{MARK}%' AND repo_id "
                             f"NOT LIKE '%{MARK}%'")  # fmt: skip
            assert reached >= len(ATTACKS) - (field == "path") * 10, (field, reached)
        assert number("SELECT count(*) FROM adapters WHERE reason = 'malformed_entry'") == len(ATTACKS)
        assert number(f"SELECT count(*) FROM phrases WHERE phrase LIKE '%{MARK}%'") > 0


@pytest.mark.parametrize("stage", STAGES)
def test_stages_speak_in_lines_of_their_own(night: Night, stage: str) -> None:
    traces.terminal(night.said[stage].stdout)
    traces.terminal(night.said[stage].stderr)


def test_logs_are_lines_of_their_own(night: Night) -> None:
    logs = list((night.folder / "work" / "logs").glob("*.jsonl"))
    assert len(logs) >= len(STAGES) and any(MARK in path.read_text() for path in logs)
    for path in logs:
        traces.log(path.read_text())


def test_the_model_is_asked_nothing_of_uploaders(night: Night) -> None:
    assert night.asked and not [request for request in night.asked if MARK in request]


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("terminal", [False, True], ids=["pipe", "terminal"])
def test_commands(night: Night, command: str, terminal: bool) -> None:
    # On a terminal the same texts pass another table; two ways of calling show it.
    for arguments in COMMANDS[command][: 2 if terminal else None]:
        given = [str(night.catalog) if part == "CATALOG" else part for part in arguments]
        said = night.auditor(*command.split(), *given, terminal=terminal)
        assert said.code in (0, 2, 3), (given, said.stderr[-2000:])
        try:
            if "--json" in arguments and said.code == 0:
                traces.as_json(said.stdout)
            (traces.readable if terminal else traces.terminal)(said.stdout)
            (traces.readable if terminal else traces.terminal)(said.stderr)
        except AssertionError as error:
            raise AssertionError(f"auditor {command} {given}: {error}") from error


def test_every_table(night: Night) -> None:
    tables = traces.as_json(night.auditor("sql", "SHOW TABLES", "--json").stdout)
    assert isinstance(tables, list) and len(tables) > 20
    for table in tables:
        shown = night.auditor("sql", f"FROM {table['name']}", "--limit", "300")
        assert shown.code == 0, shown.stderr
        traces.terminal(shown.stdout)


@pytest.fixture(scope="module")
def exported(night: Night) -> Path:
    out = night.folder / "here" / "export"
    assert night.auditor("export", "--out", str(out)).code == 0
    return out


def test_every_exported_file(exported: Path) -> None:
    seen: set[str] = set()
    ours = {"site/question.js", "site/answer.js", "site/adapter.js", "site/gallery.js"}
    scripts = frozenset(f"site/{path.name}" for path in (exported / "site").glob("*.js"))
    for path in sorted(path for path in exported.rglob("*") if path.is_file()):
        name, kind = path.relative_to(exported).as_posix(), path.suffix
        if name.split("/")[0] == "data" or name in ours or kind == ".css":
            continue
        text = path.read_bytes().decode()
        if name == "index.html":
            assert MARK not in traces.html(text, scripts)
        elif kind == ".html":
            traces.html(text)
        elif kind == ".js":
            traces.script_data(text)
        elif kind == ".csv":
            traces.spreadsheet(text)
        elif kind == ".jsonl":
            for line in text.split("\n")[:-1]:
                json.loads(line)
        elif kind == ".md":
            traces.markdown(text)
            assert MARK not in text
        elif name.startswith("sidecars/"):
            traces.sidecar(text)
        else:
            assert name in ("SHA256SUMS", "export.json") and MARK not in text, name
        seen |= {kind} if MARK in text else set()
    assert {".html", ".js", ".csv", ".jsonl", ".json"} <= seen, "an export in which nothing was hostile"


def test_sidecars_beside_local_files(night: Night) -> None:
    folder = night.folder / "loras"
    folder.mkdir()
    blobs = [path for path in (night.folder / "work").rglob("*") if path.is_file() and path.stat().st_size > 10_000
             and path.read_bytes()[8:9] == b"{"]  # fmt: skip
    for number, blob in enumerate(blobs):
        shutil.copy(blob, folder / f"{number}.safetensors")
    said = night.auditor("export", "--beside", str(folder))
    assert said.code == 0
    traces.terminal(said.stderr)
    written = list(folder.glob("*.json"))
    assert len(written) > METADATA_FILES
    for path in written:
        traces.sidecar(path.read_text())


def test_explained_pages(night: Night) -> None:
    for name in ("script", "line", *(f"metadata-{number}" for number in range(METADATA_FILES))):
        page = night.folder / "here" / f"page-{name}.html"
        card = night.folder / "here" / f"card-{name}"
        said = night.auditor("explain", f"{OWNER}/{name}", "--page", str(page), "--card", str(card))
        assert said.code == 0, said.stderr
        traces.markdown((card / "audit.md").read_text())
        traces.terminal(said.stderr)
        traces.html(page.read_text())


def test_the_morning_report(night: Night) -> None:
    page, text = (night.folder / "work" / f"report.{kind}" for kind in ("html", "md"))
    assert MARK in traces.html(page.read_text()) + page.read_text(), "a report in which nothing was hostile"
    traces.markdown(text.read_text())


def test_the_page_of_two_adapters(night: Night) -> None:
    page = night.folder / "here" / "two.html"
    assert night.auditor("compare", REPO, OTHER, "--page", str(page)).code == 0
    traces.html(page.read_text())


def test_nothing_was_written_dropped_or_run_by_an_attack(night: Night) -> None:
    named = [path for path in night.folder.rglob("*") if MARK in path.name]
    assert not named, "a file that bears an uploader's name"
    assert {path.name for path in night.folder.iterdir()} <= {"work", "hub", "here", "loras"}
    assert not list(night.folder.parent.glob(f"*{MARK}*"))
    with duckdb.connect(str(night.catalog), read_only=True) as catalog:
        assert len(catalog.execute("FROM adapters").fetchall()) > len(ATTACKS)
    assert len(list(list_results(night.folder / "work" / "results"))) > METADATA_FILES
