"""Large work that several tasks do together: cut into named parts, each on disk as soon as it is made.

There is no lock that a killed task could leave behind. A task notes which part it works on, and others take the parts
that nobody has noted. Noted ones come last: whoever noted them may be dead, and to wait for a living one would take as
long as to make the part again.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.numpy import save_file

from auditor.common.atomic_files import replacing
from auditor.common.crash_points import crash_point
from auditor.common.own_files import reading

Arrays = Mapping[str, NDArray[np.generic]]
_DIGEST = "digest"


def make_shards(
    folder: Path,
    names: Sequence[str],
    make: Callable[[str], Arrays],
    *,
    finished: Callable[[], bool],
    on_part: Callable[[int, int], None] = lambda done, total: None,
) -> None:
    """Make parts until all are there, whoever made them.

    Args:
        folder: Where they are kept; may be shared with other hosts.
        names: Of all parts, in the order in which they are made.
        make: Makes one. What it raises ends this task's share; parts that are made are kept.
        finished: Whether somebody has already put the parts together, and removed them.
        on_part: Told (parts there are, all parts) before each.
    """
    while missing := [name for name in names if not _path(folder, name).exists()]:
        if finished():
            return
        on_part(len(names) - len(missing), len(names))
        name = _take(folder, missing)
        try:
            arrays = make(name)
        except BaseException:
            _note(folder, name).unlink(missing_ok=True)
            raise
        if not finished():
            with replacing(_path(folder, name)) as temporary:
                save_arrays(temporary, arrays)
            crash_point("reference_shard_kept")


def read_shards(folder: Path, names: Sequence[str]) -> list[dict[str, NDArray[Any]]]:
    """All parts in order.

    Raises:
        FileNotFoundError: One is not there, or not any more.
        Damaged: One cannot be read; it is made again by whoever comes next.
    """
    return [load_arrays(_path(folder, name), "part of a reference") for name in names]


def save_arrays(path: Path, arrays: Arrays) -> None:
    """Write arrays as safetensors, with a digest of their content."""
    whole = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    save_file(whole, path, metadata={_DIGEST: _digest(whole)})


def load_arrays(path: Path, kind: str) -> dict[str, NDArray[Any]]:
    """Read arrays back and compare them with their digest; files of earlier versions have none.

    Raises:
        FileNotFoundError: There is no such file.
        Damaged: It is not what was written. It lies aside now.
    """
    with reading(path, kind, "auditor audit"):
        with safe_open(path, framework="numpy") as stored:
            digest = (stored.metadata() or {}).get(_DIGEST)
            arrays = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118  # no mapping
        if digest is not None and digest != _digest(arrays):
            raise ValueError("its content does not match its digest")
        return arrays


def _digest(arrays: Arrays) -> str:
    digest = hashlib.sha256()
    for name in sorted(arrays):
        digest.update(f"{name}:{arrays[name].dtype}:{arrays[name].shape}".encode())
        digest.update(np.ascontiguousarray(arrays[name]).data)
    return digest.hexdigest()


def _take(folder: Path, missing: Sequence[str]) -> str:
    """A part that nobody works on, and the note that somebody does now; else any."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in missing:
        try:
            _note(folder, name).open("x").close()
            return name
        except (FileExistsError, FileNotFoundError):  # noted by another, or all is finished and the folder gone
            continue
    return random.choice(missing)


def _path(folder: Path, name: str) -> Path:
    return folder / f"{name}.safetensors"


def _note(folder: Path, name: str) -> Path:
    return folder / f"{name}.taken"
