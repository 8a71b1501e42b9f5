"""A chat completion server that misbehaves on request, and a real but tiny Qwen2-VL."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.stub_vlm import StubServer


@pytest.fixture
def stub() -> Iterator[StubServer]:
    server = StubServer()
    yield server
    server.stop()


@pytest.fixture
def pairs() -> tuple[np.ndarray, np.ndarray]:
    """Seven pairs of 16-pixel noise: three groups, the last one short."""
    rng = np.random.default_rng(0)
    base, adapted = rng.integers(0, 256, (2, 7, 16, 16, 3), dtype=np.uint8)
    return base, adapted


@pytest.fixture(scope="session")
def random_vlm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pocket architecture with random weights: it answers, but never sensibly."""
    from auditor.pocket.vlm.architecture import build_model

    folder = tmp_path_factory.mktemp("random-vlm")
    model, processor = build_model(seed=3)
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder
