"""The closed set of outcomes of one work item, and the closed list of reasons."""

from __future__ import annotations

from typing import Literal, get_args

Outcome = Literal["scored", "scored_partial", "no_effect", "skipped", "quarantined", "gone", "failed"]
"""How the audit of one file ended. Counts always reconcile: listed = sum over outcomes + pending."""

Reason = Literal[
    # scored_partial
    "text_encoder_dropped",
    "modules_unmatched",
    "components_left_out",
    "probes_dropped",
    "proposals_missing",
    "proposals_pending",
    # no_effect
    "no_learned_change",
    "inside_noise_floor",
    # skipped
    "no_weights",
    "not_text_to_image",
    "unsupported_format",
    "unsupported_base",
    "base_unavailable",
    "no_single_base",
    "full_model",
    "gated",
    "variant_of_audited",
    "too_large",
    # quarantined
    "refused_format",
    "corrupt_file",
    "hash_mismatch",
    "header_too_large",
    "unpaired_tensors",
    "unexpected_tensors",
    "shape_mismatch",
    "ambiguous_modules",
    "nonfinite_weights",
    "rank_out_of_range",
    "alpha_out_of_range",
    "hostile_metadata",
    "malformed_entry",
    "flagged_by_hub",
    # gone
    "repo_gone",
    "file_gone",
    "repo_disabled",
    # failed
    "not_applied",
    "blank_images",
    "nonfinite_images",
    "download_failed",
    "vlm_unavailable",
    "vlm_invalid",
    "poison",
    "internal_error",
]
"""Why an item did not end as plain `scored`."""

OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)
REASONS: tuple[Reason, ...] = get_args(Reason)

TRANSIENT_REASONS: frozenset[Reason] = frozenset(
    {"download_failed", "vlm_unavailable", "internal_error", "base_unavailable"}
)
"""Reasons that `audit` tries again on the next run; all others are final for their recipe."""
