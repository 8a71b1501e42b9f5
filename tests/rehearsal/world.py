"""Writes what a rehearsal runs on: model repos, adapter repos, a short lexicon, and the tables of the small models."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from pathlib import Path

import open_clip
import torch

from auditor.common.package_paths import package_path
from auditor.families import shapes
from auditor.families.table import FAMILIES, PIPELINES
from auditor.generation.injection import layout_of
from auditor.settings import Settings, resolve
from tests.published_shapes import text
from tests.rehearsal.adapter_repos import repos_for, write_adapter
from tests.rehearsal.overrides import CONVERTED, SWITCHED_ON
from tests.rehearsal.published_repos import CLIP_CONFIG, Modules, write_base, write_encoder, write_proposer

CONCEPTS = {False: 8, True: 2}
"""Of the profile's lexicon that are kept, by whether models have their full size."""


def write_world(folder: Path, *, full: str | None = None) -> None:
    """Write everything and, unless models have their full size, put the small models' tables in place.

    Args:
        folder: Of the rehearsal; holds its auditor.toml.
        full: The one base that is there, at its published size.
    """
    _lexicon(folder / "lexicon.json", CONCEPTS[full is not None])
    settings = resolve(config=folder / "auditor.toml", environment={}).settings
    if full is None:
        _small_encoder(folder / "clip", settings)
    about = open_clip.get_pretrained_cfg(settings.recipe.encoder.name, settings.recipe.encoder.pretrained or "")
    write_encoder(folder / "models" / about["hf_hub"].rstrip("/"), settings.recipe.encoder.name)
    write_proposer(folder / "models" / (settings.recipe.proposer.model or ""))
    by_family: dict[str, Mapping[str, torch.nn.Module]] = {}
    for number, (name, base) in enumerate(settings.recipe.active_bases.items()):
        where = folder / "converted" / name if name in CONVERTED else folder / "models" / (base.repo or name)
        modules = write_base(name, base, where, full=full is not None)
        by_family.setdefault(base.family, _adapted(base.family, modules))
        layout = layout_of(modules, PIPELINES[base.pipeline], base.family)
        repos = repos_for(name, number, active=name in SWITCHED_ON)
        for repo in repos[1:2] if full else repos:
            write_adapter(folder / "adapters" / repo.name, repo, base.repo or name, layout, modules)
    if full is None:
        _small_shapes(folder / "shapes.json", by_family)
    logging.root.handlers.clear()  # the libraries put one there when they are used without the program's own logs


def _adapted(family: str, modules: Modules) -> Mapping[str, torch.nn.Module]:
    """The components that adapters change, the denoiser first."""
    known = FAMILIES[family]
    return {name: modules[name] for name in (known.denoiser, *known.text_encoders)}


def _lexicon(path: Path, concepts: int) -> None:
    """A part of the profile's lexicon, spread over its facets: the base draws pictures of every concept."""
    shipped = json.loads(package_path("lexicons/general-1.json").read_text("utf-8"))
    step = len(shipped["concepts"]) // concepts
    few = {"concepts": shipped["concepts"][::step][:concepts], "neutral_words": shipped["neutral_words"][:4]}
    path.write_text(json.dumps(shipped | few), "utf-8")


def _small_encoder(folder: Path, settings: Settings) -> None:
    """A small configuration under the name of the profile's encoder."""
    folder.mkdir()
    (folder / f"{settings.recipe.encoder.name}.json").write_text(json.dumps(CLIP_CONFIG), "utf-8")
    open_clip.add_model_config(folder)


def _small_shapes(path: Path, by_family: Mapping[str, Mapping[str, torch.nn.Module]]) -> None:
    """The published table with the small models in the place of their families' own."""
    table = json.loads(shapes.TABLE.read_text("utf-8"))
    small = json.loads(text(by_family))
    for family, uses in small["architectures"].items():
        table["architectures"][family] = {component: f"small {part}" for component, part in uses.items()}
    table["parts"] |= {f"small {part}": rows for part, rows in small["parts"].items()}
    path.write_text(json.dumps(table), "utf-8")
    shapes.TABLE = path
    shapes.architectures.cache_clear()
