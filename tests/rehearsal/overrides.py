"""What a rehearsal sets otherwise than the hub profile: only what small models, a CPU and this disk demand."""

from __future__ import annotations

import json
import sys
import tomllib
from collections.abc import Collection, Mapping
from pathlib import Path

from auditor.common.settings_files import profile_file

Tree = Mapping[str, object]
"""Settings; FOLDER in a value stands for the rehearsal's folder."""

_BASES = tomllib.loads(profile_file("hub").read_text("utf-8"))["recipe"]["bases"]
SWITCHED_ON = tuple(name for name, base in _BASES.items() if base.get("enabled", True))
SWITCHED_OFF = tuple(name for name in _BASES if name not in SWITCHED_ON)
"""Bases of the hub profile."""
CONVERTED = ("pony", "illustrious")
"""Published as single files: the profile says to convert them and to name the folder."""
SIDE = 32

_HERE = {"work": {"dir": "FOLDER/work", "min_free_bytes": 1_000_000_000}, "cluster": {"gpus_per_task": 0}}
_IN_PROCESS = {"kind": "transformers", "requests": 2}
_SMALL: Tree = {
    "profile": "hub",
    **_HERE,
    "recipe": {
        "probe_count": 12, "looks": [12], "dose_probes": 2, "subject_probes": 8, "lexicon": "FOLDER/lexicon.json",
        "proposer": _IN_PROCESS, "solver": {"image_probes": 1},
        "bases": {
            name: {"size": SIDE, "steps": 2}
            | ({"enabled": True} if name in SWITCHED_OFF else {})
            | ({"path": f"FOLDER/converted/{name}"} if name in CONVERTED else {})
            for name in (*SWITCHED_ON, *SWITCHED_OFF)
        },
    },
}  # fmt: skip


def small(only: Collection[str] | None = None) -> Tree:
    """Settings for small models: every base, also those that are switched off; or these alone."""
    recipe = _SMALL["recipe"]
    assert isinstance(recipe, dict)
    bases = {
        name: base if only is None or name in only else {"enabled": False} for name, base in recipe["bases"].items()
    }
    return {**_SMALL, "recipe": {**recipe, "bases": bases}}


SECOND_NIGHT: Tree = {
    "recipe": {
        "application": "merge",
        "proposer": {"kind": "openai"},
        "bases": {name: {"enabled": False} for name in SWITCHED_OFF},
    },
    "serving": {"command": [sys.executable, str(Path(__file__).resolve().parent.parent / "stub_vlm.py")]},
}
"""On top of the small ones: the bases as shipped, adapters merged, a server in place of vLLM."""

FULL: Mapping[str, Tree] = {
    "sd15": {
        "profile": "hub",
        **_HERE,
        "recipe": {
            "probe_count": 6, "looks": [6], "dose_probes": 1, "subject_probes": 6, "lexicon": "FOLDER/lexicon.json",
            "proposer": _IN_PROCESS, "solver": {"image_probes": 1},
            # a CPU takes a minute for a picture of 512 pixels, and emulates float16
            "bases": {"sd15": {"size": 128, "steps": 2, "dtype": "bfloat16"}}
            | {name: {"enabled": False} for name in SWITCHED_ON if name != "sd15"},
        },
    }
}  # fmt: skip
"""One base at its published size: few probes and steps, small pictures."""


def as_toml(tree: Tree, folder: Path) -> str:
    """Settings as the text of an auditor.toml."""
    plain, tables = [], []
    for key, value in tree.items():
        if isinstance(value, Mapping):
            tables += _tables(value, key)
        else:
            plain.append(f"{key} = {json.dumps(value)}")
    return "\n".join([*plain, *tables, ""]).replace("FOLDER", str(folder))


def _tables(tree: Tree, name: str) -> list[str]:
    lines = [f"[{name}]"]
    lines += [f"{key} = {json.dumps(value)}" for key, value in tree.items() if not isinstance(value, Mapping)]
    for key, value in tree.items():
        if isinstance(value, Mapping):
            lines += _tables(value, f"{name}.{key}")
    return lines
