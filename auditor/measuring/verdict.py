"""How the audit of one file ends: its outcome, the reason, and a sentence for people."""

from __future__ import annotations

from auditor.adapters.normalised import NormalisedAdapter
from auditor.finexl.significance import EffectTest
from auditor.records.outcomes import Outcome, Reason

Verdict = tuple[Outcome, Reason | None, str]


def verdict(
    normalised: NormalisedAdapter, probes: int, dropped: int, test: EffectTest, arm_test: EffectTest | None
) -> Verdict:
    """How a measured adapter ends, before its concepts are proposed.

    Args:
        normalised: The adapter as it was applied.
        probes: Usable ones.
        dropped: Unusable ones, of the arm that acts.
        test: Of the adapter without its trigger.
        arm_test: Of the adapter with its trigger, where it was measured.
    """
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


def scored_verdict(probes: int, trigger_only: bool) -> Verdict:
    """How an adapter ends that was scored with nothing left out."""
    return "scored", None, f"Scored on {probes} probes.{trigger_note(trigger_only)}"


def pending_verdict(outcome: Outcome, reason: Reason | None, message: str) -> Verdict:
    """The same while its concepts are still to be proposed. Any other shortcoming goes before this one."""
    if reason is not None:
        return outcome, reason, message
    return "scored_partial", "proposals_pending", f"{message} Its concepts are still to be proposed."


def trigger_note(trigger_only: bool) -> str:
    """What a message adds for an adapter that does nothing without its trigger."""
    return " It acts with its trigger only." if trigger_only else ""
