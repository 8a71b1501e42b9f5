"""Search at scale: the ten best of 100,000 adapters, by concepts and by a phrase outside the lexicon.

    python benchmarks/search.py --adapters 100000
    python benchmarks/search.py --catalog /big/disk/merge/catalog.duckdb      # the one of benchmarks/merge.py

Without --catalog one is made: random V of 768 numbers, and scores with intervals for some concepts. The encoder's own
time is not counted: its vectors are drawn at random. Beside the phrase search stands the naive way, V fetched into
Python and compared with NumPy. Each figure is the median of --rounds: wall-clock, and CPU time of all threads.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import duckdb
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from auditor.catalog.bulk_insert import Loader
from auditor.catalog.phrases import phrase_directions, text_sides
from auditor.catalog.publishing import new_database, sole_writer
from auditor.catalog.reading import open_catalog
from auditor.catalog.reference_rows import BasisVectors, load_reference
from auditor.catalog.search import search
from auditor.probes import load_probes
from tests.synthetic_results import PRODUCTION, SyntheticWorld

_SCORED_TOGETHER = 4_000


class DrawnEncoder:
    """Stands for the text encoder: any text has a direction drawn from its characters."""

    def __init__(self, identity: str, dimension: int) -> None:
        self.identity = identity
        self.dimension = dimension

    def encode_texts(self, texts: list[str]) -> np.ndarray:
        """Unit rows (n, D)."""
        seeds = [sum(ord(c) * (i + 1) for i, c in enumerate(text)) for text in texts]
        rows = np.stack([np.random.default_rng(s).normal(size=self.dimension) for s in seeds]).astype(np.float32)
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def build(database: Path, adapters: int, concepts: int, folder: Path) -> None:
    """A catalog of scored adapters, written straight into its tables."""
    world = SyntheticWorld(folder, PRODUCTION, lexicon_name="general-1")
    with sole_writer(database), new_database(database) as connection:
        loader = Loader(connection)
        basis = BasisVectors(world.lexicon.names, world.vectors, np.zeros((0, PRODUCTION.dimension)))
        load_reference(
            loader, [world.recipe], world.lexicon, {world.recipe.recipe_id: basis}, [load_probes("pocket-1")]
        )
        recipe, base = world.recipe.recipe_id, world.base_name
        connection.execute("SELECT setseed(0.5)").fetchall()
        connection.execute(
            f"INSERT INTO audits BY NAME SELECT range AS audit_id, sha256(range::VARCHAR) AS file_sha256, "
            f"'{recipe}' AS recipe_id, 'scored' AS outcome, 'Scored.' AS message, '{base}' AS base_name, "
            "false AS base_assumed, false AS card_mismatch, 50 AS probes, 0.4 AS effect_norm, 0.01 AS noise_floor, "
            "0.001 AS p_value, 0.03 AS cosine_error, 0.6 AS explained_share, 'explained' AS status, "
            "'answered' AS proposals, [] AS top_concepts, 'x' AS result_file, "
            "'owner/' || range AS first_repo_id, 'c' AS first_commit_sha, 'x' AS first_path, "
            f"list_transform(range(768), lambda x: (random() - 0.5 + 0 * (x + range))::FLOAT) AS divergence "
            f"FROM range({adapters})"
        )
        connection.execute(
            "INSERT INTO adapters BY NAME SELECT audit_id AS adapter_id, first_repo_id AS repo_id, "
            "first_commit_sha AS commit_sha, first_path AS path, outcome, message, audit_id, file_sha256, "
            "1 AS copies, base_name, [] AS base_models, [] AS tags, false AS nsfw, audit_id % 1009 AS downloads, "
            "0 AS likes, 'mit' AS license FROM audits"
        )
        asked = {"vibrant", "watercolor", "dark"}
        chosen = [*asked, *(name for name in world.lexicon.names if name not in asked)][:concepts]
        names = ", ".join("'" + name.replace("'", "''") + "'" for name in sorted(chosen))
        for start in range(0, adapters, _SCORED_TOGETHER):
            connection.execute(
                "INSERT INTO scores (audit_id, concept, score, low, high, projection, alignment, probes) "
                "SELECT a.range, c.concept, s, greatest(s - 0.1, 0), s + 0.1, s, 0.5, 50 FROM "
                f"(SELECT unnest([{names}]) AS concept) c, range({start}, {min(start + _SCORED_TOGETHER, adapters)}) a,"
                " LATERAL (SELECT greatest(random() - 0.9 + 0 * a.range, 0) * 5 AS s)"
            )
        connection.execute(
            f"INSERT INTO runs SELECT 'x', now()::TIMESTAMP, now()::TIMESTAMP, '0', 'general-1', 'x', {adapters}, 0, "
            f"{adapters}, 0, 0, 0, 0, 0, 0, {adapters}, 0, 0, 0, 'x'"
        )


def plant(database: Path, phrase: str, encoder: DrawnEncoder) -> None:
    """One adapter goes the way of the phrase: a phrase that nothing goes the way of is refused."""
    with closing(duckdb.connect(str(database))) as connection:
        vector = phrase_directions(connection, text_sides(connection)[0], [phrase], encoder)[0]
        values = [float(value) for value in vector]
        connection.execute("UPDATE audits SET divergence = ? WHERE audit_id = 0", [values])


def median_ms(action: Callable[[], object], rounds: int) -> dict[str, float]:
    """Median milliseconds, wall-clock and CPU; the first, cold round is left out."""
    action()
    wall, cpu = [], []
    for _ in range(rounds):
        started, used = time.perf_counter(), time.process_time()
        action()
        wall.append(1000 * (time.perf_counter() - started))
        cpu.append(1000 * (time.process_time() - used))
    return {"ms": round(statistics.median(wall), 1), "cpu_ms": round(statistics.median(cpu), 1)}


def naive(database: Path, vector: np.ndarray) -> list[int]:
    """The ten best by fetching every V into Python."""
    with closing(open_catalog(database)) as connection:
        rows = connection.execute("SELECT audit_id, divergence FROM audits WHERE divergence IS NOT NULL").fetchall()
    scores = np.array([row[1] for row in rows], dtype=np.float32) @ vector
    return [rows[i][0] for i in np.argsort(-scores)[:10]]


def main() -> int:
    """Build if asked, then measure; print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--adapters", type=int, default=100_000)
    parser.add_argument("--concepts", type=int, default=100, help="concepts that are scored")
    parser.add_argument("--catalog", type=Path, help="measure this catalog instead of making one")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--naive-rounds", type=int, default=2)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        database = chosen.catalog or Path(folder) / "catalog.duckdb"
        if chosen.catalog is None:
            build(database, chosen.adapters, chosen.concepts, Path(folder))
        with closing(open_catalog(database)) as connection:
            ((audits, scores, encoder),) = connection.execute(
                "SELECT (SELECT count(*) FROM audits WHERE divergence IS NOT NULL), (SELECT count(*) FROM scores), "
                "(SELECT any_value(encoder) FROM recipes)"
            ).fetchall()
        drawn = DrawnEncoder(encoder, PRODUCTION.dimension)
        if chosen.catalog is None:
            plant(database, "hand carved zebrawood", drawn)
        asked = {
            "one concept": "vibrant",
            "two concepts": "most vibrant watercolor LoRA",
            "two, not a third": "vibrant watercolor but not dark",
            "phrase outside the lexicon": "hand-carved zebrawood",
            "concept and phrase": "watercolor hand-carved zebrawood",
        }
        seen: dict[str, object] = {
            "audits with V": audits,
            "scores": scores,
            "file_gb": round(database.stat().st_size / 1e9, 2),
        }
        for name, text in asked.items():
            seen[name] = median_ms(lambda text=text: search(database, text, 10, encoder=lambda: drawn), chosen.rounds)
        vector = drawn.encode_texts(["x"])[0]
        seen["phrase, naive way"] = median_ms(lambda: naive(database, vector), chosen.naive_rounds)
    print(json.dumps(seen, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
