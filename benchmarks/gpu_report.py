"""How the GPU benchmark keeps time and tells its figures."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch


class Report:
    """Figures as they come: printed at once, kept for the table."""

    def __init__(self, device: str, budget: float) -> None:
        self.device = device
        self.name = torch.cuda.get_device_name() if device == "cuda" else "CPU"
        self._end = time.monotonic() + budget
        self.rows: list[dict[str, Any]] = []

    def left(self) -> float:
        """Seconds of the budget."""
        return self._end - time.monotonic()

    def add(self, base: str, what: str, **figures: Any) -> None:
        """Print and keep one row."""
        row = {"device": self.name, "base": base, "what": what, **figures}
        self.rows.append(row)
        print(json.dumps(row), flush=True)

    def attempt(self, base: str, what: str, work: Callable[[], None], least_seconds: float = 0.0) -> None:
        """Run one part; a part that fails or does not fit the budget is a row too."""
        if self.left() < least_seconds:
            self.add(base, what, skipped=f"{self.left():.0f} s left, {least_seconds:.0f} needed")
            return
        try:
            work()
        except torch.OutOfMemoryError as error:
            self.add(base, what, failed=f"out of memory: {str(error)[:120]}")
        except Exception as error:  # the other parts' figures are worth more than a clean end
            self.add(base, what, failed=f"{type(error).__name__}: {str(error)[:200]}")

    def table(self) -> str:
        """All rows as Markdown."""
        lines = [f"Device: {self.name}, torch {torch.__version__}", "", "| base | what | figures |", "|---|---|---|"]
        for row in self.rows:
            figures = ", ".join(f"{k} {v}" for k, v in row.items() if k not in ("device", "base", "what"))
            lines.append(f"| {row['base']} | {row['what']} | {figures} |")
        return "\n".join(lines) + "\n"


class Busy:
    """Mean share of time in which the GPU ran a kernel, sampled beside the work; absent without NVML."""

    def __init__(self) -> None:
        self._samples: list[int] = []
        self._stop = threading.Event()

    def __enter__(self) -> Busy:
        self._thread = threading.Thread(target=self._sample, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    @property
    def share(self) -> float | None:
        """0 to 1."""
        return round(float(np.mean(self._samples)) / 100, 3) if self._samples else None

    def _sample(self) -> None:
        while not self._stop.wait(0.1):
            try:
                self._samples.append(torch.cuda.utilization())
            except Exception:  # no NVML here: the figure is left out
                return


def now(device: str) -> float:
    """Seconds, when all that was asked of the device is done."""
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


@contextmanager
def timed(device: str, into: dict[str, float], key: str) -> Iterator[None]:
    """Seconds of the block."""
    start = now(device)
    yield
    into[key] = round(now(device) - start, 4)


def reset_peak(device: str) -> None:
    """Count the peak of memory from here."""
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()


def peak(device: str) -> float | None:
    """Most memory allocated since, GB; None on a CPU."""
    return round(torch.cuda.max_memory_allocated() / 1e9, 2) if device == "cuda" else None
