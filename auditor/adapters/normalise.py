"""Bring any supported adapter file to one form, fitted to one base.

The form is a dictionary of float32 tensors named `<component>.<module path>.lora_A.weight`
(rank, in[, kernel]) and `...lora_B.weight` (out, rank[, 1, 1]), with alpha / rank already multiplied into B:
the change of a weight is exactly B x A. A loader that sees no alpha and no metadata cannot misread it.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from safetensors import SafetensorError, safe_open

from auditor.adapters.adapter_file import AdapterFile, Pair, judge, uses_sidecar
from auditor.adapters.header import TensorInfo
from auditor.adapters.keys import DENOISER
from auditor.adapters.layout import BaseLayout
from auditor.adapters.scaling import ScaleRule, checked_scale, read_embedded, read_sidecar
from auditor.errors import ItemError, Refused
from auditor.records.adapter import AdapterFacts, AlphaSource
from auditor.text_safety import clean

_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class FittedPair:
    """A pair of the file and the module of the base that it changes."""

    source: Pair
    component: str
    module: str
    weight_shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class LayoutMatch:
    """How a file's pairs meet a base's modules, from the header alone."""

    fitted: tuple[FittedPair, ...]
    misshapen: tuple[FittedPair, ...]
    """Pairs whose module exists with another shape."""
    unmatched: tuple[Pair, ...]
    """Pairs whose module the base does not have."""


@dataclass(frozen=True, slots=True)
class NormalisedAdapter:
    """An adapter ready to be put on the base it was fitted to."""

    tensors: Mapping[str, torch.Tensor]
    pairs: tuple[FittedPair, ...]
    unmatched: tuple[str, ...]
    """`component.module` of every pair that the base has no module for, as the file spells it."""
    no_learned_change: bool
    """Every weight change is exactly zero."""
    facts: AdapterFacts

    @property
    def components(self) -> tuple[str, ...]:
        """Components of the base that the adapter changes."""
        return tuple(self.facts.matched)

    def touches_text_encoder(self) -> bool:
        """Whether prompt embeddings made without the adapter are invalid with it."""
        return any(name.startswith("text_encoder") for name in self.components)


def match_layout(adapter: AdapterFile, layout: BaseLayout) -> LayoutMatch:
    """Find each pair's module in a base. Use it to choose among bases, before anything is loaded.

    Raises:
        Refused: `ambiguous_modules`, or `unexpected_tensors` when two pairs mean one module.
        ItemError: Skipped, when unnamed components could be two of the base's.
    """
    open_component = _open_component(adapter, layout)
    fitted: list[FittedPair] = []
    misshapen: list[FittedPair] = []
    unmatched: list[Pair] = []
    taken: set[tuple[str, str]] = set()
    for pair in adapter.pairs:
        component = open_component if pair.component is None else layout.component(pair.component)
        module = None if component is None else layout.resolve(component, pair.module, flat=pair.flat)
        if component is None or module is None:
            unmatched.append(pair)
            continue
        if (component, module) in taken:
            raise Refused("unexpected_tensors", "Two pairs of the file mean the same module of the base.")
        taken.add((component, module))
        found = FittedPair(pair, component, module, layout.components[component][module])
        (fitted if _fits(found, adapter.header.tensors) else misshapen).append(found)
    return LayoutMatch(tuple(fitted), tuple(misshapen), tuple(unmatched))


def normalise(adapter: AdapterFile, layout: BaseLayout) -> NormalisedAdapter:
    """Judge a file, fit it to a base, read its tensors and bake every scale in.

    Raises:
        Refused: The file is unsafe, malformed or contradicts itself or the base.
        ItemError: Skipped: another format, or made for another base.
    """
    judge(adapter)
    match = match_layout(adapter, layout)
    _require_coverage(adapter, layout, match)
    scales = _Scales(adapter)
    tensors: dict[str, torch.Tensor] = {}
    squares = 0.0
    used: list[float] = []
    with _opened(adapter) as stored:
        _require_finite(stored, match.unmatched)
        for pair in match.fitted:
            down, up = _factors(stored, pair)
            scale = scales.of(pair, stored)
            baked = (up.double() * scale).float()
            if not torch.isfinite(baked).all():
                raise Refused("nonfinite_weights", "A factor overflows float32 once its scale is applied.")
            squares += _squared_norm(down, baked)
            used.append(scale)
            name = f"{pair.component}.{pair.module}"
            tensors[f"{name}.lora_A.weight"], tensors[f"{name}.lora_B.weight"] = down, baked
    facts = _facts(adapter, match, scales.source, used, math.sqrt(squares), tensors)
    return NormalisedAdapter(
        tensors=tensors,
        pairs=match.fitted,
        unmatched=tuple(f"{pair.component or '?'}.{pair.module}" for pair in match.unmatched),
        no_learned_change=squares == 0.0,
        facts=facts,
    )


def tensors_digest(adapter: AdapterFile) -> str:
    """Digest of a file's tensors in the order of their names: blind to metadata and storage order."""
    digest = hashlib.blake2b(digest_size=32)
    with adapter.path.open("rb") as stream:
        for name in sorted(adapter.header.tensors):
            info = adapter.header.tensors[name]
            digest.update(f"{name}\0{info.dtype}\0{info.shape}\0".encode())
            stream.seek(adapter.header.data_start + info.begin)
            left = info.end - info.begin
            while left > 0:
                chunk = stream.read(min(left, _CHUNK_BYTES))
                if not chunk:
                    raise Refused("corrupt_file", "The file became shorter while it was read.")
                digest.update(chunk)
                left -= len(chunk)
    return digest.hexdigest()


def content_digest(tensors: Mapping[str, torch.Tensor]) -> str:
    """Digest of normalised tensors, equal for one adapter written in two conventions."""
    digest = hashlib.blake2b(digest_size=32)
    for name in sorted(tensors):
        tensor = tensors[name].contiguous()
        digest.update(f"{name}\0{tuple(tensor.shape)}\0".encode())
        digest.update(tensor.numpy().tobytes())
    return digest.hexdigest()


class _Scales:
    """Where each pair's scale comes from: the file's alphas, then its embedded settings, then the sidecar."""

    def __init__(self, adapter: AdapterFile) -> None:
        self._embedded = read_embedded(adapter.header.metadata)
        self._sidecar: ScaleRule | None = None
        if not self._embedded and uses_sidecar(adapter) and adapter.sidecar is not None:
            self._sidecar = read_sidecar(adapter.sidecar)
        self.source: AlphaSource = "none"
        if any(pair.alpha for pair in adapter.pairs):
            self.source = "file_keys"
        elif self._embedded:
            self.source = "lora_adapter_metadata"
        elif self._sidecar:
            self.source = "adapter_config"

    def of(self, pair: FittedPair, stored: Any) -> float:
        """The scale of one pair."""
        source = pair.source
        if source.alpha is not None:
            alpha = float(stored.get_tensor(source.alpha).double().item())
            return checked_scale(alpha, source.rank)
        rule = self._sidecar or self._embedded.get(pair.component) or self._embedded.get("")
        return 1.0 if rule is None else rule.scale((source.module, pair.module), source.rank)


def _open_component(adapter: AdapterFile, layout: BaseLayout) -> str | None:
    """The one component in which the modules of prefix-less names are found."""
    names = [pair.module for pair in adapter.pairs if pair.component is None]
    if not names:
        return None
    votes = Counter(component for name in names for component in layout.components_with(name))
    if not votes:
        return None
    ranked = votes.most_common(2)
    if len(ranked) > 1 and ranked[0][1] == ranked[1][1]:
        raise ItemError(
            "skipped", "unsupported_format",
            f"The names do not tell whether the adapter is for {ranked[0][0]} or {ranked[1][0]}.",
        )  # fmt: skip
    return ranked[0][0]


def _fits(pair: FittedPair, tensors: Mapping[str, TensorInfo]) -> bool:
    """Whether A and B multiply to the weight's shape, 1x1 kernels written or not."""
    down, up = tensors[pair.source.down].shape, tensors[pair.source.up].shape
    kernel = pair.weight_shape[2:] or (1, 1)
    return (
        up[0] == pair.weight_shape[0]
        and up[1] == down[0] == pair.source.rank
        and down[1] == pair.weight_shape[1]
        and (down[2:] or (1, 1)) == kernel
        and (up[2:] or (1, 1)) == (1, 1)
    )


def _require_coverage(adapter: AdapterFile, layout: BaseLayout, match: LayoutMatch) -> None:
    theirs, ours = adapter.family.family, layout.family or layout.evidence.family
    if match.misshapen or not match.fitted:
        if theirs is not None and theirs not in (ours, layout.evidence.family):
            reason = adapter.family.reasons[0]
            message = f"The file is made for {theirs} ({reason}), the base is {ours or 'another'}."
            raise ItemError("skipped", "unsupported_base", message)
        if match.misshapen:
            count, total = len(match.misshapen), len(adapter.pairs)
            message = f"{count} of {total} pairs do not multiply to the shape of the base's module."
            raise Refused("shape_mismatch", message)
        raise ItemError("skipped", "unsupported_base", "No module named in the file exists in the base.")
    lost = [p for p in match.unmatched if p.component in (DENOISER, layout.denoiser, "unet", "transformer")]
    if lost and not any(pair.component == layout.denoiser for pair in match.fitted):
        # a text-encoder half alone would be scored as if it were the whole adapter
        message = f"None of the {len(lost)} denoiser modules named in the file exists in the base."
        raise ItemError("skipped", "unsupported_base", message)


@contextmanager
def _opened(adapter: AdapterFile) -> Iterator[Any]:
    try:
        with safe_open(adapter.path, framework="pt", device="cpu") as stored:
            yield stored
    except (SafetensorError, OSError) as error:
        raise Refused("corrupt_file", f"The tensors cannot be read: {clean(str(error), limit=120)}.") from error


def _factors(stored: Any, pair: FittedPair) -> tuple[torch.Tensor, torch.Tensor]:
    """A and B as float32 in the shapes that the base's module needs."""
    down = stored.get_tensor(pair.source.down).float().contiguous()
    up = stored.get_tensor(pair.source.up).float().contiguous()
    if not (torch.isfinite(down).all() and torch.isfinite(up).all()):
        raise Refused("nonfinite_weights", "The file holds NaN or infinite weights.")
    rank, (out, inputs, *kernel) = pair.source.rank, pair.weight_shape
    return down.reshape(rank, inputs, *kernel), up.reshape(out, rank, *([1, 1] if kernel else []))


def _require_finite(stored: Any, pairs: Iterable[Pair]) -> None:
    for pair in pairs:
        for name in (pair.down, pair.up):
            if not torch.isfinite(stored.get_tensor(name).float()).all():
                raise Refused("nonfinite_weights", "The file holds NaN or infinite weights.")


def _squared_norm(down: torch.Tensor, up: torch.Tensor) -> float:
    """‖B A‖² in float64 from two rank x rank Gram matrices: tr((BᵀB)(A Aᵀ)), without forming B A."""
    a = down.flatten(1).double()  # (rank, in x kernel)
    b = up.flatten(1).double()  # (out, rank)
    return max(float(((b.T @ b) * (a @ a.T)).sum()), 0.0)


def _facts(
    adapter: AdapterFile,
    match: LayoutMatch,
    source: AlphaSource,
    scales: list[float],
    norm: float,
    tensors: Mapping[str, torch.Tensor],
) -> AdapterFacts:
    ranks = [pair.rank for pair in adapter.pairs]
    factors = [name for pair in adapter.pairs for name in (pair.down, pair.up)]
    return AdapterFacts(
        convention=adapter.convention,
        family=adapter.family.family,
        family_evidence=adapter.family.reasons,
        size_bytes=adapter.header.file_bytes,
        dtypes=tuple(sorted({adapter.header.tensors[name].dtype for name in factors})),
        pairs=len(adapter.pairs),
        matched=dict(Counter(pair.component for pair in match.fitted)),
        unmatched=dict(Counter(pair.component or "unnamed" for pair in match.unmatched)),
        rank_min=min(ranks),
        rank_max=max(ranks),
        alpha_source=source,
        scale_min=min(scales),
        scale_max=max(scales),
        delta_norm=norm,
        tensors_digest=tensors_digest(adapter),
        content_digest=content_digest(tensors),
        claims=adapter.claims,
    )
