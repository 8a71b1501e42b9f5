"""Outages: a server of our own is started again a few times; any server is left alone after some in a row."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from auditor.proposing import server as server_module
from auditor.proposing.dependable import Breaker, ServedProposer
from auditor.proposing.endpoint import Endpoint
from auditor.proposing.openai_proposer import OpenAIProposer
from auditor.proposing.proposer import ProposerOptions, VlmUnavailable
from auditor.proposing.server import LocalServer
from auditor.records.proposals import Proposals
from tests.proposing.test_server import gone, pids, plan, starts

Pairs = tuple[np.ndarray, np.ndarray]
EMPTY = Proposals((), (), 1, 1, None)


class Scripted:
    """A proposer that fails as told: True is an answer."""

    identity = "scripted"

    def __init__(self, script: list[bool]) -> None:
        self.script, self.calls = script, 0

    def propose(self, base_images: Any, adapted_images: Any) -> Proposals:
        answer = self.script[min(self.calls, len(self.script) - 1)]
        self.calls += 1
        if not answer:
            raise VlmUnavailable("away")
        return EMPTY


def ask(breaker: Breaker, times: int) -> list[bool]:
    answers = []
    for _ in range(times):
        try:
            breaker.propose(np.zeros(1), np.zeros(1))
            answers.append(True)
        except VlmUnavailable:
            answers.append(False)
    return answers


def test_breaker_turns_away_after_failures_in_a_row() -> None:
    inner = Scripted([False, False, True, False, False, False])
    breaker = Breaker(inner, failures=3, pause_s=600)
    assert ask(breaker, 10) == [False, False, True] + [False] * 7
    assert inner.calls == 6 and breaker.is_open


def test_breaker_lets_one_through_after_its_pause_and_closes_on_an_answer() -> None:
    inner = Scripted([False, False, True])
    breaker = Breaker(inner, failures=2, pause_s=0.0)
    assert ask(breaker, 4) == [False, False, True, True]
    assert not breaker.is_open and breaker.identity == "scripted"


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(server_module, "GRACE_S", 0.3)
    made: list[ServedProposer] = []

    def make(trouble: str, restarts: int = 1, **changes: Any) -> ServedProposer:
        endpoint = Endpoint("", "served-name", "r", deadline_s=2.0, outage_attempts=1, parallel=4)
        server = LocalServer(plan(tmp_path, trouble, endpoint=endpoint, **changes))
        made.append(ServedProposer(server, ProposerOptions(), None, restarts=restarts))
        return made[-1]

    yield make
    for proposer in made:
        proposer.close()
    assert gone(pids(tmp_path))


def test_a_server_that_dies_is_started_again_and_the_question_asked_again(
    served: Any, tmp_path: Path, pairs: Pairs
) -> None:
    proposals = served("exit:2").propose(*pairs)
    assert [p.text for p in proposals.phrases] == ["vibrant"] and proposals.groups_answered == 3
    assert len(starts(tmp_path)) == 2


def test_a_server_that_stands_still_is_replaced(served: Any, tmp_path: Path, pairs: Pairs) -> None:
    proposer = served("")
    proposer.prepare()
    os.kill(starts(tmp_path)[0]["pid"], signal.SIGSTOP)
    assert proposer.propose(*pairs).groups_answered == 3
    assert len(starts(tmp_path)) == 2


@pytest.mark.parametrize("trouble", ["500:1", "hang:1"])
def test_a_server_that_still_looks_at_pictures_is_not_restarted(
    served: Any, tmp_path: Path, pairs: Pairs, trouble: str
) -> None:
    with pytest.raises(VlmUnavailable):
        served(trouble).propose(*pairs)
    assert len(starts(tmp_path)) == 1


def test_restarts_are_bounded(served: Any, tmp_path: Path, pairs: Pairs) -> None:
    proposer = served("broken", restarts=2)
    for _ in range(2):
        with pytest.raises(VlmUnavailable, match="ended while starting"):
            proposer.propose(*pairs)
    assert len(starts(tmp_path)) == 4


def test_a_closed_one_starts_nothing_more(served: Any, tmp_path: Path, pairs: Pairs) -> None:
    proposer = served("")
    proposer.prepare()
    proposer.close()
    with pytest.raises(VlmUnavailable, match="stopped"):
        proposer.propose(*pairs)
    assert len(starts(tmp_path)) == 1 and gone(pids(tmp_path))


def test_where_a_model_runs_is_no_part_of_its_identity(tmp_path: Path) -> None:
    endpoint = Endpoint("", "served-name", "sha:bfloat16")
    started = ServedProposer(LocalServer(plan(tmp_path, endpoint=endpoint)), ProposerOptions(), None, restarts=0)
    there = OpenAIProposer(Endpoint("http://10.0.0.1/v1", "served-name", "sha:bfloat16", api_key="k"))
    assert Breaker(started, failures=1).identity == there.identity
    other = OpenAIProposer(Endpoint("http://10.0.0.1/v1", "served-name", "sha:float16"))
    assert other.identity != there.identity
