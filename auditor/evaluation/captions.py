"""Are the base's pictures recognisable? The encoder picks each picture's caption out of all of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from auditor.audit.opening import load_base
from auditor.errors import UserError
from auditor.evaluation.top_concept import Share, share
from auditor.planning.encoder_opening import load_encoder
from auditor.pocket.scenes import sample_scene
from auditor.settings import Settings

SCENE_SEED = 7


@dataclass(frozen=True)
class Captions:
    """Pictures whose own caption is the nearest of all, and some of those that were taken for another."""

    right: Share
    chance: float
    mistakes: tuple[tuple[str, str], ...]


def evaluate_captions(settings: Settings, count: int = 100) -> Captions:
    """Draw `count` scenes with different captions and match pictures to captions.

    Raises:
        UserError: The settings have no single base of our own whose captions are known.
    """
    bases = list(settings.recipe.active_bases.values())
    if len(bases) != 1 or bases[0].path is None:
        raise UserError("captions are known for the pocket base only: --profile pocket")
    rng = np.random.default_rng(SCENE_SEED)
    captions: dict[str, None] = {}
    while len(captions) < count:
        captions[sample_scene(rng).caption()] = None
    texts = list(captions)
    encoder = load_encoder(settings)
    pictures = encoder.encode_images(load_base(bases[0]).generate(texts, list(range(count))))
    nearest = (pictures @ encoder.encode_texts(texts).T).argmax(1)
    wrong = tuple((texts[i], texts[j]) for i, j in enumerate(nearest) if i != j)
    return Captions(share(count - len(wrong), count), 1 / count, wrong[:10])
