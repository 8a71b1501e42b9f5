"""Rivals on trained adapters: the pictures of an audit drawn again, each answer kept on disk."""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import cached_property
from pathlib import Path

from auditor.adapters.adapter_file import inspect_file
from auditor.adapters.normalise import normalise
from auditor.common.atomic_files import replacing
from auditor.evaluation.bank import Bank, Note, TrainedAdapter
from auditor.evaluation.rivals import rival as protocol
from auditor.evaluation.rivals.judging import Judge
from auditor.evaluation.rivals.rival import Evidence, Pictures, Rival, Telling, gather
from auditor.evaluation.rivals.rival_list import load_rivals

Tellings = Mapping[str, Telling]
"""By the rivals' short names."""
Scored = Callable[[TrainedAdapter, str], float]
"""How much of an aspect one way of reading one rival finds in an adapter."""


class RivalBank:
    """Answers of all rivals about the adapters of a bank, from the same probes and noise as its audits."""

    def __init__(self, bank: Bank, judge: Judge, rivals: Mapping[str, Rival] | None = None) -> None:
        """Fix who answers.

        Args:
            bank: Its recipe's probes and number of requests are the budget.
            judge: Reads texts.
            rivals: By short name; all that are listed when left out.
        """
        self.bank, self.judge = bank, judge
        self.rivals = dict(rivals if rivals is not None else load_rivals())
        self.folder = bank.folder / "rivals" / bank.opened.recipe.recipe_id
        self._told: dict[TrainedAdapter, Tellings] = {}

    def ensure(self, cases: Sequence[TrainedAdapter], note: Note | None = None) -> None:
        """Let every rival explain every adapter that it has not explained yet."""
        self.bank.ensure(list({case.lesson.name: case.lesson for case in cases}.values()))
        for case in dict.fromkeys(cases):
            if case not in self._told:
                self._told[case] = self._tell(case)
                if note is not None:
                    note(f"rivals, {case.lesson.name} at {case.step}")

    def told(self, case: TrainedAdapter) -> Tellings:
        """What every rival says about one adapter."""
        self.ensure([case])
        return self._told[case]

    def readings(self, cases: Sequence[TrainedAdapter]) -> dict[str, Scored]:
        """Every way to get a number out of every rival: its own numbers, and the judge's of its text.

        Args:
            cases: Some that are asked about; a rival whose texts about them are all empty has nothing to judge.
        """
        self.ensure(cases)
        found: dict[str, Scored] = {}
        for short, rival in self.rivals.items():
            for number in self.told(cases[0])[short].numbers:
                found[f"{rival.name}, {number}"] = self._native(short, number)
            if any(self.told(case)[short].text for case in cases):
                found[f"{rival.name}, judged"] = self._judged(short)
        return found

    def _native(self, short: str, number: str) -> Scored:
        return lambda case, aspect: self.told(case)[short].numbers[number][aspect]

    def _judged(self, short: str) -> Scored:
        return lambda case, aspect: self.judge.level(self.told(case)[short].text, aspect)

    def _tell(self, case: TrainedAdapter) -> Tellings:
        file = self.bank.path(case)
        name = hashlib.sha256(file.read_bytes()).hexdigest()[:16]
        evidence: Evidence | None = None
        told: dict[str, Telling] = {}
        for short, rival in self.rivals.items():
            kept = self.folder / f"{name}-{short}-{_code(rival)}.json"
            if not kept.exists():
                evidence = evidence or self._evidence(file)
                kept.parent.mkdir(parents=True, exist_ok=True)
                with replacing(kept) as temporary:
                    temporary.write_text(json.dumps(asdict(rival.explain(evidence))), encoding="utf-8")
            told[short] = Telling(**json.loads(kept.read_text(encoding="utf-8")))
        return told

    @cached_property
    def _base(self) -> Pictures:
        opened = self.bank.opened
        return opened.generator.generate(list(opened.probes.prompts), list(opened.probes.seeds))

    def evidence(self, case: TrainedAdapter) -> Evidence:
        """An adapter's pictures, drawn again, with the budget of all."""
        self.bank.ensure([case.lesson])
        return self._evidence(self.bank.path(case))

    def _evidence(self, file: Path) -> Evidence:
        opened = self.bank.opened
        base = self._base
        opened.generator.apply(normalise(inspect_file(file), opened.generator.layout()))
        try:
            shown = opened.generator.generate(list(opened.probes.prompts), list(opened.probes.seeds))
        finally:
            opened.generator.remove()
        calls = self.bank.settings.recipe.proposer.requests
        return gather(
            opened.probes.prompts, base, shown, opened.encoder, opened.lexicon, opened.proposer, min(calls, len(base))
        )


def _code(rival: Rival) -> str:
    """Of the rival's own module and the protocol: an answer of other code is not read back."""
    sources = (inspect.getsource(module) for module in (inspect.getmodule(type(rival)), protocol) if module)
    return hashlib.sha256("\0".join(sources).encode()).hexdigest()[:8]
