"""The GPU against what each base needs on it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from safetensors import safe_open

from auditor.doctor.check import Check
from auditor.doctor.weight_headers import loaded_weights
from auditor.errors import PrerequisiteMissing
from auditor.families.shapes import architectures
from auditor.planning.local_models import base_files, from_hub_cache
from auditor.settings import BaseModelSettings, Settings

PEAKS = {"sd15": (12.4e9, 16, 512), "sdxl": (48e9, 8, 1024), "flux1": (39e9, 2, 1024)}
"""Family → peak in bytes, pictures at once and their side; docs/benchmarks.md, random weights of real size."""

_BYTES = {"float32": 4, "float16": 2, "bfloat16": 2}
_ROOM = 1.15
"""Beside the weights: the encoder, one picture's activations, the library's own; the least that was seen to do."""


@dataclass(frozen=True)
class Device:
    """A GPU: its name and memory in bytes."""

    name: str
    memory: int


def devices() -> list[Device]:
    """GPUs that torch sees here."""
    import torch

    if not torch.cuda.is_available():
        return []
    found = (torch.cuda.get_device_properties(index) for index in range(torch.cuda.device_count()))
    return [Device(each.name, each.total_memory) for each in found]


def check_memory(key: str, base: BaseModelSettings, settings: Settings, device: Device) -> Iterator[Check]:
    """Whether a base fits on a GPU: its weights, and its batch as far as its peak was measured."""
    weights, exact = weights_of(base)
    if weights is None:
        return
    name, about = f"memory {key}", "" if exact else "at least "
    least = weights * _ROOM
    stated = f"{about}{least / 1e9:.1f} GB for weights and one picture"
    peak = _peak(base, settings.measured[key].peak_bytes if key in settings.measured else None)
    if peak is not None:
        stated = f"{stated}, {peak / 1e9:.0f} GB in batches of {base.batch_size}"
    found = f"{device.name} has {device.memory / 1e9:.1f} GB; {stated}"
    if device.memory < least:
        advice = f"use a larger GPU, or leave it out: --set recipe.bases.{key}.enabled=false"
        yield Check(name, "missing", found, advice)
    elif peak is not None and device.memory < peak:
        advice = f"set recipe.bases.{key}.batch_size lower; an audit halves it by itself each time it starts"
        yield Check(name, "warning", found, advice)
    else:
        yield Check(name, "ok", found)


def weights_of(base: BaseModelSettings) -> tuple[int | None, bool]:
    """Bytes of a base's weights in its number format, and whether these are all of them.

    Read from the headers of its files where these are here; else denoiser and text encoders as published.
    """
    width = _BYTES[base.dtype]
    try:
        folder = base.path or from_hub_cache(base_files(base))
        files = loaded_weights(folder, base_files(base))
        if files:
            return width * sum(map(_numbers, files)), True
    except (PrerequisiteMissing, OSError, ValueError):
        pass  # said by the check of the base itself
    known = architectures().get(base.family)
    if known is None:
        return None, False
    modules = (module for component in known.components.values() for module in component.values())
    return width * sum(math.prod(shape) for module in modules for shape in module.parameters.values()), False


def _peak(base: BaseModelSettings, measured: int | None) -> float | None:
    """Most memory in use, as measured here or elsewhere for this size and at least this batch."""
    if measured is not None:
        return float(measured)
    peak, batch, size = PEAKS.get(base.family, (0.0, 0, 0))
    return peak if (base.batch_size, base.size) == (batch, size) else None


def _numbers(path: Path) -> int:
    with safe_open(path, framework="numpy") as opened:
        return sum(math.prod(opened.get_slice(name).get_shape()) for name in opened.keys())  # noqa: SIM118  # no mapping
