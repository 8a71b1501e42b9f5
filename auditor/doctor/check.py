"""One thing looked at, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Status = Literal["ok", "warning", "missing"]


@dataclass(frozen=True)
class Check:
    """One thing that was looked at.

    Attributes:
        name: What was looked at, such as `base sdxl`.
        status: `missing` means that the main job cannot run; `warning` that it can, with the stated loss.
        found: What was seen.
        advice: What to do about it; None when there is nothing to do.
    """

    name: str
    status: Status
    found: str
    advice: str | None = None


def something_missing(checks: list[Check]) -> bool:
    """Whether a requirement is absent."""
    return any(check.status == "missing" for check in checks)
