"""What is known about one adapter file, and the proof that it was applied."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Convention = Literal[
    "diffusers", "diffusers_processor", "kohya", "lycoris", "xlabs", "peft", "unprefixed", "comfyui", "cloneofsimo",
    "original", "mixed", "unknown",
]  # fmt: skip
"""The naming scheme of a file's tensors; `mixed` when its halves follow different ones."""

AlphaSource = Literal["file_keys", "lora_adapter_metadata", "adapter_config", "none"]
"""Where the alpha / rank scale came from; `none` means that no source named one and the scale is 1."""

TriggerSource = Literal["modelspec", "file_metadata", "tag_frequency"]
"""Which metadata field a trigger candidate was read from."""


@dataclass(frozen=True, slots=True)
class TriggerClaim:
    """A phrase that the file's metadata offers as its trigger."""

    text: str
    """The uploader's text, control characters removed, at most 256 characters."""
    source: TriggerSource


@dataclass(frozen=True, slots=True)
class MetadataClaims:
    """What the uploader says about the file. Never trusted, only stored; null means not said."""

    base_model: str | None = None
    base_model_hash: str | None = None
    base_checkpoint: str | None = None
    """Name or path of the checkpoint it was trained on."""
    architecture: str | None = None
    network_module: str | None = None
    algorithm: str | None = None
    network_dim: str | None = None
    network_alpha: str | None = None
    resolution: str | None = None
    clip_skip: str | None = None
    output_name: str | None = None
    software: str | None = None
    triggers: tuple[TriggerClaim, ...] = ()
    """Candidates, the most trustworthy source first, without repeats."""


@dataclass(frozen=True, slots=True)
class AdapterFacts:
    """What was measured in one adapter file after it was fitted to a base."""

    convention: Convention
    family: str | None
    """Base family that names and shapes point to; null when they leave it open."""
    family_evidence: tuple[str, ...]
    """Why that family, in words."""
    size_bytes: int
    dtypes: tuple[str, ...]
    """Distinct storage types of the low-rank factors, safetensors spelling."""
    pairs: int
    """Weight changes in the file (low-rank pairs, in a LoRA), fitted or not."""
    matched: dict[str, int]
    """Component of the base (unet, text_encoder, ...) → changes that landed on its modules."""
    unmatched: dict[str, int]
    """Component named by the file → pairs that found no module in the base."""
    rank_min: int
    rank_max: int
    alpha_source: AlphaSource
    scale_min: float
    """Smallest alpha / rank among the fitted pairs."""
    scale_max: float
    delta_norm: float
    """Frobenius norm of all weight changes together; before it is applied, a DoRA's without its magnitudes."""
    tensors_digest: str
    """BLAKE2b over the file's tensors by name, without its metadata and order: finds re-saved files."""
    content_digest: str
    """BLAKE2b over the normalised tensors: equal for twins in two naming conventions."""
    claims: MetadataClaims
    method: str = "lora"
    """How the file writes its changes: lora, locon_tucker, dora, loha, lokr, full_difference, ..."""


@dataclass(frozen=True, slots=True)
class ApplicationProof:
    """Evidence that an adapter acts on the base exactly as its file says."""

    pairs_in_file: int
    layers_injected: int
    """Equals `pairs_in_file` less the pairs that the base has no module for."""
    pairs_unmatched: int
    delta_norm: float
    """Frobenius norm of all weight changes together."""
    latent_shift: float
    """Relative change (L2) of the denoiser's output on a fixed latent; 0 only if nothing was learned."""
    fingerprint: str
    """Fingerprint of the base that the adapter was put on."""
