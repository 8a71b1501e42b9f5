"""Pipelines of published size, or small ones of the same classes, with random weights, built where they will run.

Nothing is read from a disk or a network: the weights are what the constructors draw. The time of a picture does not
depend on their values, and the pictures show nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import diffusers
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    CLIPTokenizer,
    PreTrainedTokenizerFast,
    T5Config,
    T5EncoderModel,
)

from auditor.generation.diffusers_base import DiffusersBase
from auditor.generation.render_options import RenderOptions

_LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789.,'-"


@dataclass(frozen=True)
class BaseCase:
    """One base as the hub profile runs it.

    Attributes:
        name: As the hub profile calls it.
        build: Makes the pipeline; True asks for the small one.
        size: Picture side, pixels.
        steps: Denoising steps of an audit.
        naive_steps: Steps that the pipeline takes when it is not told.
        guidance: Guidance scale.
        sampler: Sampler of the hub profile.
        dtype: Precision of the weights.
        batches: Batch sizes to try, the profile's own first.
        compile_reserve: Seconds of the budget that must be left before its denoiser is compiled: the parts after it
            come first.
    """

    name: str
    build: Callable[[bool], Any]
    size: int
    steps: int
    naive_steps: int
    guidance: float
    sampler: str
    dtype: str
    batches: tuple[int, ...]
    compile_reserve: float


class RandomBase(DiffusersBase):
    """A `DiffusersBase` over a pipeline that was built in memory."""

    def __init__(self, pipe: Any, case: BaseCase, *, device: str, size: int, steps: int, application: str) -> None:
        self._built = pipe
        super().__init__(
            case.name,
            RenderOptions(
                device=device,
                dtype=case.dtype,
                sampler=case.sampler,
                steps=steps,
                guidance=case.guidance,
                size=size,
                batch_size=case.batches[0],
                application=application,
            ),
        )

    def _open(self) -> Any:
        self._built.set_progress_bar_config(disable=True)
        return self._built


@contextmanager
def made_on(device: str, dtype: torch.dtype) -> Iterator[None]:
    """Modules constructed inside have their weights on `device`, in `dtype`."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        with torch.device(device):
            yield
    finally:
        torch.set_default_dtype(before)


def _scheduler(kind: type[Any], **settings: Any) -> Any:
    """A scheduler keeps its tables on the CPU in float32, wherever the modules are made."""
    with made_on("cpu", torch.float32):
        return kind(**settings)


def _clip_tokenizer() -> CLIPTokenizer:
    """One token per letter, padded to CLIP's 77: the encoders' time depends on the length alone."""
    letters = list(_LETTERS) + [f"{letter}</w>" for letter in _LETTERS]
    vocabulary = {token: row for row, token in enumerate(["<|startoftext|>", "<|endoftext|>", *letters])}
    return CLIPTokenizer(vocab=vocabulary, merges=[], model_max_length=77)


def _t5_tokenizer() -> PreTrainedTokenizerFast:
    pieces = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁", -2.0), *((letter, -5.0) for letter in _LETTERS)]
    inner = Tokenizer(models.Unigram(pieces, unk_id=2))
    inner.pre_tokenizer = pre_tokenizers.Metaspace()
    inner.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    return PreTrainedTokenizerFast(
        tokenizer_object=inner, pad_token="<pad>", eos_token="</s>", unk_token="<unk>", model_max_length=512
    )


def _clip(kind: type[Any], small: bool, width: int, layers: int, activation: str) -> Any:
    width, layers = (64, 1) if small else (width, layers)
    return kind(
        CLIPTextConfig(
            hidden_size=width,
            intermediate_size=4 * width,
            num_hidden_layers=layers,
            num_attention_heads=width // 64,
            projection_dim=width,
            vocab_size=49408,
            hidden_act=activation,
            bos_token_id=0,
            eos_token_id=1,
            pad_token_id=1,
        )
    )


def _t5(small: bool) -> T5EncoderModel:
    size = (128, 16, 64, 1, 4) if small else (4096, 64, 10240, 24, 64)
    return T5EncoderModel(
        T5Config(
            vocab_size=32128,
            d_model=size[0],
            d_kv=size[1],
            d_ff=size[2],
            num_layers=size[3],
            num_heads=size[4],
            feed_forward_proj="gated-gelu",
            is_encoder_decoder=False,
        )
    )


def _vae(small: bool, channels: int, **settings: Any) -> Any:
    return diffusers.AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        block_out_channels=(32, 32, 32, 32) if small else (128, 256, 512, 512),
        layers_per_block=1 if small else 2,
        latent_channels=channels,
        **settings,
    )


def stable_diffusion(small: bool) -> Any:
    """SD 1.5: 860 M parameters of denoiser."""
    unet = diffusers.UNet2DConditionModel(
        sample_size=64,
        cross_attention_dim=64 if small else 768,
        attention_head_dim=8,
        down_block_types=("CrossAttnDownBlock2D",) * 3 + ("DownBlock2D",),
        up_block_types=("UpBlock2D",) + ("CrossAttnUpBlock2D",) * 3,
        block_out_channels=(32, 64, 64, 64) if small else (320, 640, 1280, 1280),
        layers_per_block=1 if small else 2,
    )
    schedule = _scheduler(
        diffusers.DPMSolverMultistepScheduler,
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        steps_offset=1,
    )
    return diffusers.StableDiffusionPipeline(
        vae=_vae(small, 4, sample_size=512),
        text_encoder=_clip(CLIPTextModel, small, 768, 12, "quick_gelu"),
        tokenizer=_clip_tokenizer(),
        unet=unet,
        scheduler=schedule,
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def stable_diffusion_xl(small: bool) -> Any:
    """SDXL: 2.6 B parameters of denoiser, two text encoders, a VAE that is decoded in float32."""
    width = 64 if small else 1280
    unet = diffusers.UNet2DConditionModel(
        sample_size=128,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        block_out_channels=(32, 64, 64) if small else (320, 640, 1280),
        transformer_layers_per_block=1 if small else (1, 2, 10),
        attention_head_dim=8 if small else (5, 10, 20),
        cross_attention_dim=128 if small else 2048,
        use_linear_projection=True,
        addition_embed_type="text_time",
        addition_time_embed_dim=256,
        projection_class_embeddings_input_dim=width + 6 * 256,
        layers_per_block=1 if small else 2,
    )
    schedule = _scheduler(
        diffusers.DPMSolverMultistepScheduler,
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        steps_offset=1,
    )
    return diffusers.StableDiffusionXLPipeline(
        vae=_vae(small, 4, sample_size=1024, scaling_factor=0.13025, force_upcast=True),
        text_encoder=_clip(CLIPTextModel, small, 768, 12, "quick_gelu"),
        text_encoder_2=_clip(CLIPTextModelWithProjection, small, 1280, 32, "gelu"),
        tokenizer=_clip_tokenizer(),
        tokenizer_2=_clip_tokenizer(),
        unet=unet,
        scheduler=schedule,
        add_watermarker=False,
    )


def flux(small: bool) -> Any:
    """FLUX.1: 11.9 B parameters of denoiser, CLIP and T5-XXL as text encoders, distilled guidance."""
    transformer = diffusers.FluxTransformer2DModel(
        patch_size=1,
        in_channels=64,
        num_layers=1 if small else 19,
        num_single_layers=1 if small else 38,
        attention_head_dim=32 if small else 128,
        num_attention_heads=2 if small else 24,
        joint_attention_dim=128 if small else 4096,
        pooled_projection_dim=64 if small else 768,
        guidance_embeds=True,
        axes_dims_rope=(8, 12, 12) if small else (16, 56, 56),
    )
    schedule = _scheduler(
        diffusers.FlowMatchEulerDiscreteScheduler,
        shift=3.0,
        use_dynamic_shifting=True,
        base_shift=0.5,
        max_shift=1.15,
        base_image_seq_len=256,
        max_image_seq_len=4096,
    )
    return diffusers.FluxPipeline(
        scheduler=schedule,
        text_encoder=_clip(CLIPTextModel, small, 768, 12, "quick_gelu"),
        tokenizer=_clip_tokenizer(),
        text_encoder_2=_t5(small),
        tokenizer_2=_t5_tokenizer(),
        transformer=transformer,
        vae=_vae(
            small,
            16,
            sample_size=1024,
            shift_factor=0.1159,
            scaling_factor=0.3611,
            use_quant_conv=False,
            use_post_quant_conv=False,
        ),
    )


CASES = (
    BaseCase("sd15", stable_diffusion, 512, 25, 50, 7.5, "dpmsolver++", "float16", (16, 32), 460),
    BaseCase("sdxl", stable_diffusion_xl, 1024, 25, 50, 5.0, "dpmsolver++", "float16", (8, 16), 330),
    BaseCase("flux1_dev", flux, 1024, 28, 28, 3.5, "flow_euler", "bfloat16", (2, 4), 110),
)
"""The three bases of most adapters on the Hub, with the values of the hub profile."""
