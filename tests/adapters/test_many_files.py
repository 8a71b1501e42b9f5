"""Files drawn from a seed, as many as one likes, through recognition and normalisation.

Hypothesis looks harder at few files (`test_fuzz.py`); this looks at many: `make fuzz FUZZ_FILES=1000000`.
"""

from __future__ import annotations

import json
import os
import random
import tempfile
from collections import Counter
from pathlib import Path

import pytest
import torch
from safetensors.torch import save

from auditor.adapters.adapter_file import inspect_file
from auditor.adapters.normalise import normalise
from auditor.errors import ItemError
from auditor.records.outcomes import REASON_NOTES
from tests.adapters.conftest import SHAPES, TEXT_SHAPES
from tests.adapters.test_fuzz import LAYOUT

pytestmark = pytest.mark.fuzz
FILES = int(os.environ.get("FUZZ_FILES", "1000"))
SIZES = (0, 1, 2, 3, 4, 8, 16, 24, 32, 48, 64, 128)
MODULES = (
    *(f"unet.{module}" for module in SHAPES), *(f"lora_unet_{module.replace('.', '_')}" for module in SHAPES),
    *(f"text_encoder.{module}" for module in TEXT_SHAPES), *(f"diffusion_model.{name}" for name in LAYOUT.originals),
    *(f"base_model.model.{module}" for module in SHAPES), "unet.nowhere", "lora_te_nowhere", "lycoris_x",
    "bundle_emb.x", "transformer", "", "<s0>",
)  # fmt: skip
PARTS = (
    "lora_A.weight", "lora_B.weight", "lora_down.weight", "lora_up.weight", "lora_mid.weight", "alpha", "dora_scale",
    "lora_magnitude_vector", "lora_B.bias", "hada_w1_a", "hada_w1_b", "hada_w2_a", "hada_w2_b", "hada_t1", "lokr_w1",
    "lokr_w2_a", "lokr_w2_b", "lokr_t2", "diff", "diff_b", "w_norm", "b_norm", "scalar", "scale_weight", "bias",
    "lora_A.default.weight", "oft_blocks", "vera_lambda_b", "lora_latent_mapping.weight",
)  # fmt: skip
METADATA: tuple[dict[str, str], ...] = (
    {}, {"format": "pt"}, {"ss_network_dim": "4", "ss_network_alpha": "1e300"}, {"ss_tag_frequency": '{"a": {"b": 1}}'},
    {"lora_adapter_metadata": json.dumps({"unet.r": 4, "unet.lora_alpha": 8, "unet.use_rslora": True})},
    {"lora_adapter_metadata": "[" * 50}, {"modelspec.architecture": "flux-1-dev/lora"}, {"\x1b[2J": "\u202e"},
)  # fmt: skip
VALUES = (0.0, 1.0, -0.5, 1e-30, 3e38, float("nan"), float("inf"))
DTYPES = (torch.float32,) * 6 + (torch.float16, torch.bfloat16, torch.int8)


def whole(rng: random.Random) -> dict[str, tuple[int, ...]]:
    """All tensors of one change, in shapes that fit together."""
    module = rng.choice(sorted(SHAPES))
    out, inputs, *kernel = SHAPES[module]
    rank, ones = rng.randint(1, 4), [1] * len(kernel)
    columns = inputs * kernel[0] * kernel[1] if kernel else inputs
    parts: dict[str, tuple[int, ...]] = rng.choice(
        [
            {"lora_down.weight": (rank, inputs, *kernel), "lora_up.weight": (out, rank, *ones)},
            {
                "lora_down.weight": (rank, inputs, *ones),
                "lora_up.weight": (out, rank, *ones),
                "lora_mid.weight": (rank, rank, *(kernel or [1, 1])),
            },
            {f"hada_w{n}_{s}": (out, rank) if s == "a" else (rank, columns) for n in (1, 2) for s in "ab"},
            {"lokr_w1": (2, 1), "lokr_w2_a": (out // 2, rank), "lokr_w2_b": (rank, columns)},
            {"diff": SHAPES[module], "diff_b": (out,)},
        ]
    )
    for extra, shapes in (
        ("alpha", [()]),
        ("scalar", [()]),
        ("dora_scale", [(out, 1, *ones), (1, inputs, *ones), (out,), (7,)]),
    ):
        if rng.random() < 0.25:
            parts[extra] = rng.choice(shapes)
    return {f"lora_unet_{module.replace('.', '_')}.{part}": shape for part, shape in parts.items()}


def stray(rng: random.Random) -> dict[str, tuple[int, ...]]:
    """One tensor of any name and shape."""
    shape = tuple(rng.choice(SIZES) for _ in range(rng.randint(0, 2)))
    if rng.random() < 0.2:
        shape = (rng.choice(SIZES), rng.choice(SIZES), rng.randint(1, 3), rng.randint(1, 3))
    name = f"{rng.choice(MODULES)}.{rng.choice(PARTS)}"
    if rng.random() < 0.05:
        place = rng.randint(0, len(name))
        name = name[:place] + rng.choice(["\x00", "é", "..", "/", "\u202e", "a" * 300]) + name[place:]
    return {name: shape}


def drawn(seed: int) -> bytes:
    """A file, sometimes damaged."""
    rng = random.Random(seed)
    shapes: dict[str, tuple[int, ...]] = {}
    for _ in range(rng.choice((0, 1, 1, 2))):
        shapes |= whole(rng)
    for _ in range(rng.choice((0, 0, 0, 1, 2))):
        shapes |= stray(rng)
    value = 1.0 if rng.random() < 0.7 else rng.choice(VALUES)
    dtype = rng.choice(DTYPES)
    odd = value if dtype.is_floating_point else 1
    tensors = {name: torch.full(shape, odd).to(dtype) for name, shape in shapes.items()}
    raw = bytearray(save(tensors, rng.choice(METADATA)))
    if rng.random() < 0.2:
        for _ in range(rng.randint(1, 4)):
            raw[rng.randrange(min(len(raw), 400))] = rng.randrange(256)
        if rng.random() < 0.3:
            del raw[rng.randrange(len(raw)) :]
    return bytes(raw)


def outcome(path: Path) -> str:
    """What becomes of one file; anything but a named refusal is raised."""
    try:
        adapter = normalise(inspect_file(path), LAYOUT)
    except ItemError as error:
        assert error.outcome == REASON_NOTES[error.reason].outcome in ("skipped", "quarantined")
        assert error.message.endswith(".") and error.message.isprintable()
        return error.reason
    assert all(torch.isfinite(tensor).all() for tensor in adapter.tensors.values())
    return "normalised"


def test_many_files_are_normalised_or_refused() -> None:
    seen: Counter[str] = Counter()
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as folder:
        path = Path(folder) / "file"
        for seed in range(FILES):
            raw = drawn(seed)
            path.write_bytes(raw)
            try:
                seen[outcome(path)] += 1
            except Exception as error:
                raise AssertionError(f"seed {seed}: {type(error).__name__}: {error}") from error
    assert sum(seen.values()) == FILES
    assert FILES < 1000 or min(seen["normalised"], seen["corrupt_file"], seen["unpaired_tensors"]) > FILES // 100, seen
    print(f"{FILES} files: {dict(seen.most_common())}")
