"""JSON Schemas of the records, for readers of result files in other languages. `make docs` writes them."""

from __future__ import annotations

import json
from pathlib import Path

from pydantic import BaseModel

from auditor.records.recipe import Recipe
from auditor.records.result import AuditRecord


def json_schemas() -> dict[str, str]:
    """File name in `schemas/` → JSON text."""
    models: dict[str, type[BaseModel]] = {"audit_record": AuditRecord, "recipe": Recipe}
    return {
        f"{name}.schema.json": json.dumps(
            {"$schema": "https://json-schema.org/draft/2020-12/schema", **model.model_json_schema()},
            indent=2,
            sort_keys=True,
        )
        + "\n"
        for name, model in models.items()
    }


def write_json_schemas(folder: Path) -> list[str]:
    """Write the schemas that changed and return their names."""
    changed = []
    for name, text in json_schemas().items():
        path = folder / name
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
            changed.append(name)
    return changed
