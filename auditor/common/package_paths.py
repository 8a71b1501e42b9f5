"""Where the files that travel with the package are, installed or in a source tree."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

PACKAGE_PREFIX = "package:"
"""A settings path that starts with this is inside the installed package, wherever that is."""


def package_path(relative: str) -> Path:
    """The path of a file or folder shipped inside the package, whether or not it exists.

    Args:
        relative: Slash-separated path below `auditor/`.
    """
    return Path(str(files("auditor"))).joinpath(*filter(None, relative.split("/")))


def shipped_dir(name: str) -> Path:
    """A folder that stands beside the package in a source tree, and inside it in a wheel (as `auditor/_NAME`).

    Args:
        name: `schemas` (SQL migrations, JSON Schemas), `slurm` (batch files) or `jobs` (their entry points).

    Raises:
        FileNotFoundError: The package was installed without it, which a correct wheel never is.
    """
    installed = package_path(f"_{name}")
    source_tree = package_path("").parent / name
    for candidate in (installed, source_tree):
        if candidate.is_dir():
            return candidate
    raise FileNotFoundError(f"no {name} folder: looked for {installed} and {source_tree}; reinstall the package")


def expand(path: str | Path) -> Path:
    """A path as a user wrote it: `package:` becomes the package's folder and `~` the home folder."""
    text = str(path)
    if text.startswith(PACKAGE_PREFIX):
        return package_path(text.removeprefix(PACKAGE_PREFIX))
    return Path(text).expanduser()
