"""Train the pocket base model: the denoiser and text encoder of a real `StableDiffusionPipeline`.

    python -m auditor.pocket.training.base --out weights/base --tokenizer weights/clip --work .auditor/training

About an hour and a half on two CPU cores; a GPU is used when there is one. `--from auditor/pocket/weights/base` goes on
from finished weights, for which no checkpoint is needed.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderTiny, DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from torch import nn
from torch.nn import functional as F
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from auditor.pocket import corpus
from auditor.pocket.training import vae as vae_training
from auditor.pocket.training.loop import Plan, best_device, train
from auditor.pocket.training.tokenizer import CONTEXT

CORPUS_SIZE = 60_000
TEXT_WIDTH = 128


def scheduler() -> DDIMScheduler:
    """v-prediction with zero terminal SNR, so that very dark and very bright pictures can be reached."""
    return DDIMScheduler(
        num_train_timesteps=1000,
        beta_schedule="scaled_linear",
        beta_start=0.00085,
        beta_end=0.012,
        prediction_type="v_prediction",
        rescale_betas_zero_snr=True,
        timestep_spacing="trailing",
        clip_sample=False,
    )


def create_unet() -> UNet2DConditionModel:
    """Two levels (16x16 x 48 channels, 8x8 x 112); attention at 8x8, and at 16x16 on the way up."""
    return UNet2DConditionModel(
        sample_size=16,
        in_channels=vae_training.CHANNELS,
        out_channels=vae_training.CHANNELS,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
        block_out_channels=(48, 112),
        layers_per_block=1,
        cross_attention_dim=TEXT_WIDTH,
        attention_head_dim=4,
        norm_num_groups=16,
    )


def create_text_encoder(tokenizer: CLIPTokenizer) -> CLIPTextModel:
    """Two layers of width 128 over the pocket vocabulary."""
    end = tokenizer.convert_tokens_to_ids("<|endoftext|>")
    return CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(tokenizer),
            hidden_size=TEXT_WIDTH,
            intermediate_size=4 * TEXT_WIDTH,
            num_hidden_layers=2,
            num_attention_heads=4,
            max_position_embeddings=CONTEXT,
            projection_dim=TEXT_WIDTH,
            bos_token_id=tokenizer.convert_tokens_to_ids("<|startoftext|>"),
            eos_token_id=end,
            pad_token_id=end,
        )
    )


class Denoiser(nn.Module):
    """The two trained parts together, as one module for the training loop."""

    def __init__(self, unet: UNet2DConditionModel, text_encoder: CLIPTextModel) -> None:
        super().__init__()
        self.unet, self.text_encoder = unet, text_encoder

    def forward(self, latents: torch.Tensor, timesteps: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
        """Predicted velocity, shaped like `latents`."""
        return torch.as_tensor(self.unet(latents, timesteps, self.text_encoder(tokens)[0]).sample)


def created(tokenizer: CLIPTokenizer) -> Denoiser:
    """An untrained denoiser."""
    return Denoiser(create_unet(), create_text_encoder(tokenizer))


def finished(folder: Path) -> Denoiser:
    """The denoiser of a saved pipeline, in single precision."""
    unet = UNet2DConditionModel.from_pretrained(folder / "unet").float()
    return Denoiser(unet, CLIPTextModel.from_pretrained(folder / "text_encoder").float())


def denoising_loss(
    predict: Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor],
    noise_schedule: DDIMScheduler,
    latents: torch.Tensor,
    condition: torch.Tensor,
    rng: np.random.Generator,
) -> torch.Tensor:
    """Mean squared error of the predicted velocity at random times (shared with the adapters' training)."""
    device = latents.device
    noise = torch.from_numpy(rng.standard_normal(latents.shape).astype(np.float32)).to(device)
    times = torch.from_numpy(rng.integers(0, 1000, len(latents))).to(device)
    noisy = noise_schedule.add_noise(latents, noise, times)
    return F.mse_loss(predict(noisy, times, condition), noise_schedule.get_velocity(latents, noise, times))


def tokenize(tokenizer: CLIPTokenizer, captions: list[str]) -> torch.Tensor:
    """(n, CONTEXT) token ids."""
    return torch.as_tensor(
        tokenizer(captions, padding="max_length", max_length=CONTEXT, truncation=True, return_tensors="pt")["input_ids"]
    )


def main() -> None:
    """Train and save everything but the VAE's decoder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--tokenizer", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--from", dest="start", type=Path, help="finished pipeline to go on from, instead of nothing")
    parser.add_argument("--steps", type=int, default=12_000)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--rate", type=float, default=1.2e-3, help="peak learning rate")
    parser.add_argument("--seed", type=int, default=13, help="of batches, times and noise")
    parser.add_argument("--checkpoint", type=Path, help="resume from here instead of WORK/base.pt")
    arguments = parser.parse_args()
    torch.manual_seed(0)
    device = best_device()
    images, captions = corpus.build(arguments.work / "corpus", CORPUS_SIZE, seed=1)
    tokenizer = CLIPTokenizer.from_pretrained(arguments.tokenizer)
    tokens = tokenize(tokenizer, captions).to(device)
    empty = tokenize(tokenizer, [""])[0].to(device)
    vae = vae_training.create()
    vae_training.fit_encoder(vae, np.asarray(images[:4000]))
    vae.to(device)
    denoiser = (finished(arguments.start) if arguments.start else created(tokenizer)).to(device)
    denoiser.to(memory_format=torch.channels_last)  # twice as fast on a CPU
    print(f"{sum(p.numel() for p in denoiser.parameters()) / 1e6:.2f} M parameters")
    noise_schedule = scheduler()

    def loss_at(step: int) -> torch.Tensor:
        rng = np.random.default_rng([arguments.seed, step])
        rows = np.sort(rng.choice(CORPUS_SIZE, arguments.batch, replace=False))
        latents = vae_training.encode(vae, images[rows], device)
        batch_tokens = tokens[rows].clone()
        batch_tokens[torch.from_numpy(rng.random(len(rows)) < 0.1).to(device)] = empty  # for guidance
        return denoising_loss(denoiser, noise_schedule, latents, batch_tokens, rng)

    checkpoint = arguments.checkpoint or arguments.work / "base.pt"
    plan = Plan(arguments.steps, rate=arguments.rate, warmup=200, average=0.998, checkpoint=checkpoint)
    trained = train(denoiser, loss_at, plan, "base")
    save(trained, tokenizer, vae, arguments.out)


def save(trained: nn.Module, tokenizer: CLIPTokenizer, vae: AutoencoderTiny, out: Path) -> None:
    """Write the pipeline in the Hub's folder layout; a trained VAE already in `out/vae` is kept."""
    pipeline = StableDiffusionPipeline(
        vae=vae,
        text_encoder=trained.text_encoder,
        tokenizer=tokenizer,
        unet=trained.unet,
        scheduler=scheduler(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    if (out / "vae" / "config.json").exists():
        pipeline.vae = AutoencoderTiny.from_pretrained(out / "vae")
    pipeline.to("cpu", torch.float16).save_pretrained(out)


if __name__ == "__main__":
    main()
