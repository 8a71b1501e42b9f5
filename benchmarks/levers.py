"""What each setting that makes an audit cheaper costs in its results, on the pocket's development adapters.

    python benchmarks/levers.py

For every way of drawing, the arm that acts of every adapter is measured with the code of an audit: the weights alone
(styles and mixtures of them), a trigger's arm, and a subject's arm (which changes what is in the picture). Each way is
compared with the pocket profile as it ships, with all probes, on the same noise; guidance, which the pocket does
without, with guidance of 3 in all steps. Fewer probes and earlier stops are read off the same pictures. Levels are
those of the text side, as in a calibration. Rank agreement is Spearman's over adapters, the mean over concepts; chance
is 0.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from first_look import FirstLook, controlled
from lever_bench import BASE, CASES, Bench, Floats, Kind, with_adapter
from scipy.stats import spearmanr

from auditor.calibration.choice import compare
from auditor.calibration.kept import Measurement
from auditor.calibration.rates import stopping_at

GUIDED = 3.0


@dataclass(frozen=True, eq=False)
class Lever:
    """One way to be cheaper: V of each case (m, D), and what it takes of the evaluations and CPU seconds."""

    name: str
    setting: str
    means: Floats
    evaluations: float
    cpu: float | None


def drawn_otherwise(bench: Bench, name: str, setting: str, share: float = 1.0, **changes: object) -> Lever:
    """A lever that changes the way of drawing; of the probes, the first `share` of each arm."""
    drawn = bench.draw(replace(bench.own, **changes))  # type: ignore[arg-type]  # fields of Drawing
    return Lever(
        name,
        setting,
        np.stack([d[: round(len(d) * share)].mean(0) for d in drawn.differences]),
        share * sum(drawn.evaluations) / sum(bench.whole.evaluations),
        share * sum(drawn.cpu_s) / sum(bench.whole.cpu_s),
    )


def fewer_probes(bench: Bench, name: str, setting: str, kept: Callable[[Floats], int]) -> Lever:
    """A lever that keeps the first probes of each arm: how many is told by its differences."""
    counts = [kept(d) for d in bench.whole.differences]
    means = np.stack([d[:n].mean(0) for d, n in zip(bench.whole.differences, counts, strict=True)])
    share = sum(counts) / sum(len(d) for d in bench.whole.differences)
    return Lever(name, setting, means, share, None)


def stopped(bench: Bench, target: float, looks: Sequence[int]) -> Lever:
    """Sampling stops at a look, in every arm."""

    def kept(differences: Floats) -> int:
        within = [look for look in looks if look < len(differences)]
        unit = Measurement(differences.astype(np.float32), np.arange(len(differences)))
        return int(stopping_at(unit, len(differences), (*within, len(differences)), target))

    setting = f"`looks` {list(looks)}, `cosine_error_target` {target:g}"
    return fewer_probes(bench, "stop at a look, all arms", setting, kept)


def trajectory(bench: Bench, step: int, full: int | None) -> Lever:
    """The first look of the plain cases; with `full` pictures too, as a control variate of them."""
    opened = bench.opened(bench.own)
    look = FirstLook(opened.generator, opened.encoder, opened.probes.prompts, opened.probes.seeds, step)  # type: ignore[arg-type]  # a DiffusersBase
    means = []
    for case, whole in zip(bench.cases, bench.whole.differences, strict=True):
        found: list[Floats] = []
        if case.kind == "plain":
            with_adapter(opened, case, lambda found=found: found.append(look.differences()))
            cheap = found[0]
            means.append(cheap.mean(0) if full is None else controlled(whole[:full], cheap))
    n, steps = len(opened.probes), bench.own.steps
    share = (n + (full or 0) * steps) / (n * steps)
    name = "base's trajectory, alone" if full is None else f"base's trajectory and {full} pictures"
    return Lever(name, f"not a setting; step {step + 1} of {steps}", np.stack(means), share, None)


COLUMNS = (
    "lever", "setting", "evaluations", "CPU s", "cos(V)", "worst", "worst with trigger", "worst of a subject",
    "same top concept", "error of levels", "rank agreement",
)  # fmt: skip


def row(bench: Bench, lever: Lever) -> list[str]:
    """The figures of a lever, against the whole of its bench."""
    whole = np.stack([d.mean(0) for d in bench.whole.differences])
    places = list(range(len(bench.cases)))
    if len(lever.means) < len(bench.cases):  # measured on plain arms alone
        places = [i for i in places if bench.cases[i].kind == "plain"]
    of, kinds = [bench.whole.differences[i] for i in places], [bench.cases[i].kind for i in places]
    likeness = compare(of, lever.means, bench.trial.levels)
    lengths = np.linalg.norm(whole[places], axis=1) * np.linalg.norm(lever.means, axis=1)
    cosines = (whole[places] * lever.means).sum(1) / lengths

    def worst(kind: Kind) -> str:
        found = [c for c, k in zip(cosines, kinds, strict=True) if k == kind]
        return f"{min(found):.3f}" if found else ""

    return [
        lever.name,
        lever.setting,
        f"{lever.evaluations:.2f}",
        "" if lever.cpu is None else f"{lever.cpu:.2f}",
        f"{likeness.cosine:.4f} (at least {likeness.cosine_low:.4f})",
        worst("plain"),
        worst("trigger"),
        worst("subject"),
        f"{likeness.same} of {likeness.adapters}",
        f"{100 * likeness.level_error:.0f} %",
        f"{rank_agreement(whole[places] @ bench.trial.levels.T, lever.means @ bench.trial.levels.T):.3f}",
    ]


def rank_agreement(levels: Floats, others: Floats) -> float:
    """Mean over concepts of Spearman's rank correlation of their levels (m, k) over adapters."""
    return float(np.mean([spearmanr(a, b).statistic for a, b in zip(levels.T, others.T, strict=True)]))


def dose_rows(bench: Bench, counts: Sequence[int], strengths: Sequence[float]) -> list[list[str]]:
    """The dose response of the plain cases on the first probes, against that on all."""
    opened = bench.opened(bench.own)
    lengths: dict[tuple[int, float], list[float]] = {}
    probes, n = opened.probes, len(opened.probes)

    def measure(whole: Floats) -> None:
        for strength in strengths:
            shown = opened.generator.generate(probes.prompts, probes.seeds, scale=strength)
            found = whole if strength == 1.0 else opened.encoder.encode_images(shown) - opened.reference.features
            for count in (n, *counts):
                lengths.setdefault((count, strength), []).append(float(np.linalg.norm(found[:count].mean(0))))

    for case, whole in zip(bench.cases, bench.whole.differences, strict=True):
        if case.kind == "plain":
            with_adapter(opened, case, lambda whole=whole: measure(whole))

    def relative(count: int) -> Floats:
        """How |V| grows: at each strength in units of that at strength 1 (s, m)."""
        own = np.asarray(lengths[count, 1.0])
        return np.stack([np.asarray(lengths[count, s]) / own for s in strengths])

    truth = relative(n)
    rows = []
    for count in counts:
        found = relative(count)
        rises = [(np.diff(each, axis=0) >= 0).all(0) for each in (truth, found)]
        error = float(np.abs(found / truth - 1).mean())
        same = int((rises[0] == rises[1]).sum())
        rows.append([f"{count}", f"{count / n:.2f}", f"{100 * error:.0f} %", f"{same} of {truth.shape[1]}"])
    return rows


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Markdown."""
    return "\n".join(f"| {' | '.join(each)} |" for each in (columns, ["---"] * len(columns), *rows))


def plain_levers(bench: Bench) -> list[Lever]:
    """Those of the pocket profile."""
    few = [(n, f"`probe_count` {n}, `subject_probes` {n // 2}") for n in (18, 12)]
    return [
        stopped(bench, 0.005, (8, 16)),
        stopped(bench, 0.02, (8, 16)),
        *(fewer_probes(bench, "fewer probes", text, lambda d, n=n: len(d) * n // 24) for n, text in few),
        drawn_otherwise(bench, "fewer steps", "`steps` 6 of 8", steps=6),
        drawn_otherwise(bench, "fewer steps", "`steps` 4 of 8", steps=4),
        drawn_otherwise(bench, "both", "`steps` 4 of 8, `probe_count` 12, `subject_probes` 6", 0.5, steps=4),
        drawn_otherwise(bench, "smaller pictures", "`size` 48 of 64", size=48),
        *(trajectory(bench, step, None) for step in (1, 2, 4)),
        *(trajectory(bench, 2, full) for full in (6, 8, 12)),
        *(fewer_probes(bench, f"{n} pictures alone", "", lambda d, n=n: min(n, len(d))) for n in (6, 8)),
    ]


def guided_levers(bench: Bench) -> list[Lever]:
    """Those of guidance, against guidance in all steps."""
    name = "guidance in an interval"
    return [
        *(
            drawn_otherwise(bench, name, f"`guidance_interval` [{a:g}, {b:g}]", guidance_interval=(a, b))
            for a, b in ((0.0, 0.75), (0.0, 0.5), (0.25, 0.75), (0.5, 1.0))
        ),
        drawn_otherwise(bench, "no guidance", "`guidance` 1", guidance=1.0),
    ]


def main() -> int:
    """Measure; print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=len(CASES), help="of each kind, the first so many")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    cases = [c for c in CASES if [d for d in CASES if d.kind == c.kind].index(c) < chosen.cases]
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder) / "plain", cases)
        print(f"{bench.said}\n", flush=True)
        print(table(COLUMNS, [row(bench, lever) for lever in plain_levers(bench)]), flush=True)
        dose = dose_rows(bench, (12, 6, 3), (0.5, 1.0, 1.5))
        print("\n" + table(("dose probes", "of the pictures", "error of growth", "same verdict"), dose), flush=True)
        guided = Bench(Path(folder) / "guided", cases, (f"recipe.bases.{BASE}.guidance={GUIDED:g}",))
        print(f"\n{guided.said}\n\n" + table(COLUMNS, [row(guided, lever) for lever in guided_levers(guided)]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
