"""Search at scale, as the command that people type: the ten best of 100,000 adapters, CPU seconds of the whole process.

    python benchmarks/search.py --adapters 100000

Makes two catalogs of random V and scores with intervals for some concepts, a tenth of them above 0; the weight of each
concept alone is that of V on its direction, as an audit writes it. One has V of 768
numbers, for questions in concepts. The other has V in the space of the pocket's CLIP and a result file behind every
adapter, for words outside of the lexicon: the command then loads that encoder, and reads single differences for
intervals. Beside the phrase stands the bare load of the encoder by its own library, and beside the concepts the naive
way: a process that fetches every V as one Arrow column and multiplies the matrix by the direction. Each figure is the
median of --rounds processes, user and system time of all their threads.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import duckdb
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from auditor.catalog.bulk_insert import Loader
from auditor.catalog.phrases import phrase_directions, text_sides
from auditor.catalog.publishing import new_database, sole_writer
from auditor.catalog.reference_rows import BasisVectors, load_reference
from auditor.encoding.encoder import Encoder
from auditor.planning.encoder_opening import load_encoder
from auditor.probes import load_probes
from auditor.settings import resolve
from tests.synthetic_results import PRODUCTION, SyntheticWorld

_SCORED_TOGETHER = 2_000
"""Concept by concept, as a merge inserts them."""
_PHRASE = "small house"
_QUESTIONS = {
    "one concept": "vibrant",
    "two concepts": "most vibrant watercolor LoRA",
    "two, not a third": "vibrant watercolor but not dark",
}
_LOAD = "import sys, open_clip; open_clip.create_model(sys.argv[1]); open_clip.get_tokenizer(sys.argv[1])"


def build(folder: Path, adapters: int, concepts: int, encoder: Encoder | None) -> Path:
    """A catalog of scored adapters, written straight into its tables; with an encoder, in that one's space."""
    database = folder / "catalog.duckdb"
    shape = PRODUCTION if encoder is None else replace(PRODUCTION, dimension=encoder.dimension)
    world = SyntheticWorld(folder, shape, lexicon_name="general-1")
    if encoder is not None:
        world.recipe = world.recipe.model_copy(update={"encoder": encoder.identity})
    result = world.write_result(0)
    assert result is not None
    # For concepts as long as an adapter's V, so that chance gives one in twelve a tenth of a concept; for phrases long
    # enough that chance gives a hundred some of one.
    length = 0.05 if encoder is None else 1.0
    vector = (
        f"list_transform(range({shape.dimension}), lambda x: ({length} * (random() - 0.5 + 0 * (x + range)))::FLOAT)"
    )
    with sole_writer(database), new_database(database) as connection:
        loader = Loader(connection)
        basis = BasisVectors(world.lexicon.names, world.vectors, np.zeros((0, shape.dimension)))
        load_reference(
            loader, [world.recipe], world.lexicon, {world.recipe.recipe_id: basis}, [load_probes("pocket-1")]
        )
        connection.execute("SELECT setseed(0.5)").fetchall()
        connection.execute(
            "INSERT INTO audits BY NAME SELECT *, sqrt(list_inner_product(divergence, divergence)) AS effect_norm FROM "
            f"(SELECT range AS audit_id, sha256(range::VARCHAR) AS file_sha256, "
            f"'{world.recipe.recipe_id}' AS recipe_id, 'scored' AS outcome, 'Scored.' AS message, "
            f"'{world.base_name}' AS base_name, "
            "false AS base_assumed, false AS card_mismatch, 50 AS probes, 0.01 AS noise_floor, "
            "0.001 AS p_value, 0.03 AS cosine_error, 0.6 AS explained_share, 'explained' AS status, "
            f"'answered' AS proposals, [] AS top_concepts, '{result.relative_to(world.workspace.results)}' AS "
            "result_file, 'owner/' || range AS first_repo_id, 'c' AS first_commit_sha, 'x' AS first_path, "
            f"{vector} AS divergence "
            f"FROM range({adapters}))"
        )
        connection.execute(
            "INSERT INTO adapters BY NAME SELECT audit_id AS adapter_id, first_repo_id AS repo_id, "
            "first_commit_sha AS commit_sha, first_path AS path, outcome, message, audit_id, file_sha256, "
            "1 AS copies, base_name, [] AS base_models, [] AS tags, false AS nsfw, audit_id % 1009 AS downloads, "
            "0 AS likes, 'mit' AS license FROM audits"
        )
        _score(connection, world.lexicon.names, adapters, concepts)
        connection.execute(
            f"INSERT INTO runs SELECT 'x', now()::TIMESTAMP, now()::TIMESTAMP, '0', 'general-1', 'x', {adapters}, 0, "
            f"{adapters}, 0, 0, 0, 0, 0, 0, {adapters}, 0, 0, 0, 'x'"
        )
    if encoder is not None:
        _plant(database, encoder)
    return database


def _score(connection: duckdb.DuckDBPyConnection, known: tuple[str, ...], adapters: int, concepts: int) -> None:
    asked = {"vibrant", "watercolor", "dark"}
    chosen = [*asked, *(name for name in known if name not in asked)][:concepts]
    names = ", ".join("'" + name.replace("'", "''") + "'" for name in sorted(chosen))
    for start in range(0, adapters, _SCORED_TOGETHER):
        connection.execute(
            "INSERT INTO scores (audit_id, concept, score, low, high, projection, alignment, probes) "
            "SELECT audit_id, concept, s, greatest(s - 0.1, 0), s + 0.1, along, 0.5, 50 FROM "
            "(SELECT a.audit_id, v.concept, greatest(random() - 0.9, 0) * 5 AS s, "
            "list_inner_product(a.divergence, v.vector) / list_inner_product(v.vector, v.vector) AS along "
            f"FROM concept_vectors v, audits a WHERE v.concept IN ({names}) "
            f"AND a.audit_id >= {start} AND a.audit_id < {start + _SCORED_TOGETHER}) ORDER BY concept, audit_id"
        )


def _plant(database: Path, encoder: Encoder) -> None:
    """One adapter goes the way of the phrase: a phrase that nothing goes the way of is refused."""
    with closing(duckdb.connect(str(database))) as connection:
        vector = phrase_directions(connection, text_sides(connection)[0], [_PHRASE], encoder)[0]
        values = [float(value) for value in vector]
        connection.execute("UPDATE audits SET divergence = ? WHERE audit_id = 0", [values])


def naive(database: Path) -> list[int]:
    """The ten best of one direction: every V as one Arrow column, and a product of matrix and vector."""
    with closing(duckdb.connect(str(database), read_only=True)) as connection:
        table = connection.sql("SELECT audit_id, divergence FROM audits WHERE divergence IS NOT NULL").to_arrow_table()
    rows = table.column("divergence").combine_chunks().values.to_numpy().reshape(len(table), -1)
    scores = rows @ np.random.default_rng(0).normal(size=rows.shape[1]).astype(np.float32)
    best = np.argpartition(-scores, 10)[:10]
    return [int(table.column("audit_id")[int(i)].as_py()) for i in best[np.argsort(-scores[best])]]


def cpu_seconds(command: list[str], rounds: int) -> float:
    """Median of user and system time of whole processes; the first, cold one is left out."""
    used = []
    for _ in range(rounds + 1):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        said = process.stderr.read() if process.stderr is not None else b""
        _, status, usage = os.wait4(process.pid, 0)
        if status != 0:
            raise SystemExit(f"{command[-1]}: {said.decode(errors='replace')}")
        used.append(usage.ru_utime + usage.ru_stime)
    return round(statistics.median(used[1:]), 3)


def main() -> int:
    """Build, then measure; print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--adapters", type=int, default=100_000)
    parser.add_argument("--concepts", type=int, default=100, help="concepts that are scored")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", type=Path, help="keep the catalogs here, and use those that are here")
    parser.add_argument("--naive", type=Path, help="only do the naive way on this catalog; for the program itself")
    chosen = parser.parse_args()
    if chosen.naive is not None:
        print(naive(chosen.naive))
        return 0
    settings = resolve(profile="pocket", environment={}).settings
    program = [str(Path(sys.executable).with_name("auditor")), "--profile", "pocket", "--work-dir"]
    with tempfile.TemporaryDirectory() as temporary:
        top = chosen.folder or Path(temporary)
        large, small = top / "large", top / "small"
        database = large / "catalog.duckdb"
        if not database.exists():
            build(large, chosen.adapters, chosen.concepts, None)
        if not (small / "catalog.duckdb").exists():
            build(small, chosen.adapters, chosen.concepts, load_encoder(settings))
        seen: dict[str, object] = {"adapters": chosen.adapters, "file_gb": round(database.stat().st_size / 1e9, 2)}
        for name, text in _QUESTIONS.items():
            seen[name] = cpu_seconds([*program, str(large), "search", text], chosen.rounds)
        seen["concepts, naive way"] = cpu_seconds([sys.executable, __file__, "--naive", str(database)], chosen.rounds)
        for name, text in {"a phrase": _PHRASE, "a concept and a phrase": f"watercolor {_PHRASE}"}.items():
            seen[name] = cpu_seconds([*program, str(small), "search", text], chosen.rounds)
        clip = f"local-dir:{settings.recipe.encoder.path}"
        seen["the encoder's own load"] = cpu_seconds([sys.executable, "-c", _LOAD, clip], chosen.rounds)
        seen["similar"] = cpu_seconds([*program, str(large), "similar", "owner/7"], chosen.rounds)
    print(json.dumps(seen, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
