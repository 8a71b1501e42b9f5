"""The part of the settings that can change a score: bases, probes, encoder, proposer, solver."""

from __future__ import annotations

import math
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from auditor.encoding.encoder_kinds import known_kind
from auditor.settings.base_model_settings import BaseModelSettings
from auditor.settings.section import BaseKey, LocalPath, Name, NameOrFile, Section


class EncoderSettings(Section):
    """The image and text encoder in whose space differences are measured."""

    kind: Annotated[str, AfterValidator(known_kind)] = "open_clip"
    """Library that reads it. `open_clip`: OpenAI's CLIP, OpenCLIP, EVA-CLIP. `transformers`: CLIP, SigLIP, SigLIP 2 and
    ALIGN in the layout of that library."""

    name: Name
    """`open_clip`: model name in open_clip. Other kinds: model repository."""

    path: LocalPath | None = None
    """Local folder with config and weights. Unset: the weights of `pretrained`, from the Hub cache."""

    pretrained: Name | None = None
    """`open_clip`: pretrained tag; what is not in the Hub cache open_clip fetches, unless HF_HUB_OFFLINE is set. Other
    kinds: branch, tag or sha of `name`, `main` when unset; read from the Hub cache, never fetched."""

    batch_size: int = Field(default=32, ge=1)
    """Images or texts encoded together."""

    @model_validator(mode="after")
    def _has_weights(self) -> EncoderSettings:
        if self.kind == "open_clip" and self.path is None and self.pretrained is None:
            raise ValueError("an encoder of kind `open_clip` needs `path` or `pretrained`")
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
    """Local folder of the model. Unset: `model` is read from the Hub cache."""

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
    """Where concept directions come from. `text`: the text encoder. `image`: pairs of pictures that the base renders
    without and with the word. `mean`: the mean of both unit directions. `agreement`: the mean weighted by how well each
    side is known and how far they agree. `stacked`: one weight must fit both sides at once. `either`: both sides are
    offered, and their weights added."""

    common: Literal["none", "mean", "null"] = "none"
    """What is removed as the direction that any added text gives. `none`: nothing. `mean`: the mean of all concepts.
    `null`: what the lexicon's neutral words have in common."""

    length: Literal["image", "text"] = "text"
    """Unit of a score. `text`: how far the concept's words reach in the text encoder. `image`: how far the base's
    pictures move when it is asked for the concept."""

    image_probes: int = Field(default=8, ge=1)
    """Probes on which the base renders each lexicon concept for the image side. Costs images once per recipe."""

    order: Literal["cosine", "support", "pursuit", "given"] = "pursuit"
    """Order in which the robust variant takes candidates. `cosine`: nearest to V first. `support`: most often proposed
    first. `pursuit`: whichever explains most of what is left. `given`: as proposed."""

    redundancy: Literal["max_cosine", "span_share"] = "max_cosine"
    """What the robust variant compares with `max_redundancy`. `max_cosine`: the largest absolute cosine with a kept
    concept. `span_share`: the share of the candidate that lies in the span of the kept ones."""

    max_redundancy: float = Field(default=0.7, gt=0, le=1)
    """The robust variant drops a candidate that is more redundant than this."""

    fit: Literal["nnls", "ols", "projection"] = "nnls"
    """How the shared basis is fitted. `nnls`: least squares with weights of 0 or more. `ols`: with weights of any sign.
    `projection`: each concept alone."""

    ridge: float = Field(default=0.0, ge=0)
    """Penalty on weights, in units of the mean squared concept length."""

    level_penalty: float | None = Field(default=None, gt=0)
    """Ridge penalty of `level`, in units of the mean squared concept length. Unset: chosen for the lexicon by the least
    expected error (docs/method.md)."""

    max_concepts: int = Field(default=12, ge=1)
    """Most concepts in one explanation of the robust variant."""

    minimum_share: float = Field(default=0.1, ge=0, lt=1)
    """Below this explained share an adapter's change is called unexplained."""

    e_ortho: float = Field(default=0.3, gt=0)
    """Variant `paper`: drops candidates whose cosines with the kept ones sum to this or more (Eq. 9)."""

    e_decomp: float = Field(default=0.2, ge=0, lt=1)
    """Relative residual below which no more concepts are added (Eq. 11)."""

    null_draws: int = Field(default=1000, ge=1)
    """Sign flips behind each p-value."""

    alpha: float = Field(default=0.05, gt=0, lt=1)
    """Level of intervals (1 − alpha) and of the no-effect decision."""

    @property
    def least_probes(self) -> int:
        """Fewest probes n at which the sign-flip test can reach `alpha`: its p-value is never below 2^(1 − n)."""
        return max(2, 1 + math.ceil(-math.log2(self.alpha)))


class RecipeSettings(Section):
    """Everything that can change a score. Its canonical form is hashed into the recipe id."""

    bases: dict[BaseKey, BaseModelSettings] = Field(default_factory=dict)
    """Base models by short name."""

    probes: NameOrFile
    """Probe set, a versioned, ordered list of prompts: general-1, pocket-1, or the path of a .json file of your own."""

    probe_count: int = Field(ge=2)
    """Most probes used for one adapter."""

    looks: tuple[int, ...] = ()
    """Looks: numbers of probes at which the error is estimated, and rendering may stop. Those above `probe_count` are
    not reached."""

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

    trigger_stopping: bool = True
    """At a look, the arms with the trigger stop as the plain arm does. Without, all probes are drawn in them."""

    subject_contexts: NameOrFile = "subject-1"
    """Prompts with a place for one subject ("a {subject} on a beach"), for adapters whose trigger names one: subject-1,
    pocket-subject-1, or the path of a .json file of your own. none: such triggers are measured as any other."""

    subject_probes: int = Field(default=16, ge=2)
    """Most contexts used for one subject."""

    lexicon: NameOrFile
    """Versioned list of concepts that every adapter is scored on: general-1, pocket-1, or the path of a .json file of
    your own."""

    concept_template: str | None = Field(default=None, max_length=500)
    """How a concept is added to a prompt, such as "{prompt}, {concept}". Unset: the lexicon's own way."""

    encoder: EncoderSettings
    """Image and text encoder."""

    proposer: ProposerSettings = ProposerSettings()
    """Concept proposals."""

    solver: SolverSettings = SolverSettings()
    """Decomposition and thresholds."""

    @model_validator(mode="after")
    def _is_consistent(self) -> RecipeSettings:
        if list(self.looks) != sorted(set(self.looks)):
            raise ValueError("`looks` must be increasing numbers of probes")
        least = self.solver.least_probes
        for name, count in (("probe_count", self.probe_count), *(("looks", look) for look in self.looks)):
            if count < least:
                raise ValueError(
                    f"`{name}` {count}: the sign-flip test cannot reach `solver.alpha` {self.solver.alpha} with fewer "
                    f"than {least} probes, so every adapter would end as no_effect"
                )
        asked = self.trigger_arms and self.subject_contexts != "none"
        if asked and self.subject_probes < least:
            raise ValueError(
                f"`subject_probes` {self.subject_probes}: the sign-flip test cannot reach `solver.alpha` "
                f"{self.solver.alpha} with fewer than {least} contexts, so no subject would ever show an effect; "
                "set `subject_contexts` to none to measure such triggers as any other"
            )
        if any(not 0 < scale <= 4 for scale in self.dose_scales):
            raise ValueError("`dose_scales` must lie above 0 and at most at 4")
        if self.concept_template is not None:
            missing = [word for word in ("{prompt}", "{concept}") if word not in self.concept_template]
            if missing:
                raise ValueError(f"`concept_template` lacks {' and '.join(missing)}")
        return self

    @property
    def active_bases(self) -> dict[str, BaseModelSettings]:
        """The bases that are not switched off, by short name."""
        return {key: base for key, base in self.bases.items() if base.enabled}
