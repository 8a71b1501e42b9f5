"""Settings: what they are (`models`, `recipe_settings`), where their values come from (`sources`, `trees`).

Precedence: flag, then `AUDITOR_*` environment, then auditor.toml, then the profile, then the default.
"""

from auditor.settings.base_model_settings import BaseModelSettings
from auditor.settings.cluster_settings import ClusterSettings
from auditor.settings.measured_settings import MeasuredRate
from auditor.settings.models import (
    CatalogSettings,
    ExportSettings,
    HubSettings,
    Settings,
    WorkSettings,
)
from auditor.settings.recipe_settings import (
    EncoderSettings,
    ProposerSettings,
    RecipeSettings,
    SolverSettings,
)
from auditor.settings.sources import PROFILES, ResolvedSettings, portable, resolve

__all__ = [
    "PROFILES",
    "BaseModelSettings",
    "CatalogSettings",
    "ClusterSettings",
    "EncoderSettings",
    "ExportSettings",
    "HubSettings",
    "MeasuredRate",
    "ProposerSettings",
    "RecipeSettings",
    "ResolvedSettings",
    "Settings",
    "SolverSettings",
    "WorkSettings",
    "portable",
    "resolve",
]
