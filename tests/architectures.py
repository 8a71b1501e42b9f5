"""The published architectures on the meta device: every name and shape, not one weight.

`python -m tests.architectures` writes docs/architectures.md: how many modules of a synthetic file land on each, by
convention.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch
from diffusers import FluxTransformer2DModel, SD3Transformer2DModel, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

from auditor.adapters.adapter_file import AdapterFile, describe
from auditor.adapters.fitting import LayoutMatch, match_layout
from auditor.adapters.header import Header, TensorInfo
from auditor.adapters.layout import BaseLayout
from auditor.generation.injection import layout_of

RANK = 4
Shapes = dict[str, tuple[int, ...]]

_UNET = {
    "down_block_types": ("CrossAttnDownBlock2D",) * 3 + ("DownBlock2D",),
    "up_block_types": ("UpBlock2D",) + ("CrossAttnUpBlock2D",) * 3,
    "block_out_channels": (320, 640, 1280, 1280),
    "layers_per_block": 2,
    "in_channels": 4,
    "out_channels": 4,
}
_SD3 = {
    "in_channels": 16,
    "out_channels": 16,
    "patch_size": 2,
    "attention_head_dim": 64,
    "joint_attention_dim": 4096,
    "pooled_projection_dim": 2048,
    "qk_norm": "rms_norm",
    "sample_size": 128,
}
_CLIP_L = {"hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12, "num_attention_heads": 12,
           "projection_dim": 768, "vocab_size": 49408}  # fmt: skip
_CLIP_H = {"hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 23, "num_attention_heads": 16,
           "projection_dim": 512, "vocab_size": 49408, "hidden_act": "gelu"}  # fmt: skip
_CLIP_G = {"hidden_size": 1280, "intermediate_size": 5120, "num_hidden_layers": 32, "num_attention_heads": 20,
           "projection_dim": 1280, "vocab_size": 49408, "hidden_act": "gelu"}  # fmt: skip


def _clip(config: Mapping[str, object], *, projection: bool = False) -> torch.nn.Module:
    return (CLIPTextModelWithProjection if projection else CLIPTextModel)(CLIPTextConfig(**config))


def _sd15() -> dict[str, torch.nn.Module]:
    unet = UNet2DConditionModel(**_UNET, sample_size=64, cross_attention_dim=768, attention_head_dim=8)
    return {"unet": unet, "text_encoder": _clip(_CLIP_L)}


def _sd21() -> dict[str, torch.nn.Module]:
    unet = UNet2DConditionModel(
        **_UNET, sample_size=96, cross_attention_dim=1024, attention_head_dim=(5, 10, 20, 20),
        use_linear_projection=True,
    )  # fmt: skip
    return {"unet": unet, "text_encoder": _clip(_CLIP_H)}


def _sdxl() -> dict[str, torch.nn.Module]:
    unet = UNet2DConditionModel(
        sample_size=128,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        block_out_channels=(320, 640, 1280),
        transformer_layers_per_block=(1, 2, 10),
        attention_head_dim=(5, 10, 20),
        cross_attention_dim=2048,
        use_linear_projection=True,
        addition_embed_type="text_time",
        addition_time_embed_dim=256,
        projection_class_embeddings_input_dim=2816,
    )
    return {"unet": unet, "text_encoder": _clip(_CLIP_L), "text_encoder_2": _clip(_CLIP_G, projection=True)}


def _sd35_medium() -> dict[str, torch.nn.Module]:
    transformer = SD3Transformer2DModel(
        **_SD3, num_layers=24, num_attention_heads=24, caption_projection_dim=1536, pos_embed_max_size=384,
        dual_attention_layers=tuple(range(13)),
    )  # fmt: skip
    return {"transformer": transformer, "text_encoder": _clip(_CLIP_L, projection=True),
            "text_encoder_2": _clip(_CLIP_G, projection=True)}  # fmt: skip


def _sd35_large() -> dict[str, torch.nn.Module]:
    transformer = SD3Transformer2DModel(
        **_SD3, num_layers=38, num_attention_heads=38, caption_projection_dim=2432, pos_embed_max_size=192
    )
    return {"transformer": transformer, "text_encoder": _clip(_CLIP_L, projection=True),
            "text_encoder_2": _clip(_CLIP_G, projection=True)}  # fmt: skip


def _flux1() -> dict[str, torch.nn.Module]:
    transformer = FluxTransformer2DModel(
        patch_size=1, in_channels=64, num_layers=19, num_single_layers=38, attention_head_dim=128,
        num_attention_heads=24, joint_attention_dim=4096, pooled_projection_dim=768, guidance_embeds=True,
        axes_dims_rope=(16, 56, 56),
    )  # fmt: skip
    return {"transformer": transformer, "text_encoder": _clip(_CLIP_L)}


_BUILDERS: dict[str, Callable[[], dict[str, torch.nn.Module]]] = {
    "sd15": _sd15, "sd21": _sd21, "sdxl": _sdxl,
    "sd35_medium": _sd35_medium, "sd35_large": _sd35_large, "flux1": _flux1,
}  # fmt: skip
ARCHITECTURES = tuple(_BUILDERS)


@cache
def components(architecture: str) -> dict[str, torch.nn.Module]:
    """The denoiser and the CLIP text encoders of one architecture, without storage."""
    with torch.device("meta"):
        return _BUILDERS[architecture]()


@cache
def layout(architecture: str) -> BaseLayout:
    """Its layout; the family is what the shapes say."""
    parts = components(architecture)
    return layout_of(parts, next(iter(parts)))


def original_checkpoint(base: BaseLayout, own: Mapping[str, torch.Tensor], prefix: str = "") -> dict[str, torch.Tensor]:
    """A denoiser's weights under the names, and in the order of rows, of its original implementation."""
    scales = any(module.startswith("single_transformer_blocks.") for module in base.modules[base.denoiser])
    result = {}
    for original, origin in base.originals.items():
        if ".processor." in original:  # XLabs' second names for the same modules
            continue
        for kind in ("weight", "bias"):
            parts = [own[f"{module}.{kind}"] for module in origin.modules if f"{module}.{kind}" in own]
            if parts:
                named = "scale" if scales and original.endswith("_norm") else kind
                joint = torch.cat([torch.cat(part.chunk(2)[::-1]) if origin.halves_swapped else part for part in parts])
                result[f"{prefix}{original}.{named}"] = joint
    return result


@dataclass(frozen=True)
class Named:
    """One module of a base under the name that a convention gives it."""

    name: str
    """With the convention's prefix, without the tensor's suffix."""
    shape: tuple[int, ...]


Naming = Callable[[str, str, str], str]
"""(component, own module name, original module name) → name in the file."""

_KOHYA_TEXT = {"text_encoder": "te1", "text_encoder_2": "te2"}


def _flat(prefix: str, name: str) -> str:
    return f"{prefix}_{name.replace('.', '_')}"


@dataclass(frozen=True)
class Scheme:
    """How one convention names modules and tensors."""

    denoiser: Callable[[str, str], str]
    """(component, module) → name without suffix."""
    suffixes: tuple[str, ...]
    original: bool = False
    """The denoiser's modules go by the original implementation's names."""
    text: Callable[[str, str, int], str] | None = None
    """(component, module, number of text encoders) → name; null where the convention leaves text encoders out."""
    only: Callable[[str], bool] = lambda module: True
    families: tuple[str, ...] = ARCHITECTURES


def _text_model(module: str) -> str:
    return module if module.startswith(("text_model.", "text_projection")) else f"text_model.{module}"


def _kohya_text(component: str, module: str, count: int) -> str:
    return _flat(f"lora_{_KOHYA_TEXT[component] if count > 1 else 'te'}", _text_model(module))


def _dotted_text(component: str, module: str, count: int) -> str:
    return f"{component}.{_text_model(module)}"


def _comfy_text(component: str, module: str, count: int) -> str:
    return f"text_encoders.clip_{'l' if component == 'text_encoder' else 'g'}.transformer.{_text_model(module)}"


def _attention(module: str) -> bool:
    return ".attn" in module and module.endswith((".to_q", ".to_k", ".to_v", ".to_out.0"))


def _xlabs(name: str) -> bool:
    return ".processor." in name


AB = ("lora_A.weight", "lora_B.weight")
DOWN_UP = ("lora_down.weight", "lora_up.weight", "alpha")
_UNETS = ("sd15", "sd21", "sdxl")
SCHEMES: dict[str, Scheme] = {
    "diffusers": Scheme(lambda c, m: f"{c}.{m}", AB, text=_dotted_text),
    "diffusers, old": Scheme(
        lambda c, m: f"{c}.{m}", ("lora.down.weight", "lora.up.weight"),
        text=lambda c, m, n: f"{c}.{_text_model(m)}",
    ),
    "diffusers, processors": Scheme(
        lambda c, m: f"{c}.{m.rpartition('.to_')[0]}.processor.to_{m.rpartition('.to_')[2].removesuffix('.0')}_lora",
        ("down.weight", "up.weight"), only=_attention, families=_UNETS,
    ),
    "processors, unprefixed": Scheme(
        lambda c, m: f"{m.rpartition('.to_')[0]}.processor.to_{m.rpartition('.to_')[2].removesuffix('.0')}_lora",
        ("down.weight", "up.weight"), only=_attention, families=_UNETS,
    ),
    "kohya": Scheme(lambda c, m: _flat("lora_unet", m), DOWN_UP, text=_kohya_text),
    "kohya, original names": Scheme(lambda c, m: _flat("lora_unet", m), DOWN_UP, original=True, text=_kohya_text),
    "ComfyUI": Scheme(lambda c, m: f"diffusion_model.{m}", AB, original=True, text=_comfy_text),
    "ComfyUI, down and up": Scheme(lambda c, m: f"diffusion_model.{m}", DOWN_UP, original=True, text=_comfy_text),
    "OneTrainer": Scheme(lambda c, m: f"{c}.{m}", DOWN_UP, text=_dotted_text),
    "OneTrainer, flat": Scheme(lambda c, m: _flat("lora_transformer", m), DOWN_UP, text=_kohya_text,
                               families=("sd35_medium", "sd35_large", "flux1")),
    "XLabs": Scheme(lambda c, m: m, ("down.weight", "up.weight"), original=True, only=_xlabs, families=("flux1",)),
    "peft": Scheme(lambda c, m: f"base_model.model.{m}", AB),
    "peft, named adapter": Scheme(
        lambda c, m: f"base_model.model.{m}", ("lora_A.default.weight", "lora_B.default.weight")
    ),
    "unprefixed": Scheme(lambda c, m: m, AB),
    "LyCORIS LoHa": Scheme(lambda c, m: _flat("lycoris", m), ("hada_w1_a", "hada_w1_b", "hada_w2_a", "hada_w2_b")),
    "LyCORIS LoKr": Scheme(lambda c, m: _flat("lycoris", m), ("lokr_w1", "lokr_w2_a", "lokr_w2_b", "alpha")),
    "kohya LoHa, original names": Scheme(
        lambda c, m: _flat("lora_unet", m), ("hada_w1_a", "hada_w1_b", "hada_w2_a", "hada_w2_b", "alpha"),
        original=True,
    ),
}  # fmt: skip


def synthetic(architecture: str, scheme: Scheme) -> AdapterFile:
    """The header of an adapter that changes every module that the convention can name."""
    base = layout(architecture)
    texts = [name for name in base.components if name != base.denoiser]
    tensors: Shapes = {}
    for module, shape in _denoiser_modules(base, original=scheme.original):
        if scheme.only(module) and _xlabs(module) == (scheme.only is _xlabs):
            tensors |= _tensors(scheme.denoiser(base.denoiser, module), shape, scheme.suffixes)
    if scheme.text is not None:
        for component in texts:
            for module, shape in base.components[component].items():
                tensors |= _tensors(scheme.text(component, module, len(texts)), shape, scheme.suffixes)
    infos = {name: TensorInfo(name, "F16", shape, 0, 0) for name, shape in tensors.items()}
    return describe(Header(infos, {}, 0, 0), Path("nowhere.safetensors"))


def _denoiser_modules(base: BaseLayout, *, original: bool) -> Iterator[tuple[str, tuple[int, ...]]]:
    own = base.components[base.denoiser]
    if not original:
        yield from own.items()
        return
    for name, origin in base.originals.items():
        if all(module in own for module in origin.modules):
            yield name, (sum(own[m][0] for m in origin.modules), *own[origin.modules[0]][1:])


def _tensors(stem: str, shape: tuple[int, ...], suffixes: tuple[str, ...]) -> Shapes:
    out, inputs, *kernel = shape
    columns = inputs * kernel[0] * kernel[1] if kernel else inputs
    ones = (1,) * len(kernel)
    by_suffix: Shapes = {"alpha": (), "lokr_w1": (2, 1), "lokr_w2_a": (out // 2, RANK), "lokr_w2_b": (RANK, columns)}
    result = {}
    for suffix in suffixes:
        if suffix.startswith("hada"):
            found: tuple[int, ...] = (out, RANK) if suffix.endswith("_a") else (RANK, columns)
        elif suffix in by_suffix:
            found = by_suffix[suffix]
        else:
            is_down = "down" in suffix or "lora_A" in suffix
            found = (RANK, inputs, *kernel) if is_down else (out, RANK, *ones)
        result[f"{stem}.{suffix}"] = found
    return result


@cache
def match(architecture: str, scheme_name: str) -> tuple[AdapterFile, LayoutMatch]:
    """A synthetic file of a convention, and how it meets the architecture."""
    adapter = synthetic(architecture, SCHEMES[scheme_name])
    return adapter, match_layout(adapter, layout(architecture))


def table() -> str:
    """Markdown: modules in the file / modules of the base that they land on, by convention and architecture."""
    lines = [f"| convention | {' | '.join(ARCHITECTURES)} |", f"|---|{'---|' * len(ARCHITECTURES)}"]
    for name, scheme in SCHEMES.items():
        cells = []
        for architecture in ARCHITECTURES:
            if architecture not in scheme.families:
                cells.append("—")
                continue
            adapter, matched = match(architecture, name)
            modules = sum(len(found.targets) for found in matched.fitted)
            cells.append(f"{len(matched.fitted)} of {len(adapter.entries)} → {modules}")
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


PAGE = Path(__file__).resolve().parent.parent / "docs" / "architectures.md"
_HEAD = """# Conventions and architectures

What lands where, on the published architectures built without weights. Each cell reads *changes that landed of
changes in the file → modules of the base that they change*: an original name such as `double_blocks.0.img_attn.qkv`
holds the rows of three modules. A dash: the convention does not exist there. Written by `python -m
tests.architectures`, checked by `tests/adapters/test_architectures.py`.

"""


def page() -> str:
    """The whole page."""
    return f"{_HEAD}{table()}\n"


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
