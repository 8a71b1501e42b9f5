"""Where a run keeps what it makes. The only place that knows these names."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Workspace:
    """Paths inside one work folder."""

    root: Path

    @property
    def crawl(self) -> Path:
        """State of the crawl and the listing it ends in."""
        return self.root / "crawl"

    @property
    def manifest(self) -> Path:
        """Work items and settled items of the latest plan."""
        return self.root / "manifest"

    @property
    def files(self) -> Path:
        """Downloaded files by content hash."""
        return self.root / "files"

    @property
    def facts(self) -> Path:
        """Sizes and hashes of files at their commits, as far as they were learned."""
        return self.files / "facts"

    @property
    def reference(self) -> Path:
        """What is made once per recipe: base images, their features, concept vectors."""
        return self.root / "reference"

    @property
    def recipes(self) -> Path:
        """Recipes in force, by base."""
        return self.root / "recipes"

    @property
    def replies(self) -> Path:
        """Cache of VLM replies by content."""
        return self.root / "replies"

    @property
    def results(self) -> Path:
        """Result files."""
        return self.root / "results"

    @property
    def reports(self) -> tuple[Path, Path]:
        """The morning report, as a page and as Markdown."""
        return self.root / "report.html", self.root / "report.md"

    @property
    def waiting(self) -> Path:
        """Pictures of pending results, until a proposer has named what they show."""
        return self.root / "waiting"

    @property
    def attempts(self) -> Path:
        """One small file per attempt that has begun and not ended."""
        return self.root / "attempts"

    @property
    def calibration(self) -> Path:
        """What `auditor calibrate` has measured."""
        return self.root / "calibration"

    @property
    def slices(self) -> Path:
        """Which items each task of an array audits, by content hash."""
        return self.root / "slices"


def basis_path(workspace: Workspace, recipe_id: str) -> Path:
    """Where the shared basis of a recipe lies: `vectors` (k, D) in lexicon order and `common` (r, D)."""
    return workspace.recipes / f"{recipe_id}.basis.safetensors"
