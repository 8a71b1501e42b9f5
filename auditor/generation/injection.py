"""Put low-rank layers into a model and take them out again, leaving the model's own layers untouched.

peft's layers are injected by exact module path. Its matching by name endings and regular expressions, its
state-dict conversions and its initialisation are all bypassed: each has a known way to mis-scale a layer, to
skip it in silence or to draw from the global random generator.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import torch
from peft import LoraConfig, inject_adapter_in_model
from peft.tuners.lora import LoraLayer
from peft.tuners.tuners_utils import BaseTunerLayer

from auditor.adapters.layout import BaseLayout
from auditor.adapters.recognition import recognise_layout
from auditor.errors import ItemError, Refused

ADAPTER_NAME = "audited"


def layout_of(components: Mapping[str, torch.nn.Module], denoiser: str, family: str | None = None) -> BaseLayout:
    """List the linear and ungrouped 2-D convolution layers of a pipeline's denoiser and text encoders."""
    shapes = {
        name: {path: tuple(module.weight.shape) for path, module in _adaptable(model)}
        for name, model in components.items()
        if name == denoiser or (name.startswith("text_encoder") and _is_clip(model))
    }
    parameters = {
        name: {
            f"{path}.{parameter}" if path else parameter: tuple(tensor.shape)
            for path, module in base_modules(components[name])
            for parameter, tensor in module.named_parameters(recurse=False)
        }
        for name in shapes
    }
    layout = BaseLayout(denoiser, shapes, family, parameters)
    return layout if family else replace(layout, family=recognise_layout(layout))


def _is_clip(model: torch.nn.Module) -> bool:
    """T5 and language models are left as they are: the libraries that adapters are used with drop their part."""
    return type(model).__name__.startswith("CLIP")


def _adaptable(model: torch.nn.Module) -> Iterator[tuple[str, Any]]:
    for path, module in base_modules(model):
        if is_adaptable(module):
            yield path, module


def is_adaptable(module: torch.nn.Module) -> bool:
    """Whether low-rank changes are for this layer: linear, or a 2-D convolution without groups."""
    return isinstance(module, torch.nn.Linear) or (isinstance(module, torch.nn.Conv2d) and module.groups == 1)


def base_modules(model: torch.nn.Module) -> Iterator[tuple[str, torch.nn.Module]]:
    """The model's own modules under their own paths, whether or not an adapter is in place."""
    wrappers = {path for path, module in model.named_modules() if isinstance(module, BaseTunerLayer)}
    inside = tuple(f"{path}." for path in wrappers)
    for path, module in model.named_modules():
        if path in wrappers:
            yield path, module.get_base_layer()
        elif not path.startswith(inside):
            yield path, module


def inject(model: torch.nn.Module, factors: Mapping[str, tuple[torch.Tensor, torch.Tensor]]) -> int:
    """Wrap modules with the given factors at scale 1.

    Args:
        model: One component of a pipeline.
        factors: Module path → A (rank, in[, kernel]) and B (out, rank[, 1, 1]), float32.

    Returns:
        How many layers now carry the adapter.

    Raises:
        Refused: `nonfinite_weights`, when a factor overflows the model's own precision.
        ItemError: Failed as `not_applied`, when a layer could not be wrapped.
    """
    if not factors:
        return 0
    # rank 1 on the meta device: nothing is allocated or drawn, the real factors are assigned below
    config = LoraConfig(r=1, lora_alpha=1, lora_dropout=0.0, bias="none", target_modules=sorted(factors))
    keys = {f"{path}.lora_A.weight": tensor for path, (tensor, _) in factors.items()}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # endings that also match other modules: not injected
        inject_adapter_in_model(config, model, ADAPTER_NAME, low_cpu_mem_usage=True, state_dict=keys)
    layers = dict(lora_layers(model))
    if layers.keys() != factors.keys():
        missing = len(factors.keys() - layers.keys())
        raise ItemError("failed", "not_applied", f"{missing} of {len(factors)} layers could not be wrapped.")
    for path, (down, up) in factors.items():
        _assign(layers[path], down, up)
    return sum(1 for layer in layers.values() if _carries(layer))


def lora_layers(model: torch.nn.Module) -> Iterator[tuple[str, LoraLayer]]:
    """Every wrapped layer by the path of the layer that it wraps."""
    for path, module in model.named_modules():
        if isinstance(module, LoraLayer):
            yield path, module


def set_scale(model: torch.nn.Module, scale: float) -> None:
    """Multiply the adapter's effect; 0 switches the wrapped layers off, bit for bit."""
    for _, layer in lora_layers(model):
        layer.scaling[ADAPTER_NAME] = scale
        layer.enable_adapters(scale != 0.0)


def extract(model: torch.nn.Module) -> None:
    """Put the model's own layers back in their places; safe to call at any state of an injection."""
    for path, module in list(model.named_modules()):
        if isinstance(module, BaseTunerLayer):
            parent_path, _, name = path.rpartition(".")
            model.get_submodule(parent_path)._modules[name] = module.get_base_layer()
    if hasattr(model, "peft_config"):
        del model.peft_config


def has_wrappers(model: torch.nn.Module) -> bool:
    """Whether any trace of an adapter is left in the module tree."""
    return hasattr(model, "peft_config") or any(isinstance(m, BaseTunerLayer) for m in model.modules())


def _assign(layer: LoraLayer, down: torch.Tensor, up: torch.Tensor) -> None:
    weight: Any = layer.get_base_layer().weight
    rank = down.shape[0]
    for half, factor in ((layer.lora_A[ADAPTER_NAME], down), (layer.lora_B[ADAPTER_NAME], up)):
        stored = factor.to(device=weight.device, dtype=weight.dtype, copy=True)
        if not torch.isfinite(stored).all():
            raise Refused("nonfinite_weights", f"A factor overflows {weight.dtype} on the way to the base.")
        half.weight = torch.nn.Parameter(stored, requires_grad=False)
    layer.r[ADAPTER_NAME], layer.lora_alpha[ADAPTER_NAME] = rank, rank
    layer.scaling[ADAPTER_NAME] = 1.0
    layer.enable_adapters(True)


def _carries(layer: LoraLayer) -> bool:
    """Whether a layer would act: active, at scale 1, no factor left on the meta device, nothing merged."""
    halves = (layer.lora_A[ADAPTER_NAME].weight, layer.lora_B[ADAPTER_NAME].weight)
    return (
        layer.active_adapters == [ADAPTER_NAME]
        and layer.scaling[ADAPTER_NAME] == 1.0
        and not layer.disable_adapters
        and not layer.merged
        and not any(half.is_meta for half in halves)
    )
