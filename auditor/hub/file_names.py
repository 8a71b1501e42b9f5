"""Paths inside a repo as plain strings: every rule asks again, and pathlib took most of the time of a large plan."""

from __future__ import annotations

from functools import lru_cache


def is_safe_name(path: str) -> bool:
    """Whether a path can be asked for safely: printable, relative, without `..`, empty parts or backslashes."""
    parts = path.split("/")
    return path.isprintable() and "\\" not in path and not any(part in ("", ".", "..") for part in parts)


@lru_cache(maxsize=4_096)
def stem_of(path: str) -> str:
    """The file's name without its last suffix, as pathlib sees it."""
    name = path.rpartition("/")[2]
    dot = name.rfind(".")
    return name[:dot] if 0 < dot < len(name) - 1 else name


@lru_cache(maxsize=4_096)
def suffix_of(path: str) -> str:
    """The last suffix in lower case, with its dot; empty without one."""
    name = path.rpartition("/")[2]
    dot = name.rfind(".")
    return name[dot:].lower() if 0 < dot < len(name) - 1 else ""


def without_suffix(path: str) -> str:
    """The path without its last suffix."""
    return path[: len(path) - len(suffix_of(path))]


def folder_of(path: str) -> str:
    """The folder a file lies in; `.` for the root."""
    return path.rpartition("/")[0] or "."


def beside(path: str, name: str) -> str:
    """The path of another file in the same folder."""
    folder, slash, _ = path.rpartition("/")
    return f"{folder}{slash}{name}"
