"""How many times cheaper an audit is than the script that somebody writes, on the pocket's own adapters, in one run.

    python benchmarks/pocket_night.py

For each adapter of the sample, one after the other in this process and with one thread: an audit by the code of a
night on the pocket profile as it ships, on a cheaper recipe, and without stopping early (`full`), and `naive_script.py`
twice, with 50 probes and the 50 steps of diffusers, and with the probes and steps of the cheaper recipe. Counted are
the samples that went through the denoiser, and CPU seconds (user and system, of all threads, so that a busy machine
does not spoil the ratio). Loading models and the base's references, made once for all adapters, are printed beside, not
in the ratios. What the script takes does not depend on the adapter, so it runs on the first four, two plain ones and
one of each other kind, and their mean stands for it. cos(V) is that of the arm that acts, with that of `full`, and with
that of the script where no trigger is needed.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from diffusers.utils import logging as diffusers_logging
from naive_script import NaiveResult, NaiveScript
from numpy.typing import NDArray

from auditor.adapters.adapter_file import inspect_file
from auditor.audit.opening import open_base
from auditor.common.package_paths import package_path
from auditor.lexicons.loader import load_lexicon
from auditor.measuring.base_choice import BaseChoice
from auditor.measuring.explanations import propose_and_explain
from auditor.measuring.measure_file import audit_file
from auditor.measuring.opened_base import OpenedBase
from auditor.records.result import WorkItem
from auditor.results.result_file import Result
from auditor.settings import Settings, resolve

BASE = "pocket"
WARMING_UP = "mkr/indigo-lora"
NAIVE_PROBES = 50
NAIVE_STEPS = None  # the default of diffusers, 50
CHEAPER = (f"recipe.bases.{BASE}.steps=4", "recipe.dose_probes=3")
RECIPES = {
    "as it ships": (),
    "cheaper": CHEAPER,
    "full": ("recipe.looks=[]", "recipe.trigger_stopping=false", "recipe.solver.image_probes=1"),
}
# kind, repo in the zoo, declared trigger. Only development styles, so that nothing is chosen by looking at a held-out
# one. Subjects change what is in the picture: fruits on a tree, a flag on a boat, a crown on a bird.
SAMPLE: tuple[tuple[str, str, str | None], ...] = (
    ("plain", "ana-k/harbor-lora", None),
    ("plain", "ivy_lab/thistle-lora", None),
    ("plain", "driftwood/saffron-lora", None),
    ("plain", "tomo/juniper-lora", None),
    ("plain", "driftwood/zephyr-lora", None),
    ("plain", "driftwood/quartz-lora", None),
    ("trigger", "studio-nine/cinder-lora", "ohwx"),
    ("trigger", "driftwood/lantern-lora", "ohwx"),
    ("trigger", "qtest/ember-lora", "ohwx"),
    ("subject", "tomo/cedar-lora", "qmxt tree"),
    ("subject", "pixelpusher/dahlia-lora", "wjfp boat"),
    ("subject", "qtest/fern-lora", "xqrz bird"),
)


OURS = "naive, at the probes and steps of the cheaper recipe"


@dataclass(frozen=True)
class Case:
    """One adapter of the sample."""

    kind: str
    repo: str
    trigger: str | None

    @property
    def path(self) -> Path:
        """Its file."""
        return next(iter(sorted(package_path(f"pocket/zoo/{self.repo}").glob("*.safetensors"))))


@dataclass(frozen=True)
class Cost:
    """What one way took for one adapter."""

    evaluations: int
    cpu_s: float


@dataclass(frozen=True)
class Row:
    """One adapter: costs by way, and by recipe the cosine of V with that of the full one and that of the script."""

    kind: str
    repo: str
    costs: dict[str, Cost]
    with_full: dict[str, float]
    with_script: dict[str, float]


def audited(opened: OpenedBase, case: Case) -> Result:
    """One adapter's file to its result, as a night makes it."""
    sha256 = hashlib.sha256(case.path.read_bytes()).hexdigest()
    item = WorkItem(
        repo_id=case.repo,
        commit_sha="0" * 40,
        path=case.path.name,
        file_sha256=sha256,
        base_name=BASE,
        trigger=case.trigger,
        trigger_source="card" if case.trigger else None,
    )
    adapter = inspect_file(case.path, name=case.path.name)
    measured = audit_file(opened, item, adapter, sha256, BaseChoice(BASE, False, False))
    return propose_and_explain(opened.scorer, opened.proposer, measured)


def acting(result: Result) -> str:
    """The arm that acts: the weights alone, or else the weights with their trigger."""
    effect = result.record.effect
    assert effect is not None, result.record.message
    return "differences" if effect.status != "no_effect" or result.record.arms is None else "trigger_differences"


def cosine(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """Cosine of two vectors."""
    return float(a @ b / (np.linalg.norm(a) * np.linalg.norm(b)))


def evaluations(opened: OpenedBase) -> int:
    """Samples through the denoiser so far, proofs and the base's own pictures included."""
    calls = opened.generator.calls
    return calls.base + calls.adapted + calls.proof


class Run:
    """All ways, with their models loaded, and what loading and the references took."""

    def __init__(self, work: Path) -> None:
        """Load everything and draw the references, counted apart."""
        self.once: dict[str, Cost] = {}
        self.opened: dict[str, OpenedBase] = {}
        for name, overrides in RECIPES.items():
            settings = resolve(config=None, profile="pocket", work_dir=work / name, overrides=overrides).settings
            self.opened[name] = self._open(f"reference, {name}", settings)
        cheaper = resolve(config=None, profile="pocket", work_dir=work, overrides=CHEAPER).settings
        recipe = self.recipe = cheaper.recipe
        base, clip, vlm = recipe.bases[BASE].path, recipe.encoder.path, recipe.proposer.path
        assert base is not None and clip is not None and vlm is not None
        began = time.process_time()
        self.naive = NaiveScript(base, clip, vlm, load_lexicon(recipe.lexicon, recipe.concept_template))
        self.once["loading the script's models"] = Cost(0, time.process_time() - began)

    def _open(self, name: str, settings: Settings) -> OpenedBase:
        began = time.process_time()
        opened = open_base(settings, BASE)
        self.once[name] = Cost(evaluations(opened), time.process_time() - began)
        return opened

    def warm_up(self) -> None:
        """The first of everything chooses kernels and reads files: none of it counts."""
        for opened in self.opened.values():
            audited(opened, Case("plain", WARMING_UP, None))
        asked = self.opened["full"].all_probes.first(2)
        path = Case("plain", WARMING_UP, None).path
        self.naive.audit(path, asked.prompts, asked.seeds, steps=2, guidance=1.0)

    def row(self, case: Case, *, script: bool, subject_arm: bool) -> Row:
        """Every way on one adapter, the script's among them if it is to be run."""
        costs: dict[str, Cost] = {}
        results = {name: self._audit(name, opened, case, costs) for name, opened in self.opened.items()}
        arm = "trigger_differences" if subject_arm and case.kind == "subject" else acting(results["full"])
        means = {name: result.arrays[arm].astype(np.float64).mean(0) for name, result in results.items()}
        with_script: dict[str, float] = {}
        if script:
            found = self._script("naive", case, NAIVE_PROBES, NAIVE_STEPS, costs)
            self._script(OURS, case, self.recipe.probe_count, self.recipe.bases[BASE].steps, costs)
            if arm == "differences":
                with_script = {name: cosine(v, found.mean) for name, v in means.items()}
        with_full = {name: cosine(v, means["full"]) for name, v in means.items()}
        return Row(case.kind, case.repo, costs, with_full, with_script)

    def _audit(self, way: str, opened: OpenedBase, case: Case, costs: dict[str, Cost]) -> Result:
        began, before = time.process_time(), evaluations(opened)
        result = audited(opened, case)
        costs[way] = Cost(evaluations(opened) - before, time.process_time() - began)
        return result

    def _script(self, way: str, case: Case, probes: int, steps: int | None, costs: dict[str, Cost]) -> NaiveResult:
        asked = self.opened["full"].all_probes.first(probes)
        began = time.process_time()
        guidance = self.recipe.bases[BASE].guidance
        found = self.naive.audit(case.path, asked.prompts, asked.seeds, steps=steps, guidance=guidance)
        costs[way] = Cost(found.evaluations, time.process_time() - began)
        return found


def mean(rows: Sequence[Row], way: str, what: str) -> float:
    """Of the adapters that it was run on."""
    return float(np.mean([getattr(row.costs[way], what) for row in rows if way in row.costs]))


def table(rows: Sequence[Row], recipe: str) -> str:
    """Ratios of means by kind of adapter, the least and the most of any one behind them, as Markdown."""
    columns = (
        "adapters", "", "script: evaluations, CPU s", "audit: evaluations, CPU s", "evaluations, times fewer",
        "CPU s, times fewer", "script at 24 probes and 4 steps: times ours", "cos(V) with `full`, least",
        "with the script",
    )  # fmt: skip
    lines = [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
    for kind in (*dict.fromkeys(row.kind for row in rows), "all"):
        of = [row for row in rows if kind in (row.kind, "all")]
        cells = [kind, str(len(of))]
        for way, some in (("naive", rows), (recipe, of)):
            known = any(way in row.costs for row in some)
            cells.append(f"{mean(some, way, 'evaluations'):,.0f}, {mean(some, way, 'cpu_s'):.2f}" if known else "")
        if not any("naive" in row.costs for row in rows):
            cells += ["", "", ""]
        else:
            for what in ("evaluations", "cpu_s"):
                naive = mean(rows, "naive", what)
                each = [naive / getattr(row.costs[recipe], what) for row in of]
                cells.append(f"{naive / mean(of, recipe, what):.1f} ({min(each):.1f} to {max(each):.1f})")
            cells.append(
                ", ".join(f"{mean(rows, OURS, w) / mean(of, recipe, w):.1f}" for w in ("evaluations", "cpu_s"))
            )
        full, script = (
            [row.with_full[recipe] for row in of],
            [row.with_script[recipe] for row in of if row.with_script],
        )
        cells.append(f"{np.mean(full):.4f}, {min(full):.4f}")
        cells.append(f"{np.mean(script):.3f} ({len(script)} of them)" if script else "")
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> int:
    """Measure; print one JSON line per adapter as soon as it is known, then the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--adapters", type=int, default=len(SAMPLE), help="the first so many of each kind's turn")
    parser.add_argument("--script", type=int, default=4, help="of these, how many the script runs on")
    parser.add_argument(
        "--subject-arm", action="store_true", help="of adapters for one subject compare that arm, whichever else acts"
    )
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    diffusers_logging.set_verbosity_error()
    cases = [Case(*each) for each in SAMPLE]
    by_turn = sorted(cases, key=lambda case: [c for c in cases if c.kind == case.kind].index(case))
    with tempfile.TemporaryDirectory() as folder:
        run = Run(Path(folder))
        run.warm_up()
        rows = []
        for number, case in enumerate(by_turn[: chosen.adapters]):
            rows.append(run.row(case, script=number < chosen.script, subject_arm=chosen.subject_arm))
            print(json.dumps(asdict(rows[-1])), flush=True)
        print(json.dumps({name: asdict(cost) for name, cost in run.once.items()}))
    for name in ("as it ships", "cheaper"):
        print(f"\n{name}:\n\n{table(rows, name)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
