"""Every setting, its type, its unit and what leaving it out means. Those of the recipe are in recipe_settings.py."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from auditor.common.settings_files import CATALOG_FILE, DEFAULT_WORK_FOLDER
from auditor.settings.cluster_settings import ClusterSettings
from auditor.settings.measured_settings import MeasuredRate
from auditor.settings.recipe_settings import RecipeSettings
from auditor.settings.section import BaseKey, LocalPath, Name, Section

ProfileName = Literal["pocket", "pocket-2", "hub"]


class HubSettings(Section):
    """Where adapters are listed and downloaded. The access token comes from HF_TOKEN only."""

    serve_folder: LocalPath | None = None
    """A folder of repositories to serve on loopback and crawl. Unset: crawl `endpoint`."""

    odd_repos: bool = False
    """Serve the pocket Hub's odd repos beside `serve_folder`: broken, hostile, foreign and unusual ones."""

    copies: bool = False
    """Serve the pocket's personalised copies of generators that are no diffusion models beside `serve_folder`. To audit
    them, switch their bases on too (docs/generators.md)."""

    endpoint: str | None = Field(default=None, pattern=r"^https?://")
    """Address of the Hub. Unset: HF_ENDPOINT, or else the Hub client's own default."""

    queries: tuple[tuple[Name, ...], ...] = ()
    """Listing queries: tags that must all match, `author=NAME`, `search=TEXT`. The crawl is their union. Empty: all
    queries known to find adapters of the known bases."""

    full_crawl_days: float = Field(default=7.0, ge=0)
    """Between full crawls only repos changed since the last one are listed. 0: every crawl is full."""

    overlap_hours: float = Field(default=24.0, ge=0)
    """How far an incremental crawl reaches back before the newest change seen: repos move while one pages."""

    plan_requests: int = Field(default=1000, ge=0)
    """Most requests one plan spends on sizes and hashes; the rest is learned by downloading. Answers are kept."""

    limit: int | None = Field(default=None, ge=1)
    """Most repositories taken from one query. Unset: all."""

    max_file_bytes: int = Field(default=2_000_000_000, ge=1)
    """Adapter files larger than this are skipped as `too_large`."""

    full_models: bool = False
    """Also audit whole models trained from a known base, by their denoiser or single checkpoint file."""

    max_model_bytes: int = Field(default=8_000_000_000, ge=1)
    """Weight files of whole models larger than this are skipped as `too_large`."""

    cache_bytes: int | None = Field(default=None, ge=1)
    """Most bytes of downloads kept. Files whose work is done make room; what does not fit waits. Unset: no limit."""

    offline: bool = False
    """Ask no Hub: audits use prefetched files only, and put the others off."""

    connect_timeout_s: float = Field(default=10.0, gt=0)
    """Seconds to wait for a connection."""

    read_timeout_s: float = Field(default=60.0, gt=0)
    """Seconds without a byte after which a request is given up."""

    answer_timeout_s: float = Field(default=300.0, gt=0)
    """Seconds for one whole answer, so that a server cannot drip. A download gets more, by its size."""

    download_workers: int = Field(default=4, ge=1, le=64)
    """Files fetched at the same time."""

    @property
    def file_limit(self) -> int:
        """Largest weight file that is fetched, in bytes. What a large file holds only its header tells."""
        return max(self.max_file_bytes, self.max_model_bytes) if self.full_models else self.max_file_bytes


class WorkSettings(Section):
    """Where a run keeps its listing, manifest, downloads, results and logs."""

    dir: LocalPath = Path(DEFAULT_WORK_FOLDER)
    """Work folder. Everything in it can be made again, except results, which cost GPU time."""

    min_free_bytes: int = Field(default=1_000_000_000, ge=0)
    """`auditor doctor` complains when the work folder's disk has less than this free."""

    item_limit_s: float = Field(default=7200.0, ge=0)
    """Seconds that reading, and then measuring, one adapter may take. Downloads and what all adapters share are not
    counted. 0: no limit."""


class ServingSettings(Section):
    """When and where the concept proposer runs. Nothing here changes a score, so nothing here is in the recipe."""

    when: Literal["inline", "deferred"] = "inline"
    """While auditing, or deferred: the audit keeps the pictures, and `auditor propose` names them afterwards."""

    address: str | None = Field(default=None, pattern=r"^https?://")
    """Address of an OpenAI-compatible server, with its /v1. The key comes from OPENAI_API_KEY only.
    Unset: each task starts a server on its own node, with `command`."""

    command: tuple[Name, ...] = ()
    """Program that starts vLLM, word by word. `{model}` stands for the model; without it, --model is added."""

    flags: tuple[Annotated[str, Field(max_length=2000)], ...] = ()
    """Further options of the server, word by word."""

    environment: tuple[Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*=")], ...] = ()
    """Further environment variables of the server, as NAME=value. Not for secrets."""

    start_timeout_s: float = Field(default=900.0, gt=0)
    """Seconds until a started server must have looked at a picture."""

    restarts: int = Field(default=2, ge=0)
    """Times a task starts its own server again when that died or hangs."""

    failures: int = Field(default=3, ge=1)
    """Adapters in a row without an answer, after which a task leaves the server alone and keeps pictures for later."""

    pause_s: float = Field(default=300.0, ge=0)
    """Seconds until it then tries the server once more."""

    timeout_s: float = Field(default=120.0, gt=0)
    """Seconds to wait for one reply."""

    parallel: int = Field(default=8, ge=1)
    """Requests sent to the server at the same time."""

    ahead: int = Field(default=1, ge=0, le=8)
    """Adapters that may be generated while concepts of earlier ones are requested. 0: one after the other."""


class CatalogSettings(Section):
    """The database."""

    path: LocalPath | None = None
    """DuckDB file. Unset: catalog.duckdb in the work folder."""

    pairs: int = Field(default=2, ge=0, le=6)
    """Picture pairs kept per adapter; each picture takes about 5 kB."""

    readers: int | None = Field(default=None, ge=1, le=64)
    """Processes that read result files in a merge. Unset: one per core, when there are thousands of files."""


class ExportSettings(Section):
    """Pages and files for others."""

    dir: LocalPath | None = None
    """Folder for pages and exports. Unset: export in the work folder."""

    pages: int = Field(default=5_000, ge=0)
    """Most pages of single adapters, the scored and most downloaded first; about 40 kB each."""


class ReportSettings(Section):
    """The morning report."""

    follow: tuple[str, ...] = ()
    """Concepts whose best adapters the report shows, and which of them are new."""


class Settings(Section):
    """All settings of a run. Made by `auditor.settings.resolve`, never read by the stages themselves."""

    profile: ProfileName
    """Which set of values everything else starts from."""

    include: tuple[LocalPath, ...] = ()
    """Further TOML files, such as the one that `auditor calibrate` writes. They go before the profile, a later one
    before an earlier; auditor.toml, environment and flags go before them."""

    hub: HubSettings = HubSettings()
    """Where adapters come from."""

    work: WorkSettings = WorkSettings()
    """Where a run keeps its files."""

    recipe: RecipeSettings
    """What can change a score."""

    serving: ServingSettings = ServingSettings()
    """When and where the concept proposer runs."""

    catalog: CatalogSettings = CatalogSettings()
    """The database."""

    export: ExportSettings = ExportSettings()
    report: ReportSettings = ReportSettings()
    """Pages and files for others."""

    cluster: ClusterSettings = ClusterSettings()
    """Slurm."""

    measured: dict[BaseKey, MeasuredRate] = Field(default_factory=dict)
    """Measured on this device, by base. Estimates go by it; without it, by published rates."""

    @model_validator(mode="after")
    def _proposer_is_served(self) -> Settings:
        if self.recipe.proposer.kind == "openai" and self.serving.address is None and not self.serving.command:
            raise ValueError(
                "recipe.proposer.kind `openai` needs serving.address, or serving.command to start a server"
            )
        return self

    @property
    def catalog_path(self) -> Path:
        """The database file."""
        return self.catalog.path or self.work.dir / CATALOG_FILE

    @property
    def export_dir(self) -> Path:
        """The folder for pages and exports."""
        return self.export.dir or self.work.dir / "export"
