"""How many changes of the code do the tests notice? `make mutants` draws some per room, runs its tests, and counts.

    python -m tests.mutation --minutes 60 --seed 1

A mutant is one small change: another comparison, `and` for `or`, a number one larger. It is killed when a test fails
or takes too long. Each room's mutants are drawn without replacement by the seed, and taken a room after another until
the time is spent. What the tests of the mutated module do not notice, all tests of its room are asked. Everything
happens in a clone of the last commit, whose tests must pass unchanged first. Every verdict is kept in a file, so that
the next call goes on.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code
from cosmic_ray.plugins import get_operator
from scipy.stats import binomtest

ROOMS = {
    "finexl": ("tests/finexl",),
    "adapters": ("tests/adapters", "tests/generation"),
    "hub": ("tests/hub",),
    "audit": ("tests/audit",),
    "measuring": ("tests/measuring", "tests/audit"),
    "catalog": ("tests/catalog",),
}
"""Each room and where its tests are."""

# Changes that a careless hand could make. Others of cosmic-ray (a shift in place of a sum) end in a TypeError at once
# and would only lift the score.
OPERATORS = (
    *(
        f"ReplaceBinaryOperator_{pair}"
        for pair in ("Add_Sub", "Sub_Add", "Mul_Div", "Div_Mul", "FloorDiv_Div", "Mod_Mul")
    ),
    *(f"ReplaceComparisonOperator_{pair}" for pair in ("Eq_NotEq", "NotEq_Eq", "Lt_LtE", "LtE_Lt", "Gt_GtE", "GtE_Gt")),
    *(f"ReplaceComparisonOperator_{pair}" for pair in ("Is_IsNot", "IsNot_Is")),
    "ReplaceUnaryOperator_USub_UAdd",
    "ReplaceUnaryOperator_Delete_Not",
    "ReplaceAndWithOr",
    "ReplaceOrWithAnd",
    "ReplaceTrueWithFalse",
    "ReplaceFalseWithTrue",
    "ReplaceBreakWithContinue",
    "ReplaceContinueWithBreak",
    "AddNot",
    "NumberReplacer",
    "ZeroIterationForLoop",
)

_NO_ARITHMETIC = ("parameters", "param", "argument")
"""Where a star is a part of a signature or a call and no multiplication."""


@dataclass(frozen=True)
class Mutant:
    """One change: the `occurrence`-th place of a module (relative path) at which an operator applies."""

    room: str
    module: str
    operator: str
    occurrence: int

    def apply(self, code: str) -> str:
        """The module's text with the change.

        Raises:
            ValueError: There is no such place.
        """
        changed = mutate_code(code, get_operator(f"core/{self.operator}")(), self.occurrence)
        if changed is None:
            raise ValueError(f"{self.module} has no place {self.occurrence} for {self.operator}")
        return str(changed)


@dataclass(frozen=True)
class Verdict:
    """Whether a test noticed, and what was changed (old line, new line)."""

    mutant: Mutant
    killed: bool
    line: int
    old: str
    new: str


def mutants_of(source: Path, room: str) -> Iterator[Mutant]:
    """All mutants of a room, module by module."""
    for path in sorted((source / "auditor" / room).rglob("*.py")):
        nodes = list(ast_nodes(get_ast(path.read_text(encoding="utf-8"))))
        for name in OPERATORS:
            operator = get_operator(f"core/{name}")()
            places = [node for node in nodes for _ in operator.mutation_positions(node)]
            for occurrence, node in enumerate(places):
                if node.parent is None or node.parent.type not in _NO_ARITHMETIC:
                    yield Mutant(room, str(path.relative_to(source)), name, occurrence)


def first_difference(old: str, new: str) -> tuple[int, str, str]:
    """Number and text of the first line that two texts differ in."""
    lines = itertools.zip_longest(old.splitlines(), new.splitlines(), fillvalue="")
    return next((n, a.strip(), b.strip()) for n, (a, b) in enumerate(lines, 1) if a != b)


def tests_of(clone: Path, mutant: Mutant) -> list[list[str]]:
    """Test files to run: first those that import the module, then all others of the room."""
    name = mutant.module.removesuffix(".py").replace("/", ".")
    package, _, base = name.rpartition(".")
    files = sorted(path for folder in ROOMS[mutant.room] for path in (clone / folder).rglob("test_*.py"))
    own = [p for p in files if name in (text := p.read_text("utf-8")) or f"from {package} import {base}" in text]
    groups = own, [path for path in files if path not in own]
    return [[str(path.relative_to(clone)) for path in group] for group in groups if group]


def passes(clone: Path, files: Sequence[str], limit_s: float) -> bool:
    """Whether these tests pass within a limit."""
    environment = os.environ | {"PYTHONPATH": str(clone), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-m", "pytest", "-x", "-q", "--tb=no", "-p", "no:cacheprovider", "--no-header", *files]
    try:
        run = subprocess.run(command, cwd=clone, env=environment, capture_output=True, timeout=limit_s, check=False)
    except subprocess.TimeoutExpired:
        return False
    return run.returncode == 0


def judge(clone: Path, mutant: Mutant, limit_s: float) -> Verdict:
    """Apply a mutant to the clone, run the tests, put the module back."""
    path = clone / mutant.module
    code = path.read_text(encoding="utf-8")
    changed = mutant.apply(code)
    path.write_text(changed, encoding="utf-8")
    try:
        killed = not all(passes(clone, files, limit_s) for files in tests_of(clone, mutant))
    finally:
        path.write_text(code, encoding="utf-8")
    return Verdict(mutant, killed, *first_difference(code, changed))


def taken_in_turn(clone: Path, rooms: Sequence[str], seed: int) -> Iterator[Mutant]:
    """One mutant of each room after another, each room's in the order that the seed draws."""
    orders = []
    for room in rooms:
        order = list(mutants_of(clone, room))
        print(f"{room}: {len(order)} mutants", file=sys.stderr)
        random.Random(f"{seed}:{room}").shuffle(order)
        orders.append(order)
    for several in itertools.zip_longest(*orders):
        yield from (mutant for mutant in several if mutant)


def known(results: Path) -> list[Verdict]:
    """The verdicts of earlier calls."""
    if not results.exists():
        return []
    rows = [json.loads(line) for line in results.read_text(encoding="utf-8").splitlines()]
    return [Verdict(**(row | {"mutant": Mutant(**row["mutant"])})) for row in rows]


def table(verdicts: Sequence[Verdict]) -> str:
    """Killed of all by room, with a 95 % interval."""
    lines = ["| room | mutants | killed | share | 95 % interval |", "|---|---|---|---|---|"]
    for room in [*ROOMS, "all"]:
        own = [v for v in verdicts if room in ("all", v.mutant.room)]
        if own:
            killed = sum(v.killed for v in own)
            interval = binomtest(killed, len(own)).proportion_ci(0.95, "wilson")
            share, low, high = (f"{100 * x:.0f} %" for x in (killed / len(own), interval.low, interval.high))
            lines.append(f"| {room} | {len(own)} | {killed} | {share} | {low} to {high} |")
    return "\n".join(lines)


def main() -> None:
    """Draw, judge, count."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=60.0, help="how long to go on")
    parser.add_argument("--seed", type=int, default=1, help="of the draw; a commit and a seed draw the same mutants")
    parser.add_argument("--rooms", default=",".join(ROOMS), help="names, with commas between")
    parser.add_argument("--limit", type=float, default=900.0, help="seconds for the tests of one mutant")
    parser.add_argument("--results", type=Path, default=Path(".auditor/mutants.jsonl"), help="verdicts so far")
    options = parser.parse_args()
    ends = time.monotonic() + 60 * options.minutes
    options.results.parent.mkdir(parents=True, exist_ok=True)
    verdicts = known(options.results)
    done = {verdict.mutant for verdict in verdicts}
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        clone = Path(folder)
        subprocess.run(["git", "clone", "--quiet", "--shared", os.getcwd(), str(clone)], check=True)
        rooms = options.rooms.split(",")
        for room in rooms:
            if not passes(clone, ROOMS[room], options.limit):
                sys.exit(f"the tests of {room} fail without any change: mend them first")
        for mutant in taken_in_turn(clone, rooms, options.seed):
            if mutant in done:
                continue
            if time.monotonic() > ends:
                break
            verdict = judge(clone, mutant, options.limit)
            verdicts.append(verdict)
            with options.results.open("a", encoding="utf-8") as file:
                print(json.dumps(asdict(verdict)), file=file)
            fate = "killed  " if verdict.killed else "SURVIVED"
            print(f"{fate} {mutant.module}:{verdict.line}  {verdict.old}  ->  {verdict.new}", flush=True)
    print(table(verdicts))


if __name__ == "__main__":
    main()
