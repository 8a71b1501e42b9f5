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


def schemas_dir() -> Path:
    """The folder of numbered SQL migrations and JSON Schemas.

    A wheel carries them as `auditor/_schemas`; a source tree keeps them in `schemas/` beside the package.

    Raises:
        FileNotFoundError: The package was installed without them, which a correct wheel never is.
    """
    installed = package_path("_schemas")
    source_tree = package_path("").parent / "schemas"
    for candidate in (installed, source_tree):
        if candidate.is_dir():
            return candidate
    raise FileNotFoundError(f"no schemas folder: looked for {installed} and {source_tree}; reinstall the package")


def expand(path: str | Path) -> Path:
    """A path as a user wrote it: `package:` becomes the package's folder and `~` the home folder."""
    text = str(path)
    if text.startswith(PACKAGE_PREFIX):
        return package_path(text.removeprefix(PACKAGE_PREFIX))
    return Path(text).expanduser()
