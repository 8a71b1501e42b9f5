"""Nested tables of values, walked beside the model whose fields they are for."""

from __future__ import annotations

import typing
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import cast, get_args

from pydantic import BaseModel

from auditor.common.package_paths import PACKAGE_PREFIX
from auditor.settings.section import OWN_FILE

Tree = dict[str, object]
"""Nested tables as read from TOML, environment or flags; values are still unchecked."""


def merge(target: Tree, addition: Mapping[str, object]) -> None:
    """Lays `addition` over `target`, table by table."""
    for key, value in addition.items():
        existing = target.get(key)
        if isinstance(existing, dict) and isinstance(value, dict):
            merge(existing, value)
        else:
            target[key] = _copied(value)


def leaves(tree: Mapping[str, object], model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, object]]:
    """Every dotted key that holds a value rather than a table."""
    for key, value in tree.items():
        child = _child_model(model, key)
        if isinstance(value, dict) and child is not None:
            yield from leaves(value, child, f"{prefix}{key}.")
        elif isinstance(value, dict) and _entry_model(model, key) is not None:
            entry = cast(type[BaseModel], _entry_model(model, key))
            for name, item in value.items():
                yield from leaves(item, entry, f"{prefix}{key}.{name}.") if isinstance(item, dict) else ()
        else:
            yield f"{prefix}{key}", value


def absolute_paths(tree: Tree, model: type[BaseModel], folder: Path) -> Tree:
    """The same tables, with relative paths laid on a folder; those inside the package or the home folder stay."""
    result: Tree = {}
    for key, value in tree.items():
        child, entry = _child_model(model, key), _entry_model(model, key)
        if isinstance(value, dict) and child is not None:
            result[key] = absolute_paths(value, child, folder)
        elif isinstance(value, dict) and entry is not None:
            result[key] = {
                name: absolute_paths(item, entry, folder) if isinstance(item, dict) else item
                for name, item in value.items()
            }
        elif isinstance(value, str) and _is_path(model, key, value) and not value.startswith((PACKAGE_PREFIX, "~")):
            result[key] = str(folder / value)
        elif key == "include" and isinstance(value, list):
            result[key] = [str(folder / Path(path).expanduser()) if isinstance(path, str) else path for path in value]
        else:
            result[key] = value
    return result


def unknown_keys(
    tree: Mapping[str, object], model: type[BaseModel], prefix: str = ""
) -> Iterator[tuple[str, type[BaseModel], str, str]]:
    """Every key that no field has: dotted key, the section it stands in, its last part, and what comes before it."""
    for key, value in tree.items():
        if key not in model.model_fields:
            yield f"{prefix}{key}", model, key, prefix
            continue
        child, entry = _child_model(model, key), _entry_model(model, key)
        if isinstance(value, dict) and child is not None:
            yield from unknown_keys(value, child, f"{prefix}{key}.")
        elif isinstance(value, dict) and entry is not None:
            for name, item in value.items():
                if isinstance(item, dict):
                    yield from unknown_keys(item, entry, f"{prefix}{key}.{name}.")


def known_keys(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """Every dotted key that a setting may have; `NAME` stands for the free ones."""
    for name in model.model_fields:
        child, entry = _child_model(model, name), _entry_model(model, name)
        if child is not None:
            yield from known_keys(child, f"{prefix}{name}.")
        elif entry is not None:
            yield from known_keys(entry, f"{prefix}{name}.NAME.")
        else:
            yield f"{prefix}{name}"


def _copied(value: object) -> object:
    return {key: _copied(item) for key, item in value.items()} if isinstance(value, dict) else value


def _child_model(model: type[BaseModel], key: str) -> type[BaseModel] | None:
    """The section behind a field, if the field is a section."""
    field = model.model_fields.get(key)
    annotation = field.annotation if field else None
    return annotation if isinstance(annotation, type) and issubclass(annotation, BaseModel) else None


def _entry_model(model: type[BaseModel], key: str) -> type[BaseModel] | None:
    """The section behind each entry of a field that maps names to sections."""
    field = model.model_fields.get(key)
    if field is None or typing.get_origin(field.annotation) is not dict:
        return None
    entry = get_args(field.annotation)[1]
    return entry if isinstance(entry, type) and issubclass(entry, BaseModel) else None


def _is_path(model: type[BaseModel], key: str, value: str) -> bool:
    field = model.model_fields.get(key)
    if field is None:
        return False
    if OWN_FILE in field.metadata:
        return value.endswith(".json")
    inner = [get_args(option)[0] if get_args(option) else option for option in get_args(field.annotation)]
    return field.annotation is Path or Path in inner
