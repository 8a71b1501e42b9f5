"""How each pipeline class takes prompts, noise and guidance: the differences between them, in one table.

What a prompt becomes is kept per prompt, by the keyword under which the pipeline takes it; a row never depends on the
other prompts of its batch.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import torch

Row = Mapping[str, torch.Tensor]
"""Keyword of the pipeline's call → what it takes for one prompt."""
Noise = Literal["latents", "packed", "patched", "even"]
"""`latents`: (c, h, w) at the scale of the VAE. `packed`: patches of 2 x 2 in a row, as FLUX.1 takes them. `patched`:
patches of 2 x 2 as channels. `even`: latents with even sides."""

Passes = Literal["prompt_last", "prompt_first", "apart", "one"]
"""How a guided step evaluates the denoiser. `prompt_last`, `prompt_first`: once, on twice the samples, those with the
prompt last or first. `apart`: with the prompt, then without it. `one`: guidance needs no second evaluation."""


@dataclass(frozen=True)
class PromptForm:
    """One pipeline class.

    Attributes:
        encode: (pipeline, prompts, device) → one row per prompt.
        noise: Form of the starting noise.
        passes: How a guided step evaluates.
        ragged: The pipeline takes a list of rows of different lengths.
        guidance: Keyword of the guidance scale.
        guidance_offset: What this class adds to the usual scale: Z-Image counts from 0.
        fixed: Further arguments of every call.
        keeps_float32: The noise stays float32, whatever the denoiser's precision.
    """

    encode: Callable[[Any, list[str], Any], list[Row]]
    noise: Noise = "latents"
    passes: Passes = "prompt_last"
    ragged: bool = False
    guidance: str = "guidance_scale"
    guidance_offset: float = 0.0
    fixed: Mapping[str, Any] = field(default_factory=dict)
    keeps_float32: bool = False

    @property
    def negative(self) -> bool:
        """Whether a second, unguided evaluation takes the same keywords with `negative_` before them."""
        return self.passes != "one"

    def stack(self, rows: Sequence[Row], prefix: str = "") -> dict[str, Any]:
        """Rows as the keyword arguments of a call; shorter ones are padded with zeros, which their masks say."""
        if self.ragged:
            return {prefix + name: [row[name] for row in rows] for name in rows[0]}
        return {prefix + name: _padded([row[name] for row in rows]) for name in rows[0]}


def _padded(tensors: Sequence[torch.Tensor]) -> torch.Tensor:
    if len({tensor.shape for tensor in tensors}) == 1:
        return torch.stack(list(tensors))
    return torch.nn.utils.rnn.pad_sequence(list(tensors), batch_first=True)


def _rows(named: Mapping[str, torch.Tensor | None], count: int) -> list[Row]:
    return [{name: t[row].clone() for name, t in named.items() if t is not None} for row in range(count)]


def _sd(pipe: Any, prompts: list[str], device: Any) -> list[Row]:
    tokens, _ = pipe.encode_prompt(prompts, device, 1, False)
    return _rows({"prompt_embeds": tokens}, len(prompts))


def _sdxl(pipe: Any, prompts: list[str], device: Any) -> list[Row]:
    tokens, _, pooled, _ = pipe.encode_prompt(
        prompts, device=device, num_images_per_prompt=1, do_classifier_free_guidance=False
    )
    return _rows({"prompt_embeds": tokens, "pooled_prompt_embeds": pooled}, len(prompts))


def _sd3(pipe: Any, prompts: list[str], device: Any) -> list[Row]:
    tokens, _, pooled, _ = pipe.encode_prompt(prompts, None, None, device=device, do_classifier_free_guidance=False)
    return _rows({"prompt_embeds": tokens, "pooled_prompt_embeds": pooled}, len(prompts))


def _flux(pipe: Any, prompts: list[str], device: Any) -> list[Row]:
    tokens, pooled, _ = pipe.encode_prompt(prompts, None, device=device)
    return _rows({"prompt_embeds": tokens, "pooled_prompt_embeds": pooled}, len(prompts))


def _chroma(pipe: Any, prompts: list[str], device: Any) -> list[Row]:
    found = pipe.encode_prompt(prompts, None, device=device, do_classifier_free_guidance=False)
    return _rows({"prompt_embeds": found[0], "prompt_attention_mask": found[2]}, len(prompts))


def _flux2(pipe: Any, prompts: list[str], device: Any) -> list[Row]:
    tokens, _ = pipe.encode_prompt(prompts, device=device)
    return _rows({"prompt_embeds": tokens}, len(prompts))


def _qwen(pipe: Any, prompts: list[str], device: Any) -> list[Row]:
    rows: list[Row] = []
    for prompt in prompts:  # alone, so that no row is as long as its neighbours make it
        tokens, mask = pipe.encode_prompt([prompt], device=device)
        mask = torch.ones(tokens.shape[:2], dtype=torch.long, device=tokens.device) if mask is None else mask
        rows += _rows({"prompt_embeds": tokens, "prompt_embeds_mask": mask}, 1)
    return rows


def _z_image(pipe: Any, prompts: list[str], device: Any) -> list[Row]:
    # its own list: the class writes its chat template into the one that it is given
    tokens, _ = pipe.encode_prompt(list(prompts), device=device, do_classifier_free_guidance=False)
    return [{"prompt_embeds": row.clone()} for row in tokens]


def _masked(pipe: Any, prompts: list[str], device: Any) -> list[Row]:
    """AuraFlow, PixArt, Sana and Lumina 2: embeddings with a mask."""
    accepted = inspect.signature(pipe.encode_prompt).parameters
    more: dict[str, Any] = {}
    if "complex_human_instruction" in accepted:  # what the class puts before every prompt by default
        more["complex_human_instruction"] = (
            inspect.signature(type(pipe).__call__).parameters["complex_human_instruction"].default
        )
    tokens, mask, *_ = pipe.encode_prompt(prompts, do_classifier_free_guidance=False, device=device, **more)
    return _rows({"prompt_embeds": tokens, "prompt_attention_mask": mask}, len(prompts))


def _hunyuan(pipe: Any, prompts: list[str], device: Any) -> list[Row]:
    named: dict[str, torch.Tensor | None] = {}
    for index, (ending, length) in enumerate((("", 77), ("_2", 256))):
        tokens, _, mask, _ = pipe.encode_prompt(
            prompts,
            device=device,
            do_classifier_free_guidance=False,
            max_sequence_length=length,
            text_encoder_index=index,
        )
        named |= {f"prompt_embeds{ending}": tokens, f"prompt_attention_mask{ending}": mask}
    return _rows(named, len(prompts))


_EXACT_SIZE = {"use_resolution_binning": False}
_NO_TEXT = {"negative_prompt": None}  # these classes count their default, an empty text, as one that was given
FORMS: Mapping[str, PromptForm] = {
    "StableDiffusionPipeline": PromptForm(_sd),
    "StableDiffusionXLPipeline": PromptForm(_sdxl),
    "StableDiffusion3Pipeline": PromptForm(_sd3),
    # the guidance goes into the network as a number
    "FluxPipeline": PromptForm(_flux, "packed", "one"),
    "ChromaPipeline": PromptForm(_chroma, "packed", "apart"),
    "Flux2KleinPipeline": PromptForm(_flux2, "patched", "apart"),
    "QwenImagePipeline": PromptForm(_qwen, "packed", "apart", guidance="true_cfg_scale"),
    "ZImagePipeline": PromptForm(
        _z_image, "even", "prompt_first", ragged=True, guidance_offset=-1.0, keeps_float32=True
    ),
    "AuraFlowPipeline": PromptForm(_masked),
    "PixArtAlphaPipeline": PromptForm(_masked, fixed=_EXACT_SIZE | _NO_TEXT),
    "PixArtSigmaPipeline": PromptForm(_masked, fixed=_EXACT_SIZE | _NO_TEXT),
    "SanaPipeline": PromptForm(_masked, fixed=_EXACT_SIZE | _NO_TEXT),
    "Lumina2Pipeline": PromptForm(_masked, "even", "apart"),
    "HunyuanDiTPipeline": PromptForm(_hunyuan, fixed=_EXACT_SIZE),
}
"""Every pipeline class that may be loaded."""
