"""Are the base's pictures recognisable? The encoder picks each picture's caption out of all of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from auditor.audit.opening import load_generator
from auditor.errors import UserError
from auditor.evaluation.top_concept import Share, share
from auditor.planning.encoder_opening import load_encoder
from auditor.pocket.scenes import sample_scene
from auditor.settings import BaseModelSettings, Settings

SCENE_SEED = 7


@dataclass(frozen=True)
class Captions:
    """Pictures whose own caption is the nearest of all, and some of those that were taken for another."""

    right: Share
    chance: float
    mistakes: tuple[tuple[str, str], ...]


def evaluate_captions(settings: Settings, count: int = 100, base_name: str | None = None) -> Captions:
    """Draw `count` scenes with different captions and match pictures to captions.

    Args:
        settings: With bases of our own.
        count: Pictures, and captions to choose from.
        base_name: A key of `recipe.bases`, switched on or not; the only pipeline of diffusers when left out.

    Raises:
        UserError: There is no such base of our own, whose captions are known.
    """
    base = _base(settings, base_name)
    rng = np.random.default_rng(SCENE_SEED)
    captions: dict[str, None] = {}
    while len(captions) < count:
        captions[sample_scene(rng).caption()] = None
    texts = list(captions)
    encoder = load_encoder(settings)
    pictures = encoder.encode_images(load_generator(base).generate(texts, list(range(count))))
    nearest = (pictures @ encoder.encode_texts(texts).T).argmax(1)
    wrong = tuple((texts[i], texts[j]) for i, j in enumerate(nearest) if i != j)
    return Captions(share(count - len(wrong), count), 1 / count, wrong[:10])


def _base(settings: Settings, name: str | None) -> BaseModelSettings:
    bases = settings.recipe.bases if name is not None else settings.recipe.active_bases
    fitting = [base for key, base in bases.items() if key == name or (name is None and base.kind == "diffusers")]
    if len(fitting) != 1 or fitting[0].path is None:
        raise UserError("captions are known for pocket bases only: --profile pocket, with --base one of its bases")
    return fitting[0]
