"""The exported site at scale: 80,000 synthetic adapters, exported by the real command and measured in Chromium.

    python benchmarks/site_80k.py --adapters 80000 --folder /big/disk/site

Concepts are those of the general lexicon. Each adapter has one to eight of them, the popular ones far more often
(frequencies fall as 1/rank), in two bases; directions of concepts are as alike as those of words, so that nearly every
adapter has a little of nearly every concept. A quarter has a trigger, one in 25 is a copy, pictures are WebP files of
160 pixels.
The catalog is made once and kept. Export: wall-clock, CPU seconds, largest resident size of the process. Browser:
headless Chromium with an empty profile, from disk, median of --rounds; bytes are those of all files that the first view
asks for. Memory is the JavaScript heap.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import duckdb
from playwright.sync_api import Page, sync_playwright
from site_catalog import build

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from auditor.catalog.search import search

QUESTIONS = {
    "one concept": "vibrant",
    "two concepts": "most vibrant watercolor LoRA",
    "two, not a third": "vibrant watercolor but not dark",
    "with filters": "watercolor for sdxl, commercial use ok, more than 100 downloads",
    "neighbours": "like owner000/adapter-000000",
    "neighbours that are more of something": "like owner000/adapter-000000 but more vibrant",
}
FILTERS = {"a licence": ("license", "mit"), "a base": ("base", "sdxl"), "an order": ("order", "newest")}
FIRST = 10
MOVED = ("vibrant", "watercolor", "dark", "blurry")
ASK = "async (text) => { byId('words').value = text; await ask(); return hits.length }"


def export(folder: Path, out: Path) -> dict[str, object]:
    """The real command, measured."""
    shutil.rmtree(out, ignore_errors=True)
    started = time.monotonic()
    command = [sys.executable, "-m", "auditor.cli.main", "--profile", "pocket", "--work-dir", str(folder), "--quiet"]
    subprocess.run([*command, "export", "--format", "site", "--out", str(out)], check=True)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    sizes = {
        name: sum(path.stat().st_size for path in (out / "site").glob(f"{name}/*.js")) / 1e6
        for name in ("concepts", "scores", "detail")
    }
    return {
        "minutes": round((time.monotonic() - started) / 60, 1),
        "cpu_minutes": round((used.ru_utime + used.ru_stime) / 60, 1),
        "peak_rss_gb": round(used.ru_maxrss / 1e6, 2),
        "files": sum(len(names) for _, _, names in os.walk(out)),
        "mb": {name: round(size, 1) for name, size in sizes.items()}
        | {
            name: round((out / "site" / f"{name}.js").stat().st_size / 1e6, 2)
            for name in ("core", "first", "words", "sketch")
        },
    }


def first_view(page: Page, index: str, out: Path) -> dict[str, float]:
    """Milliseconds until the first cards and their pictures are there, and the size of what was asked for."""
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    started = time.monotonic()
    page.goto(index)
    page.wait_for_function("document.querySelectorAll('#results li').length > 0")
    listed = time.monotonic()
    page.wait_for_function(
        "document.querySelectorAll('#results img').length > 0 && [...document.images].every((i) => i.complete)"
    )
    drawn = time.monotonic()
    files = [out / url.removeprefix(out.as_uri() + "/") for url in set(asked) if url.startswith("file:")]
    size = sum(file.stat().st_size for file in files)
    return {"cards_ms": 1000 * (listed - started), "pictures_ms": 1000 * (drawn - started), "mb": size / 1e6}


def timed(page: Page, action: str, argument: object) -> float:
    """Milliseconds of a script, until what it drew is on the screen."""
    script = (
        "async ([action, argument]) => { const t = performance.now(); await eval(action)(argument); "
        "await new Promise((done) => requestAnimationFrame(() => setTimeout(done, 0))); return performance.now() - t }"
    )
    return float(page.evaluate(script, [action, argument]))


def browse(out: Path, rounds: int) -> dict[str, Any]:
    """First view, questions and filters, each in a browser with an empty profile."""
    index = (out / "index.html").as_uri()
    program = shutil.which("chromium") or shutil.which("google-chrome")
    runs: list[dict[str, float]] = []
    options = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--enable-precise-memory-info"]
    with sync_playwright() as driver:
        for _ in range(rounds):
            with closing(driver.chromium.launch(executable_path=program, args=options)) as browser:
                page = browser.new_context(bypass_csp=True, viewport={"width": 1200, "height": 900}).new_page()
                seen = first_view(page, index, out)
                for place, (name, text) in enumerate(QUESTIONS.items()):
                    seen[f"{name}, {'first of all' if place == 0 else 'first time'}"] = timed(page, ASK, text)
                    seen[f"{name}, again"] = timed(page, ASK, text)
                page.evaluate(ASK, "")
                for name, (field, value) in FILTERS.items():
                    change = f"async (v) => {{ byId('{field}').value = v; await ask(); byId('{field}').value = ''; }}"
                    seen[f"filter: {name}"] = timed(page, change, value)
                page_of = "async (a) => { await openPage(a) }"
                seen["page of one adapter"] = timed(page, page_of, "owner123/adapter-000123")
                seen["heap_mb"] = float(page.evaluate("performance.memory.usedJSHeapSize / 1e6"))
                runs.append(seen)
    return {name: round(statistics.median(run[name] for run in runs), 2) for name in runs[0]}


def agreement(database: Path, out: Path, count: int) -> dict[str, float]:
    """Of the first ten neighbours that are more of something, how many the site has among its first ten, and twenty."""
    with closing(duckdb.connect(str(database), read_only=True)) as connection:
        repos = connection.execute(
            "SELECT repo_id FROM adapters WHERE audit_id IS NOT NULL ORDER BY sha256(repo_id) LIMIT ?", [count]
        ).fetchall()
    questions = [f"like {repo} but more {MOVED[place % len(MOVED)]}" for place, (repo,) in enumerate(repos)]
    asked = (
        "async (text) => { byId('words').value = text; await ask(); return hits.slice(0, 20).map((h) => h.row.repo) }"
    )
    program = shutil.which("chromium") or shutil.which("google-chrome")
    shares: dict[str, list[float]] = {"among ten": [], "among twenty": []}
    with (
        sync_playwright() as driver,
        closing(driver.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-gpu"])) as browser,
    ):
        page = browser.new_context(bypass_csp=True).new_page()
        page.goto((out / "index.html").as_uri())
        page.wait_for_function("document.querySelectorAll('#results li').length > 0")
        for text in questions:
            expected = {hit.repo_id for hit in search(database, text, FIRST).hits}
            seen = page.evaluate(asked, text)
            shares["among ten"].append(len(expected & set(seen[:FIRST])) / len(expected))
            shares["among twenty"].append(len(expected & set(seen)) / len(expected))
    return {name: round(statistics.mean(values), 3) for name, values in shares.items()}


def main() -> int:
    """Build if asked, export, browse; print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--adapters", type=int, default=80_000)
    parser.add_argument("--folder", type=Path, default=Path("/tmp/auditor-site"))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--neighbours", type=int, default=40, help="questions asked of the site and of the command")
    parser.add_argument("--no-export", action="store_true", help="measure the site that is there")
    chosen = parser.parse_args()
    chosen.folder.mkdir(parents=True, exist_ok=True)
    database, out = chosen.folder / "catalog.duckdb", chosen.folder / "out"
    if not database.exists():
        build(database, chosen.adapters, chosen.folder)
    seen: dict[str, object] = {"catalog_gb": round(database.stat().st_size / 1e9, 2)}
    if not chosen.no_export:
        seen["export"] = export(chosen.folder, out)
        print(seen, file=sys.stderr, flush=True)
    seen["browser"] = browse(out, chosen.rounds)
    seen["neighbours moved, of those of the command"] = agreement(database, out, chosen.neighbours)
    print(json.dumps(seen, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
