"""Module names and shapes of published architectures, read from a table that was written from diffusers' classes.

A pattern such as `transformer_blocks.[0-18].attn.to_q` stands for one module per number. `python -m
tests.published_shapes` writes the table from the classes on the meta device, and a test compares.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable

Shape = tuple[int, ...]
TABLE: Traversable = files(__package__).joinpath("shapes.json")
"""Where the table lies. The rehearsal of the tests puts that of its small models here."""
_RANGE = re.compile(r"\[(\d+)-(\d+)\]")


@dataclass(frozen=True, slots=True)
class ModuleShapes:
    """One module of an architecture."""

    adaptable: bool
    """A linear or ungrouped convolution layer, which low-rank changes are for."""
    parameters: Mapping[str, Shape]
    """Parameter name, such as `weight`, → shape."""


@dataclass(frozen=True, slots=True)
class ArchitectureShapes:
    """A published architecture: its denoiser, and the text encoders that adapters change."""

    denoiser: str
    """`unet` or `transformer`."""
    components: Mapping[str, Mapping[str, ModuleShapes]]
    """Component → module path → shapes, sorted by pattern."""


@cache
def architectures() -> Mapping[str, ArchitectureShapes]:
    """Every architecture in the table, by the name of its family."""
    table = json.loads(TABLE.read_text("utf-8"))
    parts = {name: dict(_expanded(rows)) for name, rows in table["parts"].items()}
    return {
        name: ArchitectureShapes(next(iter(uses)), {component: parts[part] for component, part in uses.items()})
        for name, uses in table["architectures"].items()
    }


def _expanded(rows: Iterable[tuple[str, bool, dict[str, list[int]]]]) -> Iterator[tuple[str, ModuleShapes]]:
    for pattern, adaptable, parameters in rows:
        shapes = ModuleShapes(adaptable, {name: tuple(shape) for name, shape in parameters.items()})
        for path in expand(pattern):
            yield path, shapes


def expand(pattern: str) -> Iterator[str]:
    """Every path that a pattern stands for."""
    match = _RANGE.search(pattern)
    if match is None:
        yield pattern
        return
    for number in range(int(match[1]), int(match[2]) + 1):
        yield from expand(f"{pattern[: match.start()]}{number}{pattern[match.end() :]}")


def fold(paths: Iterable[str]) -> list[str]:
    """The patterns that together stand for exactly these paths, which differ in their numbers alone."""
    split = [tuple(re.split(r"(?<=\.)(\d+)(?=\.|\Z)", path)) for path in paths]
    return sorted({pattern for group in _by_text(split) for pattern in _folded(group)})


def _by_text(split: Iterable[tuple[str, ...]]) -> Iterable[list[tuple[str, ...]]]:
    groups: dict[tuple[str, ...], list[tuple[str, ...]]] = {}
    for pieces in split:
        groups.setdefault(pieces[::2], []).append(pieces)
    return groups.values()


def _folded(group: list[tuple[str, ...]]) -> list[str]:
    """Ranges of the first number whose continuations are alike, and so on for the others."""
    if len(group[0]) == 1:
        return [group[0][0]]
    rests: dict[int, set[tuple[str, ...]]] = {}
    for pieces in group:
        rests.setdefault(int(pieces[1]), set()).add(pieces[2:])
    head = group[0][0]
    runs: list[tuple[int, int]] = []
    for index in sorted(rests):
        if runs and runs[-1][1] == index - 1 and rests[runs[-1][0]] == rests[index]:
            runs[-1] = (runs[-1][0], index)
        else:
            runs.append((index, index))
    return [
        f"{head}{first if first == last else f'[{first}-{last}]'}{tail}"
        for first, last in runs
        for tail in _folded(sorted(rests[first]))
    ]
