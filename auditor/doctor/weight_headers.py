"""Whether weight files that lie there can be opened: headers and sizes are read, no weights."""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Iterable
from fnmatch import fnmatchcase
from pathlib import Path

from safetensors import SafetensorError, safe_open

from auditor.planning.local_models import HubFiles

# Components of a pipeline that have no weights, and those that are never loaded (see generation.pipeline_loading).
_WITHOUT_WEIGHTS = re.compile("Tokenizer|Scheduler|Processor|FeatureExtractor|SafetyChecker|VisionModel")


def fault_of_pipeline(folder: Path, wanted: HubFiles) -> str | None:
    """What keeps a pipeline's folder from being loaded, as far as headers tell; None when nothing does.

    Args:
        folder: In the Hub's layout.
        wanted: Says which of the files are loaded.
    """
    try:
        index = json.loads((folder / "model_index.json").read_text("utf-8"))
    except (OSError, ValueError) as error:
        return f"model_index.json cannot be read ({type(error).__name__})"
    if not isinstance(index, dict):
        return "model_index.json is not an object"
    files = loaded_weights(folder, wanted)
    loaded = [path.relative_to(folder).as_posix() for path in files]
    for name, entry in index.items():
        has_weights = isinstance(entry, list) and len(entry) == 2 and isinstance(entry[1], str)
        if not has_weights or _WITHOUT_WEIGHTS.search(entry[1]):
            continue
        if not any(path.startswith(f"{name}/") for path in loaded):
            return f"{name} has no weights"
    return fault_of_files(files)


def loaded_weights(folder: Path, wanted: HubFiles) -> list[Path]:
    """The weight files of a pipeline's folder that are loaded, sorted."""
    here = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*.safetensors")}
    return [
        here[name] for name in sorted(here) if _matches(name, wanted.include) and not _matches(name, wanted.exclude)
    ]


def fault_of_folder(folder: Path) -> str | None:
    """What is wrong with the weights of one model's folder; None when nothing is."""
    return fault_of_files(sorted(folder.glob("*.safetensors")))


def fault_of_files(paths: Iterable[Path]) -> str | None:
    """The first weight file that is cut short or is none, or a shard that is not there; None when all are whole."""
    folders: set[Path] = set()
    for path in paths:
        folders.add(path.parent)
        if (fault := _fault(path)) is not None:
            return fault
    if not folders:
        return "there are no weights"
    for index in sorted(i for folder in folders for i in folder.glob("*.safetensors.index*.json")):
        try:
            shards = set(json.loads(index.read_text("utf-8"))["weight_map"].values())
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return f"{index.name} is no index of shards"
        if absent := sorted(str(shard) for shard in shards if not (index.parent / str(shard)).is_file()):
            return f"{index.parent.name}/{absent[0]} is not there"
    return None


def _matches(path: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(path, pattern) for pattern in patterns)


def _fault(path: Path) -> str | None:
    shown = f"{path.parent.name}/{path.name}"
    try:
        if path.suffix != ".safetensors":  # torch.save writes a ZIP file, whose directory is at its end
            return None if zipfile.is_zipfile(path) else f"{shown} is cut short or is no weight file"
        with safe_open(path, framework="numpy") as opened:
            return None if list(opened.keys()) else f"{shown} holds no tensors"
    except (OSError, SafetensorError) as error:
        return f"{shown} is cut short or is no weight file ({str(error)[:100]})"
