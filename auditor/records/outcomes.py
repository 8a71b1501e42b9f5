"""The closed set of outcomes of one work item, and the closed list of reasons."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
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
    "poison",
    "took_too_long",
    "internal_error",
]
"""Why an item did not end as plain `scored`."""

OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)
REASONS: tuple[Reason, ...] = get_args(Reason)

TRANSIENT_REASONS: frozenset[Reason] = frozenset({"download_failed", "internal_error", "base_unavailable"})
"""Reasons that `audit` tries again on the next run; all others are final for their recipe."""

OUTCOME_MEANINGS: Mapping[Outcome, str] = {
    "scored": "Every part of the file was put on, and the change got its scores.",
    "scored_partial": "Scored, with something left out; the reason says what.",
    "no_effect": "The adapter changes nothing that can be told from noise, so it gets no scores.",
    "skipped": "Not audited: not an adapter for a base that is switched on, or out of reach; nothing is wrong with it.",
    "quarantined": "Not audited: unsafe, malformed or contradictory. Nothing of it was applied.",
    "gone": "It was listed, and is on the Hub no more.",
    "failed": "The audit itself failed; nothing is said about the adapter.",
}
"""What each outcome says, for people."""


@dataclass(frozen=True)
class ReasonNote:
    """What people should know about a reason.

    Attributes:
        outcome: The one outcome that it belongs to.
        meaning: What was found.
        advice: What can be done about it; None when there is nothing to do.
    """

    outcome: Outcome
    meaning: str
    advice: str | None = None


REASON_NOTES: Mapping[Reason, ReasonNote] = {
    "text_encoder_dropped": ReasonNote(
        "scored_partial",
        "Parts for a text encoder that the base does not have, or that is never adapted (T5), were left out.",
    ),
    "modules_unmatched": ReasonNote(
        "scored_partial",
        "Some parts of the file fit no module of the base and were left out; at least nine tenths did fit.",
    ),
    "components_left_out": ReasonNote(
        "scored_partial",
        "A whole model was scored by its denoiser; its text encoders or VAE did not replace the base's.",
    ),
    "probes_dropped": ReasonNote(
        "scored_partial", "Pictures that were black, of one colour or not finite were left out."
    ),
    "proposals_missing": ReasonNote(
        "scored_partial",
        "The vision-language model gave no usable reply; the explanation is made of lexicon concepts.",
        "`auditor retry --reason proposals_missing`, once another model or prompt is set",
    ),
    "proposals_pending": ReasonNote(
        "scored_partial", "The scores are final; the concepts are still to be proposed.", "`auditor propose`"
    ),
    "no_learned_change": ReasonNote("no_effect", "Every weight change in the file is exactly zero."),
    "inside_noise_floor": ReasonNote(
        "no_effect",
        "The pictures equal the base's, differ in no common direction, or differ by less than the noise floor.",
    ),
    "no_weights": ReasonNote("skipped", "The repo holds no file of adapter weights, or the file holds no tensors."),
    "not_text_to_image": ReasonNote(
        "skipped",
        "It adapts something else: a language, video, image editing, inpainting or control model, a VAE and the like.",
    ),
    "unsupported_format": ReasonNote(
        "skipped", "An adapter whose method or storage is not computed, such as OFT, (IA)³, integer factors or shards."
    ),
    "unsupported_base": ReasonNote(
        "skipped",
        "It is made for a base that is not switched on, or less than nine tenths of it fit one, or several fit alike "
        "and neither file nor card chooses. The message names the base that they name.",
        "`auditor status --coverage` says how many wait for which base; switch it on in `recipe.bases`, and the next "
        "audit looks again",
    ),
    "base_unavailable": ReasonNote(
        "skipped",
        "Its base is switched on, but is not on this machine or does not fit into its memory.",
        "`auditor doctor` says how to fetch it",
    ),
    "no_single_base": ReasonNote("skipped", "The card says that it is merged from several models."),
    "full_model": ReasonNote("skipped", "A whole model; those are audited only on request.", "set `hub.full_models`"),
    "gated": ReasonNote(
        "skipped",
        "The repo asks for its terms to be accepted, and the token, if there is one, has not accepted them.",
        "accept them on its page and set `HF_TOKEN`; the next prefetch asks again",
    ),
    "variant_of_audited": ReasonNote(
        "skipped", "A checkpoint, an earlier step or a copy of another file of the repo, which is audited in its place."
    ),
    "too_large": ReasonNote(
        "skipped",
        "The file is larger than the settings allow.",
        "raise `hub.max_file_bytes` or `hub.max_model_bytes`, then `auditor retry --reason too_large`",
    ),
    "refused_format": ReasonNote(
        "quarantined", "A pickle or another format that can run code; only safetensors files are opened."
    ),
    "corrupt_file": ReasonNote(
        "quarantined", "Empty, truncated, an error page, a Git LFS pointer, or a header that contradicts the file."
    ),
    "hash_mismatch": ReasonNote("quarantined", "The bytes do not have the hash that was announced, twice in a row."),
    "header_too_large": ReasonNote(
        "quarantined", "The header exceeds the limits on its bytes or on its number of tensors."
    ),
    "unpaired_tensors": ReasonNote("quarantined", "Low-rank factors lack their other half."),
    "unexpected_tensors": ReasonNote(
        "quarantined",
        "Tensors outside of any known change, two for the same place, or a file that changed the base for good.",
    ),
    "shape_mismatch": ReasonNote("quarantined", "Shapes contradict each other, or those of the base."),
    "ambiguous_modules": ReasonNote("quarantined", "A name in the file can mean two modules of the base."),
    "nonfinite_weights": ReasonNote(
        "quarantined",
        "NaN or infinity in the file, in the base's precision, or in what the denoiser gives out with it.",
    ),
    "rank_out_of_range": ReasonNote("quarantined", "A rank that no adapter has: not between 1 and 1,024."),
    "alpha_out_of_range": ReasonNote("quarantined", "A scale (alpha over rank) that no adapter has: beyond 64."),
    "hostile_metadata": ReasonNote(
        "quarantined",
        "Settings or names that contradict the tensors, replace modules of the base, or cannot be used safely.",
    ),
    "malformed_entry": ReasonNote(
        "quarantined", "An entry of the Hub's listing or of the file's header cannot be read."
    ),
    "flagged_by_hub": ReasonNote("quarantined", "The Hub's own scanners call the file unsafe or suspicious."),
    "repo_gone": ReasonNote("gone", "The repo was deleted, renamed or made private."),
    "file_gone": ReasonNote("gone", "The file, or the listed commit, is in the repo no more."),
    "repo_disabled": ReasonNote("gone", "The Hub has disabled the repo."),
    "not_applied": ReasonNote(
        "failed", "Not every change that fits was put on, or the denoiser's output did not move.", "report it as a bug"
    ),
    "blank_images": ReasonNote("failed", "More than a tenth of the pictures with it are black or of one colour."),
    "nonfinite_images": ReasonNote("failed", "More than a tenth of the pictures with it are not finite."),
    "download_failed": ReasonNote("failed", "The Hub gave an answer that leads nowhere.", "the next run tries again"),
    "poison": ReasonNote(
        "failed",
        "Three attempts at it ended the process, for example for want of memory.",
        "`auditor retry --reason poison`, once the cause is mended",
    ),
    "took_too_long": ReasonNote(
        "failed",
        "Reading or measuring it took longer than `work.item_limit_s`.",
        "`auditor retry --reason took_too_long`, with a higher limit",
    ),
    "internal_error": ReasonNote(
        "failed", "A bug came out while it was audited; the log has the details.", "the next run tries again; report it"
    ),
}
"""Every reason, in the order of `REASONS`."""
