"""The change that one entry of a file makes to one weight, computed by ourselves in float64.

Formulas follow LyCORIS, which defines LoHa, LoKr and kohya's DoRA, and peft for its own DoRA. A strength s always
means W + s (W' - W), where W' is the weight with the adapter in full.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from safetensors import SafetensorError, safe_open

from auditor.adapters.keys import Part
from auditor.errors import Refused

Factors = Mapping[Part, torch.Tensor]
Axis = Literal["output", "input"]
"""What a DoRA magnitude is one number per of: output row (peft, and LyCORIS' `wd_on_out`), or input column."""


@dataclass(frozen=True, eq=False)
class Change:
    """What is added to one weight, or to one original weight that the base holds in several parts.

    Factors are kept as they are stored: the change itself may be a thousand times their size and is made when needed.
    """

    method: Literal["lora", "loha", "lokr", "full"]
    factors: Factors
    scale: float
    shape: tuple[int, ...]
    """Shape of the weight, as the file sees it."""
    magnitude: torch.Tensor | None = None
    axis: Axis = "output"
    epsilon: float = 0.0
    """Added to each norm: LyCORIS guards its division, peft does not."""

    @property
    def needs_weight(self) -> bool:
        """Whether the change depends on the base's own weight."""
        return self.magnitude is not None

    def changed(self, weight: torch.Tensor, strength: float) -> torch.Tensor:
        """W + strength x (W' - W) in float64."""
        return weight.double() + strength * self.delta(weight)

    def update(self, device: torch.device | str = "cpu") -> torch.Tensor:
        """scale x the product of the factors, float64, without any magnitude."""
        factors = {part: factor.to(device).double() for part, factor in self.factors.items()}
        product = {"lora": _lora, "loha": _loha, "lokr": _lokr, "full": _full}[self.method](factors)
        scaled = product.reshape(self.shape) * self.scale
        # beside factors a whole difference is a part of the change, with no scale of its own
        return scaled + factors["diff"].reshape(self.shape) if "diff" in factors and self.method != "full" else scaled

    def delta(self, weight: torch.Tensor) -> torch.Tensor:
        """W' - W in float64, on the weight's device.

        Args:
            weight: W, of `shape`; read only if `needs_weight`.
        """
        update = self.update(weight.device)
        if self.magnitude is None:
            return update
        pristine = weight.double()
        changed = pristine + update
        dims = tuple(d for d in range(changed.dim()) if d != (0 if self.axis == "output" else 1))
        norm = changed.square().sum(dim=dims, keepdim=True).sqrt() + self.epsilon
        magnitude = self.magnitude.to(weight.device).double().reshape(norm.shape)
        return changed * (magnitude / norm) - pristine


@dataclass(frozen=True, eq=False)
class Replacement:
    """A weight that takes the place of the base's; read from its file when needed, never all at once."""

    path: Path
    tensor: str
    """Its name in the file."""
    shape: tuple[int, ...]

    @property
    def needs_weight(self) -> bool:
        """Always: the change is the difference to the base."""
        return True

    def changed(self, weight: torch.Tensor, strength: float) -> torch.Tensor:
        """W + strength x (W' - W) in float64; W' itself at strength 1.

        Raises:
            Refused: `corrupt_file` or `nonfinite_weights`.
        """
        try:
            with safe_open(self.path, framework="pt", device="cpu") as stored:
                ours: torch.Tensor = stored.get_tensor(self.tensor).to(weight.device).double().reshape(self.shape)
        except (SafetensorError, OSError) as error:
            raise Refused("corrupt_file", "A tensor of the model cannot be read.") from error
        if not torch.isfinite(ours).all():
            raise Refused("nonfinite_weights", "The file holds NaN or infinite weights.")
        return ours if strength == 1.0 else weight.double() + strength * (ours - weight.double())


def _lora(factors: Factors) -> torch.Tensor:
    return factors["up"].flatten(1) @ tucker_down(factors).flatten(1)


def tucker_down(factors: Factors) -> torch.Tensor:
    """A (rank, in[, kernel]), with a Tucker core multiplied in: exact, so that such a LoCon is a plain one."""
    if "mid" not in factors:
        return factors["down"]
    # (r, s, kh, kw) x (s, in) -> (r, in, kh, kw)
    return torch.einsum("rshw,si->rihw", factors["mid"], factors["down"].flatten(1))


def _loha(factors: Factors) -> torch.Tensor:
    halves = []
    for number in (1, 2):
        a, b = factors[f"hada_w{number}_a"], factors[f"hada_w{number}_b"]  # type: ignore[index]
        core = factors.get(f"hada_t{number}")  # type: ignore[call-overload]
        halves.append(a @ b if core is None else _tucker(core, a, b))
    return halves[0] * halves[1]


def _lokr(factors: Factors) -> torch.Tensor:
    first = factors["lokr_w1"] if "lokr_w1" in factors else factors["lokr_w1_a"] @ factors["lokr_w1_b"]
    if "lokr_w2" in factors:
        second = factors["lokr_w2"]
    elif "lokr_t2" in factors:
        second = _tucker(factors["lokr_t2"], factors["lokr_w2_a"], factors["lokr_w2_b"])
    else:
        second = factors["lokr_w2_a"] @ factors["lokr_w2_b"]
    # a kernel stored flat lies innermost in the columns, where the product leaves it
    return torch.kron(first.reshape(*first.shape, *[1] * (second.dim() - 2)), second.contiguous())


def _tucker(core: torch.Tensor, outputs: torch.Tensor, inputs: torch.Tensor) -> torch.Tensor:
    """(r, s, kh, kw), (r, out), (s, in) -> (out, in, kh, kw)."""
    return torch.einsum("rshw,ro,si->oihw", core, outputs, inputs)


def _full(factors: Factors) -> torch.Tensor:
    return factors["diff"]
