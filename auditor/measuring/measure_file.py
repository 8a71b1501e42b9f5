"""The audit of one adapter file that lies on disk: recognise, normalise, apply and prove, measure, record."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from auditor.adapters.adapter_file import AdapterFile
from auditor.adapters.normalise import normalise
from auditor.adapters.normalised import NormalisedAdapter
from auditor.common.crash_points import crash_point
from auditor.common.pictures import bound_side
from auditor.errors import ItemError
from auditor.finexl.shared_basis import SharedScores
from auditor.finexl.significance import EffectTest
from auditor.measuring.arm_images import ArmImages
from auditor.measuring.arms import Measured, dose_subject, measure_dose, measure_plain, measure_trigger, spread_rows
from auditor.measuring.base_choice import BaseChoice, file_words, with_trigger, with_words
from auditor.measuring.opened_base import OpenedBase
from auditor.measuring.scoring import effect_record
from auditor.measuring.subject_arm import with_test
from auditor.measuring.verdict import pending_verdict, verdict
from auditor.probes.subjects import find_subject
from auditor.records.adapter import MetadataClaims
from auditor.records.result import AuditRecord, DosePoint, Explanation, WorkItem
from auditor.results.failures import Stopwatch, failure_record, now, versions
from auditor.results.result_file import Result, thumbnail_bytes
from auditor.results.waiting_pictures import AuditedFile, ShownPairs

THUMBNAILS = 6


def audit_file(
    opened: OpenedBase, item: WorkItem, adapter: AdapterFile, file_sha256: str, choice: BaseChoice
) -> AuditedFile:
    """Audit one inspected file on its base, up to the naming of its concepts (see `naming`).

    Every trouble that belongs to the item becomes its outcome. The base is checked after each adapter.

    Raises:
        BaseDamaged: The base differs from its fingerprint; the caller rebuilds it and redoes what came since.
    """
    watch = Stopwatch()
    item = with_trigger(item, adapter.claims)
    common: dict[str, object] = {
        "base_name": opened.base_name,
        "base_assumed": choice.assumed,
        "base_distance": choice.distance,
        "card_mismatch": choice.mismatch,
        "contradictions": choice.contradictions,
        **file_words(item, adapter),
        "family": choice.family,
    }
    try:
        with watch.stage("normalise"):
            normalised = normalise(adapter, opened.generator.layout())
        item = with_words(item, normalised)
        if normalised.no_learned_change:
            raise _nothing_learned(normalised)
        return _audit_applied(opened, item, adapter.claims, normalised, file_sha256, common, watch)
    except ItemError as error:
        record = failure_record(item, file_sha256, opened.recipe.recipe_id, error, watch)
        return AuditedFile(Result(record.model_copy(update=common), {}))


def _audit_applied(
    opened: OpenedBase,
    item: WorkItem,
    claims: MetadataClaims,
    normalised: NormalisedAdapter,
    file_sha256: str,
    common: dict[str, object],
    watch: Stopwatch,
) -> AuditedFile:
    generator = opened.generator
    with watch.stage("apply"):
        proof = generator.apply(normalised)
    crash_point("item_applied")
    try:
        with watch.stage("generate"):
            measured = measure_plain(opened)
        crash_point("item_generated")
        test = opened.scorer.test(measured.differences)
        shared = opened.scorer.shared(measured.differences)
        arm, arm_test = None, None
        if item.trigger and opened.recipe.trigger_arms:
            with watch.stage("trigger"):
                arm, arm_test = _trigger(opened, item, item.trigger, claims, measured)
        acts = test.status == "effect" or (arm_test is not None and arm_test.status == "effect")
        with watch.stage("dose"):
            dose, rises = _dose(opened, measured, shared, arm, test) if acts else ((), None)
    finally:
        with watch.stage("remove"):
            generator.remove()
    dropped = measured.dropped if arm is None or test.status == "effect" else arm.dropped
    outcome, reason, message = verdict(normalised, len(measured.rows), dropped, test, arm_test)
    shown = _shown(opened, measured, arm, test) if acts and opened.proposer is not None else None
    explanations: tuple[Explanation, ...] = ()
    if shown is not None:
        outcome, reason, message = pending_verdict(outcome, reason, message)
    elif acts:
        with watch.stage("explain"):
            explanations = opened.scorer.explain(_acting(measured, arm, test), ())
    pairs = _kept_pairs(opened, measured, arm if acts else None, test)
    record = AuditRecord(
        item=item,
        file_sha256=file_sha256,
        recipe_id=opened.recipe.recipe_id,
        outcome=outcome,
        reason=reason,
        message=message,
        proof=proof,
        facts=replace(normalised.facts, delta_norm=proof.delta_norm),
        effect=effect_record(measured.differences, test, shared, opened.scorer.solver),
        scores=opened.scorer.concept_scores(measured.differences, shared) if acts else (),
        explanations=explanations,
        proposals="not_asked" if shown is None else "pending",
        arms=arm.arms if arm else None,
        dose=dose,
        dose_rises=rises,
        thumbnails=tuple((pair.place, pair.prompt) for pair in pairs),
        timings_s=watch.seconds,
        versions=versions(),
        finished_at=now(),
        **common,
    )
    return AuditedFile(Result(record, _arrays(measured, arm, pairs)), shown)


def _trigger(
    opened: OpenedBase, item: WorkItem, trigger: str, claims: MetadataClaims, measured: Measured
) -> tuple[ArmImages, EffectTest]:
    """The trigger's arms and whether they show an effect: in a subject's own contexts where one is named."""
    source = item.trigger_source or "card"
    subject = None
    if opened.subjects is not None:
        said = (trigger, *(claim.text for claim in claims.triggers))
        subject = find_subject(said, opened.subjects.contexts)
    if subject is None or opened.subjects is None:
        arm = measure_trigger(opened, trigger, source, measured)  # fmt: skip
        return arm, opened.scorer.test(arm.differences)
    arm = opened.subjects.measure(subject, trigger, source)
    test = opened.scorer.test(arm.differences, arm.noise)
    return replace(arm, arms=with_test(arm.arms, test)), test


def _dose(
    opened: OpenedBase, measured: Measured, shared: SharedScores, arm: ArmImages | None, test: EffectTest
) -> tuple[tuple[DosePoint, ...], bool | None]:
    """Dose response of the arm that acts."""
    if test.status == "effect":
        arm = None
    subject = dose_subject(opened, measured, arm)
    scores = shared if arm is None else opened.scorer.shared(arm.differences)
    return measure_dose(opened, scores, subject)


def _acting(measured: Measured, arm: ArmImages | None, test: EffectTest) -> NDArray[np.float32]:
    """d_i of the arm that acts: the weights alone, or else the weights with their trigger."""
    return measured.differences if test.status == "effect" or arm is None else arm.differences


def _shown(opened: OpenedBase, measured: Measured, arm: ArmImages | None, test: EffectTest) -> ShownPairs:
    """Pairs of the arm that acts, spread over its probes."""
    differences = _acting(measured, arm, test)
    picked = list(spread_rows(len(differences), opened.pairs_shown))
    if test.status == "effect" or arm is None:
        rows = measured.rows[picked]
        base, adapted = opened.reference.images[rows], measured.images[picked]
    else:
        rows, base, adapted = None, arm.base_images[picked], arm.images[picked]
    return ShownPairs(
        differences,
        np.stack([bound_side(image, opened.max_side) for image in base]),
        np.stack([bound_side(image, opened.max_side) for image in adapted]),
        rows,
    )


def _nothing_learned(normalised: NormalisedAdapter) -> ItemError:
    message = f"All {normalised.facts.pairs} weight changes are exactly zero."
    return ItemError("no_effect", "no_learned_change", message)


@dataclass(frozen=True, eq=False)
class _Shown:
    """A pair to keep as small pictures: its place among the probes, or among the subject's contexts, and its prompt."""

    place: int
    prompt: str
    base: NDArray[np.uint8]
    adapter: NDArray[np.uint8]


def _kept_pairs(opened: OpenedBase, measured: Measured, arm: ArmImages | None, test: EffectTest) -> list[_Shown]:
    """Pairs of the arm that acts: those without the trigger show nothing of an adapter that needs it."""
    if test.status == "effect" or arm is None:
        places = [(r, int(measured.rows[r])) for r in spread_rows(len(measured.rows), THUMBNAILS)]
        return [_Shown(p, opened.probes.prompts[p], opened.reference.images[p], measured.images[r]) for r, p in places]
    rows = spread_rows(len(arm.rows), THUMBNAILS)
    return [_Shown(int(arm.rows[r]), arm.prompts[r], arm.base_images[r], arm.images[r]) for r in rows]


def _arrays(measured: Measured, arm: ArmImages | None, pairs: Sequence[_Shown]) -> dict[str, NDArray[np.generic]]:
    arrays: dict[str, NDArray[np.generic]] = {
        "differences": measured.differences.astype(np.float16),
        "divergence": measured.differences.mean(0).astype(np.float32),
    }
    if arm is not None:
        arrays["trigger_differences"] = arm.differences.astype(np.float16)
    for pair in pairs:
        arrays[f"thumb_{pair.place}_base"] = thumbnail_bytes(pair.base)
        arrays[f"thumb_{pair.place}_adapter"] = thumbnail_bytes(pair.adapter)
    return arrays
