"""The audit of one adapter file that lies on disk: recognise, normalise, apply and prove, measure, record."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from auditor.adapters.adapter_file import AdapterFile
from auditor.adapters.normalise import normalise
from auditor.adapters.normalised import NormalisedAdapter
from auditor.audit.bench import Workbench
from auditor.audit.choosing import BaseChoice, file_words, with_trigger, with_words
from auditor.audit.failures import Stopwatch, failure_record, now, versions
from auditor.audit.measure import (
    ArmImages,
    Measured,
    dose_subject,
    measure_dose,
    measure_plain,
    measure_trigger,
    spread_rows,
)
from auditor.audit.naming import Audited, Shown, pending_verdict, scored_verdict, trigger_note
from auditor.audit.result_file import Result, thumbnail_bytes
from auditor.audit.scoring import concept_scores, effect_record
from auditor.crash import crash_point
from auditor.errors import ItemError
from auditor.finexl.shared_basis import SharedScores
from auditor.finexl.significance import EffectTest
from auditor.proposing.images import bound_side
from auditor.records.outcomes import Outcome, Reason
from auditor.records.result import AuditRecord, DosePoint, Explanation, WorkItem

THUMBNAILS = 6


def audit_file(
    bench: Workbench, item: WorkItem, adapter: AdapterFile, file_sha256: str, choice: BaseChoice
) -> Audited:  # fmt: skip
    """Audit one inspected file on its base, up to the naming of its concepts (see `naming`).

    Every trouble that belongs to the item becomes its outcome. The base is checked after each adapter.

    Raises:
        BaseDamaged: The base differs from its fingerprint; the caller rebuilds it and redoes what came since.
    """
    watch = Stopwatch()
    item = with_trigger(item, adapter.claims)
    common: dict[str, object] = {
        "base_name": bench.base_name, "base_assumed": choice.assumed, "base_distance": choice.distance,
        "card_mismatch": choice.mismatch, "contradictions": choice.contradictions,
        **file_words(item, adapter), "family": choice.family,
    }  # fmt: skip
    try:
        with watch.stage("normalise"):
            normalised = normalise(adapter, bench.generator.layout())
        item = with_words(item, normalised)
        if normalised.no_learned_change:
            raise _nothing_learned(normalised)
        return _audit_applied(bench, item, normalised, file_sha256, common, watch)
    except ItemError as error:
        record = failure_record(item, file_sha256, bench.recipe.recipe_id, error, watch)
        return Audited(Result(record.model_copy(update=common), {}))


def _audit_applied(
    bench: Workbench, item: WorkItem, normalised: NormalisedAdapter, file_sha256: str,
    common: dict[str, object], watch: Stopwatch,
) -> Audited:  # fmt: skip
    generator = bench.generator
    with watch.stage("apply"):
        proof = generator.apply(normalised)
    crash_point("item_applied")
    try:
        with watch.stage("generate"):
            measured = measure_plain(generator, bench.encoder, bench.probes, bench.reference, bench.recipe)
        crash_point("item_generated")
        test = bench.scorer.test(measured.differences)
        shared = bench.scorer.shared(measured.differences)
        arm, arm_test = None, None
        if item.trigger and bench.recipe.trigger_arms:
            with watch.stage("trigger"):
                arm = measure_trigger(generator, bench.encoder, bench.all_probes, bench.scorer, bench.recipe,
                                      item.trigger, item.trigger_source or "card", measured)  # fmt: skip
            arm_test = bench.scorer.test(arm.differences)
        acts = test.status == "effect" or (arm_test is not None and arm_test.status == "effect")
        with watch.stage("dose"):
            dose, rises = _dose(bench, measured, shared, arm, test) if acts else ((), None)
    finally:
        with watch.stage("remove"):
            generator.remove()
    dropped = measured.dropped if arm is None or test.status == "effect" else arm.dropped
    outcome, reason, message = _verdict(normalised, len(measured.rows), dropped, test, arm_test)
    shown = _shown(bench, measured, arm, test) if acts and bench.proposer is not None else None
    explanations: tuple[Explanation, ...] = ()
    if shown is not None:
        outcome, reason, message = pending_verdict(outcome, reason, message)
    elif acts:
        with watch.stage("explain"):
            explanations = bench.scorer.explain(_acting(measured, arm, test), ())
    record = AuditRecord(
        item=item, file_sha256=file_sha256, recipe_id=bench.recipe.recipe_id,
        outcome=outcome, reason=reason, message=message, proof=proof,
        facts=replace(normalised.facts, delta_norm=proof.delta_norm),
        effect=effect_record(measured.differences, test, shared, bench.scorer.solver),
        scores=concept_scores(shared, bench.scorer.basis) if acts else (),
        explanations=explanations, proposals="not_asked" if shown is None else "pending",
        arms=arm.arms if arm else None, dose=dose, dose_rises=rises,
        thumbnails=_captions(bench, measured), timings_s=watch.seconds, versions=versions(), finished_at=now(),
        **common,
    )  # fmt: skip
    return Audited(Result(record, _arrays(bench, measured, arm)), shown)


def _dose(
    bench: Workbench, measured: Measured, shared: SharedScores, arm: ArmImages | None, test: EffectTest
) -> tuple[tuple[DosePoint, ...], bool | None]:  # fmt: skip
    """Dose response of the arm that acts."""
    if test.status == "effect":
        arm = None
    subject = dose_subject(bench.all_probes, bench.reference, bench.recipe, measured, arm)
    scores = shared if arm is None else bench.scorer.shared(arm.differences)
    return measure_dose(bench.generator, bench.encoder, bench.scorer, bench.recipe, scores, subject)


def _acting(measured: Measured, arm: ArmImages | None, test: EffectTest) -> NDArray[np.float32]:
    """d_i of the arm that acts: the weights alone, or else the weights with their trigger."""
    return measured.differences if test.status == "effect" or arm is None else arm.differences


def _shown(bench: Workbench, measured: Measured, arm: ArmImages | None, test: EffectTest) -> Shown:
    """Pairs of the arm that acts, spread over its probes."""
    differences = _acting(measured, arm, test)
    picked = list(spread_rows(len(differences), bench.pairs_shown))
    if test.status == "effect" or arm is None:
        rows = measured.rows[picked]
        base, adapted = bench.reference.images[rows], measured.images[picked]
    else:
        rows, base, adapted = None, arm.base_images[picked], arm.images[picked]
    return Shown(
        differences,
        np.stack([bound_side(image, bench.max_side) for image in base]),
        np.stack([bound_side(image, bench.max_side) for image in adapted]),
        rows,
    )


def _verdict(
    normalised: NormalisedAdapter, probes: int, dropped: int, test: EffectTest, arm_test: EffectTest | None
) -> tuple[Outcome, Reason | None, str]:
    if test.status != "effect" and (arm_test is None or arm_test.status != "effect"):
        return "no_effect", "inside_noise_floor", _no_effect_message(test)
    outcome, reason, message = scored_verdict(probes, test.status != "effect")
    said = trigger_note(test.status != "effect")
    if normalised.unmatched:
        message = f"Scored without {len(normalised.unmatched)} of {normalised.facts.pairs} parts, which fit no module."
        dropped_text = all(name.startswith("text_encoder") for name in normalised.unmatched)
        return (
            "scored_partial",
            "text_encoder_dropped" if dropped_text else "modules_unmatched",
            message + said,
        )
    if normalised.left_out:
        message = f"Scored by its denoiser; its {' and '.join(normalised.left_out)} did not replace the base's."
        return "scored_partial", "components_left_out", message + said
    if dropped:
        return "scored_partial", "probes_dropped", f"{dropped} unusable pictures were left out.{said}"
    return outcome, reason, message


def _no_effect_message(test: EffectTest) -> str:
    why = {
        "identical": "Its pictures equal the base's.",
        "too_few_probes": "There are too few probes to tell.",
        "no_common_direction": "Its pictures differ from the base's in no common direction.",
        "below_floor": "The change is smaller than the noise floor.",
    }
    return why.get(test.reason, "No effect was found.")


def _nothing_learned(normalised: NormalisedAdapter) -> ItemError:
    message = f"All {normalised.facts.pairs} weight changes are exactly zero."
    return ItemError("no_effect", "no_learned_change", message)


def _captions(bench: Workbench, measured: Measured) -> tuple[tuple[int, str], ...]:
    rows = spread_rows(len(measured.rows), THUMBNAILS)
    return tuple((int(measured.rows[r]), bench.probes.prompts[int(measured.rows[r])]) for r in rows)


def _arrays(bench: Workbench, measured: Measured, arm: ArmImages | None) -> dict[str, NDArray[np.generic]]:
    arrays: dict[str, NDArray[np.generic]] = {
        "differences": measured.differences.astype(np.float16),
        "divergence": measured.differences.mean(0).astype(np.float32),
    }
    if arm is not None:
        arrays["trigger_differences"] = arm.differences.astype(np.float16)
    for row in spread_rows(len(measured.rows), THUMBNAILS):
        probe = int(measured.rows[row])
        arrays[f"thumb_{probe}_base"] = thumbnail_bytes(bench.reference.images[probe])
        arrays[f"thumb_{probe}_adapter"] = thumbnail_bytes(measured.images[row])
    return arrays
