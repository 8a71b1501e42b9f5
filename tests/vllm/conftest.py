"""One real vLLM serving the pocket model, for the whole session, and worlds that are audited beside it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from auditor.audit.proposers import load_proposer
from auditor.proposing.dependable import Breaker, ServedProposer
from auditor.proposing.endpoint import Endpoint
from auditor.proposing.server import LocalServer
from auditor.results.workspace import Workspace
from auditor.settings import Settings, resolve

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def serving() -> tuple[str, ...]:
    """Settings of a task that serves the pocket model itself."""
    python = REPOSITORY / os.environ.get("VLLM_VENV", ".venv-vllm") / "bin" / "python"
    if not python.exists():
        pytest.fail(f"there is no {python}; run: make vllm")
    command = f"['{python}', '-m', 'vllm.entrypoints.openai.api_server']"
    return (
        "recipe.proposer.kind=openai",
        f"serving.command={command}",
        "serving.flags=['--enforce-eager']",
        "serving.environment=['VLLM_CPU_KVCACHE_SPACE=1']",
        "serving.start_timeout_s=600",
    )


@pytest.fixture(scope="session")
def served_settings(serving: tuple[str, ...], tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """The pocket profile with its model on vLLM."""
    work = tmp_path_factory.mktemp("vllm")
    return resolve(config=None, profile="pocket", work_dir=work, overrides=serving).settings


@pytest.fixture(scope="session")
def server(served_settings: Settings) -> Iterator[LocalServer]:
    """A running server, started the way a task does it."""
    breaker = load_proposer(served_settings)
    assert isinstance(breaker, Breaker) and isinstance(breaker.inner, ServedProposer)
    breaker.inner.server.start()
    yield breaker.inner.server
    breaker.close()


@pytest.fixture(scope="session")
def endpoint(server: LocalServer) -> Endpoint:
    """Where it listens, and its key."""
    return server.start()


@pytest.fixture(scope="session")
def reference_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Shared by all worlds, as references are between runs."""
    return Workspace(tmp_path_factory.mktemp("shared")).reference
