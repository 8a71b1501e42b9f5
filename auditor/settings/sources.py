"""Reads settings from flags, environment, auditor.toml and profile, and remembers where each came from."""

from __future__ import annotations

import difflib
import os
import tomllib
import types
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from pathlib import Path
from typing import cast, get_args

from pydantic import ValidationError

from auditor.common.settings_files import ENV_PREFIX, find_config, profile_file, read_toml, variables
from auditor.errors import UserError
from auditor.settings.models import ProfileName, Settings
from auditor.settings.trees import Tree, absolute_paths, known_keys, leaves, merge, unknown_keys

PROFILES: tuple[str, ...] = get_args(ProfileName)
DEFAULT_PROFILE = "pocket"


@dataclass(frozen=True)
class ResolvedSettings:
    """Settings and their provenance.

    Attributes:
        settings: The checked values.
        provenance: Dotted key to where its value came from, for every leaf of `settings`, in order.
        config_file: The auditor.toml that was read, if any.
    """

    settings: Settings
    provenance: Mapping[str, str]
    config_file: Path | None

    def values(self) -> dict[str, object]:
        """Dotted key to JSON-ready value, in the order and with the keys of `provenance`."""
        return dict(leaves(cast(Tree, self.settings.model_dump(mode="json")), Settings))


@dataclass(frozen=True)
class _Source:
    """One place values come from: its tree, and how to name the place of one key."""

    tree: Tree
    label: str
    is_environment: bool = False

    def place(self, key: str) -> str:
        return f"env {ENV_PREFIX}{key.upper().replace('.', '__')}" if self.is_environment else self.label


def resolve(
    *,
    config: Path | None = None,
    profile: str | None = None,
    work_dir: Path | None = None,
    overrides: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
) -> ResolvedSettings:
    """Merges all sources into checked settings.

    Args:
        config: An auditor.toml. Unset: AUDITOR_CONFIG, or else the one in the current folder, if any.
        profile: Value of --profile.
        work_dir: Value of --work-dir.
        overrides: Values of --set, each `dotted.key=value`.
        environment: Instead of the process environment, for tests.

    Raises:
        UserError: A file is unreadable, a key unknown or a value wrong; the message names place and remedy.
    """
    env = os.environ if environment is None else environment
    config_file = find_config(config, env)
    flags = [_Source(_parse_override(text), f"flag --set {text.partition('=')[0].strip()}") for text in overrides]
    if work_dir is not None:
        flags.append(_Source({"work": {"dir": str(work_dir)}}, "flag --work-dir"))
    if profile is not None:
        flags.append(_Source({"profile": profile}, "flag --profile"))
    explicit = [_Source(_environment_tree(env), "environment", is_environment=True), *flags]
    if config_file is not None:
        # Relative to the file, not to where the command was typed.
        tree = absolute_paths(read_toml(config_file), Settings, config_file.absolute().parent)
        explicit.insert(0, _Source(tree, f"file {config_file}"))

    merged: Tree = {}
    places: dict[str, str] = {}
    explicit = [*_included(explicit), *explicit]
    for source in [_profile_source(explicit), *explicit]:
        _reject_unknown(source)
        merge(merged, source.tree)
        for key, _ in leaves(source.tree, Settings):
            places[key] = source.place(key)
    settings = _checked(merged, places)
    dumped = cast(Tree, settings.model_dump(mode="json"))
    provenance = {key: places.get(key, "default") for key, _ in leaves(dumped, Settings)}
    return ResolvedSettings(settings, types.MappingProxyType(provenance), config_file)


def portable(settings: Settings) -> Tree:
    """Settings as JSON-ready tables that mean the same wherever they are read: every path is absolute.

    What was included is among the values, so the files are not named again.
    """
    values = settings.model_dump(mode="json", exclude={"include"})
    return absolute_paths(cast(Tree, values), Settings, Path.cwd())


def _included(explicit: Sequence[_Source]) -> list[_Source]:
    """The files that the strongest source with an `include` names, weakest first.

    Raises:
        UserError: A file cannot be read, or includes others itself.
    """
    naming = next((source for source in reversed(explicit) if "include" in source.tree), None)
    named = [] if naming is None else naming.tree["include"]
    if naming is None or not isinstance(named, list) or not all(isinstance(path, str) for path in named):
        return []  # what is wrong with it is said when all is checked
    found = []
    for path in (Path(text).expanduser() for text in named):
        tree = read_toml(path)
        if "include" in tree:
            raise UserError(f"{path} is included ({naming.place('include')}) and may not include others")
        found.append(_Source(absolute_paths(tree, Settings, path.absolute().parent), f"file {path}"))
    return found


def _profile_source(explicit: Sequence[_Source]) -> _Source:
    """The profile that the strongest explicit source names, as the weakest source."""
    name, place = DEFAULT_PROFILE, "default"
    for source in explicit:
        if "profile" in source.tree:
            name, place = str(source.tree["profile"]), source.place("profile")
    if name not in PROFILES:
        known = f"{', '.join(PROFILES[:-1])} or {PROFILES[-1]}"
        raise UserError(f"unknown profile {name!r} ({place}); choose {known}{_did_you_mean(name, PROFILES)}")
    tree = read_toml(profile_file(name))
    if not any("profile" in source.tree for source in explicit):
        tree = {"profile": name, **tree}
    return _Source(tree, f"profile {name}")


def _parse_override(text: str) -> Tree:
    """`a.b=value` as a tree; the value is read as TOML, and as plain text where that fails."""
    key, separator, raw = text.partition("=")
    parts = key.strip().split(".")
    if not separator or not all(parts):
        raise UserError(f"--set {text!r} is not of the form section.key=value, for example recipe.probe_count=12")
    try:
        value: object = tomllib.loads(f"value = {raw}")["value"]
    except tomllib.TOMLDecodeError:
        value = raw.strip()
    if isinstance(value, date | time | datetime):
        value = raw.strip()  # 04:00:00 is a duration here, and no setting is a time of day
    for part in reversed(parts):
        value = {part: value}
    return cast(Tree, value)


def _environment_tree(env: Mapping[str, str]) -> Tree:
    """All AUDITOR_* variables as a tree; one that no section starts with is an error, not silence."""
    ours = variables(env)
    for name in ours:
        head = name.removeprefix(ENV_PREFIX).split("__")[0].lower()
        if head not in Settings.model_fields:
            raise UserError(
                f"environment variable {name} is not a setting; names look like AUDITOR_RECIPE__PROBE_COUNT"
                f"{_did_you_mean(head, tuple(Settings.model_fields))}"
            )
    if not ours:
        return {}
    from pydantic_settings import BaseSettings, EnvSettingsSource, SettingsError  # a fifth of a second

    source = EnvSettingsSource(
        cast(type[BaseSettings], Settings), env_prefix=ENV_PREFIX, env_nested_delimiter="__", env_ignore_empty=True
    )
    source.env_vars = {name.lower(): text for name, text in ours.items()}
    try:
        return cast(Tree, source())
    except SettingsError as error:
        raise UserError(f"environment: {error}; lists and tables are written as JSON") from error


def _reject_unknown(source: _Source) -> None:
    """Raises for the first key that no setting has, with the nearest one that exists."""
    known = list(known_keys(Settings))
    for key, model, name, prefix in unknown_keys(source.tree, Settings):
        near = [prefix + field for field in difflib.get_close_matches(name, model.model_fields, n=1, cutoff=0.6)]
        # A right name in a wrong section: look for the same last part anywhere.
        near = near or [other for other in known if other.rpartition(".")[2] == name][:1]
        hint = f"; did you mean {near[0]}?" if near else "; `auditor config` lists every setting"
        raise UserError(f"unknown setting {key} ({source.place(key)}){hint}")


def _checked(merged: Tree, places: Mapping[str, str]) -> Settings:
    """Validates, and turns what pydantic finds into one message that names key, place and fault."""
    try:
        return Settings.model_validate(merged)
    except ValidationError as error:
        lines = []
        for fault in error.errors(include_url=False):
            key = ".".join(str(part) for part in fault["loc"])
            # Faults inside a list carry the index; the place is that of the list.
            place = next((where for known, where in places.items() if f"{key}.".startswith(f"{known}.")), "")
            shown = "" if isinstance(fault["input"], dict) else f" = {fault['input']!r}"
            message = fault["msg"].removeprefix("Value error, ")
            lines.append(f"{key}{shown}{f' ({place})' if place else ''}: {message}")
        raise UserError("settings are not usable:\n  " + "\n  ".join(lines)) from error


def _did_you_mean(word: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    return f"; did you mean {near[0]}?" if near else ""
