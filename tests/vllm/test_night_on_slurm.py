"""A night on a real Slurm whose propose job serves the pocket model on a real vLLM: equal to the same without Slurm."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from auditor.pipeline import stages
from auditor.proposing.endpoint import Endpoint
from tests.cluster.conftest import (  # noqa: F401  # some are fixtures
    Planned,
    audit,
    catalog_rows,
    leftovers,
    planned,
    read_catalog,
    repository_folder,
    snapshot,
    start_rig,
)
from tests.cluster.rig import Rig
from tests.cluster.site import RUN, Site

pytestmark = [pytest.mark.vllm, pytest.mark.timeout(1500)]


def test_a_night_with_concepts_from_vllm(
    planned: Planned,  # noqa: F811
    start_rig: Callable[[str], Rig],  # noqa: F811
    serving: tuple[str, ...],
    endpoint: Endpoint,
    tmp_path: Path,
    repository_folder: Path,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Deferred, the way one-GPU nodes work: the array draws, then one job starts the server and names everything."""
    deferred = (*serving, "serving.when=deferred")
    here = planned.copy(tmp_path / "here", *deferred, f"serving.address={endpoint.base_url}")
    monkeypatch.setenv("OPENAI_API_KEY", endpoint.api_key)
    audit(here)
    named = stages.propose(here.settings).named
    assert sum(named.values()) >= 5
    expected = snapshot(here)
    assert {record.proposals for record in expected.values() if record.scores} == {"answered"}

    monkeypatch.delenv("OPENAI_API_KEY")
    common = (f"cluster.scripts={repository_folder / 'slurm'}", "cluster.cpus_per_task=1", "cluster.array_limit=1")
    night = Site(start_rig("vllm"), planned.copy(tmp_path / "night", *common, "cluster.items_per_task=3", *deferred))
    night.auditor("submit", "--run", RUN)
    night.rig.wait_for("chain", lambda: bool(night.jobs("propose")) and bool(night.jobs("export")), 300)
    night.drain(900)
    assert snapshot(night.world) == expected and not leftovers(night.world)
    assert read_catalog(night.world) == catalog_rows(here)
    assert re.search(r"vibrant 0\.\d\d", night.auditor("search", "vibrant"))
