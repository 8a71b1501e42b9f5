"""One adapter that holds everything up is given up, and the others are audited."""

from __future__ import annotations

import io
import re
import signal
import subprocess
import sys
import threading
import time
from typing import Any

import pytest

import auditor.audit.task as task_module
from auditor.audit.item_limit import item_limit
from auditor.audit.task import Task
from auditor.errors import ItemError
from auditor.measuring import measure_file
from auditor.pipeline import connection, stages
from auditor.results.result_file import list_results, read_result
from auditor.results.workspace import Workspace
from tests.audit.conftest import World

PATIENT = "a" * 26 + "!"


def loop_in_python() -> None:
    while True:
        pass


def loop_in_a_pattern() -> None:
    re.match(r"(a+)+$", PATIENT * 2)


@pytest.mark.parametrize("work", [loop_in_python, loop_in_a_pattern, lambda: time.sleep(60)])
def test_work_without_end_is_given_up(work: Any) -> None:
    before = signal.getsignal(signal.SIGALRM)
    with pytest.raises(ItemError, match="Reading it took longer") as caught, item_limit(0.1, "Reading it"):
        work()
    assert (caught.value.outcome, caught.value.reason) == ("failed", "took_too_long")
    assert signal.getsignal(signal.SIGALRM) == before


def test_work_in_time_is_left_alone() -> None:
    with item_limit(5, "x"):
        pass
    with item_limit(0, "x"):
        pass


@pytest.mark.parametrize("stderr", [None, io.StringIO()])
def test_an_error_stream_that_is_closed_or_no_file_is_no_trouble(stderr: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", stderr)
    with pytest.raises(ItemError), item_limit(0.1, "x"):
        loop_in_python()


def test_an_alarm_that_was_set_before_rings_in_its_time() -> None:
    theirs = signal.setitimer(signal.ITIMER_REAL, 100)
    try:
        with item_limit(5, "x"):
            assert signal.getitimer(signal.ITIMER_REAL)[0] <= 5
        assert 5 < signal.getitimer(signal.ITIMER_REAL)[0] <= 100
    finally:
        signal.setitimer(signal.ITIMER_REAL, *theirs)


def test_work_that_never_comes_back_to_python_ends_its_process() -> None:
    code = (
        "from auditor.audit.item_limit import item_limit\n"
        "with item_limit(0.2, 'x'):\n"
        "    sum(range(10 ** 12))\n"  # one call in C that looks at no signal
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1 and "Timeout" in done.stderr


def test_its_record_says_so_and_the_base_is_built_anew(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def slow(*_: object) -> None:
        time.sleep(60)

    def limits(_: float, what: str) -> Any:
        return item_limit(0.3 if what == "Measuring it" else 0, what)

    monkeypatch.setattr(measure_file, "normalise", slow)
    monkeypatch.setattr(task_module, "item_limit", limits)
    settings = world.settings
    with connection.hub(settings) as client:
        stages.crawl(settings, client)
        manifest = stages.plan(settings, client)
        task = Task(settings, client)
        generator = task.open_base("pocket").generator
        rebuilt: list[bool] = []
        monkeypatch.setattr(generator, "rebuild", lambda: rebuilt.append(True))
        report = task.run([i for i in manifest.items if i.repo_id == "mkr/moss-lora"])
    assert report.outcomes == {"failed": 1} and rebuilt == [True]
    (record,) = [read_result(path).record for path in list_results(Workspace(world.work).results)]
    assert record.reason == "took_too_long" and "work.item_limit_s" in record.message


def test_outside_of_the_main_thread_there_is_no_limit() -> None:
    done: list[bool] = []

    def work() -> None:
        with item_limit(0.01, "x"):
            time.sleep(0.05)
        done.append(True)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert done == [True]
