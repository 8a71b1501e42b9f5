"""The image tokenizer of Chameleon and Anole, encoder and decoder, under the names of its published weights.

The architecture is VQGAN's (Esser et al. 2021, arXiv:2012.09841). transformers' Chameleon has the encoder alone, so
that its models read pictures and draw none.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F


@dataclass(frozen=True)
class VQGANConfig:
    """Sizes of a tokenizer, by the names of `vq_config` in a published config.json. Defaults: Chameleon 7B and Anole.

    Attributes:
        embed_dim: Width of a code.
        num_embeddings: Codes.
        latent_channels: Channels between codes and network.
        resolution: Height and width of the pictures, pixels.
        in_channels: Channels of a picture.
        base_channels: Channels at full resolution.
        channel_multiplier: Times `base_channels`, per level; each level halves the resolution of the one before.
        num_res_blocks: Residual blocks per level of the encoder; the decoder has one more.
        attn_resolutions: Resolutions with attention, beside the middle.
        attn_type: `vanilla`, or null for no attention anywhere.
        norm_groups: Groups of each normalisation. Not in published files, where it is 32.
    """

    embed_dim: int = 256
    num_embeddings: int = 8192
    latent_channels: int = 256
    resolution: int = 512
    in_channels: int = 3
    base_channels: int = 128
    channel_multiplier: tuple[int, ...] = (1, 1, 2, 2, 4)
    num_res_blocks: int = 2
    attn_resolutions: tuple[int, ...] | None = None
    attn_type: str | None = "vanilla"
    norm_groups: int = 32

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> VQGANConfig:
        """Read `vq_config`; what it does not say is as published, what is not known here is left aside."""
        known = {field.name for field in fields(cls)}
        read: dict[str, Any] = {n: tuple(v) if isinstance(v, list) else v for n, v in values.items() if n in known}
        return cls(**read)

    @property
    def side(self) -> int:
        """Tokens along one side of a picture."""
        return int(self.resolution // 2 ** (len(self.channel_multiplier) - 1))

    def has_attention(self, resolution: int) -> bool:
        """Whether a level's blocks have attention."""
        return self.attn_type == "vanilla" and resolution in (self.attn_resolutions or ())


def _norm(channels: int, config: VQGANConfig) -> nn.GroupNorm:
    return nn.GroupNorm(config.norm_groups, channels, eps=1e-6)


class ResidualBlock(nn.Module):
    """Two convolutions beside a shortcut."""

    def __init__(self, inputs: int, outputs: int, config: VQGANConfig) -> None:
        super().__init__()
        self.norm1 = _norm(inputs, config)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.norm2 = _norm(outputs, config)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1)
        self.nin_shortcut = nn.Conv2d(inputs, outputs, 1) if inputs != outputs else None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(n, inputs, h, w) -> (n, outputs, h, w)."""
        hidden = self.conv1(F.silu(self.norm1(x)))
        hidden = self.conv2(F.silu(self.norm2(hidden)))
        return torch.as_tensor(hidden + (x if self.nin_shortcut is None else self.nin_shortcut(x)))


class AttentionBlock(nn.Module):
    """One head of attention over all places, beside a shortcut."""

    def __init__(self, channels: int, config: VQGANConfig) -> None:
        super().__init__()
        self.norm = _norm(channels, config)
        self.q, self.k, self.v, self.proj_out = (nn.Conv2d(channels, channels, 1) for _ in range(4))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(n, channels, h, w) -> the same."""
        normed = self.norm(x)
        q, k, v = (part(normed).flatten(2).transpose(1, 2) for part in (self.q, self.k, self.v))  # (n, h w, channels)
        attended = F.scaled_dot_product_attention(q[:, None], k[:, None], v[:, None])[:, 0]
        return torch.as_tensor(x + self.proj_out(attended.transpose(1, 2).reshape(x.shape)))


class Downsample(nn.Module):
    """Halves the resolution; padded at the right and bottom alone, as published."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, stride=2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(n, channels, h, w) -> (n, channels, h/2, w/2)."""
        return torch.as_tensor(self.conv(F.pad(x, (0, 1, 0, 1))))


class Upsample(nn.Module):
    """Doubles the resolution."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(n, channels, h, w) -> (n, channels, 2 h, 2 w)."""
        return torch.as_tensor(self.conv(F.interpolate(x, scale_factor=2.0, mode="nearest")))


class Level(nn.Module):
    """The blocks at one resolution, and the step to the next."""

    def __init__(self, inputs: int, outputs: int, blocks: int, resolution: int, config: VQGANConfig) -> None:
        super().__init__()
        widths = [inputs, *[outputs] * blocks]
        self.block = nn.ModuleList(ResidualBlock(a, outputs, config) for a in widths[:-1])
        attended = blocks if config.has_attention(resolution) else 0
        self.attn = nn.ModuleList(AttentionBlock(outputs, config) for _ in range(attended))
        self.downsample: Downsample | None = None
        self.upsample: Upsample | None = None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(n, inputs, h, w) -> (n, outputs, h, w), twice or half that size where a step follows."""
        for number, block in enumerate(self.block):
            x = block(x)
            if self.attn:
                x = self.attn[number](x)
        for step in (self.downsample, self.upsample):
            x = x if step is None else step(x)
        return x


class Middle(nn.Module):
    """The blocks at the lowest resolution."""

    def __init__(self, channels: int, config: VQGANConfig) -> None:
        super().__init__()
        self.block_1 = ResidualBlock(channels, channels, config)
        self.attn_1 = AttentionBlock(channels, config) if config.attn_type == "vanilla" else nn.Identity()
        self.block_2 = ResidualBlock(channels, channels, config)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(n, channels, h, w) -> the same."""
        return torch.as_tensor(self.block_2(self.attn_1(self.block_1(x))))


class ImageEncoder(nn.Module):
    """Pictures to what the codes stand for."""

    def __init__(self, config: VQGANConfig) -> None:
        super().__init__()
        widths = [config.base_channels * m for m in config.channel_multiplier]
        inputs, last = [config.base_channels, *widths[:-1]], len(widths) - 1
        self.conv_in = nn.Conv2d(config.in_channels, config.base_channels, 3, padding=1)
        self.down = nn.ModuleList(
            Level(inputs[i], widths[i], config.num_res_blocks, config.resolution >> i, config) for i in range(last + 1)
        )
        for level, width in zip(list(_levels(self.down))[:-1], widths, strict=False):
            level.downsample = Downsample(width)
        self.mid = Middle(widths[-1], config)
        self.norm_out = _norm(widths[-1], config)
        self.conv_out = nn.Conv2d(widths[-1], config.latent_channels, 3, padding=1)

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        """(n, 3, resolution, resolution) in [-1, 1] -> (n, latent_channels, side, side)."""
        x = self.conv_in(pictures)
        for level in self.down:
            x = level(x)
        return torch.as_tensor(self.conv_out(F.silu(self.norm_out(self.mid(x)))))


class ImageDecoder(nn.Module):
    """What the codes stand for to pictures. `up.0` is the full resolution, and comes last."""

    def __init__(self, config: VQGANConfig) -> None:
        super().__init__()
        widths = [config.base_channels * m for m in config.channel_multiplier]
        inputs, count = [*widths[1:], widths[-1]], len(widths)
        self.conv_in = nn.Conv2d(config.latent_channels, widths[-1], 3, padding=1)
        self.mid = Middle(widths[-1], config)
        self.up = nn.ModuleList(
            Level(inputs[i], widths[i], config.num_res_blocks + 1, config.resolution >> i, config) for i in range(count)
        )
        for level, width in zip(list(_levels(self.up))[1:], widths[1:], strict=True):
            level.upsample = Upsample(width)
        self.norm_out = _norm(widths[0], config)
        self.conv_out = nn.Conv2d(widths[0], config.in_channels, 3, padding=1)

    def forward(self, latents: torch.Tensor) -> torch.Tensor:
        """(n, latent_channels, side, side) -> (n, 3, resolution, resolution), about [-1, 1]."""
        x = self.mid(self.conv_in(latents))
        for level in reversed(list(self.up)):
            x = level(x)
        return torch.as_tensor(self.conv_out(F.silu(self.norm_out(x))))


def _levels(modules: nn.ModuleList) -> Iterator[Level]:
    for module in modules:
        assert isinstance(module, Level)
        yield module


class Quantizer(nn.Module):
    """The codes."""

    def __init__(self, config: VQGANConfig) -> None:
        super().__init__()
        self.embedding = nn.Embedding(config.num_embeddings, config.embed_dim)

    def forward(self, latents: torch.Tensor) -> torch.Tensor:
        """(n, embed_dim, h, w) -> numbers of the nearest codes (n, h, w)."""
        flat = latents.permute(0, 2, 3, 1).flatten(0, 2)
        nearest = torch.cdist(flat[None].float(), self.embedding.weight[None].float())[0].argmin(1)
        return nearest.view(latents.shape[0], *latents.shape[2:])


class VQGAN(nn.Module):
    """Pictures to tokens and back."""

    def __init__(self, config: VQGANConfig) -> None:
        super().__init__()
        self.sizes = config
        self.encoder = ImageEncoder(config)
        self.decoder = ImageDecoder(config)
        self.quantize = Quantizer(config)
        self.quant_conv = nn.Conv2d(config.latent_channels, config.embed_dim, 1)
        self.post_quant_conv = nn.Conv2d(config.embed_dim, config.latent_channels, 1)

    def latents(self, pictures: torch.Tensor) -> torch.Tensor:
        """Pictures (n, 3, resolution, resolution) in [-1, 1] -> (n, embed_dim, side, side), not yet codes."""
        return torch.as_tensor(self.quant_conv(self.encoder(pictures)))

    def encode(self, pictures: torch.Tensor) -> torch.Tensor:
        """Pictures (n, 3, resolution, resolution) in [-1, 1] -> numbers of codes (n, side x side), row by row."""
        return torch.as_tensor(self.quantize(self.latents(pictures))).flatten(1)

    def embedded(self, codes: torch.Tensor) -> torch.Tensor:
        """Numbers of codes (n, side x side), row by row -> the codes (n, embed_dim, side, side)."""
        side = self.sizes.side
        return torch.as_tensor(self.quantize.embedding(codes)).view(len(codes), side, side, -1).permute(0, 3, 1, 2)

    def decode(self, codes: torch.Tensor) -> torch.Tensor:
        """Numbers of codes (n, side x side), row by row -> pictures (n, 3, resolution, resolution), about [-1, 1]."""
        return self.draw(self.embedded(codes))

    def draw(self, latents: torch.Tensor) -> torch.Tensor:
        """(n, embed_dim, side, side) -> pictures (n, 3, resolution, resolution), about [-1, 1]."""
        return torch.as_tensor(self.decoder(self.post_quant_conv(latents)))
