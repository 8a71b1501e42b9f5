"""Merge at scale: N synthetic results of production size, rebuilt at once and grown by a night, and searched.

    python benchmarks/merge.py --results 80000 --night 2000 --folder /big/disk/merge

Writes the results once (about 150 kB each, so 12 GB for 80,000) and keeps them for the next call. Every merge is the
real command in a process of its own; seconds are wall-clock, CPU seconds those of all its processes, memory the
largest sum of resident sizes over the process and its readers. Ends with 1 when the grown catalog differs from the
rebuilt one in any row.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import duckdb

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.synthetic_results import PRODUCTION, SyntheticWorld

_SETTINGS = ["--profile", "pocket", "--set", "recipe.lexicon=general-1"]
_SAMPLE_S = 0.1


def world(folder: Path) -> SyntheticWorld:
    """The work folder that everything happens in."""
    return SyntheticWorld(folder, PRODUCTION, lexicon_name="general-1")


def write_part(folder: Path, first: int, last: int) -> None:
    """Write results first..last-1 that are not there yet."""
    made = world(folder)
    for number in range(first, last):
        made.write_result(number)


def write_results(folder: Path, count: int) -> None:
    """Write what is missing, on all cores."""
    step = 500
    with ProcessPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        parts = [pool.submit(write_part, folder, n, min(n + step, count)) for n in range(0, count, step)]
        for place, part in enumerate(parts):
            part.result()
            print(f"\rresults written: {min((place + 1) * step, count)}", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)


def resident_bytes(pid: int) -> int:
    """Resident size of a process and its descendants; shared pages are counted in each."""
    total, todo = 0, [pid]
    while todo:
        one = todo.pop()
        try:
            total += int(Path(f"/proc/{one}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
            todo += [int(child) for child in Path(f"/proc/{one}/task/{one}/children").read_text().split()]
        except (OSError, IndexError):
            continue
    return total


def run_merge(folder: Path, *options: str) -> dict[str, object]:
    """One merge, measured."""
    command = [sys.executable, "-m", "auditor.cli.main", *_SETTINGS, "--work-dir", str(folder), "--quiet"]
    started, peak, before = time.monotonic(), 0, resource.getrusage(resource.RUSAGE_CHILDREN)
    process = subprocess.Popen([*command, "merge", "--json", *options], stdout=subprocess.PIPE, text=True)
    while process.poll() is None:
        peak = max(peak, resident_bytes(process.pid))
        time.sleep(_SAMPLE_S)
    seconds, after = time.monotonic() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    if process.returncode != 0:
        sys.exit(f"merge ended with {process.returncode}")
    assert process.stdout is not None
    report = json.loads(process.stdout.read())
    size = (folder / "catalog.duckdb").stat().st_size
    seen = {
        "seconds": round(seconds, 1),
        "cpu_seconds": round(cpu, 1),
        "peak_rss_gb": round(peak / 1e9, 2),
        "file_gb": round(size / 1e9, 2),
        **{name: report[name] for name in ("audits", "read", "carried", "reconciles")},
    }
    print(options or "merge", seen, file=sys.stderr, flush=True)
    return seen


def differences(one: Path, other: Path) -> list[str]:
    """Tables whose rows are not the same in both catalogs, but for what a merge says of itself."""
    with duckdb.connect(":memory:", config={"memory_limit": "4GB", "temp_directory": str(one.parent / "spill")}) as c:
        c.execute(f"ATTACH '{one}' AS one (READ_ONLY)")
        c.execute(f"ATTACH '{other}' AS other (READ_ONLY)")
        tables = [
            row[0]
            for row in c.execute(
                "SELECT table_name FROM duckdb_tables() WHERE database_name = 'one' "
                "AND table_name NOT IN ('runs', 'schema_migrations')"
            ).fetchall()
        ]
        odd = []
        for table in tables:
            # Sums of row hashes do not depend on order, and two tables of 80 million rows cannot be sorted here.
            digest = "SELECT count(*), sum(hash(t)::HUGEINT), bit_xor(hash(t)) FROM {} t"
            first = c.execute(digest.format(f"one.{table}")).fetchall()
            if first != c.execute(digest.format(f"other.{table}")).fetchall():
                odd.append(table)
        return odd


def main() -> int:
    """Write, rebuild, grow, compare; print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=int, default=8_000, help="items in all, those of the night included")
    parser.add_argument("--night", type=int, default=2_000, help="how many of them the night adds")
    parser.add_argument("--folder", type=Path, default=Path("/tmp/auditor-merge"))
    chosen = parser.parse_args()
    folder, before, after = chosen.folder, chosen.results - chosen.night, chosen.results
    database, made = folder / "catalog.duckdb", world(folder)
    write_results(folder, after)
    made.write(before, results=0)
    hidden = folder / "night"
    hide(made, hidden, before, after)
    seen: dict[str, object] = {"results": after}
    database.unlink(missing_ok=True)
    seen["first"] = run_merge(folder)
    show(made, hidden, before, after)
    made.write(after, results=0)
    seen["night"] = run_merge(folder)
    database.rename(folder / "grown.duckdb")
    seen["rebuilt"] = run_merge(folder, "--rebuild")
    odd = differences(folder / "grown.duckdb", database)
    seen["tables_that_differ"] = odd
    print(json.dumps(seen, indent=1))
    return 1 if odd else 0


def hide(made: SyntheticWorld, hidden: Path, first: int, last: int) -> None:
    """Take the results of a night away."""
    for path in _paths(made, first, last):
        target = hidden / path.relative_to(made.workspace.results)
        target.parent.mkdir(parents=True, exist_ok=True)
        if path.exists():
            path.rename(target)


def show(made: SyntheticWorld, hidden: Path, first: int, last: int) -> None:
    """Put them back."""
    for path in _paths(made, first, last):
        (hidden / path.relative_to(made.workspace.results)).rename(path)


def _paths(made: SyntheticWorld, first: int, last: int) -> list[Path]:
    return [path for number in range(first, last) if (path := made.path(number)) is not None]


if __name__ == "__main__":
    sys.exit(main())
