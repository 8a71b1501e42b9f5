"""The encoder that the settings name; apart from the bases, which a search by phrase does not need."""

from __future__ import annotations

from pathlib import Path

from auditor.encoding.encoder import Encoder
from auditor.encoding.encoder_kinds import encoder_class
from auditor.planning.local_models import best_device, from_hub_cache, two_tower_files
from auditor.settings import EncoderSettings, Settings


def load_encoder(settings: Settings) -> Encoder:
    """The image and text encoder of the settings."""
    return open_encoder(settings.recipe.encoder)


def open_encoder(chosen: EncoderSettings) -> Encoder:
    """An encoder from its local folder, from the Hub's cache, or by a name that its library knows.

    Raises:
        PrerequisiteMissing: Its files are not there, or cannot be loaded.
    """
    source: Path | str | None = chosen.path
    if source is None:
        named = chosen.kind == "open_clip"
        source = chosen.name if named else from_hub_cache(two_tower_files(chosen.name, chosen.pretrained or "main"))
    encoder: Encoder = encoder_class(chosen.kind)(
        source,
        pretrained=None if chosen.path else chosen.pretrained,
        device=best_device(),
        batch_size=chosen.batch_size,
    )
    return encoder
