"""One original module and where its rows live in diffusers."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Origin:
    """The diffusers modules that together hold one original module's output rows, first rows first."""

    modules: tuple[str, ...]
    halves_swapped: bool = False
    """The original emits (shift, scale) where diffusers expects (scale, shift)."""


def block_numbers(modules: Collection[str], stem: str) -> tuple[int, ...]:
    """The N for which a module `<stem>.N.…` exists, in order."""
    pattern = re.compile(re.escape(stem) + r"\.(\d{1,4})\.")
    return tuple(sorted({int(match[1]) for module in modules if (match := pattern.match(module))}))
