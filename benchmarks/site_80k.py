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
import hashlib
import io
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
from PIL import Image, ImageFilter
from playwright.sync_api import Page, sync_playwright

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from auditor.catalog.bulk_insert import Loader
from auditor.catalog.publishing import new_database, sole_writer
from auditor.catalog.reference_rows import BasisVectors, load_reference
from auditor.catalog.search import search
from auditor.probes import load_probes
from tests.synthetic_results import PRODUCTION, SyntheticWorld

BASES = ("pocket", "sdxl")
PROMPTS = ("a red boat on sand", "a house by a lake")
LICENCES = ("creativeml-openrail-m", "mit", "apache-2.0", "cc-by-nc-4.0", "other", None)
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
_BATCH = 2_000


class Drawn:
    """Directions of concepts, and adapters that have some."""

    def __init__(self, folder: Path) -> None:
        self.worlds = [SyntheticWorld(folder, PRODUCTION, "general-1", base) for base in BASES]
        self.names = self.worlds[0].lexicon.names
        random = np.random.default_rng(0)
        count, size = len(self.names), PRODUCTION.dimension
        # A few dozen shared causes give pairs of directions the cosines that those of real concepts have.
        causes = random.normal(size=(24, size)) / np.sqrt(size)
        self.directions = {}
        for base in BASES:
            made = (
                random.normal(size=(count, 24)) @ causes / np.sqrt(24) + random.normal(size=(count, size)) / size**0.5
            )
            self.directions[base] = (made * 0.25).astype(np.float32)
        ranks = random.permutation(count) + 1.0
        self.popularity = (1 / ranks) / np.sum(1 / ranks)

    def batch(self, base: str, count: int, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """V (n, D) and score, low, high, projection (n, k, 4) of some adapters."""
        weights = np.zeros((count, len(self.names)))
        for row, some in enumerate(random.integers(1, 9, size=count)):
            chosen = random.choice(len(self.names), size=some, replace=False, p=self.popularity)
            weights[row, chosen] = random.gamma(2.0, 0.2, size=some)
        f = self.directions[base].astype(np.float64)
        vectors = weights @ f + random.normal(scale=0.004, size=(count, f.shape[1]))
        along = vectors @ f.T / np.sum(f**2, axis=1)
        width = random.uniform(0.02, 0.3, size=weights.shape)
        touched = (weights > 0) | (random.random(weights.shape) < 0.5)
        low, high = np.maximum(weights - width, 0), np.where(touched, weights + width, 0)
        return vectors.astype(np.float32), np.stack([weights, low, high, along], axis=2).astype(np.float32)


def build(database: Path, adapters: int, folder: Path) -> None:
    """A catalog, written straight into its tables."""
    drawn = Drawn(folder)
    with sole_writer(database), new_database(database) as connection:
        lexicon = drawn.worlds[0].lexicon
        basis = {
            world.recipe.recipe_id: BasisVectors(drawn.names, drawn.directions[world.base_name], np.zeros((0, 768)))
            for world in drawn.worlds
        }
        load_reference(
            Loader(connection), [world.recipe for world in drawn.worlds], lexicon, basis, [load_probes("pocket-1")]
        )
        random = np.random.default_rng(1)
        bases = _store_pictures(connection, (f"base{n}" for n in range(len(BASES) * len(PROMPTS))))
        for number, start in enumerate(range(0, adapters, _BATCH)):
            _add(connection, drawn, number % len(BASES), range(start, min(start + _BATCH, adapters)), random, bases)
            print(f"\radapters made: {start + _BATCH}", end="", file=sys.stderr, flush=True)
        print(file=sys.stderr)
        connection.execute(
            f"INSERT INTO runs SELECT 'x', now()::TIMESTAMP, now()::TIMESTAMP, '0', 'general-1', 'x', {adapters}, 0, "
            f"{adapters}, 0, 0, 0, 0, 0, 0, {adapters}, 0, 0, 0, 'x'"
        )


def _add(
    connection: duckdb.DuckDBPyConnection,
    drawn: Drawn,
    base: int,
    numbers: range,
    random: np.random.Generator,
    bases: list[str],
) -> None:
    """Audits, units, scores, doses and pictures of some adapters."""
    world, names = drawn.worlds[base], drawn.names
    vectors, values = drawn.batch(world.base_name, len(numbers), random)
    made = pa.table({"n": pa.array(numbers, pa.int32()), "v": pa.array(list(vectors))})
    connection.register("made", made)
    connection.execute(
        "INSERT INTO audits BY NAME SELECT n AS audit_id, sha256(n::VARCHAR) AS file_sha256, "
        f"'{world.recipe.recipe_id}' AS recipe_id, 'scored' AS outcome, 'Scored.' AS message, "
        f"'{world.base_name}' AS base_name, false AS base_assumed, false AS card_mismatch, 50 AS probes, "
        "0.4 AS effect_norm, 0.01 AS noise_floor, 0.001 AS p_value, 0.03 AS cosine_error, 0.6 AS explained_share, "
        "'explained' AS status, 'answered' AS proposals, [] AS top_concepts, 'none' AS result_file, "
        "'x' AS first_repo_id, 'c' AS first_commit_sha, 'x' AS first_path, v AS divergence FROM made"
    )
    licences = ", ".join("NULL" if name is None else f"'{name}'" for name in LICENCES)
    connection.execute(
        "INSERT INTO adapters BY NAME SELECT n AS adapter_id, printf('owner%03d/adapter-%06d', n % 997, n) AS repo_id, "
        "sha256(n::VARCHAR)[:40] AS commit_sha, 'pytorch_lora_weights.safetensors' AS path, 'scored' AS outcome, "
        "'Scored.' AS message, n - (n % 25 = 24)::INT AS audit_id, sha256((n - (n % 25 = 24)::INT)::VARCHAR) AS "
        "file_sha256, sha256((n - (n % 25 = 24)::INT)::VARCHAR) AS weights, 20000000 + n AS size_bytes, 1 AS copies, "
        f"'{world.base_name}' AS base_name, [] AS base_models, [] AS tags, n % 31 = 0 AS nsfw, "
        "(100000 / (1 + hash(n) % 5000))::INT AS downloads, hash(n) % 50 AS likes, "
        f"[{licences}][1 + n % {len(LICENCES)}] AS license, TIMESTAMP '2024-01-01' + INTERVAL (n % 700) DAY AS "
        "created_at, CASE WHEN n % 4 = 0 THEN 'sks style ' || n END AS trigger FROM made"
    )
    for table, some in (("scores", values), ("trigger_scores", values[[n % 4 == 0 for n in numbers]])):
        ids = [n for n in numbers if table == "scores" or n % 4 == 0]
        columns = {name: some[:, :, i].T.ravel() for i, name in enumerate(("score", "low", "high", "projection"))}
        concept = pa.DictionaryArray.from_arrays(
            np.repeat(np.arange(len(names), dtype=np.int32), len(ids)), list(names)
        )
        rows = {"audit_id": np.tile(np.asarray(ids, np.int32), len(names)), "concept": concept, **columns}
        connection.register(
            "rows", pa.table(rows | ({"probes": np.full(some[:, :, 0].size, 50)} if table == "scores" else {}))
        )
        connection.execute(f"INSERT INTO {table} BY NAME FROM rows ORDER BY concept, audit_id")
    best = np.argsort(-values[:, :, 0], axis=1)[:, :3]
    for scale in (0.5, 1.0, 1.5):
        projections = [{names[i]: float(scale * values[row, i, 3]) for i in best[row]} for row in range(len(numbers))]
        loader = Loader(connection)
        for n, reach in zip(numbers, projections, strict=True):
            loader.add("dose", n, scale, scale, list(reach.items()))
        loader.flush()
    own = _store_pictures(connection, (f"{n}/{p}" for n in numbers for p in range(len(PROMPTS))))
    loader = Loader(connection)
    for row, n in enumerate(numbers):
        for p, prompt in enumerate(PROMPTS):
            loader.add("pairs", n, p, prompt, bases[base * len(PROMPTS) + p], own[row * len(PROMPTS) + p])
    loader.flush()


_PAINTED: list[bytes] = []


def _store_pictures(connection: duckdb.DuckDBPyConnection, names: Iterator[str]) -> list[str]:
    """One of 64 photographs-like pictures each, made its own by bytes that decoders ignore; their hashes."""
    if not _PAINTED:
        random = np.random.default_rng(2)
        for _ in range(64):
            coarse = random.integers(0, 256, size=(12, 12, 3), dtype=np.uint8)
            picture = Image.fromarray(coarse).resize((160, 160), Image.Resampling.BICUBIC)
            grain = random.normal(scale=12, size=(160, 160, 3))
            noisy = Image.fromarray(np.clip(np.asarray(picture) + grain, 0, 255).astype(np.uint8))
            buffer = io.BytesIO()
            noisy.filter(ImageFilter.GaussianBlur(0.6)).save(buffer, "WEBP", quality=80)
            _PAINTED.append(buffer.getvalue())
    loader, hashes = Loader(connection), []
    for name in names:
        own = hashlib.sha256(name.encode()).digest()
        picture = _PAINTED[own[0] % 64] + own
        hashes.append(hashlib.sha256(picture).hexdigest())
        loader.add("images", hashes[-1], picture)
    loader.flush()
    return hashes


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
