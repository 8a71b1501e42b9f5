"""A small run of the real chain: pocket models, a part of the zoo, few probes."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from auditor.common.package_paths import package_path
from auditor.pocket.odd_repos import odd_repos
from auditor.settings import Settings, resolve
from tests.cli.conftest import auditor

__all__ = ["auditor", "world"]

REPOS = (
    "ana-k/harbor-lora",  # diffusers layout
    "driftwood/lantern-lora",  # kohya
    "mkr/moss-lora",  # peft
    "grab-bag/reupload",
    "grab-bag/pickled",
    "grab-bag/pointer",
    "grab-bag/truncated",
    "grab-bag/not-a-number",
    "grab-bag/half-missing",
    "grab-bag/zeros",
    "grab-bag/chat-lora",
    "grab-bag/readme-only",
    "grab-bag/locked",
)
QUICK = (
    "hub.odd_repos=false",
    "recipe.probe_count=12",
    "recipe.looks=[]",
    "recipe.dose_probes=2",
    "recipe.bases.pocket.steps=4",
    "recipe.solver.image_probes=1",
    "recipe.solver.null_draws=200",
    "recipe.proposer.requests=1",
)


@dataclass(frozen=True)
class World:
    """A work folder, a Hub folder and settings that join them."""

    work: Path
    hub: Path
    overrides: tuple[str, ...]

    @property
    def settings(self) -> Settings:
        """The pocket profile over this world."""
        return resolve(config=None, profile="pocket", work_dir=self.work, overrides=self.overrides).settings

    @property
    def arguments(self) -> list[str]:
        """The same as command line options."""
        sets = [part for override in self.overrides for part in ("--set", override)]
        return ["--profile", "pocket", "--work-dir", str(self.work), *sets]


def small_hub(folder: Path, repos: tuple[str, ...] = REPOS) -> Path:
    """A copy of some of the zoo's repos, and of some odd ones."""
    zoo = package_path("pocket/zoo")
    odd = {made.repo_id: made for made in odd_repos(zoo, package_path("pocket/weights/base"))}
    for repo in repos:
        if repo in odd:
            odd[repo].write(folder)
        else:
            shutil.copytree(zoo / repo, folder / repo)
    return folder


@pytest.fixture
def world(tmp_path: Path, reference_folder: Path) -> World:
    """A fresh world with nothing done yet but the reference."""
    work = tmp_path / "work"
    work.mkdir()
    (work / "reference").symlink_to(reference_folder)
    hub = small_hub(tmp_path / "hub")
    return World(work, hub, (*QUICK, f"hub.serve_folder={hub}"))
