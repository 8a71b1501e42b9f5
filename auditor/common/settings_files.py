"""Where settings come from, and the work folder where they say no more than that.

Checking all settings takes longer than a question to the catalog. A command that only reads the catalog needs nothing
but its place, and where nothing else is set there is nothing to check: every profile that ships is right.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path

from auditor.common.crash_points import CRASH_VARIABLE
from auditor.common.package_paths import expand, package_path
from auditor.errors import UserError

CONFIG_FILE = "auditor.toml"
ENV_PREFIX = "AUDITOR_"
CONFIG_VARIABLE = "AUDITOR_CONFIG"
CATALOG_FILE = "catalog.duckdb"
"""In the work folder, unless `catalog.path` names another place."""
DEFAULT_WORK_FOLDER = ".auditor"


def find_config(config: Path | None, env: Mapping[str, str]) -> Path | None:
    """The auditor.toml to read; one that was asked for by name must exist.

    Args:
        config: Value of --config.
        env: The environment, whose AUDITOR_CONFIG comes next.

    Raises:
        UserError: It does not.
    """
    asked, how = (config, "--config") if config is not None else (None, CONFIG_VARIABLE)
    if asked is None and env.get(CONFIG_VARIABLE):
        asked = Path(env[CONFIG_VARIABLE]).expanduser()
    if asked is None:
        here = Path(CONFIG_FILE)
        return here if here.is_file() else None
    if not asked.is_file():
        raise UserError(f"{how} names {asked}, which is not a file; give the path of an auditor.toml")
    return asked


def read_toml(path: Path) -> dict[str, object]:
    """The tables of a TOML file.

    Raises:
        UserError: It cannot be read, or is no TOML.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not valid TOML: {error}") from error
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from error


def profile_file(name: str) -> Path:
    """The TOML file of a shipped profile."""
    return package_path(f"profiles/{name}.toml")


def variables(env: Mapping[str, str]) -> dict[str, str]:
    """The environment variables that are settings, their names in capitals."""
    ours = {name.upper(): text for name, text in env.items() if name.upper().startswith(ENV_PREFIX)}
    for known in (CONFIG_VARIABLE, CRASH_VARIABLE):
        ours.pop(known, None)
    return ours


def plain_work_folder(
    *,
    config: Path | None = None,
    profile: str | None = None,
    work_dir: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> Path | None:
    """The work folder, where nothing is set but it and the profile; None where more is, which wants to be checked.

    Args:
        config: Value of --config.
        profile: Value of --profile.
        work_dir: Value of --work-dir.
        environment: Instead of the process environment, for tests.

    Raises:
        UserError: The file of settings is not there, or no TOML.
    """
    env = os.environ if environment is None else environment
    if variables(env):
        return None
    path = find_config(config, env)
    tree = {} if path is None else read_toml(path)
    table = tree.get("work", {})
    if not tree.keys() <= {"profile", "work"} or not isinstance(table, dict) or not table.keys() <= {"dir"}:
        return None
    folder, named = table.get("dir", DEFAULT_WORK_FOLDER), [tree.get("profile"), profile]
    if not isinstance(folder, str) or not all(name is None or _ships(name) for name in named):
        return None
    if work_dir is not None:
        return expand(work_dir)
    place = expand(folder)
    # Relative to the file, not to where the command was typed.
    return path.absolute().parent / place if path is not None and "dir" in table else place


def _ships(name: object) -> bool:
    return isinstance(name, str) and name in {path.stem for path in package_path("profiles").glob("*.toml")}
