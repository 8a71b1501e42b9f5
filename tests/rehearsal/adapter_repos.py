"""Adapters of strangers for the bases of the rehearsal: every base has some, in the conventions that its users write.

Their numbers are drawn. What random weights draw means nothing: an adapter must be seen to act, no more.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from safetensors.torch import save_file

from auditor.adapters.layout import BaseLayout
from tests.architectures import RANK, SCHEMES, Scheme, tensor_shapes

STYLE, SUBJECT = "in the style of wtrclr", "a photo of sks dog"
FILE = "pytorch_lora_weights.safetensors"
STRENGTH, LAST_STRENGTH = 0.02, 2.0
"""Sizes of a change, in about the size of the weights: of most layers, and of the denoiser's last ones.

Random pictures scatter widely. So the last layers are changed more, and all their numbers to one side: what is drawn
then moves to one side too.
"""
_LAST = ("conv_out", "proj_out", "norm_out", "final_layer", "out_2", "out.2")
_WIDE = ("lora_down", "lora_A", "lora.down", "hada_w1_b", "lokr_w2_b")  # the side of a pair that meets the input
_HIGH = ("lora_up", "lora_B", "lora.up", "hada_w1_a", "lokr_w2_a")  # the other side, which has the strength
_ROTATION = ("diffusers", "kohya", "ComfyUI", "peft", "LyCORIS LoKr", "OneTrainer")
_MORE: Mapping[str, tuple[str, ...]] = {
    "sd15": ("LyCORIS LoKr", "words"), "sd21": ("LyCORIS LoHa",), "sdxl": ("kohya, original names", "words"),
    "flux1_dev": ("DoRA", "ComfyUI"), "sd35_medium": ("DoRA",), "sd35_large": ("ComfyUI",),
}  # fmt: skip


@dataclass(frozen=True)
class AdapterRepo:
    """One repo.

    Attributes:
        name: Owner and name.
        base: Of the settings.
        convention: How its file is written.
        trigger: What its card says to write into the prompt.
        tags: Of its card, beside those of all.
    """

    name: str
    base: str
    convention: str
    trigger: str | None = None
    tags: tuple[str, ...] = ("lora",)


def repos_for(base: str, number: int, *, active: bool) -> list[AdapterRepo]:
    """Adapters of one base: of those that the profile switches on, several.

    Args:
        base: Of the settings.
        number: Of the base: those that are switched off take turns among the conventions.
        active: As shipped.
    """
    owner = base.replace("_", "-")
    if not active:
        return [AdapterRepo(f"{owner}/further", base, _ROTATION[number % len(_ROTATION)])]
    found = [
        AdapterRepo(f"{owner}/style", base, "diffusers", STYLE),
        AdapterRepo(f"{owner}/subject", base, "kohya", SUBJECT),
        AdapterRepo(f"{owner}/peft", base, "peft"),
    ]
    for convention in _MORE.get(base, ()):
        words = convention == "words"
        name = convention.lower().replace(" ", "-").replace(",", "")
        tags = ("textual_inversion",) if words else ("lora",)
        found.append(AdapterRepo(f"{owner}/{name}", base, convention, None, tags))
    return found


def write_adapter(
    folder: Path, repo: AdapterRepo, base_repo: str, layout: BaseLayout, modules: Mapping[str, torch.nn.Module]
) -> None:
    """Write a repo: its card, its file, and peft's settings where the convention has them."""
    folder.mkdir(parents=True)
    generator = torch.Generator().manual_seed(sum(repo.name.encode()))
    name = FILE
    if repo.convention == "words":
        tensors, name = _words(modules, generator), "learned_embeds.safetensors"
    elif repo.convention == "DoRA":
        tensors = _dora(layout, modules, generator)
    else:
        tensors = _drawn(layout, SCHEMES[repo.convention], generator)
    if repo.convention == "peft":
        name = "adapter_model.safetensors"
        settings = {"peft_type": "LORA", "r": RANK, "lora_alpha": RANK, "base_model_name_or_path": base_repo}
        (folder / "adapter_config.json").write_text(json.dumps(settings), "utf-8")
    save_file({key: tensors[key].contiguous() for key in sorted(tensors)}, folder / name)
    trigger = f"instance_prompt: {repo.trigger}\n" if repo.trigger else ""
    tags = "".join(f"- {tag}\n" for tag in (*repo.tags, "text-to-image", "diffusers"))
    front = f"license: openrail++\nbase_model: {base_repo}\n{trigger}tags:\n{tags}"
    (folder / "README.md").write_text(f"---\n{front}---\n\n# {repo.name}\n", "utf-8")


def _drawn(layout: BaseLayout, scheme: Scheme, generator: torch.Generator) -> dict[str, torch.Tensor]:
    """Every module that the convention can name, changed by about as much as its weights are large."""
    found = {}
    for name, shape in tensor_shapes(layout, scheme).items():
        if name.endswith("alpha"):
            found[name] = torch.tensor(float(RANK))
            continue
        drawn, last = torch.randn(shape, generator=generator), any(part in name for part in _LAST)
        if last:
            drawn = drawn.abs()
        if any(part in name for part in _HIGH):
            drawn = drawn * (LAST_STRENGTH if last else STRENGTH)
        wide = any(part in name for part in _WIDE)
        found[name] = (drawn / math.sqrt(math.prod(shape[1:])) if wide else drawn).half()
    return found


def _dora(
    layout: BaseLayout, modules: Mapping[str, torch.nn.Module], generator: torch.Generator
) -> dict[str, torch.Tensor]:
    """kohya's DoRA of the denoiser: pairs, and the changed weights' lengths made greater by a third."""
    denoiser = {layout.denoiser: layout.components[layout.denoiser]}
    linear = {module: shape for module, shape in denoiser[layout.denoiser].items() if len(shape) == 2}
    scheme = replace(SCHEMES["kohya"], text=None)
    tensors = _drawn(BaseLayout(layout.denoiser, {layout.denoiser: linear}, layout.family), scheme, generator)
    own = modules[layout.denoiser].state_dict()
    for module in linear:
        stem = f"lora_unet_{module.replace('.', '_')}"
        change = tensors[f"{stem}.lora_up.weight"].float() @ tensors[f"{stem}.lora_down.weight"].float()
        changed = own[f"{module}.weight"].float() + change
        tensors[f"{stem}.dora_scale"] = 1.3 * changed.norm(dim=0, keepdim=True)
    return tensors


def _words(modules: Mapping[str, torch.nn.Module], generator: torch.Generator) -> dict[str, torch.Tensor]:
    """Textual inversion: one word of two vectors, for each of the text encoders."""
    widths = {
        encoder: modules[component].config.hidden_size
        for encoder, component in (("clip_l", "text_encoder"), ("clip_g", "text_encoder_2"))
        if component in modules
    }
    if len(widths) == 1:
        return {"<wtrclr>": torch.randn(2, next(iter(widths.values())), generator=generator)}
    return {encoder: torch.randn(2, width, generator=generator) for encoder, width in widths.items()}
