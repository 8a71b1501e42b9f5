"""The made-up catalog of `site_80k.py`: adapters of one to eight concepts, two bases, scores, triggers and pictures."""

from __future__ import annotations

import hashlib
import io
import sys
from collections.abc import Iterator
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
from PIL import Image, ImageFilter

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from auditor.catalog.bulk_insert import Loader
from auditor.catalog.publishing import new_database, sole_writer
from auditor.catalog.reference_rows import BasisVectors, load_reference
from auditor.probes import load_probes
from tests.synthetic_results import PRODUCTION, SyntheticWorld

BASES = ("pocket", "sdxl")
PROMPTS = ("a red boat on sand", "a house by a lake")
LICENCES = ("creativeml-openrail-m", "mit", "apache-2.0", "cc-by-nc-4.0", "other", None)
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
