"""Named JSON files that travel with the package, or a user's own by path."""

from __future__ import annotations

import json
from importlib import resources
from pathlib import Path
from typing import Any

from auditor.errors import UserError


def read_packaged(package: str, name: str | Path, kind: str) -> Any:
    """Parse `NAME.json` of a package, or the JSON file at the path `name` when it ends in `.json`.

    Args:
        package: Such as `auditor.probes`.
        name: Name of a shipped file, or a path.
        kind: What to call it in an error.

    Raises:
        UserError: There is no such file, or it is not JSON.
    """
    path, folder = Path(name), resources.files(package)
    try:
        if path.suffix == ".json":
            text = path.read_text(encoding="utf-8")
        elif path.name != str(name):
            raise FileNotFoundError(name)
        else:
            text = folder.joinpath(f"{name}.json").read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        known = sorted(p.name.removesuffix(".json") for p in folder.iterdir() if p.name.endswith(".json"))
        raise UserError(f"no {kind} {str(name)!r}; use {', '.join(known)} or the path of a .json file") from error
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{kind} {name} is not well formed ({error!r}); see general-1.json") from error
