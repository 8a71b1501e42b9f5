"""What was measured, kept on disk so that a calibration goes on where it stopped."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from auditor.common.atomic_files import replacing
from auditor.common.own_files import Damaged
from auditor.measuring.shards import Arrays, load_arrays, save_arrays

Floats = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Measurement:
    """One adapter measured in one way of drawing; n usable probes.

    Attributes:
        differences: d_i (n, D); none when the file was not drawn with.
        rows: Their probes (n,).
        picture_s: Seconds per picture.
        drawn: Whether it was drawn with at all; others end when they are read.
        acts: Whether its weights alone have an effect.
        scored: Whether it got scores, by its trigger if not by its weights alone.
        stages: Seconds per stage of its whole audit; in the base's own way of drawing.
    """

    differences: Floats
    rows: NDArray[np.intp]
    picture_s: float = 0.0
    drawn: bool = True
    acts: bool = False
    scored: bool = False
    stages: dict[str, float] = field(default_factory=dict)


NOT_DRAWN = Measurement(np.zeros((0, 0), np.float32), np.zeros(0, np.intp), drawn=False)


@dataclass(frozen=True)
class Kept:
    """A folder of measurements of one base, reference recipe and device."""

    folder: Path

    def unit(self, sha256: str, drawing: str) -> Measurement | None:
        """What was measured of an adapter; None when it was not, or the file is damaged."""
        arrays = self.arrays(self._name(sha256, drawing))
        if arrays is None:
            return None
        note = json.loads(arrays["note"].tobytes())
        return Measurement(arrays["differences"], arrays["rows"].astype(np.intp), **note)

    def keep_unit(self, sha256: str, drawing: str, unit: Measurement) -> None:
        """Keep what was measured of an adapter."""
        names = ("picture_s", "drawn", "acts", "scored", "stages")
        note = {name: getattr(unit, name) for name in names}
        text = np.frombuffer(json.dumps(note).encode(), np.uint8)
        self.keep(
            self._name(sha256, drawing),
            {"differences": unit.differences, "rows": unit.rows.astype(np.int64), "note": text},
        )

    def arrays(self, name: str) -> dict[str, NDArray[Any]] | None:
        """Arrays by name; None when they were not kept, or are damaged."""
        try:
            return load_arrays(self.folder / f"{name}.safetensors", "measurement")
        except (FileNotFoundError, Damaged):
            return None

    def keep(self, name: str, arrays: Arrays) -> None:
        """Keep arrays by name."""
        with replacing(self.folder / f"{name}.safetensors") as temporary:
            save_arrays(temporary, arrays)

    @staticmethod
    def _name(sha256: str, drawing: str) -> str:
        return f"{sha256}-{drawing}"


def kept_for(folder: Path, *parts: str) -> Kept:
    """The folder of measurements that depend on these parts alone."""
    name = hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]
    return Kept(folder / name)
