"""The alpha / rank scale of each low-rank pair, read by our own parser from the few places that hold it.

The change of a layer's weight is scale x B x A with scale = alpha / rank, or alpha / sqrt(rank) when the
file was trained rank-stabilised. Without any alpha the convention is scale 1. kohya's `ss_network_alpha` is a
claim about training and is not used: its own loader takes a missing alpha for alpha = rank.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from auditor.adapters import limits
from auditor.adapters.limited_json import LimitedJsonError, parse_limited_json
from auditor.errors import ItemError, Refused

PeftMethod = Literal["lora", "loha", "lokr"]

EMBEDDED_KEY = "lora_adapter_metadata"
"""Header entry in which diffusers stores peft's configuration of each component."""
SIDECAR_NAME = "adapter_config.json"
PEFT_DEFAULT_RANK = 8
PEFT_DEFAULT_ALPHA = 8.0
_PEFT_METHODS: Mapping[str, PeftMethod] = {"LORA": "lora", "LOHA": "loha", "LOKR": "lokr"}

# These start from, or write to, the base's own weights: the factors alone are not the difference to the base.
_BASE_CHANGING_INIT = ("pissa", "olora", "corda", "loftq", "eva", "lora_ga", "milora")
_UNSUPPORTED_IF_SET = (
    "use_qalora", "megatron_config", "layer_replication", "trainable_token_indices",
    "target_parameters", "alora_invocation_tokens", "fan_in_fan_out",
)  # fmt: skip
_PLAIN_PATTERN = re.compile(r"\A\^?(?P<module>(?:[\w-]|\\?\.)+)\$?\Z")
_MAX_NODES = 20_000


@dataclass(frozen=True, slots=True)
class ScaleRule:
    """peft's scale settings of one component."""

    rank: int = PEFT_DEFAULT_RANK
    alpha: float = PEFT_DEFAULT_ALPHA
    rank_stabilised: bool = False
    ranks: Mapping[str, int] = field(default_factory=dict)
    """Module path or its end → rank, where it differs."""
    alphas: Mapping[str, float] = field(default_factory=dict)
    """Module path or its end → alpha, where it differs."""
    method: PeftMethod = "lora"
    decomposed: bool = False
    """The settings say DoRA: the file must hold magnitudes."""
    _places: tuple[Mapping[str, int], Mapping[str, int]] = field(init=False, repr=False, compare=False)
    """Pattern → its place in the file, for ranks and for alphas."""

    def __post_init__(self) -> None:
        places = tuple({name: place for place, name in enumerate(named)} for named in (self.ranks, self.alphas))
        object.__setattr__(self, "_places", places)

    def scale(self, modules: tuple[str, ...], rank: int) -> float:
        """The scale of one pair.

        Args:
            modules: Names of the module: the file's and the base's.
            rank: Rank of the stored factors; 0 where none is decomposed.

        Raises:
            Refused: `hostile_metadata`, when the settings contradict the tensors.
        """
        claimed = _by_end(self.ranks, self._places[0], modules, self.rank)
        rank = rank or int(claimed)
        if claimed != rank:
            message = f"The file's settings claim rank {claimed:.0f} where its tensors have {rank}."
            raise Refused("hostile_metadata", message)
        alpha = _by_end(self.alphas, self._places[1], modules, self.alpha)
        return checked_scale(alpha, math.sqrt(rank) if self.rank_stabilised else rank)


def checked_scale(alpha: float, divisor: float) -> float:
    """alpha / divisor, if that is a finite number of a credible size.

    Raises:
        Refused: `alpha_out_of_range`.
    """
    scale = alpha / divisor
    if not math.isfinite(scale) or abs(scale) > limits.MAX_SCALE:
        raise Refused("alpha_out_of_range", f"alpha / rank is {scale:.6g}, beyond {limits.MAX_SCALE:g}.")
    return scale


def read_embedded(metadata: Mapping[str, str]) -> dict[str, ScaleRule]:
    """Component → scale rule from a diffusers file's header; the component is "" where none is named.

    Raises:
        Refused: `hostile_metadata`.
        ItemError: Skipped, when the settings ask for what we do not compute.
    """
    text = metadata.get(EMBEDDED_KEY)
    if text is None:
        return {}
    by_component: dict[str, dict[str, Any]] = {}
    for key, value in _object(text.encode("utf-8", "replace")).items():
        component, _, name = key.rpartition(".")
        by_component.setdefault(component, {})[name] = value
    return {component: _rule(settings) for component, settings in by_component.items()}


def read_sidecar(path: Path) -> ScaleRule:
    """The scale rule in a peft folder's adapter_config.json.

    Raises:
        Refused: `hostile_metadata`.
        ItemError: Skipped, when the settings ask for what we do not compute.
    """
    if path.stat().st_size > limits.MAX_SIDECAR_BYTES:
        raise Refused("hostile_metadata", f"{SIDECAR_NAME} is larger than {limits.MAX_SIDECAR_BYTES} bytes.")
    settings = _object(path.read_bytes())
    kind = settings.get("peft_type", "LORA")
    if not isinstance(kind, str) or kind not in _PEFT_METHODS:
        message = f"The adapter's settings name a method that is not audited: {str(kind)[:32]!r}."
        raise ItemError("skipped", "unsupported_format", message)
    return _rule(settings, _PEFT_METHODS[kind])


def sidecar_base(path: Path) -> str | None:
    """The base that adapter_config.json names; null where it names none, or is unusable."""
    if path.stat().st_size > limits.MAX_SIDECAR_BYTES:
        return None
    try:
        named = _object(path.read_bytes()).get("base_model_name_or_path")
    except Refused:
        return None  # `judge` says so
    return named if isinstance(named, str) and named else None


def _object(text: bytes) -> dict[str, Any]:
    try:
        value = parse_limited_json(text, max_nodes=_MAX_NODES)
    except LimitedJsonError as error:
        raise Refused("hostile_metadata", f"The adapter's settings are unusable: {error}.") from error
    if not isinstance(value, dict):
        raise Refused("hostile_metadata", "The adapter's settings are not a JSON object.")
    return value


def _rule(settings: Mapping[str, Any], method: PeftMethod = "lora") -> ScaleRule:
    _refuse_dangerous(settings)
    alpha_name = "lora_alpha" if method == "lora" else "alpha"
    return ScaleRule(
        method=method,
        decomposed=settings.get("use_dora") is True,
        rank=_rank(settings.get("r", PEFT_DEFAULT_RANK)),
        alpha=_number(settings.get(alpha_name, PEFT_DEFAULT_ALPHA)),
        rank_stabilised=settings.get("use_rslora") is True,
        ranks={m: _rank(v) for m, v in _pattern(settings.get("rank_pattern")).items()},
        alphas={m: _number(v) for m, v in _pattern(settings.get("alpha_pattern")).items()},
    )


def _refuse_dangerous(settings: Mapping[str, Any]) -> None:
    if settings.get("modules_to_save"):
        raise Refused("hostile_metadata", "The settings replace whole modules of the base (modules_to_save).")
    init = settings.get("init_lora_weights")
    if isinstance(init, str) and init.lower().startswith(_BASE_CHANGING_INIT):
        message = f"The settings ask for an initialisation that rewrites the base ({init[:24]!r})."
        raise Refused("hostile_metadata", message)
    for name in _UNSUPPORTED_IF_SET:
        if settings.get(name):
            raise ItemError("skipped", "unsupported_format", f"The adapter uses {name}, which is not computed.")
    if settings.get("bias", "none") != "none":
        raise ItemError("skipped", "unsupported_format", "The adapter was trained together with biases.")


def _pattern(value: Any) -> dict[str, Any]:
    """peft's patterns are regular expressions; only plain module names are taken, literally."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise Refused("hostile_metadata", "A rank or alpha pattern is not a JSON object.")
    result = {}
    for pattern, setting in value.items():
        match = _PLAIN_PATTERN.match(pattern) if len(pattern) <= limits.MAX_KEY_CHARS else None
        if match is None:
            message = "A rank or alpha pattern is a regular expression, not a module name."
            raise ItemError("skipped", "unsupported_format", message)
        result[match["module"].replace("\\.", ".")] = setting
    return result


def _by_end(
    patterns: Mapping[str, float], places: Mapping[str, int], modules: tuple[str, ...], default: float
) -> float:
    """The first pattern that equals a module's path or its last parts, in file order, as peft does.

    The ends of the path are looked up, not the patterns tried: a file may have thousands of both.
    """
    ends = {end for module in modules for end in _ends(module) if end in places}
    return patterns[min(ends, key=lambda end: places[end])] if ends else default


def _ends(module: str) -> Iterator[str]:
    parts = module.split(".")
    return (".".join(parts[start:]) for start in range(len(parts)))


def _rank(value: Any) -> int:
    if type(value) is not int or not 0 < value <= limits.MAX_RANK:
        raise Refused("rank_out_of_range", "The settings name a rank that is no integer from 1 to 1,024.")
    return value


def _number(value: Any) -> float:
    if type(value) not in (int, float) or not abs(value) < 1e12:
        raise Refused("alpha_out_of_range", "The settings name an alpha of no credible size.")
    return float(value)
