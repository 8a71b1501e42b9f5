"""Does the served model name what the same model names in process?

    python benchmarks/vlm_naming.py --cases 200

Starts vLLM's CPU build from .venv-vllm (`make vllm`) with the pocket Qwen2-VL, shows both the same pairs, one question
of three pairs a case, and prints how often the first concepts agree and how often each is right. A case is a scene
with one style or edit at a random strength, drawn with seeds that no training used; chance is the share that the most
frequent answer would get right.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from auditor.audit.proposers import load_proposer
from auditor.finexl.attribution import Interval, bootstrap_mean
from auditor.lexicons import load_lexicon
from auditor.pocket.vlm.pairs import Case, draw_case, sample_case
from auditor.proposing.proposer import Proposer
from auditor.settings import resolve

SEED = 20_260
PAIRS = 3


@dataclass(frozen=True)
class Naming:
    """Shares over cases: equal first concepts, and right first concepts of each."""

    agreement: Interval
    served: Interval
    in_process: Interval
    chance: float


def single_cases(count: int) -> list[Case]:
    """Cases with exactly one concept."""
    rng = np.random.default_rng(SEED)
    cases: list[Case] = []
    while len(cases) < count:
        case = sample_case(rng)
        if len(case.concepts) == 1:
            cases.append(case)
    return cases


def compare(served: Proposer, in_process: Proposer, count: int) -> Naming:
    """Ask both about the same pairs."""
    lexicon = load_lexicon("pocket-1")
    cases = single_cases(count)
    said: dict[str, list[str | None]] = {"served": [], "in process": []}
    for number, case in enumerate(cases):
        drawn = draw_case(case, np.random.default_rng([SEED, number]), PAIRS)
        for name, proposer in (("served", served), ("in process", in_process)):
            phrases = proposer.propose(drawn[:, 0], drawn[:, 1]).phrases
            said[name].append((lexicon.canonical(phrases[0].text) or phrases[0].text) if phrases else None)
    truth = [lexicon.canonical(case.concepts[0][0]) for case in cases]
    right = {name: [a == t for a, t in zip(answers, truth, strict=True)] for name, answers in said.items()}
    same = [a == b for a, b in zip(said["served"], said["in process"], strict=True)]
    return Naming(
        bootstrap_mean(same),
        bootstrap_mean(right["served"]),
        bootstrap_mean(right["in process"]),
        Counter(truth).most_common(1)[0][1] / count,
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=200)
    parser.add_argument("--python", type=Path, default=Path(".venv-vllm/bin/python"))
    options = parser.parse_args()
    command = f"['{options.python.absolute()}', '-m', 'vllm.entrypoints.openai.api_server']"
    served = (
        "recipe.proposer.kind=openai",
        f"serving.command={command}",
        "serving.flags=['--enforce-eager']",
        "serving.environment=['VLLM_CPU_KVCACHE_SPACE=1']",
    )
    with TemporaryDirectory() as folder:
        proposers = []
        for overrides in (served, ()):
            work = Path(folder) / str(len(overrides))
            settings = resolve(config=None, profile="pocket", work_dir=work, overrides=overrides).settings
            proposers.append(load_proposer(settings))
        there, here = proposers
        assert there is not None and here is not None
        try:
            naming = compare(there, here, options.cases)
        finally:
            there.close()  # type: ignore[attr-defined]
    print(f"{options.cases} cases, chance {naming.chance:.2f}")
    for name, share in (
        ("same first concept", naming.agreement),
        ("right, served", naming.served),
        ("right, in process", naming.in_process),
    ):
        print(f"{name:20} {share.mean:.3f}  [{share.low:.3f}, {share.high:.3f}]")


if __name__ == "__main__":
    main()
