"""Why an adapter's base may not be the one it was made for, in words: what names another, and how far it is away."""

from __future__ import annotations

from collections.abc import Mapping

EVIDENCE = "SELECT audit_id, family, claimed_base, base_distance, contradictions FROM audit_evidence WHERE audit_id = ?"
"""What `base_doubts` reads."""


def base_doubts(evidence: Mapping[str, object]) -> tuple[str, ...]:
    """Contradictions between file and card, and the way from the audited base to the one that is named.

    Args:
        evidence: Row of `EVIDENCE`.
    """
    said = evidence["contradictions"]
    found = [str(text) for text in said] if isinstance(said, list) else []
    if found and evidence["family"] is not None:
        found.append(f"the file is taken for {evidence['family']}")
    distance = evidence["base_distance"]
    if isinstance(distance, int) and distance > 0:
        steps = "one step" if distance == 1 else f"{distance} steps"
        named = evidence["claimed_base"] or "the base it names"
        found.append(f"audited on an ancestor of {named}, {steps} of training away")
    return tuple(found)
