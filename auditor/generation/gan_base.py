"""A ControlGAN as a base: one pass from noise and caption to picture."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from auditor.errors import UserError
from auditor.generation.controlgan.gan_folder import noise_of, open_generator, open_text, read_captions
from auditor.generation.controlgan.gan_sizes import read_sizes
from auditor.generation.controlgan.staged_generator import Drawn, StagedGenerator
from auditor.generation.pipeline_loading import dtype_named
from auditor.generation.replaced_weights import ReplacedWeightsBase

PROOF_CAPTION = "a photo"
PROOF_SEED = 20_240_229


class GanBase(ReplacedWeightsBase):
    """A folder with `config.json`, `vocabulary.json`, and the weights of generator and text encoder.

    A picture's latent and the noise of its conditioning augmentation come from its seed alone, in this order, so that
    base and copy draw from the same. A copy replaces weights of the generator; the text encoder stays the base's.
    """

    def _open(self) -> StagedGenerator:
        self._sizes = read_sizes(self.path)
        if self.options.size != self._sizes.picture:
            message = f"The GAN in {self.path} draws pictures of {self._sizes.picture} pixels, not {self.options.size}."
            raise UserError(f"{message} Set `size` of the base to that.")
        self._words, self._text = open_text(self.path, self._sizes)
        device, dtype = self.options.device, dtype_named(self.options.dtype)
        self._text.to(device, dtype)
        return open_generator(self.path, self._sizes).to(device, dtype)

    def _components(self) -> dict[str, torch.nn.Module]:
        return super()._components() | {"text_encoder": self._text}

    def _draw(self, prompts: Sequence[str], seeds: Sequence[int]) -> torch.Tensor:
        self._count(len(prompts))
        return self._pass(prompts, seeds).pictures[-1] / 2 + 0.5

    def _proof(self) -> torch.Tensor:
        self.calls.proof += 1
        return torch.cat([picture.flatten() for picture in self._pass([PROOF_CAPTION], [PROOF_SEED]).pictures])

    def _pass(self, prompts: Sequence[str], seeds: Sequence[int]) -> Drawn:
        sizes, options = self._sizes, self.options
        drawn = [noise_of(seed, sizes) for seed in seeds]
        latent, noise = (
            torch.stack(part).to(options.device, dtype_named(options.dtype)) for part in zip(*drawn, strict=True)
        )
        pictures: Drawn = self._model(latent, noise, read_captions(self._words, self._text, prompts, sizes))
        return pictures
