"""What asking for concepts beside the generator saves, against asking after each adapter.

    python benchmarks/overlap.py --adapters 8 --reply-s 1.5

Audits some of the pocket zoo twice over (the reference is made before, and shared) beside a server that takes a fixed
time for each answer, once with serving.ahead=0 and once with 1, in turn, `--rounds` times. With g seconds of
generation and p of proposals per adapter, the bound of the ratio is (g + p) / max(g, p).
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from auditor.audit.task import Task
from auditor.pipeline import connection, stages
from auditor.settings import Settings, resolve
from tests.stub_vlm import GOOD, StubServer


def audit_seconds(settings: Settings, adapters: int) -> float:
    """Seconds per adapter of a task's loop; its models are loaded before."""
    with connection.hub(settings) as client:
        stages.crawl(settings, client)
        items = [i for i in stages.plan(settings, client).items if not i.repo_id.startswith("grab-bag/")][:adapters]
        task = Task(settings, client)
        task.open_base("pocket")
        began = time.monotonic()
        report = task.run(items)
        seconds = time.monotonic() - began
        task.close()
    if sum(report.outcomes.values()) != len(items) or report.unanswered:
        raise SystemExit(f"the run was disturbed: {report}")
    return seconds / len(items)


def main() -> None:
    """Print seconds per adapter both ways, and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--adapters", type=int, default=8)
    parser.add_argument("--reply-s", type=float, default=1.5)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    stub = StubServer()

    def slowly() -> str:
        time.sleep(options.reply_s)
        return GOOD

    stub.script = [slowly]
    taken: dict[int, list[float]] = {0: [], 1: []}
    with TemporaryDirectory() as top:
        for number in range(options.rounds):
            for ahead in taken:
                work = Path(top) / f"{number}-{ahead}"
                work.mkdir()
                (Path(top) / "reference").mkdir(exist_ok=True)
                (work / "reference").symlink_to(Path(top) / "reference")
                settings = resolve(
                    config=None,
                    profile="pocket",
                    work_dir=work,
                    overrides=(
                        "recipe.proposer.kind=openai",
                        f"serving.address={stub.url}",
                        f"serving.ahead={ahead}",
                        "recipe.probe_count=12",
                        "recipe.looks=[]",
                        "recipe.solver.image_probes=1",
                        "recipe.trigger_arms=false",
                    ),
                ).settings
                taken[ahead].append(audit_seconds(settings, options.adapters))
    stub.stop()
    one, other = (statistics.median(taken[ahead]) for ahead in (0, 1))
    print(f"{options.adapters} adapters, {options.rounds} rounds, answers after {options.reply_s} s (two at a time)")
    print(f"one after the other  {one:.2f} s per adapter  {[round(t, 2) for t in taken[0]]}")
    print(f"one ahead            {other:.2f} s per adapter  {[round(t, 2) for t in taken[1]]}")
    print(f"ratio                {one / other:.2f}")


if __name__ == "__main__":
    main()
