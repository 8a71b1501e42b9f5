"""Load a probe set. Its order is part of it: a longer audit only adds probes to a shorter one."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from auditor.common.packaged_json import read_packaged
from auditor.errors import UserError


@dataclass(frozen=True)
class ProbeSet:
    """Prompts t_i with one noise seed z_i each, shared by base and adapter.

    Attributes:
        name: Name and version, such as "general-1".
        prompts: Plain, style-free prompts in the fixed nested order.
        subjects: Kind of subject of each prompt; every prefix is spread evenly over the kinds.
        seeds: One noise seed per prompt.
    """

    name: str
    prompts: tuple[str, ...]
    subjects: tuple[str, ...]
    seeds: tuple[int, ...]

    def __post_init__(self) -> None:
        """Check that prompts are distinct and seeds usable."""
        if not self.prompts or not len(self.prompts) == len(self.subjects) == len(self.seeds):
            raise UserError(f"probe set {self.name}: every probe needs a prompt, a subject and a seed")
        if len(set(self.prompts)) != len(self.prompts) or not all(p.strip() for p in self.prompts):
            raise UserError(f"probe set {self.name}: prompts must differ and not be empty")
        if not all(0 <= seed < 2**32 for seed in self.seeds):
            raise UserError(f"probe set {self.name}: seeds must lie between 0 and 2^32 - 1")

    def __len__(self) -> int:
        """Number of probes."""
        return len(self.prompts)

    @cached_property
    def content_hash(self) -> str:
        """SHA-256 of prompts and seeds in order."""
        content = json.dumps([list(self.prompts), list(self.seeds)])
        return hashlib.sha256(content.encode()).hexdigest()

    def first(self, count: int) -> ProbeSet:
        """The prefix of `count` probes."""
        if not 1 <= count <= len(self):
            raise UserError(f"probe set {self.name} holds {len(self)} probes; ask for 1 to {len(self)}, not {count}")
        return ProbeSet(self.name, self.prompts[:count], self.subjects[:count], self.seeds[:count])


def load_probes(name: str | Path) -> ProbeSet:
    """Load a probe set that comes with the package ("general-1", "pocket-1"), or a JSON file of your own.

    Raises:
        UserError: There is no such probe set, or it is not well formed.
    """
    raw: Any = read_packaged("auditor.probes", name, "probe set")
    try:
        probes = raw["probes"]
        return ProbeSet(
            f"{raw['name']}-{int(raw['version'])}",
            tuple(str(probe["prompt"]) for probe in probes),
            tuple(str(probe["subject"]) for probe in probes),
            tuple(int(probe["seed"]) for probe in probes),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"probe set {name} is not well formed ({error!r}); see general-1.json") from error
