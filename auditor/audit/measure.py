"""Render, embed and compare: the measurements on one adapter that is in place."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from auditor.audit.reference import Reference, chunk_bounds
from auditor.audit.scoring import Scorer, concept_scores
from auditor.encoding.encoder import Encoder
from auditor.errors import ItemError
from auditor.finexl.divergence import next_look
from auditor.finexl.shared_basis import SharedScores
from auditor.generation.generator import Generator
from auditor.probes.loader import ProbeSet
from auditor.records.outcomes import Reason
from auditor.records.recipe import Recipe
from auditor.records.result import DosePoint, TriggerArms

Floats = NDArray[np.float32]
MAX_UNUSABLE_SHARE = 0.1
MIN_TRIGGER_PROBES = 6  # fewer cannot reach 5 % in the sign-flip test
DOSE_CONCEPTS = 3


@dataclass(eq=False)
class Measured:
    """What the plain arm showed; n usable probes.

    Attributes:
        rows: Probe indices (n,).
        images: Adapter's images (n, H, W, 3).
        differences: d_i (n, D).
        dropped: Probes left out because an image was black, constant or not finite.
    """

    rows: NDArray[np.intp]
    images: NDArray[np.uint8]
    differences: Floats
    dropped: int = 0


@dataclass(eq=False)
class ArmImages:
    """The trigger's two arms on their probes, and the four-arm record."""

    arms: TriggerArms
    differences: Floats
    base_images: NDArray[np.uint8]
    images: NDArray[np.uint8]
    prompts: tuple[str, ...]
    seen: dict[str, Floats] = field(default_factory=dict)


def measure_plain(
    generator: Generator, encoder: Encoder, probes: ProbeSet, reference: Reference, recipe: Recipe
) -> Measured:
    """Render the adapter on the probes, look by look, until V is known well enough (METHOD: sequential n).

    Raises:
        ItemError: `blank_images` or `nonfinite_images` when more than a tenth of the pictures are unusable.
    """
    chunks = chunk_bounds(len(probes), recipe.looks)
    images: list[NDArray[np.uint8]] = []
    usable: list[NDArray[np.bool_]] = []
    features: list[Floats] = []
    for start, stop in chunks:
        shown = generator.generate(probes.prompts[start:stop], probes.seeds[start:stop], scale=recipe.lora_scale)
        checks = generator.last_checks
        if checks.nonfinite.mean() > MAX_UNUSABLE_SHARE:
            _raise_unusable("nonfinite_images", int(checks.nonfinite.sum()), stop - start)
        if (~checks.usable).mean() > MAX_UNUSABLE_SHARE:
            _raise_unusable("blank_images", int((~checks.usable).sum()), stop - start)
        images.append(shown)
        usable.append(checks.usable)
        features.append(encoder.encode_images(shown))
        so_far = np.concatenate(features) - reference.features[:stop]
        keep = np.concatenate(usable)
        looks = [b for _, b in chunks]
        look = next_look(so_far[keep], target=recipe.cosine_error_target, looks=looks)
        if look.next_probes is None:
            break
    return Measured(np.flatnonzero(keep), np.concatenate(images)[keep], so_far[keep], int((~keep).sum()))


def _raise_unusable(reason: Reason, count: int, of: int) -> None:
    raise ItemError("failed", reason, f"{count} of {of} pictures show nothing; the adapter breaks the base.")


def measure_dose(
    generator: Generator, encoder: Encoder, probes: ProbeSet, scorer: Scorer, recipe: Recipe,
    shared: SharedScores, measured: Measured,
) -> tuple[tuple[DosePoint, ...], bool | None]:  # fmt: skip
    """V at several strengths on the first probes. It must grow with the strength, else that is flagged."""
    count = min(recipe.dose_probes, len(probes))
    if not recipe.dose_scales:
        return (), None
    leading = np.argsort(-shared.score)[:DOSE_CONCEPTS]
    points = []
    for scale in sorted(recipe.dose_scales):
        known = measured.rows < count
        if scale == recipe.lora_scale and known.sum() == count:
            mean = measured.differences[known].mean(0)
        else:
            shown = generator.generate(probes.prompts[:count], probes.seeds[:count], scale=scale)
            mean = (encoder.encode_images(shown) - scorer.reference.features[:count]).mean(0)
        reach = scorer.projections(mean, [shared.names[i] for i in leading])
        points.append(DosePoint(scale=scale, norm=float(np.linalg.norm(mean)), projections=reach))
    norms = [p.norm for p in points]
    return tuple(points), all(b >= a for a, b in itertools.pairwise(norms))


def trigger_probes(trigger: str, probes: ProbeSet) -> NDArray[np.intp]:
    """Probes for the trigger arms: those about what the trigger text names, if there are enough, else the first.

    A trigger such as `ohwx face` belongs to one subject; averaged over boats and cars its effect would vanish.
    """
    words = {w for w in re.findall(r"[a-z]+", trigger.casefold()) if len(w) > 2}
    named = [i for i, p in enumerate(probes.prompts) if words & set(re.findall(r"[a-z]+", p.casefold()))]
    if MIN_TRIGGER_PROBES <= len(named) <= len(probes) // 2:
        return np.asarray(named)
    return np.arange(len(probes))


def measure_trigger(
    generator: Generator, encoder: Encoder, probes: ProbeSet, scorer: Scorer, recipe: Recipe,
    trigger: str, source: str,
) -> ArmImages:  # fmt: skip
    """The four arms: base and adapter, without and with the trigger, on the same noise."""
    rows = trigger_probes(trigger, probes)[: recipe.probe_count]
    plain = [probes.prompts[i] for i in rows]
    seeds = [probes.seeds[i] for i in rows]
    worded = [f"{trigger}, {p}" for p in plain]
    pictures: dict[str, NDArray[np.uint8]] = {}
    for name, prompts, adapter in (
        ("base", plain, False), ("base_trigger", worded, False),
        ("adapter", plain, True), ("adapter_trigger", worded, True),
    ):  # fmt: skip
        pictures[name] = generator.generate(prompts, seeds, scale=recipe.lora_scale, adapter=adapter)
    seen = {name: encoder.encode_images(images) for name, images in pictures.items()}
    differences = seen["adapter_trigger"] - seen["base_trigger"]
    weights = seen["adapter"] - seen["base"]
    arms = TriggerArms(
        trigger=trigger,
        source=source,
        weights_norm=_norm(weights),
        trigger_on_base_norm=_norm(seen["base_trigger"] - seen["base"]),
        trigger_on_adapter_norm=_norm(seen["adapter_trigger"] - seen["adapter"]),
        interaction_norm=_norm(differences - weights),
        scores=concept_scores(scorer.shared(differences), scorer.basis),
    )
    return ArmImages(arms, differences, pictures["base_trigger"], pictures["adapter_trigger"], tuple(worded), seen)


def _norm(differences: Floats) -> float:
    return float(np.linalg.norm(differences.mean(0)))


def spread_rows(count: int, wanted: int) -> Sequence[int]:
    """`wanted` indices spread over `count` (fewer if there are fewer)."""
    return sorted({int(i) for i in np.linspace(0, count - 1, min(wanted, count))})
