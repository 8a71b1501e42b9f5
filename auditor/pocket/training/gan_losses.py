"""What the pocket GAN minimises: its generator's terms and its discriminators', in one number.

The terms of Li et al. 2019, with some things of our own. The picture that should have been drawn is known (see
`gan_pictures`), so the distance to it counts, at every stage; it counts alone, with the perceptual loss, until the
discriminators join late in the training (with them from the start, subjects stayed blots). Their terms are hinges (Lim
and Ye 2017), with a penalty on their slope at real pictures (Mescheder et al. 2018). Both sides are updated together:
the generator's terms see the discriminators' weights as constants.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.func import functional_call
from torch.nn import functional as F

from auditor.generation.controlgan.discriminators import StageDiscriminator, WordDiscriminator
from auditor.generation.controlgan.gan_sizes import GanSizes
from auditor.generation.controlgan.staged_generator import Drawn, StagedGenerator
from auditor.generation.controlgan.text_matching import RegionEncoder, matching_loss
from auditor.generation.controlgan.word_encoder import TextFeatures, WordEncoder


@dataclass(frozen=True)
class LossWeights:
    """How much each of the generator's terms counts.

    Attributes:
        pixels: Distance to the picture that should have been drawn.
        perceptual: The same between features of the image encoder's first layer.
        matching: Picture and caption in one space.
        adversarial: Stage discriminators, and the one that looks at words.
        divergence: Of the augmented sentence's distribution from the standard normal one.
        slope: Penalty on the last discriminator's slope.
    """

    pixels: float = 10.0
    perceptual: float = 30.0
    matching: float = 0.02
    adversarial: float = 0.02
    divergence: float = 0.002
    slope: float = 1.0


class Learner(nn.Module):
    """All parts that are trained, as one module for the training loop.

    The text encoder is frozen in the published training. Here it learns on with the generator, from the distance to the
    pictures: matching alone hardly teaches it subjects, since colour, ground and style tell most pictures of a batch.
    """

    def __init__(self, sizes: GanSizes, generator: StagedGenerator, text: WordEncoder) -> None:
        super().__init__()
        self.generator, self.text = generator, text
        self.stages = nn.ModuleList(StageDiscriminator(side, sizes) for side in sizes.sides)
        self.words = WordDiscriminator(sizes.word_width, sizes.word_width)


def pixel_loss(pictures: list[torch.Tensor], real: torch.Tensor) -> torch.Tensor:
    """Mean absolute plus mean squared error over all stages; a stage counts half as much as the next larger one.

    Args:
        pictures: Of each stage, (n, 3, side, side) in [-1, 1].
        real: (n, 3, picture, picture), averaged down for the smaller ones.
    """
    total = real.new_zeros(())
    for number, picture in enumerate(reversed(pictures)):
        wanted = reduced(real, picture.shape[-1])
        total = total + (F.l1_loss(picture, wanted) + F.mse_loss(picture, wanted)) / 2**number
    return total


def reduced(pictures: torch.Tensor, side: int) -> torch.Tensor:
    """Pictures averaged down to a side."""
    return pictures if pictures.shape[-1] == side else F.avg_pool2d(pictures, pictures.shape[-1] // side)


def paired_terms(drawn: Drawn, real: torch.Tensor, encoder: RegionEncoder) -> dict[str, torch.Tensor]:
    """The generator's terms, by their names in `LossWeights`, that need but the picture it should have drawn."""
    return {
        "pixels": pixel_loss(drawn.pictures, real),
        "perceptual": F.mse_loss(encoder.early(drawn.pictures[-1]), encoder.early(real)),
        "divergence": 0.5 * (drawn.mean.square() + drawn.log_variance.exp() - 1 - drawn.log_variance).mean(),
    }


def judged_terms(
    learner: Learner, drawn: Drawn, text: TextFeatures, encoder: RegionEncoder, same: torch.Tensor
) -> dict[str, torch.Tensor]:
    """The generator's other terms: what discriminators and the match with the captions say of its pictures."""
    seen = encoder(drawn.pictures[-1])
    fooled = [
        -term.mean()
        for stage, picture in zip(learner.stages, drawn.pictures, strict=True)
        for term in _held(stage, _verdicts, picture, text.sentence)
    ]
    told = F.softplus(-_held(learner.words, WordDiscriminator.forward, seen.regions, text)).mean()
    return {"matching": matching_loss(seen, text, same), "adversarial": torch.stack(fooled).sum() + told}


def discriminator_loss(
    learner: Learner, drawn: Drawn, real: torch.Tensor, text: TextFeatures, encoder: RegionEncoder
) -> torch.Tensor:
    """Real against drawn, and right against wrong sentences and words; wrong ones are the next caption's."""
    wrong = text.rows(torch.roll(torch.arange(len(real), device=real.device), -1))
    total = real.new_zeros(())
    for module, picture in zip(learner.stages, drawn.pictures, strict=True):
        stage = _as_discriminator(module)
        shown = stage(reduced(real, picture.shape[-1]))
        made = stage(picture.detach())
        right = [stage.unconditional(shown), stage.conditional(shown, text.sentence)]
        false = [
            stage.unconditional(made),
            stage.conditional(made, text.sentence),
            stage.conditional(shown, wrong.sentence),
        ]
        total = total + torch.stack([F.relu(1 - logits).mean() for logits in right]).mean()
        total = total + torch.stack([F.relu(1 + logits).mean() for logits in false]).mean()
    regions = encoder(real).regions.detach()
    matched, mismatched = learner.words(regions, text), learner.words(regions, wrong)
    return total + (F.softplus(-matched).mean() + F.softplus(mismatched).mean()) / 2


def slope_penalty(learner: Learner, real: torch.Tensor) -> torch.Tensor:
    """Half the mean squared slope of the last stage's discriminator at real pictures."""
    stage = _as_discriminator(learner.stages[-1])
    pictures = real.detach().requires_grad_(True)
    (slope,) = torch.autograd.grad(stage.unconditional(stage(pictures)).sum(), pictures, create_graph=True)
    return 0.5 * slope.square().flatten(1).sum(dim=1).mean()


def _verdicts(stage: StageDiscriminator, picture: torch.Tensor, sentence: torch.Tensor) -> list[torch.Tensor]:
    features = stage(picture)
    return [stage.unconditional(features), stage.conditional(features, sentence)]


def _as_discriminator(module: nn.Module) -> StageDiscriminator:
    assert isinstance(module, StageDiscriminator)
    return module


class _Calling(nn.Module):
    """A module seen through a function of it, for `functional_call`."""

    def __init__(self, module: nn.Module, function: Any) -> None:
        super().__init__()
        self.module, self.function = module, function

    def forward(self, *arguments: Any) -> Any:
        return self.function(self.module, *arguments)


def _held(module: nn.Module, function: Any, *arguments: Any) -> Any:
    """What a function of a module gives when the module's weights count as constants."""
    constants = {f"module.{name}": value.detach() for name, value in module.named_parameters()}
    return functional_call(_Calling(module, function), constants, arguments)
