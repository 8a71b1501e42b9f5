"""The last step of an audit: from the pictures shown and the phrases proposed to a named, explained result.

It needs the scorer but not the base, so it can be taken at once, an adapter later, or by another program on another
day, and gives the same record each time.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from auditor.audit.failures import now
from auditor.audit.result_file import Result
from auditor.audit.scoring import Scorer
from auditor.proposing.proposer import Proposer
from auditor.proposing.schema import printable
from auditor.records.outcomes import Outcome, Reason
from auditor.records.proposals import Proposals, RawReply

Pictures = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Shown:
    """What the proposer is to see, and what its phrases will be measured against. k pairs, n probes, D dimensions.

    Attributes:
        differences: d_i of the arm that acts (n, D) float32.
        base_images: (k, H, W, 3), no side longer than the recipe allows.
        images: (k, H, W, 3), the adapter's.
        base_rows: Rows of the reference's images that `base_images` are (k,); None for the trigger's arm.
    """

    differences: NDArray[np.float32]
    base_images: Pictures
    images: Pictures
    base_rows: NDArray[np.intp] | None


@dataclass(frozen=True, eq=False)
class Audited:
    """The audit of one file. `shown` is null when there is nothing to name; else the result says `pending`."""

    result: Result
    shown: Shown | None = None


def scored_verdict(probes: int, trigger_only: bool) -> tuple[Outcome, Reason | None, str]:
    """How an adapter ends that was scored with nothing left out."""
    return "scored", None, f"Scored on {probes} probes.{trigger_note(trigger_only)}"


def pending_verdict(
    outcome: Outcome, reason: Reason | None, message: str
) -> tuple[Outcome, Reason | None, str]:  # fmt: skip
    """The same while its concepts are still to be proposed. Any other shortcoming goes before this one."""
    if reason is not None:
        return outcome, reason, message
    return "scored_partial", "proposals_pending", f"{message} Its concepts are still to be proposed."


def name_concepts(scorer: Scorer, audited: Audited, proposals: Proposals, propose_s: float) -> Result:
    """The final result of a pending one.

    Args:
        scorer: Of the result's recipe.
        audited: As measured, or as read back from disk.
        proposals: For its pictures.
        propose_s: Seconds that they took.
    """
    assert audited.shown is not None
    record = audited.result.record
    began = time.monotonic()
    explanations = scorer.explain(audited.shown.differences, proposals.phrases)
    changes: dict[str, object] = {
        "explanations": explanations,
        "proposals": "answered" if proposals.reason is None else "unusable",
        "phrases": proposals.phrases,
        "replies": proposals.replies,
        "timings_s": record.timings_s | {"propose": round(propose_s, 4), "explain": round(time.monotonic() - began, 4)},
        "finished_at": now(),
    }
    if record.reason == "proposals_pending":
        assert record.effect is not None
        trigger_only = record.effect.status == "no_effect"
        outcome, reason, message = scored_verdict(record.effect.probes, trigger_only)
        if proposals.reason is not None:
            outcome, reason = "scored_partial", "proposals_missing"
            message = f"{unusable_replies(proposals.replies)}; shared scores only.{trigger_note(trigger_only)}"
        changes |= {"outcome": outcome, "reason": reason, "message": message}
    return Result(record.model_copy(update=changes), audited.result.arrays)


def unusable_replies(replies: Sequence[RawReply]) -> str:
    """Why an adapter has no proposals, for its message: refused with the server's words, or what was wrong."""
    refusal = next((r.text for r in replies if r.invalid == "refused"), None)
    if refusal is not None:
        return f"The VLM's server refused its pictures ({printable(refusal, 120)})"
    kinds = Counter(r.invalid for r in replies if r.invalid is not None)
    return f"The VLM gave no usable reply ({', '.join(f'{kind} {n}x' for kind, n in kinds.most_common())})"


def name_now(scorer: Scorer, proposer: Proposer | None, audited: Audited) -> Result:
    """The final result, asking at once and waiting for the answer.

    Raises:
        VlmUnavailable: No answer could be had now.
    """
    if audited.shown is None or proposer is None:
        return audited.result
    began = time.monotonic()
    proposals = proposer.propose(audited.shown.base_images, audited.shown.images)
    return name_concepts(scorer, audited, proposals, time.monotonic() - began)


def trigger_note(trigger_only: bool) -> str:
    """What a message adds for an adapter that does nothing without its trigger."""
    return " It acts with its trigger only." if trigger_only else ""
