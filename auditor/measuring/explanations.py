"""The last step of an audit: from the pictures shown and the phrases proposed to a named, explained result.

It needs the scorer but not the base, so it can be taken at once, an adapter later, or by another program on another
day, and gives the same record each time.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from auditor.measuring.scoring import Scorer
from auditor.measuring.verdict import scored_verdict, trigger_note
from auditor.proposing.proposer import Proposer
from auditor.proposing.schema import printable
from auditor.records.proposals import Proposals, RawReply
from auditor.results.failures import now
from auditor.results.result_file import Result
from auditor.results.waiting_pictures import AuditedFile

Pictures = NDArray[np.uint8]


def explain_with_proposals(scorer: Scorer, audited: AuditedFile, proposals: Proposals, propose_s: float) -> Result:
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
    explanations = scorer.explain(audited.shown.differences, proposals.phrases, discovery_order(proposals))
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


def discovery_order(proposals: Proposals) -> list[str]:
    """The phrases of all usable replies, in the order in which they were said."""
    return [text for reply in proposals.replies if reply.invalid is None for text in reply.concepts]


def unusable_replies(replies: Sequence[RawReply]) -> str:
    """Why an adapter has no proposals, for its message: refused with the server's words, or what was wrong."""
    refusal = next((r.text for r in replies if r.invalid == "refused"), None)
    if refusal is not None:
        return f"The VLM's server refused its pictures ({printable(refusal, 120)})"
    kinds = Counter(r.invalid for r in replies if r.invalid is not None)
    return f"The VLM gave no usable reply ({', '.join(f'{kind} {n}x' for kind, n in kinds.most_common())})"


def propose_and_explain(scorer: Scorer, proposer: Proposer | None, audited: AuditedFile) -> Result:
    """The final result, asking at once and waiting for the answer.

    Raises:
        VlmUnavailable: No answer could be had now.
    """
    if audited.shown is None or proposer is None:
        return audited.result
    began = time.monotonic()
    proposals = proposer.propose(audited.shown.base_images, audited.shown.images)
    return explain_with_proposals(scorer, audited, proposals, time.monotonic() - began)
