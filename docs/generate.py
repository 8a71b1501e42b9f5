"""Writes docs/reference from the program itself: commands, settings, schema and outcomes. Run by `make docs`.

The picture of the rooms in docs/images is written beside it.

A test compares the files with what this module would write, so they cannot fall behind.
"""

from __future__ import annotations

import ast
import contextlib
import inspect
import os
import sys
import tempfile
import textwrap
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import get_args, get_origin

from cost_page import cost_page
from families_page import families_page
from pydantic import BaseModel

REFERENCE = Path(__file__).parent / "reference"
COST = Path(__file__).parent / "cost.md"
PICTURE = Path(__file__).parent / "images" / "rooms.svg"
NOTICE = "<!-- Written by `make docs`. Change the source, not this file. -->\n\n"


def pages() -> dict[str, str]:
    """File name to text of every generated page."""
    return {
        "cli.md": cli_page(),
        "settings.md": settings_page(),
        "schema.md": schema_page(),
        "outcomes.md": outcomes_page(),
        "families.md": families_page(NOTICE),
    }


def cli_page() -> str:
    """`--help` of the program and of each command, as a terminal shows it."""
    from typer.main import get_command
    from typer.testing import CliRunner

    from auditor.cli.help_text import HELP_WIDTH
    from auditor.cli.main import app

    runner = CliRunner(env={"NO_COLOR": "1"})
    parts = [NOTICE, "# Commands\n\n", "Global options come before the name of the command.\n"]
    for path in _command_paths(get_command(app)):
        result = runner.invoke(app, [*path, "--help"], prog_name="auditor", terminal_width=HELP_WIDTH)
        heading = " ".join(("auditor", *path))
        text = "\n".join(line.rstrip() for line in result.output.strip().splitlines())
        parts.append(f"\n## {heading}\n\n```text\n{text}\n```\n")
    return "".join(parts)


def _command_paths(command: object, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    yield path
    children = getattr(command, "commands", {})
    for name in sorted(children):
        yield from _command_paths(children[name], (*path, name))


def settings_page() -> str:
    """Every setting with type, meaning and its value in each profile."""
    from auditor.settings import PROFILES, Settings, resolve

    # From an empty folder: an auditor.toml of the person at work is none of the reference's business.
    with tempfile.TemporaryDirectory() as empty, contextlib.chdir(empty):
        values = {name: resolve(profile=name, environment={}).values() for name in PROFILES}
    parts = [
        NOTICE,
        "# Settings\n\n",
        "A flag (`--set section.key=value`) beats an `AUDITOR_SECTION__KEY` variable, which beats ",
        "`auditor.toml`, which beats the profile. `auditor config` shows each value and its source.\n",
        "Secrets are not settings: `HF_TOKEN` and `OPENAI_API_KEY` are read from the environment only.\n\n",
        "A path that starts with `package:` is inside the installed package, wherever that is. Other relative ",
        "paths in `auditor.toml` are taken from its own folder; in flags and variables, from the current one.\n",
    ]
    for prefix, model, about in _sections(Settings):
        parts.append(f"\n## {f'[{prefix}]' if prefix else 'Top level'}\n\n{about}\n\n")
        shown = [] if ".NAME" in prefix else list(PROFILES)
        parts.append("| key | type | meaning |" + "".join(f" {name} |" for name in shown) + "\n")
        parts.append("|---|---|---|" + "---|" * len(shown) + "\n")
        meanings = _attribute_docstrings(model)
        for key, field in model.model_fields.items():
            if _section_of(field.annotation) is not None:
                continue
            meaning = " ".join(meanings.get(key, "").split())
            dotted = f"{prefix}.{key}" if prefix else key
            cells = [f"`{key}`", f"`{_type_name(field.annotation)}`", meaning]
            cells += [_value_cell(values[name].get(dotted)) for name in shown]
            parts.append(_row(cells))
        if prefix == "recipe.bases.NAME":
            parts.append(_shipped_bases(model, values))
    return "".join(parts)


def _attribute_docstrings(model: type[BaseModel]) -> dict[str, str]:
    """Field → the text below it in the source, of the class itself."""
    (made,) = ast.parse(textwrap.dedent(inspect.getsource(model))).body
    assert isinstance(made, ast.ClassDef)
    return {
        field.target.id: text.value.value
        for field, text in pairwise(made.body)
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)
        if isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant) and isinstance(text.value.value, str)
    }


def _shipped_bases(model: type[BaseModel], values: dict[str, dict[str, object]]) -> str:
    """One column per base of any profile: the values that the profiles give it."""
    keys = [(key.split(".")[2], profile) for profile, known in values.items() for key in known if _is_of_a_base(key)]
    shipped = {
        base: profile for base, profile in keys if values[profile].get(f"recipe.bases.{base}.enabled") is not False
    }
    off = [f"`{base}`" for base in dict(keys) if base not in shipped]
    heading = _row(["key", *(f"{base} ({profile})" for base, profile in shipped.items())])
    more = f"switched off, with the values of [their families](families.md) or their own: {', '.join(off)}"
    parts = [f"\nThe bases of the profiles; besides, {more}.\n\n", heading]
    parts.append("|---|" + "---|" * len(shipped) + "\n")
    for key in model.model_fields:
        found = [values[profile].get(f"recipe.bases.{base}.{key}") for base, profile in shipped.items()]
        long = key == "checkpoint_hashes"
        parts.append(_row([f"`{key}`", *(_count_cell(value) if long else _value_cell(value) for value in found)]))
    return "".join(parts)


def _is_of_a_base(key: str) -> bool:
    return key.startswith("recipe.bases.")


def _count_cell(value: object) -> str:
    count = len(value) if isinstance(value, list) else 0
    return f"{count} hashes" if count > 1 else f"{count or 'no'} hash"


def _row(cells: list[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |\n"


def _sections(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, type[BaseModel], str]]:
    yield prefix, model, " ".join((model.__doc__ or "").split())
    for key, field in model.model_fields.items():
        section = _section_of(field.annotation)
        if section is not None:
            name = f"{key}.NAME" if get_origin(field.annotation) is dict else key
            yield from _sections(section, f"{prefix}.{name}" if prefix else name)


def _section_of(annotation: object) -> type[BaseModel] | None:
    candidate = get_args(annotation)[1] if get_origin(annotation) is dict else annotation
    return candidate if isinstance(candidate, type) and issubclass(candidate, BaseModel) else None


def _type_name(annotation: object) -> str:
    """A type as a reader of a TOML file would say it."""
    import types
    import typing

    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(_type_name(item) for item in arguments if item is not type(None))
    if origin is typing.Literal:
        return " or ".join(str(item) for item in arguments)
    if origin is typing.Annotated:
        return _type_name(arguments[0])
    if origin is tuple:
        return f"list of {_type_name(arguments[0])}"
    names = {str: "text", bool: "true or false", int: "integer", float: "number", Path: "path"}
    return names.get(annotation, str(annotation)) if isinstance(annotation, type) else str(annotation)


def _value_cell(value: object) -> str:
    from auditor.common.package_paths import package_path

    if value is None:
        return "unset"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, list):
        return ", ".join(f"`{'+'.join(item) if isinstance(item, list) else item}`" for item in value) or "none"
    inside_package = f"{package_path('')}{os.sep}"
    return f"`{str(value).replace(inside_package, 'package:')}`"


def schema_page() -> str:
    """Tables, columns, views and macros of the catalog, from the comments inside the database."""
    import duckdb

    from auditor.common.package_paths import shipped_dir

    database = duckdb.connect(":memory:")
    for migration in sorted(shipped_dir("schemas").glob("*.sql")):
        database.execute(migration.read_text(encoding="utf-8"))
    parts = [
        NOTICE,
        "# Catalog schema\n\n",
        "The comments are stored in the database: `DESCRIBE`, `duckdb_columns()`.\n",
    ]
    tables = database.execute(
        "SELECT table_name, comment, 'table' FROM duckdb_tables() WHERE NOT internal "
        "UNION ALL SELECT view_name, comment, 'view' FROM duckdb_views() WHERE NOT internal ORDER BY 3, 1"
    ).fetchall()
    for name, comment, kind in tables:
        parts.append(f"\n## {name} ({kind})\n\n{comment or ''}\n\n| column | type | meaning |\n|---|---|---|\n")
        columns = database.execute(
            "SELECT column_name, data_type, comment FROM duckdb_columns() WHERE table_name = ? ORDER BY column_index",
            [name],
        ).fetchall()
        parts.extend(
            f"| `{column}` | `{kind_}` | {(about or '').replace('|', chr(92) + '|')} |\n"
            for column, kind_, about in columns
        )
    macros = database.execute(
        "SELECT function_name, parameters, comment FROM duckdb_functions() "
        "WHERE NOT internal AND function_type LIKE '%macro' ORDER BY 1"
    ).fetchall()
    for name, parameters, comment in macros:
        parts.append(f"\n## {name}({', '.join(parameters)}) (macro)\n\n{comment or ''}\n")
    return "".join(parts)


def outcomes_page() -> str:
    """Every outcome and every reason, with what to do about it."""
    from auditor.records.outcomes import OUTCOME_MEANINGS, REASON_NOTES, TRANSIENT_REASONS

    parts = [
        NOTICE,
        "# Outcomes and reasons\n\n",
        "How the audit of one file can end. Each listed file has one outcome, or is `pending`; each but plain ",
        "`scored` has a reason from this closed list and one sentence for people. ",
        '`auditor sql "FROM outcome_counts"` counts them.\n\n',
        "A result whose reason passes by itself is audited again by the next run. Every other one is final for its ",
        "recipe until `auditor retry --reason REASON` takes it back. What is found without opening a file (a gated ",
        "repo, a whole model, a checkpoint beside its final file) is looked at afresh by each plan.\n",
    ]
    for outcome, meaning in OUTCOME_MEANINGS.items():
        parts.append(f"\n## {outcome}\n\n{meaning}\n")
        notes = {reason: note for reason, note in REASON_NOTES.items() if note.outcome == outcome}
        if notes:
            parts.append("\n| reason | what was found | passes by itself | what to do |\n|---|---|---|---|\n")
        for reason, note in notes.items():
            passes = "yes" if reason in TRANSIENT_REASONS else "no"
            parts.append(_row([f"`{reason}`", note.meaning, passes, note.advice or "–"]))
    return "".join(parts)


def main() -> int:
    """Writes every page and the JSON Schemas; with --check, only says which are out of date (exit code 4)."""
    stale = []
    REFERENCE.mkdir(exist_ok=True)
    for name, text in pages().items():
        path = REFERENCE / name
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            stale.append(name)
            if "--check" not in sys.argv:
                path.write_text(text, encoding="utf-8")
    from import_picture import svg

    for path, text in ((PICTURE, svg()), (COST, cost_page(NOTICE))):
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            stale.append(path.name)
            if "--check" not in sys.argv:
                path.write_text(text, encoding="utf-8")
    if "--check" not in sys.argv:
        from auditor.catalog.json_schemas import write_json_schemas
        from auditor.common.package_paths import shipped_dir

        stale += write_json_schemas(shipped_dir("schemas"))
    print(
        "\n".join(f"{name}: {'out of date' if '--check' in sys.argv else 'written'}" for name in stale) or "up to date"
    )
    return 4 if stale and "--check" in sys.argv else 0


if __name__ == "__main__":
    sys.exit(main())
