"""Every setting, its type, its unit and what leaving it out means."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from auditor.paths import expand

ProfileName = Literal["pocket", "hub"]
LocalPath = Annotated[Path, BeforeValidator(expand)]
Name = Annotated[str, Field(min_length=1, max_length=200)]
# Lower case and without dashes, so that an environment variable can name every base.
BaseKey = Annotated[str, Field(pattern=r"^[a-z0-9]+(_[a-z0-9]+)*$")]


class Section(BaseModel):
    """One table of auditor.toml: frozen, and strict about names."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False)


class HubSettings(Section):
    """Where adapters are listed and downloaded. The access token comes from HF_TOKEN only."""

    serve_folder: LocalPath | None = None
    """A folder of repositories to serve on loopback and crawl. Unset: crawl `endpoint`."""

    odd_repos: bool = False
    """Serve the pocket Hub's odd repos beside `serve_folder`: broken, hostile, foreign and unusual ones."""

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

    dir: LocalPath = Path(".auditor")
    """Work folder. Everything in it can be made again, except results, which cost GPU time."""

    min_free_bytes: int = Field(default=1_000_000_000, ge=0)
    """`auditor doctor` complains when the work folder's disk has less than this free."""


class BaseModelSettings(Section):
    """One base model that adapters are audited on."""

    enabled: bool = True
    """False takes a base that the profile names out of the run."""

    family: Name
    """Architecture family; adapters of another family are never applied to this base."""

    repo: Name | None = None
    """Hub repository of the base. May be unset when `path` is given."""

    revision: Name = "main"
    """Branch, tag or sha. A recipe always records the sha that it led to."""

    path: LocalPath | None = None
    """Local folder in the Hub's layout; used instead of a download when set."""

    aliases: tuple[Name, ...] = ()
    """Other names under which adapter cards mean this base."""

    checkpoint_hashes: tuple[Annotated[str, Field(pattern=r"^[0-9a-f]{8,64}$")], ...] = ()
    """SHA-256 of the single-file checkpoints that are this base: trainers write it into the adapter file."""

    pipeline: Name
    """Pipeline class of diffusers."""

    variant: Name | None = None
    """Weight file variant, such as fp16. Unset: the files without a variant."""

    size: int = Field(ge=16, le=4096, multiple_of=8)
    """Width and height of the generated images, in pixels."""

    dtype: Literal["float32", "float16", "bfloat16"] = "float32"
    """Number format of the weights while generating."""

    steps: int = Field(ge=1, le=1000)
    """Denoising steps per image."""

    guidance: float = Field(ge=0, le=50)
    """Guidance scale. 1 or less: no classifier-free guidance."""

    sampler: Name = "ddim"
    """Sampler, deterministic given the noise."""

    batch_size: int = Field(default=8, ge=1)
    """Images denoised together."""

    compiled: bool = False
    """Compile the denoiser when it is loaded. Pays with `recipe.application` = "merge": injection compiles anew
    for every adapter."""

    @model_validator(mode="after")
    def _has_weights(self) -> BaseModelSettings:
        if self.repo is None and self.path is None:
            raise ValueError("a base needs `repo` (on the Hub) or `path` (a local folder)")
        return self


class EncoderSettings(Section):
    """The image and text encoder in whose space differences are measured."""

    kind: Literal["open_clip"] = "open_clip"
    """Which adapter of the encoding room reads it."""

    name: Name
    """Model name in open_clip."""

    path: LocalPath | None = None
    """Local folder with config and weights. Unset: `pretrained` is downloaded."""

    pretrained: Name | None = None
    """Pretrained tag in open_clip."""

    batch_size: int = Field(default=32, ge=1)
    """Images or texts encoded together."""

    @model_validator(mode="after")
    def _has_weights(self) -> EncoderSettings:
        if self.path is None and self.pretrained is None:
            raise ValueError("the encoder needs `path` or `pretrained`")
        return self


class ProposerSettings(Section):
    """The vision-language model that names what differs between base and adapted images."""

    kind: Literal["transformers", "openai", "none"] = "none"
    """In this process, on an OpenAI-compatible server (see [serving]), or none: the lexicon alone is scored."""

    model: Name | None = None
    """Model repository, also the name that a server knows it by."""

    revision: Name = "main"
    """Branch, tag or sha of the model. A branch is looked up in the Hub cache; the recipe records the sha."""

    path: LocalPath | None = None
    """Local folder of the model; used instead of a download when set."""

    dtype: Literal["float32", "float16", "bfloat16"] = "float32"
    """Number format of the model's weights while it answers. A server at an address must have been started with it."""

    max_side: int = Field(default=512, ge=16, le=4096)
    """Longest side of the pictures shown, in pixels; larger ones are shrunk."""

    pairs_per_request: int = Field(default=3, ge=1, le=32)
    """Base and adapted image pairs shown in one prompt."""

    requests: int = Field(default=8, ge=1)
    """Prompts per adapter."""

    attempts: int = Field(default=3, ge=1, le=10)
    """Tries per prompt, each with another seed, until a reply fits the schema."""

    temperature: float = Field(default=0.0, ge=0, le=2)
    """Sampling temperature of the first try; 0 always takes the likeliest word."""

    retry_temperature: float = Field(default=0.7, ge=0, le=2)
    """Least temperature of later tries: without chance they would repeat the first."""

    seed: int = Field(default=0, ge=0)
    """Seed of the first try; later ones count up from it."""

    max_tokens: int = Field(default=96, ge=1)
    """Longest reply."""

    @model_validator(mode="after")
    def _has_weights(self) -> ProposerSettings:
        if self.kind == "openai" and self.model is None:
            raise ValueError("kind `openai` needs `model`, the name that the server knows it by")
        if self.kind == "transformers" and self.path is None and self.model is None:
            raise ValueError("kind `transformers` needs `path` or `model`")
        return self


class SolverSettings(Section):
    """How a mean difference becomes concept scores, and when the answer is withheld."""

    variant: Literal["paper", "robust"] = "robust"
    """`paper`: Algorithm 1 as published. `robust`: ordered candidates and a non-negative fit."""

    basis: Literal["text", "image", "mean", "agreement", "stacked", "either"] = "mean"
    """Where concept directions come from: the text encoder, rendered image pairs, or a way to use both."""

    common: Literal["none", "mean", "null"] = "none"
    """What is removed as the direction that any text adds: nothing, the lexicon's mean, or neutral words."""

    length: Literal["image", "text"] = "text"
    """Unit of a score: how far the base moves when asked for the concept, or how far its words reach as text."""

    image_probes: int = Field(default=8, ge=1)
    """Probes on which the base renders each lexicon concept for the image side. Costs images once per recipe."""

    order: Literal["cosine", "support", "pursuit", "given"] = "pursuit"
    """Order in which the robust variant takes candidates."""

    redundancy: Literal["max_cosine", "span_share"] = "max_cosine"
    """What the robust variant compares with `max_redundancy`."""

    max_redundancy: float = Field(default=0.7, gt=0, le=1)
    """The robust variant drops a candidate that is more redundant than this."""

    fit: Literal["nnls", "ols", "projection"] = "nnls"
    """How the shared basis is fitted."""

    ridge: float = Field(default=0.0, ge=0)
    """Penalty on weights, in units of the mean squared concept length."""

    max_concepts: int = Field(default=12, ge=1)
    """Most concepts in one explanation of the robust variant."""

    minimum_share: float = Field(default=0.1, ge=0, lt=1)
    """Below this explained share an adapter's change is called unexplained."""

    e_ortho: float = Field(default=0.3, gt=0)
    """Variant `paper`: drops candidates whose cosines with the kept ones sum to this or more (Eq. 9)."""

    e_decomp: float = Field(default=0.2, ge=0, lt=1)
    """Relative residual below which no more concepts are added (Eq. 11)."""

    bootstrap: int = Field(default=1000, ge=0)
    """Resamples over probes behind each interval."""

    null_draws: int = Field(default=1000, ge=0)
    """Sign flips behind each p-value."""

    alpha: float = Field(default=0.05, gt=0, lt=1)
    """Level of intervals (1 − alpha) and of the no-effect decision."""


class RecipeSettings(Section):
    """Everything that can change a score. Its canonical form is hashed into the recipe id."""

    bases: dict[BaseKey, BaseModelSettings] = Field(default_factory=dict)
    """Base models by short name."""

    probes: Name
    """Probe set: a versioned, ordered list of prompts."""

    probe_count: int = Field(ge=2)
    """Most probes used for one adapter."""

    looks: tuple[int, ...] = ()
    """Numbers of probes at which the error is estimated. Those above `probe_count` are not reached."""

    cosine_error_target: float = Field(default=0.02, gt=0, lt=1)
    """At a look, sampling stops when the expected cosine error of the mean difference is below this."""

    seed: int = Field(default=0, ge=0)
    """Seed of the probes' noise. Probe i uses the same noise with and without the adapter."""

    application: Literal["inject", "merge"] = "inject"
    """How an adapter is put on: low-rank layers beside the base's own (exact at any precision), or added to its weights
    (faster; rounds to the base's precision). What is no low-rank pair is added to the weights either way."""

    lora_scale: float = Field(default=1.0, gt=0, le=4)
    """Strength at which an adapter is scored."""

    dose_scales: tuple[float, ...] = (0.5, 1.0, 1.5)
    """Strengths of the dose response. Empty: not measured."""

    dose_probes: int = Field(default=8, ge=1)
    """Probes used for the dose response."""

    trigger_arms: bool = True
    """Also generate with the declared trigger word, on base and adapter, when there is one."""

    lexicon: Name
    """Versioned word list that every adapter is scored on."""

    concept_template: str = Field(default="{prompt}, {concept}", max_length=500)
    """How a concept is added to a prompt."""

    encoder: EncoderSettings
    """Image and text encoder."""

    proposer: ProposerSettings = ProposerSettings()
    """Concept proposals."""

    solver: SolverSettings = SolverSettings()
    """Decomposition and thresholds."""

    @model_validator(mode="after")
    def _is_consistent(self) -> RecipeSettings:
        if list(self.looks) != sorted(set(self.looks)) or any(look < 2 for look in self.looks):
            raise ValueError("`looks` must be increasing numbers of probes, each at least 2")
        if any(not 0 < scale <= 4 for scale in self.dose_scales):
            raise ValueError("`dose_scales` must lie above 0 and at most at 4")
        missing = [word for word in ("{prompt}", "{concept}") if word not in self.concept_template]
        if missing:
            raise ValueError(f"`concept_template` lacks {' and '.join(missing)}")
        return self

    @property
    def active_bases(self) -> dict[str, BaseModelSettings]:
        """The bases that are not switched off, by short name."""
        return {key: base for key, base in self.bases.items() if base.enabled}


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


class ClusterSettings(Section):
    """What Slurm is asked for."""

    scripts: LocalPath = Path("slurm")
    """Folder of the .sbatch files. Jobs run in the folder above it, where jobs/ lies too."""

    partition: Name | None = None
    """Partition. Unset: the site's default."""

    cpu_partition: Name | None = None
    """Partition of the stages without a GPU. Unset: as `partition`."""

    account: Name | None = None
    """Account to charge. Unset: the user's default."""

    constraint: Name | None = None
    """Node feature, such as a GPU type. Scores compare best within one type."""

    gres: Name | None = None
    """What an audit task asks for, such as gpu:h100:1. Unset: gpu:`gpus_per_task`."""

    gpus_per_task: int = Field(default=1, ge=0)
    """GPUs per audit task; also what GPU-hours are reckoned by."""

    cpus_per_task: int = Field(default=8, ge=1)
    """CPU cores per array task."""

    memory_gb: int = Field(default=48, ge=1)
    """Main memory per array task, in GiB."""

    time_limit: str = Field(default="04:00:00", pattern=r"^(\d+-)?\d{1,2}:\d{2}:\d{2}$")
    """Wall clock per array task, as [days-]hours:minutes:seconds."""

    array_limit: int = Field(default=16, ge=1)
    """Array tasks that run at the same time."""

    items_per_task: int = Field(default=100, ge=1)
    """Adapters per array task. Loading a base costs more than auditing one small adapter."""

    prefetch_tasks: int = Field(default=1, ge=1)
    """Array tasks that download; they share the Hub's rate limit."""

    sbatch_timeout_s: float = Field(default=60.0, gt=0)
    """Seconds to wait for an answer of Slurm. sbatch itself would wait for ever when the queue is full."""

    requeue_limit: int = Field(default=5, ge=0)
    """Times a task may put itself back in the queue."""

    warning_s: int = Field(default=300, ge=1)
    """Seconds before the time limit at which a task is told to finish its item and requeue; Slurm may tell it up to a
    minute earlier."""


class Settings(BaseSettings):
    """All settings of a run. Made by `auditor.settings.resolve`, never read by the stages themselves."""

    model_config = SettingsConfigDict(
        frozen=True,
        extra="forbid",
        env_prefix="AUDITOR_",
        env_nested_delimiter="__",
        env_ignore_empty=True,
        use_attribute_docstrings=True,
        allow_inf_nan=False,
    )

    profile: ProfileName
    """Which set of values everything else starts from."""

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
    """Pages and files for others."""

    cluster: ClusterSettings = ClusterSettings()
    """Slurm."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Only explicit values: `resolve` merges the sources itself, to know where each value came from."""
        return (init_settings,)

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
        return self.catalog.path or self.work.dir / "catalog.duckdb"

    @property
    def export_dir(self) -> Path:
        """The folder for pages and exports."""
        return self.export.dir or self.work.dir / "export"
