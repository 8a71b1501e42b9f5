"""One base model: where its weights are, how it draws, which adapters go on it."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from auditor.families.generator_kinds import GeneratorKind
from auditor.families.guided_steps import ALWAYS
from auditor.families.table import AUDITABLE, FAMILIES
from auditor.settings.section import LocalPath, Name, Section, Share

_TWO_PASSES = frozenset(
    family.rendering.pipeline
    for family in AUDITABLE
    if family.rendering is not None and family.rendering.kind == "two_passes"
)
PipelineName = Literal[
    "StableDiffusionPipeline", "StableDiffusionXLPipeline", "StableDiffusion3Pipeline", "FluxPipeline",
    "ChromaPipeline", "Flux2KleinPipeline", "QwenImagePipeline", "ZImagePipeline", "AuraFlowPipeline",
    "PixArtAlphaPipeline", "PixArtSigmaPipeline", "SanaPipeline", "Lumina2Pipeline", "HunyuanDiTPipeline",
]  # fmt: skip
SamplerName = Literal[
    "default", "ddim", "ddpm", "euler", "euler_a", "dpmsolver++", "unipc", "pndm", "lcm", "flow_euler"
]


class BaseModelSettings(Section):
    """One base model that adapters are audited on."""

    enabled: bool = True
    """False takes a base that the profile names out of the run."""

    kind: GeneratorKind = "diffusers"
    """What draws. `diffusers`: a pipeline of that library, personalised by adapters. `autoregressive`: a transformer
    that draws image tokens (Anole and others in the layout of transformers' Chameleon, and Janus), personalised by
    other weights for the whole model or for its image decoder alone. `gan`: a ControlGAN, personalised by other weights
    of its generator. The last two are described in docs/generators.md."""

    family: Name
    """Family of bases, as adapter files are recognised: sd15, sdxl, flux1, qwen_image and the others of
    docs/reference/families.md. Its values stand for all that is left out below when `pipeline` is left out too.
    Adapters of another family are never applied to this base. Any other name stands for an architecture of its own,
    such as the pocket's."""

    repo: Name | None = None
    """Hub repository of the base. May be unset when `path` is given."""

    revision: Name = "main"
    """Branch, tag or sha. A recipe always records the sha that it led to."""

    path: LocalPath | None = None
    """Local folder in the Hub's layout. Unset: `repo` is read from the Hub cache, where `hf download` puts it."""

    aliases: tuple[Name, ...] = ()
    """Other names under which adapter cards mean this base."""

    checkpoint_hashes: tuple[Annotated[str, Field(pattern=r"^[0-9a-f]{8,64}$")], ...] = ()
    """SHA-256 of the single-file checkpoints that are this base: trainers write it into the adapter file."""

    pipeline: PipelineName | None = None
    """Pipeline class of diffusers. Needed for the kind `diffusers`, and for no other."""

    variant: Name | None = None
    """Weight file variant, such as fp16. Unset: the files without a variant."""

    size: int = Field(ge=16, le=4096, multiple_of=8)
    """Width and height of the generated images, in pixels."""

    dtype: Literal["float32", "float16", "bfloat16"] = "float32"
    """Number format of the weights while generating."""

    steps: int = Field(default=1, ge=1, le=1000)
    """Denoising steps per image. Needed for the kind `diffusers`, and for no other."""

    guidance: float = Field(default=1.0, ge=0, le=50)
    """Guidance scale. 1 or less: no classifier-free guidance. Needed for the kind `diffusers`."""

    guidance_interval: tuple[Share, Share] = ALWAYS
    """Where guidance acts, from and to in shares of the steps: [0.0, 0.5] leaves it out of the second half, where a
    picture's details are made, and saves an evaluation in each of those steps."""

    temperature: float = Field(default=1.0, gt=0, le=4)
    """Temperature at which an autoregressive base draws its tokens."""

    sampler: SamplerName = "ddim"
    """Sampler. `default`: the scheduler that the base names itself. `flow_euler`: for SD 3.5 and FLUX.1, and only
    there. `ddpm`, `euler_a` and `lcm` draw noise at each step too, from the seed of the probe."""

    batch_size: int = Field(default=8, ge=1)
    """Images denoised together."""

    compiled: bool = False
    """Compile the denoiser when it is loaded. Pays with `recipe.application` = "merge": injection compiles anew
    for every adapter."""

    @model_validator(mode="before")
    @classmethod
    def _as_its_family(cls, values: Any) -> Any:
        """Where no pipeline is named, what is left out is as the family's table has it."""
        family = FAMILIES.get(values.get("family", "")) if isinstance(values, dict) else None
        if family is None or family.rendering is None or "pipeline" in values:
            return values
        drawn = asdict(family.rendering)
        drawn.pop("kind")  # of its guidance
        if "repo" not in values and "path" not in values:
            drawn |= {"repo": family.repo, "aliases": family.mirrors, "variant": family.variant}
        return drawn | values

    @model_validator(mode="after")
    def _interval_saves_something(self) -> BaseModelSettings:
        if self.guidance_interval == ALWAYS:
            return self
        if self.guidance_interval[0] >= self.guidance_interval[1]:
            raise ValueError("`guidance_interval` must go from a smaller to a larger share of the steps")
        if self.pipeline not in _TWO_PASSES or self.guidance <= 1:
            raise ValueError(
                "`guidance_interval` leaves out evaluations without the prompt, and this base has none: its guidance "
                "is 1 or less, or a number that goes into the model; leave `guidance_interval` out"
            )
        return self

    @model_validator(mode="after")
    def _has_weights(self) -> BaseModelSettings:
        if self.repo is None and self.path is None:
            raise ValueError("a base needs `repo` (on the Hub) or `path` (a local folder)")
        missing = [name for name in ("pipeline", "steps", "guidance") if name not in self.model_fields_set]
        if self.kind == "diffusers" and missing:
            named = " and ".join(f"`{name}`" for name in missing)
            raise ValueError(f"a base of kind `diffusers` needs {named}")
        return self
