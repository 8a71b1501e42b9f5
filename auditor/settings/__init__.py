"""Settings: what they are (`models`), where their values come from (`sources`).

Precedence: flag, then `AUDITOR_*` environment, then auditor.toml, then the profile, then the default.
"""

from auditor.settings.models import (
    BaseModelSettings,
    CatalogSettings,
    ClusterSettings,
    EncoderSettings,
    ExportSettings,
    HubSettings,
    ProposerSettings,
    RecipeSettings,
    Settings,
    SolverSettings,
    WorkSettings,
)
from auditor.settings.sources import PROFILES, ResolvedSettings, resolve

__all__ = [
    "PROFILES",
    "BaseModelSettings",
    "CatalogSettings",
    "ClusterSettings",
    "EncoderSettings",
    "ExportSettings",
    "HubSettings",
    "ProposerSettings",
    "RecipeSettings",
    "ResolvedSettings",
    "Settings",
    "SolverSettings",
    "WorkSettings",
    "resolve",
]
