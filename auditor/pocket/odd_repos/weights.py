"""The same trained change in other clothes: every convention and disguise that a LoRA is published in. numpy only.

A change is a mapping from a module of the UNet to its factors A (rank, in) and B (out, rank), with scale 1.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file, save

Array = NDArray[np.generic]
Tensors = Mapping[str, Array]
Factors = tuple[NDArray[np.float16], NDArray[np.float16]]
Change = dict[str, Factors]


def read_change(path: Path) -> Change:
    """The change in a file of the zoo in diffusers layout."""
    tensors = load_file(path)
    names = sorted(name.removesuffix(".lora_A.weight") for name in tensors if name.endswith(".lora_A.weight"))
    return {
        name.removeprefix("unet."): (tensors[f"{name}.lora_A.weight"], tensors[f"{name}.lora_B.weight"])
        for name in names
    }


def file_of(tensors: Tensors, **metadata: str) -> bytes:
    """A safetensors file; equal tensors and metadata give equal bytes."""
    ordered = {name: np.ascontiguousarray(tensors[name]) for name in sorted(tensors)}
    return save(ordered, metadata=metadata or None)


def diffusers(change: Change, prefix: str = "unet.") -> dict[str, Array]:
    """`unet.<module>.lora_A.weight`."""
    return {
        f"{prefix}{module}.lora_{half}.weight": factor
        for module, factors in change.items()
        for half, factor in zip("AB", factors, strict=True)
    }


def with_default(change: Change) -> dict[str, Array]:
    """peft's adapter name left inside the keys."""
    return {name.replace(".weight", ".default.weight"): value for name, value in diffusers(change).items()}


def kohya(change: Change, *, alpha: float | None = None) -> dict[str, Array]:
    """`lora_unet_<module>`, alpha half the rank unless given, made up for in the up factor."""
    tensors: dict[str, Array] = {}
    for module, (down, up) in change.items():
        rank = down.shape[0]
        chosen = rank / 2 if alpha is None else alpha
        tensors |= _flat(
            module,
            {
                "lora_down.weight": down,
                "lora_up.weight": (up * np.float16(rank / chosen)).astype(np.float16),
                "alpha": np.array(chosen, np.float16),
            },
        )
    return tensors


def mixed_ranks(change: Change) -> dict[str, Array]:
    """kohya with another rank and alpha in every second module: the missing ranks are zero, the product the same."""
    tensors: dict[str, Array] = {}
    for number, (module, (down, up)) in enumerate(change.items()):
        rank = down.shape[0] + 4 * (number % 2)
        alpha = (1.0, 2.0, 8.0)[number % 3]
        wide_down = np.zeros((rank, down.shape[1]), np.float16)
        wide_up = np.zeros((up.shape[0], rank), np.float16)
        wide_down[: down.shape[0]], wide_up[:, : up.shape[1]] = down, up * np.float16(rank / alpha)
        tensors |= _flat(
            module, {"lora_down.weight": wide_down, "lora_up.weight": wide_up, "alpha": np.array(alpha, np.float16)}
        )
    return tensors


def diffusers_with_alpha(change: Change) -> dict[str, Array]:
    """Alpha keys under diffusers' names, different ones for different modules."""
    tensors: dict[str, Array] = {}
    for number, (module, (down, up)) in enumerate(change.items()):
        alpha = (2.0, 4.0, 8.0)[number % 3]
        tensors |= {
            f"unet.{module}.lora_A.weight": down,
            f"unet.{module}.alpha": np.array(alpha, np.float32),
            f"unet.{module}.lora_B.weight": (up * np.float16(down.shape[0] / alpha)).astype(np.float16),
        }
    return tensors


def loha(change: Change) -> dict[str, Array]:
    """LyCORIS LoHa: the Hadamard product of the change with a matrix of ones."""
    tensors: dict[str, Array] = {}
    for module, (down, up) in change.items():
        rank = down.shape[0]
        tensors |= _flat(
            module,
            {
                "hada_w1_a": up,
                "hada_w1_b": down,
                "hada_w2_a": np.full(up.shape, 1 / rank, np.float16),
                "hada_w2_b": np.ones(down.shape, np.float16),
                "alpha": np.array(rank, np.float16),
            },
        )
    return tensors


def lokr(change: Change) -> dict[str, Array]:
    """LyCORIS LoKr: the Kronecker product of a single one with the change."""
    tensors: dict[str, Array] = {}
    for module, (down, up) in change.items():
        tensors |= _flat(
            module,
            {
                "lokr_w1": np.ones((1, 1), np.float16),
                "lokr_w2_a": up,
                "lokr_w2_b": down,
                "alpha": np.array(down.shape[0], np.float16),
            },
        )
    return tensors


def dora(change: Change, weights: Tensors) -> dict[str, Array]:
    """kohya DoRA whose magnitudes are those of the changed weights, per input, so that they add nothing."""
    tensors: dict[str, Array] = {}
    for module, (down, up) in change.items():
        changed = weights[f"{module}.weight"].astype(np.float32) + up.astype(np.float32) @ down.astype(np.float32)
        magnitude = np.linalg.norm(changed, axis=0, keepdims=True)
        tensors |= _flat(
            module,
            {
                "lora_down.weight": down,
                "lora_up.weight": up,
                "alpha": np.array(down.shape[0], np.float16),
                "dora_scale": magnitude.astype(np.float32),
            },
        )
    return tensors


def tucker(change: Change, weights: Tensors, module: str) -> dict[str, Array]:
    """LoCon: the change, and a convolution adapted through `lora_mid`; seeded, and a hundredth of the weight's size."""
    weight = weights[f"{module}.weight"].astype(np.float32)
    draw = np.random.default_rng(7)
    out_channels, in_channels, height, width = weight.shape
    down = draw.standard_normal((2, in_channels, 1, 1)) / in_channels
    mid = draw.standard_normal((2, 2, height, width))
    up = draw.standard_normal((out_channels, 2, 1, 1)) * np.abs(weight).mean()
    parts: dict[str, Array] = {
        "lora_down.weight": down.astype(np.float16),
        "lora_mid.weight": mid.astype(np.float16),
        "lora_up.weight": up.astype(np.float16),
        "alpha": np.array(2, np.float16),
    }
    return kohya(change) | _flat(module, parts)


def whole_unet(change: Change, weights: Tensors) -> dict[str, Array]:
    """The base's UNet with the change merged in: a full fine-tune."""
    merged = dict(weights)
    for module, (down, up) in change.items():
        weight = weights[f"{module}.weight"]
        changed = weight.astype(np.float32) + up.astype(np.float32) @ down.astype(np.float32)
        merged[f"{module}.weight"] = changed.astype(weight.dtype)
    return merged


def text_pairs(style: Callable[[int, str], str], layers: int, width: int, *, seed: int = 5) -> dict[str, Array]:
    """Small seeded pairs for the attention of a text encoder.

    Args:
        style: Layer and projection → name of the module with its prefix.
        layers: Of the encoder.
        width: Of its projections.
        seed: Of the numbers.
    """
    draw = np.random.default_rng(seed)
    tensors: dict[str, Array] = {}
    for layer in range(layers):
        for projection in ("q_proj", "v_proj"):
            name = style(layer, projection)
            tensors |= {
                f"{name}.lora_down.weight": (draw.standard_normal((4, width)) / width).astype(np.float16),
                f"{name}.lora_up.weight": (draw.standard_normal((width, 4)) * 0.05).astype(np.float16),
                f"{name}.alpha": np.array(2, np.float16),
            }
    return tensors


def shaped(modules: Mapping[str, tuple[int, int]], down: str, up: str) -> dict[str, Array]:
    """Rank-1 pairs of the right widths for a model that is not here: module → (inputs, outputs)."""
    tensors: dict[str, Array] = {}
    for number, (module, (inputs, outputs)) in enumerate(modules.items()):
        draw = np.random.default_rng(number)
        tensors[module + down] = draw.standard_normal((1, inputs)).astype(np.float16)
        tensors[module + up] = draw.standard_normal((outputs, 1)).astype(np.float16)
    return tensors


def with_metadata(tensors: Tensors, settings: Mapping[str, object]) -> bytes:
    """A file whose header carries peft's settings, which an unwary loader obeys."""
    return file_of(tensors, lora_adapter_metadata=json.dumps(dict(settings)))


def header_of(size: int) -> bytes:
    """A safetensors file that is all header: an empty object, padded."""
    return size.to_bytes(8, "little") + b"{}".ljust(size)


def _flat(module: str, parts: Tensors) -> dict[str, Array]:
    name = "lora_unet_" + module.replace(".", "_")
    return {f"{name}.{part}": value for part, value in parts.items()}
