"""The recipe: everything that can change a score, as canonical JSON with a stable id."""

from __future__ import annotations

import hashlib
import json

from pydantic import BaseModel, ConfigDict, Field, JsonValue

ALGORITHM_VERSION = 5
"""Raised whenever our own code changes scores for the same inputs. 2: explanations on the basis `stacked` weighed √2
less. 3: intervals of scores over probes by Student's t, levels by their response to the concept. 4: the
penalty of levels by the median concept. 5: concepts have a place in the order of naming."""

_LATER_FIELDS = ("trigger_stopping", "subject_contexts", "subject_contexts_hash", "subject_probes")
"""Fields that recipes of earlier releases did not have: at their defaults such a recipe keeps its id and results."""


class Recipe(BaseModel):
    """One way of auditing adapters of one base. Work is done when a result exists for (file sha256, recipe_id)."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    algorithm_version: int = ALGORITHM_VERSION
    """Version of our algorithm."""
    base_name: str
    """Short name of the base in the settings."""
    base_repo: str
    """Repo id of the base."""
    base_fingerprint: str
    """Hash over the base's weights; two copies of one base share it."""
    family: str
    """Architecture family of the base, such as `sdxl`."""
    generation: dict[str, JsonValue]
    """Pipeline class, sampler, steps, guidance, size, dtype and batch size."""
    probe_set: str
    """Name of the probe set."""
    probe_set_hash: str
    """Hash of its prompts in order."""
    probe_count: int = Field(ge=1)
    """Most probes used."""
    looks: tuple[int, ...]
    """Probe counts at which sampling may stop."""
    cosine_error_target: float
    """Expected cosine error of V at which it stops."""
    seed: int
    """Seed of the probes' noise."""
    application: str = "inject"
    """How adapters are put on: `inject` or `merge`."""
    lora_scale: float
    """Strength at which adapters are scored."""
    dose_scales: tuple[float, ...]
    """Strengths of the dose response."""
    dose_probes: int
    """Probes of the dose response."""
    trigger_arms: bool
    """Whether declared triggers are measured."""
    trigger_stopping: bool = False
    """Whether sampling of the arms with a trigger stops as that of the plain arm."""
    subject_contexts: str | None = None
    """Name of the contexts in which an adapter for one subject is asked for it; null when it is not."""
    subject_contexts_hash: str | None = None
    """Hash of their content."""
    subject_probes: int = 0
    """Most contexts used."""
    encoder: str
    """Identity of the image and text encoder: hash over configuration and weights."""
    concept_template: str
    """How a concept joins a prompt."""
    lexicon: str
    """Name and version of the lexicon."""
    lexicon_hash: str
    """Hash of its content."""
    proposer: str | None
    """Identity of the concept proposer (model, revision, prompt, sampling); null when none is used."""
    solver: dict[str, JsonValue]
    """Variant, basis, thresholds, resamples."""

    @property
    def recipe_id(self) -> str:
        """First 16 hex digits of the SHA-256 over the canonical JSON, without later fields that say nothing."""
        silent = {name for name in _LATER_FIELDS if getattr(self, name) == Recipe.model_fields[name].default}
        canonical = json.dumps(self.model_dump(mode="json", exclude=silent), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()[:16]
