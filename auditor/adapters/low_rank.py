"""Read the weight changes of an adapter file: low-rank pairs, and what no such pair expresses.

Pairs become float32 with alpha / rank multiplied in, so that a loader that sees no alpha and no metadata cannot
misread them.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch

from auditor.adapters.adapter_file import AdapterFile, settings_rules
from auditor.adapters.changes import Axis, Change, Replacement, tucker_down
from auditor.adapters.digests import content_digest, tensors_digest
from auditor.adapters.fitting import LayoutMatch, match_layout, require_coverage
from auditor.adapters.keys import Part
from auditor.adapters.landing import Fitted
from auditor.adapters.layout import BaseLayout
from auditor.adapters.normalised import FittedChange, FittedPair, NormalisedAdapter, split_pair, squared_norm
from auditor.adapters.scaling import checked_scale
from auditor.adapters.stored import opened
from auditor.adapters.tensor_groups import SCALARS, Entry
from auditor.errors import Refused
from auditor.records.adapter import AdapterFacts, AlphaSource

_LYCORIS_EPSILON = torch.finfo(torch.float32).eps
_NO_FACTORS: frozenset[Part] = SCALARS | {"dora", "magnitude", "up_bias", "diff_b"}
_MULTIPLIERS: tuple[Part, ...] = ("scalar", "scale_weight")


def normalise_changes(adapter: AdapterFile, layout: BaseLayout) -> NormalisedAdapter:
    """Fit a judged file to a base, read its tensors and bake every scale in.

    Raises:
        Refused: The file is unsafe, malformed or contradicts itself or the base.
        ItemError: Skipped: made for another base.
    """
    match = match_layout(adapter, layout)
    require_coverage(adapter, layout, match)
    scales = _Scales(adapter)
    tensors: dict[str, torch.Tensor] = {}
    pairs: list[FittedPair] = []
    changes: list[FittedChange] = []
    with opened(adapter) as stored:
        _require_finite(stored, match.unmatched)
        for found in match.fitted:
            factors, scale = _read(stored, found.entry), scales.of(found, stored)
            if found.entry.plain:
                for pair, down, up in _pairs(found, factors, scale, layout):
                    name = f"{pair.component}.{pair.module}"
                    tensors[f"{name}.lora_A.weight"], tensors[f"{name}.lora_B.weight"] = down, up
                    pairs.append(pair)
            else:
                changes += _changes(found, factors, scale)
    squares = _squares(tensors, pairs, changes)
    unread = any(change.change.needs_weight for change in changes)
    return NormalisedAdapter(
        tensors=tensors,
        pairs=tuple(pairs),
        changes=tuple(changes),
        unmatched=tuple(f"{entry.component or '?'}.{entry.module}" for entry in match.unmatched),
        no_learned_change=squares == 0.0 and not unread,
        facts=_facts(adapter, match, scales, math.sqrt(squares), content_digest(tensors, changes)),
    )


class _Scales:
    """Where each entry's scale comes from: the file's alphas, then its embedded settings, then the sidecar."""

    def __init__(self, adapter: AdapterFile) -> None:
        self._rules = settings_rules(adapter)
        self.used: list[float] = []
        self.source: AlphaSource = "none"
        if any("alpha" in entry.parts for entry in adapter.entries):
            self.source = "file_keys"
        elif self._rules:
            embedded = "lora_adapter_metadata" in adapter.header.metadata
            self.source = "lora_adapter_metadata" if embedded else "adapter_config"

    def of(self, found: Fitted, stored: Any) -> float:
        """The scale of one entry."""
        scale = self._of(found, stored)
        for part in _MULTIPLIERS:
            if part in found.entry.parts:
                scale = checked_scale(scale * _number(stored, found.entry, part), 1.0)
        self.used.append(scale)
        return scale

    def _of(self, found: Fitted, stored: Any) -> float:
        entry = found.entry
        if entry.method == "full":
            return 1.0
        if "alpha" in entry.parts:
            alpha = _number(stored, entry, "alpha")
            # LyCORIS ignores alpha where no factor is decomposed
            return checked_scale(alpha, entry.rank) if entry.rank else 1.0
        rule = self._rules.get(found.component) or self._rules.get("")
        return 1.0 if rule is None else rule.scale((entry.module, found.targets[0].module), entry.rank)


def _read(stored: Any, entry: Entry) -> dict[Part, torch.Tensor]:
    """Every tensor of an entry but its alpha, as float32."""
    factors: dict[Part, torch.Tensor] = {
        part: stored.get_tensor(name).float().contiguous() for part, name in entry.parts.items() if part not in SCALARS
    }
    scaled: tuple[tuple[Part, Part], ...] = (("down", "down_scale"), ("up", "up_scale"))
    for part, scale in scaled:
        if scale in entry.parts:
            factors[part] = factors[part] * _number(stored, entry, scale)
    _close_pair(entry, factors)
    if not all(torch.isfinite(factor).all() for factor in factors.values()):
        raise Refused("nonfinite_weights", "The file holds NaN or infinite weights.")
    return factors


def _number(stored: Any, entry: Entry, part: Part) -> float:
    return float(stored.get_tensor(entry.parts[part]).double().reshape(()).item())


def _close_pair(entry: Entry, factors: dict[Part, torch.Tensor]) -> None:
    """VeRA's and LoRA-XS' extra factors multiplied into the pair, in float64: what is left is a plain pair.

    VeRA is diag(b) B diag(d) A with the first rows of B and columns of A (peft, `vera/layer.py`); the columns are cut
    once the module is known. LoRA-XS is B R A.
    """
    if entry.shares_factors:
        d, b = factors.pop("lambda_d"), factors.pop("lambda_b")
        factors["down"] = (d.double()[:, None] * factors["down"].double()).float()
        factors["up"] = (b.double()[:, None] * factors["up"].double()[: entry.outputs]).float()
    if "latent" in factors:
        factors["down"] = (
            (factors.pop("latent").double() @ factors["down"].flatten(1).double())
            .reshape(factors["down"].shape)
            .float()
        )


def _require_finite(stored: Any, entries: Sequence[Entry]) -> None:
    for entry in entries:
        _read(stored, entry)


def _pairs(
    found: Fitted, factors: Mapping[Part, torch.Tensor], scale: float, layout: BaseLayout
) -> Iterator[tuple[FittedPair, torch.Tensor, torch.Tensor]]:
    """A and B as float32 in the shapes that each module of the base needs, scale baked into B."""
    rank, (out, inputs, *kernel) = found.entry.rank, found.weight_shape
    down = factors["down"]
    if found.entry.shares_factors:
        down = down[:, : math.prod(found.weight_shape[1:])]
    if "mid" in factors:
        down = tucker_down({part: factor.double() for part, factor in factors.items()}).float()
    up = (factors["up"].double() * scale).float()
    if not (torch.isfinite(down).all() and torch.isfinite(up).all()):
        raise Refused("nonfinite_weights", "A factor overflows float32 once its scale is applied.")
    shapes = [layout.shape(target) for target in found.targets]
    whole = down.reshape(rank, inputs, *kernel), up.reshape(out, rank, *([1, 1] if kernel else []))
    yield from split_pair(found, *whole, shapes)


def _changes(found: Fitted, factors: Mapping[Part, torch.Tensor], scale: float) -> Iterator[FittedChange]:
    """The entry as changes of a weight and, where the file has one, of a bias."""
    entry, shape = found.entry, found.weight_shape
    of_weight = {part: factor for part, factor in factors.items() if part not in _NO_FACTORS}
    if of_weight:
        magnitude = factors.get("dora", factors.get("magnitude"))
        axis: Axis = "output"
        if magnitude is not None:
            axis = _axis(entry, magnitude, shape)
        epsilon = _LYCORIS_EPSILON if "dora" in factors else 0.0
        change = Change(entry.method, of_weight, scale, shape, magnitude, axis, epsilon)
        yield FittedChange(found.targets, "weight", change)
    bias = factors.get("up_bias", factors.get("diff_b"))
    if bias is not None:
        # kohya's trainers scale a bias of B along; a bias difference is whole
        bias_scale = scale if "up_bias" in factors else 1.0
        yield FittedChange(found.targets, "bias", Change("full", {"diff": bias}, bias_scale, (bias.shape[0],)))


def _axis(entry: Entry, magnitude: torch.Tensor, shape: tuple[int, ...]) -> Axis:
    """LyCORIS tells the axis by where the magnitude is long: (out, 1, ...) or (1, in, ...); peft has one per output."""
    count, long_second = magnitude.numel(), magnitude.dim() > 1 and magnitude.shape[0] == 1
    if "magnitude" in entry.parts or not long_second:
        if count == shape[0]:
            return "output"
    elif len(shape) > 1 and count == shape[1]:
        return "input"
    elif count == shape[0]:
        return "output"
    raise Refused("shape_mismatch", "A DoRA magnitude is as long as neither side of its weight.")


def _squares(
    tensors: Mapping[str, torch.Tensor], pairs: Sequence[FittedPair], changes: Sequence[FittedChange]
) -> float:
    """‖ΔW‖² over all changes, a DoRA's taken before its magnitude, which only the base completes."""
    total = 0.0
    for pair in pairs:
        stem = f"{pair.component}.{pair.module}"
        total += squared_norm(tensors[f"{stem}.lora_A.weight"], tensors[f"{stem}.lora_B.weight"])
    for fitted in changes:
        square = 0.0 if isinstance(fitted.change, Replacement) else float(fitted.change.update().square().sum())
        if not math.isfinite(square):
            raise Refused("nonfinite_weights", "The factors multiply to something that is not finite.")
        total += square
    return total


def _facts(adapter: AdapterFile, match: LayoutMatch, scales: _Scales, norm: float, digest: str) -> AdapterFacts:
    ranks = [entry.rank for entry in adapter.entries]
    factors = [name for entry in adapter.entries for part, name in entry.parts.items() if part not in SCALARS]
    return AdapterFacts(
        convention=adapter.convention,
        family=adapter.family.family,
        family_evidence=adapter.family.reasons,
        size_bytes=adapter.header.file_bytes,
        dtypes=tuple(sorted({adapter.header.tensors[name].dtype for name in factors})),
        pairs=len(adapter.entries),
        matched=dict(Counter(found.component for found in match.fitted)),
        unmatched=dict(Counter(entry.component or "unnamed" for entry in match.unmatched)),
        rank_min=min(ranks),
        rank_max=max(ranks),
        alpha_source=scales.source,
        scale_min=min(scales.used),
        scale_max=max(scales.used),
        delta_norm=norm,
        tensors_digest=tensors_digest(adapter),
        content_digest=digest,
        claims=adapter.claims,
        method=adapter.kind,
    )
