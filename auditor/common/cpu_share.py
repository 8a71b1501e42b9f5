"""How many CPU cores this process may use, which is often fewer than the machine has."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from pathlib import Path

_QUOTA = Path("/sys/fs/cgroup/cpu.max")  # cgroup v2: "QUOTA PERIOD" in microseconds, or "max PERIOD"


def cpu_share(environment: Mapping[str, str] = os.environ, quota: Path = _QUOTA) -> int:
    """Cores by the least of affinity, the container's quota and Slurm's share; at least 1.

    Args:
        environment: Read for `SLURM_CPUS_PER_TASK`.
        quota: The cgroup's file; one that is absent or not understood limits nothing.
    """
    affinity = getattr(os, "sched_getaffinity", None)
    shares = [len(affinity(0)) if affinity else os.cpu_count() or 1]
    if (slurm := environment.get("SLURM_CPUS_PER_TASK", "")).isdecimal():
        shares.append(int(slurm))
    try:
        allowed, period = quota.read_text("ascii").split()
        shares.append(math.ceil(int(allowed) / int(period)))
    except (OSError, ValueError, ZeroDivisionError):
        pass
    return max(1, min(shares))
