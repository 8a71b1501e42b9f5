"""Draws the rooms of the package and what they import, from the sources and the layers of pyproject.toml.

Lines that follow from others are left out: what a room reaches through one that it imports needs no line of its own.
"""

from __future__ import annotations

import ast
import re
import tomllib
from collections import defaultdict
from html import escape
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
WIDTH, ROW, BOX_WIDTH, BOX_HEIGHT, MARGIN = 960, 72, 116, 34, 20

FOR_ALL = {"common", "errors"}
"""Nearly every room imports them; lines to them would hide the others."""

Imports = dict[str, set[str]]


def room_imports(package: Path) -> Imports:
    """Room → rooms that its modules import, at the top or inside a function."""
    found: Imports = defaultdict(set)
    for path in sorted(package.rglob("*.py")):
        relative = path.relative_to(package).parts
        if len(relative) == 1 and relative[0] == "__init__.py":
            continue
        room = relative[0].removesuffix(".py")
        found[room] |= {name for name in _imported(path) if name != room}
    return {room: {name for name in names if name in found} for room, names in found.items()}


def _imported(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module == "auditor":
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module is not None and node.module.startswith("auditor."):
            names.add(node.module.split(".")[1])
        elif isinstance(node, ast.Import):
            names |= {alias.name.split(".")[1] for alias in node.names if alias.name.startswith("auditor.")}
    return names


def layers(project: Path) -> list[list[str]]:
    """Rooms by layer, from top to bottom, as import-linter holds them."""
    contracts = tomllib.loads(project.read_text(encoding="utf-8"))["tool"]["importlinter"]["contracts"]
    lines = next(contract["layers"] for contract in contracts if contract["type"] == "layers")
    return [re.findall(r"\w+", line) for line in lines]


def without_shortcuts(imports: Imports) -> Imports:
    """Leave out every import of a room that is also reached through another import."""
    reach: Imports = {}

    def reached(room: str) -> set[str]:
        if room not in reach:
            reach[room] = set()  # two rooms of one layer may know each other
            reach[room] = {further for name in imports[room] for further in {name} | reached(name)} - {room}
        return reach[room]

    return {
        room: {name for name in names if not any(name in reached(other) for other in names - {name})}
        for room, names in imports.items()
    }


def svg() -> str:
    """The picture."""
    imports, rows = room_imports(REPOSITORY / "auditor"), layers(REPOSITORY / "pyproject.toml")
    centres = {
        room: (WIDTH * (place + 1) / (len(row) + 1), MARGIN + level * ROW + BOX_HEIGHT / 2)
        for level, row in enumerate(rows)
        for place, room in enumerate(row)
    }
    height = 2 * MARGIN + (len(rows) - 1) * ROW + BOX_HEIGHT
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif" '
        'font-size="14" role="img" aria-label="Rooms of the package; lines lead down to what a room imports">\n',
        f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>\n',
    ]
    for room, names in sorted(without_shortcuts(imports).items()):
        for name in sorted(names - FOR_ALL):
            (x, y), (to_x, to_y) = centres[room], centres[name]
            half = (y + to_y) / 2
            curve = f"M{x:.0f} {y:.0f} C{x:.0f} {half:.0f} {to_x:.0f} {half:.0f} {to_x:.0f} {to_y:.0f}"
            parts.append(f'<path d="{curve}" fill="none" stroke="#8a94a6" stroke-width="1.2"/>\n')
    for room, (x, y) in centres.items():
        parts.append(
            f'<rect x="{x - BOX_WIDTH / 2:.0f}" y="{y - BOX_HEIGHT / 2:.0f}" width="{BOX_WIDTH}" '
            f'height="{BOX_HEIGHT}" rx="6" fill="#eef2f8" stroke="#40506b"/>\n'
            f'<text x="{x:.0f}" y="{y + 5:.0f}" text-anchor="middle" fill="#1b2536">{escape(room)}</text>\n'
        )
    return "".join([*parts, "</svg>\n"])
