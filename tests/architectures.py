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

from auditor.adapters.adapter_file import AdapterFile, describe
from auditor.adapters.fitting import LayoutMatch, match_layout
from auditor.adapters.header import Header, TensorInfo
from auditor.adapters.layout import BaseLayout
from auditor.generation.injection import layout_of
from tests.published import IMAGE, components

RANK = 4
Shapes = dict[str, tuple[int, ...]]

ARCHITECTURES = tuple(IMAGE)


@cache
def layout(architecture: str) -> BaseLayout:
    """Its layout, from the classes themselves."""
    parts = components(architecture)
    return layout_of(parts, next(iter(parts)), architecture)


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
    renamed = {module for origin in base.originals.values() for module in origin.modules}
    for path, tensor in own.items():  # what keeps its name
        module = path.rpartition(".")[0]
        if module and module not in renamed:
            spelt = f"{module}.scale" if scales and ".norms." in module else path
            result[f"{prefix}{spelt}"] = tensor
    return result


_ALONE = {"auraflow": {"positional_encoding": "pos_embed.pos_embed"}}


def without_modules(architecture: str, own: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """What a checkpoint holds outside of any module, under its original names."""
    result = {path: tensor for path, tensor in own.items() if "." not in path}
    if architecture.startswith("sana"):
        blocks = {path for path in own if path.endswith(".scale_shift_table")}
        result |= {path.replace("transformer_blocks", "blocks"): own[path] for path in blocks}
        result["final_layer.scale_shift_table"] = result.pop("scale_shift_table")
        result |= {"pos_embed": torch.empty(0), "y_embedder.y_embedding": torch.empty(0)}
    return result | {original: own[ours] for original, ours in _ALONE.get(architecture, {}).items()}


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
                               families=tuple(name for name in ARCHITECTURES if name not in (*_UNETS, "kolors"))),
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
    tensors = tensor_shapes(layout(architecture), scheme)
    infos = {name: TensorInfo(name, "F16", shape, 0, 0) for name, shape in tensors.items()}
    return describe(Header(infos, {}, 0, 0), Path("nowhere.safetensors"))


def tensor_shapes(base: BaseLayout, scheme: Scheme) -> Shapes:
    """The tensors of an adapter that changes every module of a base that the convention can name."""
    texts = [name for name in base.components if name != base.denoiser]
    tensors: Shapes = {}
    for module, shape in _denoiser_modules(base, original=scheme.original):
        if scheme.only(module) and _xlabs(module) == (scheme.only is _xlabs):
            tensors |= _tensors(scheme.denoiser(base.denoiser, module), shape, scheme.suffixes)
    if scheme.text is not None:
        for component in texts:
            for module, shape in base.components[component].items():
                tensors |= _tensors(scheme.text(component, module, len(texts)), shape, scheme.suffixes)
    return tensors


def _denoiser_modules(base: BaseLayout, *, original: bool) -> Iterator[tuple[str, tuple[int, ...]]]:
    own = base.components[base.denoiser]
    if not original:
        yield from own.items()
        return
    renamed: set[str] = set()
    for name, origin in base.originals.items():
        renamed.update(origin.modules)
        if all(module in own for module in origin.modules):
            yield name, (sum(own[m][0] for m in origin.modules), *own[origin.modules[0]][1:])
    for name, shape in own.items():
        if name not in renamed:
            yield name, shape


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
