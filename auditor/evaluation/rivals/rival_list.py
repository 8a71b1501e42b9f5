"""All rivals: one line each."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module

from auditor.evaluation.rivals.rival import Rival

RIVALS: dict[str, str] = {
    "naive": "auditor.evaluation.rivals.naive:Naive",
    "diff_caption": "auditor.evaluation.rivals.diff_caption:DiffCaption",
    "chg2cap": "auditor.evaluation.rivals.chg2cap:Chg2Cap",
    "visdiff": "auditor.evaluation.rivals.visdiff:VisDiff",
    "gsclip": "auditor.evaluation.rivals.gsclip:GSCLIP",
    "carlos": "auditor.evaluation.rivals.carlos:Carlos",
}
"""Short name → module and class."""


def load_rivals(known: Mapping[str, str] = RIVALS) -> dict[str, Rival]:
    """One of each, by short name."""
    rivals: dict[str, Rival] = {}
    for short, place in known.items():
        module, _, name = place.partition(":")
        rivals[short] = getattr(import_module(module), name)()
    return rivals
