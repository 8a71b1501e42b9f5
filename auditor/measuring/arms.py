"""Render, embed and compare: the measurements on one adapter that is in place."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import structlog
from numpy.typing import NDArray

from auditor.errors import ItemError
from auditor.finexl.divergence import next_look
from auditor.finexl.shared_basis import SharedScores
from auditor.measuring.arm_images import ArmImages, Floats, PicturedArm, mean_length, usable_pictures
from auditor.measuring.opened_base import OpenedBase
from auditor.measuring.reference import chunk_bounds
from auditor.probes.loader import ProbeSet
from auditor.records.result import DosePoint, TriggerArms

log = structlog.get_logger(__name__)
MIN_TRIGGER_PROBES = 6  # fewer cannot reach 5 % in the sign-flip test
DOSE_CONCEPTS = 3
_NAME_NOTHING = frozenset(
    ("and", "are", "for", "from", "her", "his", "into", "its", "onto", "over", "that", "the", "this", "under", "with")
)
"""Words of prompts and triggers that are about no subject."""


@dataclass(eq=False)
class Measured:
    """What the plain arm showed; n usable probes.

    Attributes:
        rows: Probe indices (n,).
        images: Adapter's images (n, H, W, 3).
        features: Their embeddings (n, D).
        differences: d_i (n, D).
        dropped: Probes left out because an image was black, constant or not finite.
    """

    rows: NDArray[np.intp]
    images: NDArray[np.uint8]
    features: Floats
    differences: Floats
    dropped: int

    @property
    def rendered(self) -> int:
        """Probes rendered, from the first on."""
        return len(self.rows) + self.dropped


def measure_plain(opened: OpenedBase) -> Measured:
    """Render the adapter on the probes, look by look, until V is known well enough (METHOD: sequential n).

    Raises:
        ItemError: `blank_images` or `nonfinite_images` when more than a tenth of the pictures are unusable.
    """
    generator, probes, recipe = opened.generator, opened.probes, opened.recipe
    chunks = chunk_bounds(len(probes), recipe.looks)
    images: list[NDArray[np.uint8]] = []
    usable: list[NDArray[np.bool_]] = []
    features: list[Floats] = []
    for start, stop in chunks:
        shown = generator.generate(probes.prompts[start:stop], probes.seeds[start:stop], scale=recipe.lora_scale)
        images.append(shown)
        usable.append(usable_pictures(generator.last_checks, "the adapter breaks the base"))
        features.append(opened.encoder.encode_images(shown))
        so_far = np.concatenate(features) - opened.reference.features[:stop]
        keep = np.concatenate(usable)
        looks = [b for _, b in chunks]
        look = next_look(so_far[keep], target=recipe.cosine_error_target, looks=looks)
        if look.next_probes is None:
            break
    kept = np.concatenate(features)[keep]
    return Measured(np.flatnonzero(keep), np.concatenate(images)[keep], kept, so_far[keep], int((~keep).sum()))


@dataclass(frozen=True, eq=False)
class DoseSubject:
    """What a dose response is measured on: the first pictures of the arm that acts; m probes.

    Attributes:
        prompts: Of the arm (m,).
        seeds: Their noise (m,).
        base_features: Embeddings of the base's pictures of them (m, D).
        known: d_i at the recipe's own strength (m, D), when all are known.
    """

    prompts: Sequence[str]
    seeds: Sequence[int]
    base_features: Floats
    known: Floats | None


def dose_subject(opened: OpenedBase, measured: Measured, arm: ArmImages | None) -> DoseSubject:
    """The plain probes, or those with the trigger when `arm` is given: plain prompts show nothing of such adapters."""
    probes, recipe = opened.all_probes, opened.recipe
    if arm is not None:
        few = slice(recipe.dose_probes)
        return DoseSubject(arm.prompts[few], arm.seeds[few], arm.base_features[few], arm.differences[few])
    count = min(recipe.dose_probes, recipe.probe_count, len(probes))
    known = measured.differences[measured.rows < count]
    whole = known if len(known) == count else None
    return DoseSubject(probes.prompts[:count], probes.seeds[:count], opened.reference.features[:count], whole)


def measure_dose(
    opened: OpenedBase, shared: SharedScores, subject: DoseSubject
) -> tuple[tuple[DosePoint, ...], bool | None]:
    """V at several strengths on a few probes. It must grow with the strength, else that is flagged.

    A strength at which more than a tenth of the pictures show nothing has no point: there is nothing to measure.
    """
    generator, recipe = opened.generator, opened.recipe
    leading = np.argsort(-shared.score)[:DOSE_CONCEPTS]
    points = []
    for scale in sorted(recipe.dose_scales):
        if scale == recipe.lora_scale and subject.known is not None:
            mean = subject.known.mean(0)
        else:
            shown = generator.generate(subject.prompts, subject.seeds, scale=scale)
            try:
                keep = usable_pictures(generator.last_checks, f"strength {scale:g} breaks the base")
            except ItemError as error:
                log.info("no dose point", scale=scale, reason=error.reason, message=error.message)
                continue
            mean = (opened.encoder.encode_images(shown) - subject.base_features)[keep].mean(0)
        reach = opened.scorer.projections(mean, [shared.names[i] for i in leading])
        points.append(DosePoint(scale=scale, norm=float(np.linalg.norm(mean)), projections=reach))
    norms = [p.norm for p in points]
    return tuple(points), all(b >= a for a, b in itertools.pairwise(norms)) if len(norms) > 1 else None


def trigger_probes(trigger: str, probes: ProbeSet) -> NDArray[np.intp]:
    """Probes for the trigger arms: those about what the trigger text names, if there are enough, else the first.

    A trigger such as `ohwx face` belongs to one subject; averaged over boats and cars its effect would vanish.
    """
    words = {w for w in re.findall(r"[a-z]+", trigger.casefold()) if len(w) > 2} - _NAME_NOTHING
    named = [i for i, p in enumerate(probes.prompts) if words & set(re.findall(r"[a-z]+", p.casefold()))]
    if MIN_TRIGGER_PROBES <= len(named) <= len(probes) // 2:
        return np.asarray(named)
    return np.arange(len(probes))


def measure_trigger(opened: OpenedBase, trigger: str, source: str, measured: Measured) -> ArmImages:
    """The four arms: base and adapter, without and with the trigger, on the same noise; look by look, as the plain arm.

    Args:
        opened: The base, with the adapter in place.
        trigger: Put before each prompt.
        source: Where it was declared.
        measured: The plain arm; what it has rendered is not rendered again.

    Raises:
        ItemError: `blank_images` or `nonfinite_images` when more than a tenth of an arm's pictures are unusable.
    """
    generator, encoder, recipe, probes = opened.generator, opened.encoder, opened.recipe, opened.all_probes
    rows = trigger_probes(trigger, probes)[: recipe.probe_count]
    seeds = [probes.seeds[i] for i in rows]
    worded = tuple(f"{trigger}, {probes.prompts[i]}" for i in rows)
    chunks = chunk_bounds(len(rows), recipe.looks)
    looks = [stop for _, stop in chunks]
    with_word, base_with_word = PicturedArm(), PicturedArm()
    for a, b in chunks:
        for arm, adapter, verdict in (
            (with_word, True, "with its trigger the adapter breaks the base"),
            (base_with_word, False, "the trigger breaks the base without the adapter"),
        ):
            images = generator.generate(worded[a:b], seeds[a:b], scale=recipe.lora_scale, adapter=adapter)
            arm.add(images, encoder.encode_images(images), usable_pictures(generator.last_checks, verdict))
        keep = with_word.usable & base_with_word.usable
        adapted, base = with_word.features, base_with_word.features
        look = next_look((adapted - base)[keep], target=recipe.cosine_error_target, looks=looks)
        if recipe.trigger_stopping and look.next_probes is None:
            break
    rows, images, base_images = rows[: len(keep)], with_word.images, base_with_word.images
    plain = _plain_arms(opened, rows, measured)
    keep = keep & plain.usable
    differences = (adapted - base)[keep]
    arms = TriggerArms(
        trigger=trigger,
        source=source,
        weights_norm=mean_length(plain.differences[keep]),
        trigger_on_base_norm=mean_length((base - plain.base)[keep]),
        trigger_on_adapter_norm=mean_length((adapted - plain.adapter)[keep]),
        interaction_norm=mean_length(differences - plain.differences[keep]),
        scores=opened.scorer.concept_scores(differences),
    )
    places = np.flatnonzero(keep)
    return ArmImages(
        arms,
        rows[keep],
        tuple(worded[i] for i in places),
        tuple(seeds[i] for i in places),
        base_images[keep],
        images[keep],
        base[keep],
        differences,
        int((~keep).sum()),
    )


@dataclass(frozen=True, eq=False)
class _PlainArms:
    """Both arms without the trigger, on m rows: embeddings (m, D) and whether the adapter's picture is usable (m,)."""

    base: Floats
    adapter: Floats
    usable: NDArray[np.bool_]

    @property
    def differences(self) -> Floats:
        return self.adapter - self.base


def _plain_arms(opened: OpenedBase, rows: NDArray[np.intp], measured: Measured) -> _PlainArms:
    """The arms without the trigger, from the reference and the plain arm as far as those go."""
    generator, reference, probes = opened.generator, opened.reference, opened.all_probes
    shape = len(rows), reference.features.shape[1]
    arms = {False: np.zeros(shape, np.float32), True: np.zeros(shape, np.float32)}
    usable = np.ones(len(rows), np.bool_)
    for adapter, known in ((False, len(reference.features)), (True, measured.rendered)):
        new = np.flatnonzero(rows >= known)
        if len(new):
            prompts, seeds = [probes.prompts[i] for i in rows[new]], [probes.seeds[i] for i in rows[new]]
            shown = generator.generate(prompts, seeds, scale=opened.recipe.lora_scale, adapter=adapter)
            usable[new] &= usable_pictures(
                generator.last_checks, "the adapter breaks the base" if adapter else "the base itself is at fault"
            )
            arms[adapter][new] = opened.encoder.encode_images(shown)
    in_reference = rows < len(reference.features)
    arms[False][in_reference] = reference.features[rows[in_reference]]
    place = {int(row): i for i, row in enumerate(measured.rows)}
    for i, row in enumerate(rows):
        if int(row) in place:
            arms[True][i] = measured.features[place[int(row)]]
        elif row < measured.rendered:
            usable[i] = False
    return _PlainArms(arms[False], arms[True], usable)


def spread_rows(count: int, wanted: int) -> Sequence[int]:
    """`wanted` indices spread over `count` (fewer if there are fewer)."""
    return sorted({int(i) for i in np.linspace(0, count - 1, min(wanted, count))})
