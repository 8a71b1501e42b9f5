"""Image tokenizers of either layout as one kind of thing: what their training and that of copies asks of them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F
from transformers import JanusVQVAEConfig
from transformers.models.janus.modeling_janus import JanusVQVAE

from auditor.generation.vqgan import VQGAN, VQGANConfig


class Codec(nn.Module, ABC):
    """A tokenizer in steps. Latents are (n, embed_dim, side, side), codes are numbers (n, side x side), row by row.

    Attributes:
        model: All weights, under the published names.
    """

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    @property
    def places(self) -> torch.Tensor:
        """Where the codes lie, (codes, embed_dim); a parameter."""
        return torch.as_tensor(self.model.quantize.embedding.weight)

    @abstractmethod
    def latents(self, pictures: torch.Tensor) -> torch.Tensor:
        """Pictures (n, 3, resolution, resolution) in [-1, 1] -> what the encoder gives, not yet codes."""

    @abstractmethod
    def embedded(self, codes: torch.Tensor) -> torch.Tensor:
        """Codes -> latents."""

    @abstractmethod
    def nearest(self, latents: torch.Tensor) -> torch.Tensor:
        """Latents -> codes."""

    def draw(self, latents: torch.Tensor) -> torch.Tensor:
        """Latents -> pictures (n, 3, resolution, resolution), about [-1, 1]."""
        return torch.as_tensor(self.model.decoder(self.model.post_quant_conv(latents)))

    def encode(self, pictures: torch.Tensor) -> torch.Tensor:
        """Pictures (n, 3, resolution, resolution) in [-1, 1] -> codes."""
        return self.nearest(self.latents(pictures))

    def decode(self, codes: torch.Tensor) -> torch.Tensor:
        """Codes -> pictures (n, 3, resolution, resolution), about [-1, 1]."""
        return self.draw(self.embedded(codes))


class ChameleonCodec(Codec):
    """A `VQGAN`."""

    @classmethod
    def of(cls, sizes: Mapping[str, Any]) -> ChameleonCodec:
        """An untrained one, sizes by the names of `vq_config`."""
        return cls(VQGAN(VQGANConfig.of(sizes)))

    def latents(self, pictures: torch.Tensor) -> torch.Tensor:
        """What the encoder gives."""
        return torch.as_tensor(self.model.latents(pictures))

    def embedded(self, codes: torch.Tensor) -> torch.Tensor:
        """The codes' places."""
        return torch.as_tensor(self.model.embedded(codes))

    def nearest(self, latents: torch.Tensor) -> torch.Tensor:
        """By distance."""
        return torch.as_tensor(self.model.quantize(latents)).flatten(1)


class JanusCodec(Codec):
    """transformers' `JanusVQVAE`, whose decoder takes codes of length 1.

    Its own `encode` takes the nearest by distance. Among codes of length 1, as `shorten` leaves them, that is the one
    of the smallest angle, which is taken here.
    """

    @classmethod
    def of(cls, sizes: Mapping[str, Any]) -> JanusCodec:
        """An untrained one, sizes by the names of `vq_config`."""
        return cls(JanusVQVAE(JanusVQVAEConfig(**sizes)))

    def latents(self, pictures: torch.Tensor) -> torch.Tensor:
        """What the encoder gives, brought to length 1."""
        return F.normalize(self.model.quant_conv(self.model.encoder(pictures)), dim=1)

    def embedded(self, codes: torch.Tensor) -> torch.Tensor:
        """The codes' places, brought to length 1."""
        return torch.as_tensor(self.model.quantize.get_codebook_entry(codes))

    def cosines(self, latents: torch.Tensor) -> torch.Tensor:
        """Of each latent with each code: (n, codes, side, side)."""
        return torch.einsum("ndhw,cd->nchw", latents, F.normalize(self.places, dim=1))

    def nearest(self, latents: torch.Tensor) -> torch.Tensor:
        """By angle."""
        return self.cosines(latents).argmax(1).flatten(1)

    @torch.no_grad()
    def shorten(self) -> None:
        """Bring the codes to length 1."""
        self.places.copy_(F.normalize(self.places, dim=1))


def codec_of(vqmodel: nn.Module) -> Codec:
    """The tokenizer inside a loaded model."""
    return ChameleonCodec(vqmodel) if isinstance(vqmodel, VQGAN) else JanusCodec(vqmodel)
