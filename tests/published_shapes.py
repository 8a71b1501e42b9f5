"""Write auditor/families/shapes.json from the classes: `python -m tests.published_shapes`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import torch

from auditor.families.shapes import fold
from auditor.generation.injection import is_adaptable
from tests.published import BUILDERS, Components, components

TABLE = Path(__file__).resolve().parent.parent / "auditor" / "families" / "shapes.json"
Row = tuple[str, bool, dict[str, list[int]]]


def rows(model: torch.nn.Module) -> list[Row]:
    """Patterns of a model's modules that hold parameters, those of like shapes together."""
    alike: dict[str, list[str]] = {}
    for path, module in model.named_modules():
        shapes = {name: list(parameter.shape) for name, parameter in module.named_parameters(recurse=False)}
        if shapes and path:
            alike.setdefault(json.dumps([is_adaptable(module), shapes]), []).append(path)
    return [(pattern, *json.loads(shapes)) for shapes, paths in alike.items() for pattern in fold(paths)]


def text(architectures: Mapping[str, Components] | None = None) -> str:
    """The whole table, one pattern per line.

    Args:
        architectures: Name → its components, in place of the published ones.
    """
    parts: dict[str, str] = {}
    uses: dict[str, dict[str, str]] = {}
    for architecture in architectures or BUILDERS:
        known = components(architecture) if architectures is None else architectures[architecture]
        for component, model in known.items():
            lines = ",\n".join(f"  {json.dumps(row)}" for row in sorted(rows(model)))
            same = next((name for name, written in parts.items() if written == lines), None)
            name = same or f"{architecture}.{component}"
            parts[name] = lines
            uses.setdefault(architecture, {})[component] = name
    all_parts = ",\n".join(f'"{name}": [\n{lines}\n]' for name, lines in parts.items())
    return f'{{"architectures": {json.dumps(uses, indent=1)},\n"parts": {{\n{all_parts}\n}}}}\n'


if __name__ == "__main__":
    TABLE.write_text(text(), "utf-8")
