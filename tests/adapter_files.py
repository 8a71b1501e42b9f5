"""Write one set of low-rank factors in each naming convention that is found on the Hub."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import save_file

Factors = Mapping[str, Mapping[str, tuple[torch.Tensor, torch.Tensor]]]
"""Component → module path → A and B."""
Alphas = Mapping[str, Mapping[str, float]]
"""Component → module path → alpha."""

CONVENTIONS = (
    "diffusers",
    "diffusers_down_up",
    "diffusers_processor",
    "diffusers_metadata",
    "diffusers_alpha_keys",
    "kohya",
    "peft",
    "peft_default_keys",
    "unprefixed",
)
ONE_COMPONENT = frozenset({"peft", "unprefixed", "peft_default_keys"})
"""Conventions whose files hold a single component, by their nature."""
WITH_ALPHA = frozenset({"kohya", "diffusers_alpha_keys", "diffusers_metadata", "peft", "peft_default_keys"})

_KOHYA = {"unet": "lora_unet", "text_encoder": "lora_te", "text_encoder_2": "lora_te2"}


def write(path: Path, convention: str, factors: Factors, alphas: Alphas | None = None) -> Path:
    """Write `factors`, and `alphas` where the convention has a place for them."""
    alphas = alphas or {}
    tensors: dict[str, torch.Tensor] = {}
    metadata: dict[str, str] = {}
    for component, modules in factors.items():
        for module, (down, up) in modules.items():
            a, b = _names(convention, component, module)
            tensors[a], tensors[b] = down, up
            if convention in ("kohya", "diffusers_alpha_keys") and module in alphas.get(component, {}):
                tensors[_alpha_name(convention, component, module)] = torch.tensor(alphas[component][module])
    if convention == "diffusers_metadata":
        settings = {
            f"{component}.{key}": value
            for component, modules in factors.items()
            for key, value in _settings(modules, alphas.get(component, {})).items()
        }
        metadata["lora_adapter_metadata"] = json.dumps(settings)
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path, metadata or None)
    if convention in ("peft", "peft_default_keys"):
        (component,) = factors
        config = {"peft_type": "LORA"} | _settings(factors[component], alphas.get(component, {}))
        (path.parent / "adapter_config.json").write_text(json.dumps(config))
    return path


def _names(convention: str, component: str, module: str) -> tuple[str, str]:
    match convention:
        case "diffusers_down_up":
            return f"{component}.{module}.lora.down.weight", f"{component}.{module}.lora.up.weight"
        case "diffusers_processor":
            parent, _, projection = module.removesuffix(".0").rpartition(".")
            if projection in ("to_q", "to_k", "to_v", "to_out"):
                stem = f"{component}.{parent}.processor.{projection}_lora"
                return f"{stem}.down.weight", f"{stem}.up.weight"
            stem = f"{component}.{module}.lora_linear_layer"
            return f"{stem}.down.weight", f"{stem}.up.weight"
        case "kohya":
            stem = f"{_KOHYA[component]}_{module.replace('.', '_')}"
            return f"{stem}.lora_down.weight", f"{stem}.lora_up.weight"
        case "peft":
            stem = f"base_model.model.{module}"
            return f"{stem}.lora_A.weight", f"{stem}.lora_B.weight"
        case "peft_default_keys":
            stem = f"base_model.model.{module}"
            return f"{stem}.lora_A.default.weight", f"{stem}.lora_B.default.weight"
        case "unprefixed":
            return f"{module}.lora_A.weight", f"{module}.lora_B.weight"
        case _:
            return f"{component}.{module}.lora_A.weight", f"{component}.{module}.lora_B.weight"


def _alpha_name(convention: str, component: str, module: str) -> str:
    if convention == "kohya":
        return f"{_KOHYA[component]}_{module.replace('.', '_')}.alpha"
    return f"{component}.{module}.alpha"


def _settings(
    modules: Mapping[str, tuple[torch.Tensor, torch.Tensor]], alphas: Mapping[str, float]
) -> dict[str, object]:
    """peft's settings: the first module's rank and alpha, and patterns for those that differ."""
    ranks = {module: down.shape[0] for module, (down, _) in modules.items()}
    own = {module: alphas.get(module, float(rank)) for module, rank in ranks.items()}
    rank, alpha = next(iter(ranks.values())), next(iter(own.values()))
    return {
        "r": rank,
        "lora_alpha": alpha,
        "rank_pattern": {module: r for module, r in ranks.items() if r != rank},
        "alpha_pattern": {module: a for module, a in own.items() if a != alpha},
    }
