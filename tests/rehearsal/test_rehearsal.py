"""The rehearsal of the hub profile, and what it must show; at full size by `make rehearsal FULL=sd15`.

`REHEARSAL=FOLDER` looks at a rehearsal that has run (`python -m tests.rehearsal FOLDER`).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest

from auditor.settings import Settings, resolve
from tests.rehearsal.overrides import CONVERTED, SWITCHED_OFF, SWITCHED_ON

FULL = os.environ.get("FULL") or None
pytestmark = pytest.mark.timeout(0 if FULL else 1800)  # the limit is there for a hang, not for a busy machine
small_models = pytest.mark.skipif(FULL is not None, reason="of small models")

OVERRIDDEN = {
    "profile",
    # a disk and a device smaller than a night wants
    "work.dir", "work.min_free_bytes", "cluster.gpus_per_task",
    # fewer pictures
    "recipe.probe_count", "recipe.looks", "recipe.dose_probes", "recipe.subject_probes", "recipe.lexicon",
    "recipe.solver.image_probes",
    # Qwen2-VL in this process, asked less often
    "recipe.proposer.kind", "recipe.proposer.requests",
}  # fmt: skip
"""Settings that are not the profile's own. All others, also those that are added later, are rehearsed as shipped."""
OF_A_BASE = {"size", "steps"}


@dataclass(frozen=True)
class Rehearsal:
    """A folder in which a rehearsal ran."""

    folder: Path

    @cached_property
    def report(self) -> dict[str, Any]:
        """What each command did."""
        found: dict[str, Any] = json.loads((self.folder / "report.json").read_text("utf-8"))
        return found

    @cached_property
    def settings(self) -> Settings:
        """Of the first night."""
        return resolve(config=self.folder / "auditor.toml", environment={}).settings

    def said(self, command: str) -> Any:
        """The JSON that a command printed."""
        return json.loads((self.folder / "log" / f"{command}.out").read_text("utf-8"))

    def rows(self, night: str, sql: str) -> list[tuple[Any, ...]]:
        """Of the catalog as a night left it."""
        with closing(duckdb.connect(str(self.folder / f"{night}.duckdb"), read_only=True)) as connection:
            return connection.execute(sql).fetchall()


@pytest.fixture(scope="module")
def rehearsal(tmp_path_factory: pytest.TempPathFactory) -> Rehearsal:
    """One run, in a process of its own: it has its own Hub cache, and small models in the tables of the published."""
    if "REHEARSAL" in os.environ:
        return Rehearsal(Path(os.environ["REHEARSAL"]))
    folder = tmp_path_factory.mktemp("rehearsal") / "world"
    command = [sys.executable, "-m", "tests.rehearsal", str(folder), *(["--full", FULL] if FULL else [])]
    environment = {name: text for name, text in os.environ.items() if not (FULL and name == "OMP_NUM_THREADS")}
    ended = subprocess.run(
        command, cwd=Path(__file__).resolve().parents[2], env=environment, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr[-4000:]
    return Rehearsal(folder)


FIRST_NIGHT, SECOND_NIGHT = "first night", "second night"
NIGHTS = [FIRST_NIGHT, pytest.param(SECOND_NIGHT, marks=small_models)]


def test_only_the_stated_settings_differ_from_the_profile(rehearsal: Rehearsal) -> None:
    places = resolve(config=rehearsal.folder / "auditor.toml", environment={}).provenance
    own = {key for key, place in places.items() if place not in ("profile hub", "default")}
    of_bases = {key for key in own if key.startswith("recipe.bases.")}
    assert own - of_bases == OVERRIDDEN
    if FULL:
        assert of_bases == {f"recipe.bases.{FULL}.{key}" for key in ("size", "steps", "dtype")} | {
            f"recipe.bases.{name}.enabled" for name in SWITCHED_ON if name != FULL
        }
        return
    assert of_bases == (
        {f"recipe.bases.{name}.{key}" for name in (*SWITCHED_ON, *SWITCHED_OFF) for key in OF_A_BASE}
        | {f"recipe.bases.{name}.enabled" for name in SWITCHED_OFF}
        | {f"recipe.bases.{name}.path" for name in CONVERTED}
    )


def test_the_models_come_by_the_doctors_lines_and_nothing_else_does(rehearsal: Rehearsal) -> None:
    assert rehearsal.said("doctor before")["ready"] is False
    settings = rehearsal.settings
    wanted = {base.repo for base in settings.recipe.active_bases.values() if base.path is None}
    wanted |= {settings.recipe.proposer.model}
    assert {line.split()[2] for line in rehearsal.report["fetched"]} >= wanted
    cache = rehearsal.folder / "hf" / "hub"
    assert all(
        {path.name for path in repo.iterdir()} >= {"refs", "blobs", "snapshots"} for repo in cache.glob("models--*")
    )
    fetched = {path.name for path in cache.glob("models--*/snapshots/**/*") if path.is_file()}
    assert not [name for name in fetched if name.endswith((".bin", ".ckpt", ".onnx", ".msgpack", ".jpg"))]
    assert not fetched & {"v1-5-pruned-emaonly.safetensors", "sd_xl_base_1.0.safetensors", "flux1.safetensors"}


def test_the_doctor_is_content_with_what_is_there(rehearsal: Rehearsal) -> None:
    reports = ["doctor", "doctor of the hub", *([] if FULL else ["doctor of the second night"])]
    for report in reports:
        said = rehearsal.said(report)
        assert said["ready"] is True
        assert [check for check in said["checks"] if check["status"] != "ok"] == []


@pytest.mark.parametrize("night", NIGHTS)
def test_every_command_ends_well_and_warns_of_nothing(rehearsal: Rehearsal, night: str) -> None:
    assert rehearsal.report["codes"][night] == 0 == rehearsal.report["codes"][f"{night}, export"]
    said = (rehearsal.folder / "log" / f"{night}.err").read_text("utf-8")
    assert "Warning" not in said and "Traceback" not in said
    logged = [json.loads(line) for path in (rehearsal.folder / "work" / "logs").iterdir() for line in path.open()]
    assert [entry for entry in logged if entry["level"] not in ("info", "debug")] == []


@pytest.mark.parametrize("night", NIGHTS)
def test_every_base_is_scored_and_what_is_not_says_why(rehearsal: Rehearsal, night: str) -> None:
    """What random weights draw scatters, so a few adapters end inside the noise floor."""
    active = rehearsal.settings.recipe.active_bases
    switched_on = {name for name in active if name in SWITCHED_ON}
    outcomes = rehearsal.rows(night, "SELECT repo_id, base_name, outcome, reason FROM adapters")
    assert {repo.partition("/")[0] for repo, *_ in outcomes} == {name.replace("_", "-") for name in active}
    ended = Counter(row[2:] for row in outcomes)
    allowed = {("scored", None), ("scored_partial", "proposals_missing"), ("no_effect", "inside_noise_floor")}
    if night == SECOND_NIGHT:  # the bases that are not there leave their adapters to ancestors, or to nobody
        allowed.add(("skipped", "unsupported_base"))
    assert set(ended) <= allowed
    assert {base for _, base, outcome, _ in outcomes if outcome == "scored"} >= switched_on
    audited = sum(count for (outcome, _), count in ended.items() if outcome != "skipped")
    assert ended["scored", None] >= 0.6 * audited, ended


@pytest.mark.parametrize("night", NIGHTS)
def test_every_base_draws_and_wears_its_adapters(rehearsal: Rehearsal, night: str) -> None:
    seen = rehearsal.rows(
        night, "SELECT base_name, pairs_unmatched, latent_shift FROM audits WHERE base_name IS NOT NULL"
    )
    assert {base for base, *_ in seen} == set(rehearsal.settings.recipe.active_bases) & (
        set(SWITCHED_ON) if night == SECOND_NIGHT else {*SWITCHED_ON, *SWITCHED_OFF}
    )
    assert all(unmatched == 0 and shift > 0 for _, unmatched, shift in seen), seen


@pytest.mark.parametrize("night", NIGHTS)
def test_all_arms_are_in_the_catalog(rehearsal: Rehearsal, night: str) -> None:
    """Per base: pictures of the trigger with the adapter and without, of the subject, strengths, proposed words."""
    shown = {
        arm: {base for (base,) in rehearsal.rows(night, f"SELECT base_name FROM audits JOIN {table} USING (audit_id)")}
        for arm, table in (("trigger", "trigger_effects"), ("subject", "subject_effects"), ("dose", "dose"),
                           ("words", "phrases"), ("pictures", "pairs"), ("scores", "scores"))
    }  # fmt: skip
    switched_on = set(rehearsal.settings.recipe.active_bases) & set(SWITCHED_ON)
    for arm, bases in shown.items():
        assert bases >= switched_on, arm
    counts = dict(rehearsal.rows(night, "SELECT proposals, count(*) FROM audits GROUP BY ALL"))
    assert set(counts) <= {"answered", "unusable", "not_asked"}
    assert counts["answered"] >= 0.8 * (counts["answered"] + counts.get("unusable", 0))


@small_models
def test_merged_adapters_draw_what_injected_ones_do(rehearsal: Rehearsal) -> None:
    """Half precision rounds merged weights, so the differences are near, not equal."""
    sql = "SELECT (first_repo_id, base_name)::VARCHAR, divergence FROM audits WHERE effect_norm > 0"
    first, second = (dict(rehearsal.rows(night, sql)) for night in (FIRST_NIGHT, SECOND_NIGHT))
    both = sorted(first.keys() & second.keys())
    assert len(both) >= 3 * len(SWITCHED_ON)
    cosines = {
        name: float(np.dot(first[name], second[name]) / np.linalg.norm(first[name]) / np.linalg.norm(second[name]))
        for name in both
    }
    assert min(cosines.values()) > 0.9, cosines


@pytest.mark.parametrize("night", NIGHTS)
def test_the_export_can_be_read(rehearsal: Rehearsal, night: str) -> None:
    folder = rehearsal.folder / f"export of {night}"
    with closing(duckdb.connect()) as connection:
        tables = list(folder.rglob("*.parquet"))
        assert {"audits", "scores"} <= {path.stem for path in tables}
        for path in tables:
            connection.execute(f"SELECT * FROM read_parquet('{path}')").fetchall()
    lines = [json.loads(line) for path in folder.rglob("*.jsonl") for line in path.open(encoding="utf-8")]
    assert lines
    assert list(folder.rglob("*.csv")) and list(folder.rglob("index.html"))
