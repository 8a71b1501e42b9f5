"""The hub profile from `auditor doctor` to the export, on models of the real classes with random weights.

    python -m tests.rehearsal FOLDER                 small models, every base of the profile; minutes on a CPU
    python -m tests.rehearsal FOLDER --full sd15     Stable Diffusion 1.5 and its CLIP at their published size

The repos that the profile names are written as folders and served by the loopback Hub beside strangers' adapters. They
come into the Hub cache by the very lines that the doctor prints. Then every stage runs as a command, twice: all bases
with injected adapters and Qwen2-VL in this process, then the bases that are switched on as shipped, with merged
adapters and a server of the task's own.

What small models change. Families are recognised by the shapes of the published models, which small ones do not have:
here the small ones are the published models, and the table of shapes is written from them by the function that
writes the real one (`tests.published_shapes`). In the same way open_clip's configuration of the profile's encoder is
replaced by a small one under the same name. Everything else is the profile's own but for OVERRIDES, and
`test_rehearsal.py` holds which settings those are. A full-size rehearsal replaces no table.

`report.json` in the folder says what each command did; the rest is where the commands left it.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import resource
import shlex
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from auditor.pocket.hub_server import HubIndex, HubServer, Identity, serve
from auditor.pocket.hub_server.index import load_repo
from tests.rehearsal.overrides import FULL, SECOND_NIGHT, Tree, as_toml, small

TOKEN = "hf_rehearsal"


def main() -> None:
    """Write the world, run the commands."""
    parser = argparse.ArgumentParser(prog="python -m tests.rehearsal")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--full", choices=sorted(FULL))
    parser.add_argument("--only", nargs="+", help="small models of these bases alone")
    chosen = parser.parse_args()
    folder = chosen.folder.absolute()
    folder.mkdir(parents=True)
    with serve(HubIndex(), tokens={TOKEN: Identity("rehearsal")}) as hub:
        # before any library is imported that reads them once
        os.environ |= {
            "HF_HOME": str(folder / "hf"),
            "HF_ENDPOINT": hub.endpoint,
            "HF_TOKEN": TOKEN,
            "STUB_STATE": str(folder),
        }
        from tests.rehearsal.world import write_world

        overrides = FULL[chosen.full] if chosen.full else small(chosen.only)
        (folder / "auditor.toml").write_text(as_toml(overrides, folder), "utf-8")
        started = time.monotonic()
        write_world(folder, full=chosen.full)
        for kind in ("models", "adapters"):
            found = sorted(path for path in (folder / kind).glob("*/*") if path.is_dir())
            hub.index.add(load_repo(f"{path.parent.name}/{path.name}", path) for path in found)
        Rehearsal(folder, hub, {"build": time.monotonic() - started}).run(second=not chosen.full)


class Rehearsal:
    """The commands, and what is noted of them."""

    def __init__(self, folder: Path, hub: HubServer, seconds: dict[str, float]) -> None:
        self.folder, self.hub = folder, hub
        self.report: dict[str, Any] = {"seconds": seconds, "codes": {}, "fetched": []}

    def run(self, *, second: bool) -> None:
        """All commands, in the order in which a person gives them."""
        self.fetch_models(self.command("doctor before", "doctor", "--json"))
        self.command("doctor", "doctor", "--json")
        self.command("doctor of the hub", "doctor", "--hub", "--json")
        self.night("first night")
        if second:
            sets = [part for text in _flat(SECOND_NIGHT, self.folder) for part in ("--set", text)]
            self.command("doctor of the second night", *sets, "doctor", "--json")
            self.night("second night", *sets)

    def night(self, name: str, *options: str) -> None:
        """A night and its export; the catalog is kept as the night left it."""
        self.command(name, *options, "nightly", "--json")
        catalog = self.folder / "work" / "catalog.duckdb"
        if catalog.exists():
            shutil.copy(catalog, self.folder / f"{name}.duckdb")
        self.command(f"{name}, export", *options, "export", "--out", str(self.folder / f"export of {name}"))

    def command(self, name: str, *arguments: str) -> str:
        """Run one command of the program in this process; what it printed lies in log/."""
        from auditor.cli.main import run

        log = self.folder / "log"
        log.mkdir(exist_ok=True)
        started = time.monotonic()
        print(f"{name}: auditor {shlex.join(arguments)}", file=sys.__stdout__, flush=True)
        out, err = (log / f"{name}.{kind}" for kind in ("out", "err"))
        with (
            out.open("w") as stdout,
            err.open("w") as stderr,
            contextlib.redirect_stdout(stdout),
            contextlib.redirect_stderr(stderr),
        ):
            try:
                run(["--config", str(self.folder / "auditor.toml"), *arguments])
            except SystemExit as end:
                self.report["codes"][name] = end.code
        self.report["seconds"][name] = time.monotonic() - started
        self.report["cpu_seconds"] = time.process_time()
        self.report["peak_bytes"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        (self.folder / "report.json").write_text(json.dumps(self.report, indent=2), "utf-8")
        return out.read_text("utf-8")

    def fetch_models(self, doctor: str) -> None:
        """Put the models into the Hub cache by the doctor's own lines."""
        from huggingface_hub import snapshot_download

        started = time.monotonic()
        for advice in (check["advice"] or "" for check in json.loads(doctor)["checks"]):
            if "`hf download " not in advice:
                continue
            line = advice.partition("`")[2].partition("`")[0]
            parser = argparse.ArgumentParser()
            parser.add_argument("repo")
            parser.add_argument("--revision")
            parser.add_argument("--include", action="append")
            parser.add_argument("--exclude", action="append")
            asked = parser.parse_args(shlex.split(line)[2:])
            snapshot_download(
                asked.repo, revision=asked.revision, allow_patterns=asked.include, ignore_patterns=asked.exclude
            )
            self.report["fetched"].append(line)
        self.report["seconds"]["fetch"] = time.monotonic() - started


def _flat(tree: Tree, folder: Path, prefix: str = "") -> Iterator[str]:
    """Settings as the words of --set."""
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from _flat(value, folder, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}={json.dumps(value).replace('FOLDER', str(folder))}"


if __name__ == "__main__":
    main()
