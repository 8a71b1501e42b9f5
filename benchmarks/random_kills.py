"""Kill a whole night at random moments, again and again, and compare what it leaves with an undisturbed one.

    python benchmarks/random_kills.py --kills 100 --seed 1

A night here is `auditor nightly` over a part of the pocket zoo and some broken repos, then `auditor export`. One runs
undisturbed. Others are killed (-9, all their processes) at a moment drawn from the undisturbed run's time,
started again until they end by themselves, and compared: every result record but for times, every array, every row of
the catalog, every exported file's name. Then the next night begins in another folder, until there were enough kills.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from auditor.catalog.reading import open_catalog
from auditor.errors import EXIT_ITEMS_FAILED
from auditor.results.result_file import list_results, read_result
from auditor.results.workspace import Workspace
from tests.audit.conftest import QUICK, small_hub

REPOS = (
    "ana-k/harbor-lora",
    "mkr/alder-lora",  # for one subject
    "grab-bag/reupload",
    "grab-bag/truncated",
    "grab-bag/zeros",
    "grab-bag/readme-only",
)
_TIMES = ("timings_s", "finished_at")
_OF_THE_RUN = ("runs", "schema_migrations", "result_files")


@dataclass(frozen=True)
class Night:
    """One work folder and the commands that fill it."""

    work: Path
    hub: Path

    @property
    def commands(self) -> tuple[tuple[str, ...], ...]:
        """`nightly` and `export`, with few probes."""
        overrides = (*QUICK, f"hub.serve_folder={self.hub}", "recipe.dose_scales=[0.5,1.0]")
        sets = [part for text in overrides for part in ("--set", text)]
        auditor = (sys.executable, "-m", "auditor.cli.main", "--profile", "pocket", "--work-dir", str(self.work), *sets)
        return (*auditor, "nightly"), (*auditor, "export", "--out", str(self.work / "export"))

    def run(self, kill_after_s: float | None = None) -> str | None:
        """Run to the end, or until killed; the last line of the log says where that was.

        Raises:
            SystemExit: A command failed by itself.
        """
        ends = None if kill_after_s is None else time.monotonic() + kill_after_s
        for command in self.commands:
            with tempfile.TemporaryFile("w+") as log:
                process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
                try:
                    code = process.wait(None if ends is None else max(0.0, ends - time.monotonic()))
                except subprocess.TimeoutExpired:
                    os.killpg(process.pid, signal.SIGKILL)
                    process.wait()
                    log.seek(0)
                    said = [line for line in log.read().splitlines() if line.strip()] or ["start"]
                    return f"{command[-1] if command[-1] == 'nightly' else 'export'}: {said[-1].partition(' ')[0]}"
                if code == EXIT_ITEMS_FAILED and self.given_up():
                    return "given up"
                if code:
                    log.seek(0)
                    raise SystemExit(f"{' '.join(command)} ended with {code}:\n{log.read()[-3000:]}")
        return None

    def given_up(self) -> bool:
        """Whether an item was given up because its process died three times; it is taken back, as a person would."""
        command = [*self.commands[0][:-1], "retry", "--reason", "poison", "--json"]
        run = subprocess.run(command, capture_output=True, text=True, check=True)
        return bool(json.loads(run.stdout)["results"])

    def state(self) -> dict[str, object]:
        """Everything that a night leaves and that may not depend on how it went."""
        found: dict[str, object] = {}
        for path in list_results(Workspace(self.work).results):
            result = read_result(path)
            replies = tuple(replace(reply, cached=False, duration_s=None) for reply in result.record.replies)
            record = result.record.model_copy(update={"timings_s": {}, "finished_at": "", "replies": replies})
            found[f"result {path.name}"] = record
            found[f"arrays {path.name}"] = {name: array.tobytes() for name, array in result.arrays.items()}
        with closing(open_catalog(self.work / "catalog.duckdb")) as connection:
            tables = connection.execute("SELECT table_name FROM duckdb_tables()").fetchall()
            for name in sorted(row[0] for row in tables if row[0] not in _OF_THE_RUN):
                columns = [row[0] for row in connection.execute(f"DESCRIBE {name}").fetchall()]
                kept = ", ".join(f'"{column}"' for column in columns if column not in _TIMES)
                found[f"table {name}"] = connection.execute(f"SELECT {kept} FROM {name} ORDER BY ALL").fetchall()
        exported = self.work / "export"
        found["exported"] = sorted(str(p.relative_to(exported)) for p in exported.rglob("*") if p.is_file())
        # Whole files by their own list of hashes; equal ones are those of the catalog above, but for times.
        found["torn"] = subprocess.run(
            ["sha256sum", "--quiet", "--check", "SHA256SUMS"], cwd=exported, capture_output=True, text=True, check=False
        ).stdout
        return found

    def leftovers(self) -> list[str]:
        """Temporary files that kills left: never read, and swept by hand (docs/work-folder.md)."""
        left = [path for path in self.work.rglob("*") if path.suffix in (".part", ".tmp")]
        return sorted(str(path.relative_to(self.work).parent) for path in left)


def main() -> None:
    """Kill, start again, compare, count."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    drawn = random.Random(options.seed)
    with tempfile.TemporaryDirectory(prefix="random-kills-") as folder:
        hub = small_hub(Path(folder) / "hub", REPOS)
        undisturbed = Night(Path(folder) / "undisturbed", hub)
        began = time.monotonic()
        undisturbed.run()
        length = time.monotonic() - began
        wanted = undisturbed.state()
        print(f"undisturbed: {length:.0f} s, {sum(key.startswith('result') for key in wanted)} results", flush=True)
        where: Counter[str] = Counter()
        nights = taken_back = 0
        while sum(where.values()) < options.kills:
            night = Night(Path(folder) / f"night-{nights}", hub)
            while sum(where.values()) < options.kills:
                killed_at = night.run(drawn.uniform(0.0, length))
                if killed_at is None:
                    break
                taken_back += killed_at == "given up"
                where[killed_at] += killed_at != "given up"
            # An item may have been given up by a night that was itself killed before it could say so.
            while night.run() is not None or night.given_up():
                taken_back += 1
            nights += 1
            got = night.state()
            differing = [key for key in wanted.keys() | got.keys() if wanted.get(key) != got.get(key)]
            if differing:
                raise SystemExit(f"night {nights} differs after {sum(where.values())} kills in: {sorted(differing)}")
            left = Counter(night.leftovers())
            print(
                f"night {nights}: equal after {sum(where.values())} kills in all; temporary files: {dict(left)}",
                flush=True,
            )
            shutil.rmtree(night.work)
    print(f"{sum(where.values())} kills in {nights} nights, all equal to the undisturbed one")
    print(
        f"{taken_back} times an item whose process had died three times was given up, and taken back by `auditor retry`"
    )
    for place, count in where.most_common():
        print(f"  {count:4d} {place}")


if __name__ == "__main__":
    main()
