from __future__ import annotations

import os
from pathlib import Path

import pytest

from auditor.common.cpu_share import cpu_share

ALL = len(os.sched_getaffinity(0))


@pytest.mark.parametrize(
    ("quota", "share"),
    [
        ("max 100000", ALL),
        ("150000 100000", min(2, ALL)),
        ("50000 100000", 1),
        ("", ALL),
        ("0 0", ALL),
        ("a b c", ALL),
    ],
)
def test_the_containers_quota_limits_rounded_up(tmp_path: Path, quota: str, share: int) -> None:
    path = tmp_path / "cpu.max"
    path.write_text(quota)
    assert cpu_share({}, path) == share


def test_slurms_share_limits(tmp_path: Path) -> None:
    absent = tmp_path / "cpu.max"
    assert cpu_share({"SLURM_CPUS_PER_TASK": "1"}, absent) == 1
    assert cpu_share({"SLURM_CPUS_PER_TASK": str(ALL + 7)}, absent) == ALL
    assert cpu_share({"SLURM_CPUS_PER_TASK": "many"}, absent) == ALL
