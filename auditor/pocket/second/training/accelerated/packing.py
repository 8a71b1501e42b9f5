"""Put what a run made into few files of bounded size, and take it apart again.

    python -m auditor.pocket.second.training.accelerated.packing FOLDER WORK

unpacks the run's files into a work folder, where the adapters lie as those that were trained one by one.
"""

from __future__ import annotations

import argparse
import json
import sys
import tarfile
from collections.abc import Iterable
from pathlib import Path

from safetensors import safe_open
from safetensors.torch import save_file

MOST_BYTES = 15_500_000
"""Of one file."""
MOST_FILES = 3
"""Of adapters; what is beyond is left out, last first, and can be trained again."""


def pack_weights(work: Path, out: Path) -> None:
    """One file per model; the adapters of other recipes go with the VLM."""
    for model in ("clip", "base"):
        _tar(out / f"{model}.tar", _files(work / "weights" / model), work)
    _tar(out / "vlm.tar", [*_files(work / "weights" / "vlm"), *_files(work / "adapters")], work)


def pack_adapters(work: Path, out: Path) -> None:
    """Effects of every adapter, then as many adapters' factors as fit."""
    _tar(out / "effects.tar", _files(work / "effects"), work)
    files = _files(work / "adapters-gpu")
    for number in range(MOST_FILES):
        part: list[Path] = []
        while files and sum(p.stat().st_size for p in (*part, files[0])) < MOST_BYTES:
            part.append(files.pop(0))
        if part:
            _tar(out / f"adapters{number}.tar", part, work)
    for left in files:
        print(f"left out: {left.name}", file=sys.stderr)


def _files(folder: Path) -> list[Path]:
    return sorted(p for p in folder.rglob("*") if p.is_file())


def _tar(path: Path, files: Iterable[Path], root: Path) -> None:
    partial = path.with_suffix(".partial")
    with tarfile.open(partial, "w") as archive:
        for file in files:
            archive.add(file, file.relative_to(root))
    partial.rename(path)


def unpack(folder: Path, work: Path) -> int:
    """Extract every tar of a run into `work` and write the grouped adapters as one file each; returns how many."""
    for path in sorted(folder.glob("*.tar")):
        with tarfile.open(path) as archive:
            archive.extractall(work, filter="data")
    (work / "adapters").mkdir(parents=True, exist_ok=True)
    count = 0
    for path in _files(work / "adapters-gpu"):
        with safe_open(path, framework="pt") as grouped:
            stacked = {key: grouped.get_tensor(key) for key in grouped.keys()}  # noqa: SIM118 (no mapping)
            lessons, steps = json.loads(grouped.metadata()["lessons"]), int(grouped.metadata()["steps"])
        for number, lesson in enumerate(lessons):
            state = {}
            for key, value in stacked.items():
                module, part = key.rsplit(".", 1)
                state[f"unet.{module}.lora_{'A' if part == 'down' else 'B'}.weight"] = value[number].contiguous()
            save_file(state, work / "adapters" / f"{lesson}-{steps:06d}.safetensors")
            count += 1
    return count


def main() -> None:
    """Unpack a run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("work", type=Path)
    arguments = parser.parse_args()
    print(f"{unpack(arguments.folder, arguments.work)} adapters", file=sys.stderr)


if __name__ == "__main__":
    main()
