"""The base models whose adapters are looked for by name."""

from __future__ import annotations

from auditor.families.published_models import MODELS, PublishedModel, canonical_base
from auditor.families.table import AUDITABLE

__all__ = ["DERIVED_BASES", "KNOWN_BASES", "canonical_base"]

_HOMES = {family.repo.lower() for family in AUDITABLE}

KNOWN_BASES: tuple[PublishedModel, ...] = tuple(
    model for model in MODELS if model.names and any(name.lower() in _HOMES for name in model.names)
)
"""The first model of every family that can be audited."""
DERIVED_BASES: tuple[PublishedModel, ...] = tuple(
    model for model in MODELS if model.searched and model not in KNOWN_BASES
)
"""Popular models shaped like a known base that are not the same. Adapters made on one are looked for, and audited on
it where it is active, else on the nearest ancestor that is, with `base_assumed` set."""
