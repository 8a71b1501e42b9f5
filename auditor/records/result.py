"""What the audit of one file leaves behind. Stored as JSON beside the arrays of a result file."""

from __future__ import annotations

import hashlib
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from auditor.records.adapter import AdapterFacts, ApplicationProof
from auditor.records.outcomes import Outcome, Reason
from auditor.records.proposals import ProposedPhrase, RawReply

RESULT_SCHEMA_VERSION = 1
ANY_RECIPE = "any"
"""Recipe id of outcomes that no recipe can change: a file that is gone, refused or not ours."""
ItemKey = tuple[str, str, str]
"""Repo, commit and path: what identifies an item in every plan."""


ProposalState = Literal["not_asked", "pending", "answered", "unusable"]
"""How far the naming of concepts is. `not_asked`: no proposer in the recipe, or no effect to name. `pending`: pictures
are kept, `auditor propose` names them; until then there is no private explanation. `unusable`: no reply fitted."""


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False)


class WorkItem(_Record):
    """One adapter file to audit with one recipe's base. The manifest is a list of these."""

    repo_id: str
    """`owner/name`; hostile text."""
    commit_sha: str
    """40 hex digits the file is pinned to."""
    path: str
    """Path inside the repo; hostile text."""
    file_sha256: str | None
    """Content hash as the Hub states it; null until fetched."""
    size_bytes: int | None = None
    """Size as the Hub states it."""
    base_name: str | None
    """Short name of the base from the settings, by the card's claim; null when the card leaves it open."""
    other_bases: tuple[str, ...] = ()
    """Short names of further bases that the card names: a collection's files may each be for another."""
    base_distances: tuple[int, ...] = ()
    """For `base_name` and each of `other_bases`: steps of training from it to the model that the card names, as the
    lineage of published and listed models tells; 0 for that model itself. Empty: all are named outright."""
    base_claim: str | None = None
    """What the card says about its base."""
    other_claims: tuple[str, ...] = ()
    """What else the card names as a base."""
    trigger: str | None = None
    """Declared trigger text, if any; hostile text."""
    trigger_source: str | None = None
    """Where the trigger was found."""
    companions: tuple[str, ...] = ()
    """Other files needed to read this one, such as adapter_config.json."""

    @property
    def key(self) -> ItemKey:
        """What identifies it in every plan."""
        return self.repo_id, self.commit_sha, self.path

    @property
    def name_sha256(self) -> str:
        """Stands for the content hash of a file that could not be fetched: never a position, never a branch."""
        name = f"{self.repo_id}/{self.path}@{self.commit_sha}"
        return hashlib.sha256(name.encode("utf-8", "replace")).hexdigest()


class ConceptScore(_Record):
    """Score of one lexicon concept on the shared basis: 1 means as far as its words reach in the text encoder."""

    concept: str
    """Canonical name in the lexicon."""
    score: float
    """Joint weight (non-negative least squares by default)."""
    low: float
    """Lower end of the interval over probes: what another audit of the same adapter may give."""
    high: float
    """Upper end."""
    projection: float
    """Weight of the concept alone, <V, f> / |f|^2."""
    alignment: float | None
    """Cosine of text-side and image-side f(C), in [-1, 1]; null when only one side was measured."""
    level: float | None = None
    """Signed amount, linear in V, for ordering and comparing; null in results made before there were levels."""
    level_low: float | None = None
    """Lower end of its interval over probes."""
    level_high: float | None = None
    """Upper end."""
    level_doubt: float | None = None
    """Standard error against the true amount that more probes do not take away, 0 or more."""
    place: int | None = None
    """In the order of naming, from 1; null for concepts without a place, and in results made before there was one."""

    @property
    def naming_key(self) -> tuple[float, float]:
        """Sorts scores in the order of naming: those with a place, then the highest."""
        return self.place or float("inf"), -self.score


class ExplainedConcept(_Record):
    """One concept of the private explanation."""

    concept: str
    """Phrase as proposed, or its canonical name when it is in the lexicon."""
    weight: float
    """Coefficient w_i (Eq. 10)."""
    support: float
    """Share of VLM replies that named it; 0 for lexicon concepts nobody proposed."""
    in_lexicon: bool
    """False: scored by its text side alone."""


class Explanation(_Record):
    """FineXL's explanation of one adapter in its own concepts."""

    variant: Literal["paper", "robust"]
    """`paper`: Algorithm 1 as published."""
    concepts: tuple[ExplainedConcept, ...]
    """Kept concepts, largest weight first."""
    explained_share: float
    """1 - residual^2 / |V|^2, in [0, 1]."""


class Effect(_Record):
    """Size and certainty of the change as a whole."""

    probes: int
    """Probes used."""
    norm: float
    """|V|, in units of unit-length image features."""
    floor: float
    """What |V| had to exceed."""
    p_value: float
    """Sign-flip p-value over probes."""
    cosine_error: float
    """Expected cosine error of V at this number of probes, in [0, 1]."""
    explained_share: float
    """Share of |V|^2 that the shared basis explains."""
    status: Literal["explained", "unexplained", "no_effect"]
    """Whether the scores explain the change."""
    named_share: float | None = None
    """Share of |V|^2, scatter of few probes set aside, that the first concept in the order of naming explains alone."""


class SubjectArm(_Record):
    """What a trigger that names one subject was measured on."""

    token: str
    """The taught word; hostile text."""
    noun: str
    """Class of the subject, such as `dog`."""
    contexts: str
    """Name of the contexts it was asked for in."""
    probes: int
    """Contexts used."""
    norm: float
    """|adapter with the taught word - base with the class|."""
    p_value: float | None = None
    """Sign-flip p-value over contexts."""
    floor: float | None = None
    """What the norm had to exceed."""


class TriggerArms(_Record):
    """What a declared trigger does. Without a subject there are four arms: base and adapter, each without and with it.

    With a subject the base is asked for the class alone and never with the taught word, so that two sizes are null.
    """

    trigger: str
    """The declared text; hostile text."""
    source: str
    """Where it was declared."""
    weights_norm: float
    """|adapter plain - base plain|: the effect of the weights alone; with a subject, its leak into the class."""
    trigger_on_base_norm: float | None = None
    """|base with trigger - base plain|: what the words do without the adapter."""
    trigger_on_adapter_norm: float
    """|adapter with trigger - adapter plain|."""
    interaction_norm: float | None = None
    """|(adapter with trigger - base with trigger) - (adapter plain - base plain)|: the trigger's own effect."""
    scores: tuple[ConceptScore, ...]
    """Shared-basis scores of adapter with trigger against base with trigger, or against base with the class."""
    subject: SubjectArm | None = None
    """What it names, where that is known to be one subject."""


class DosePoint(_Record):
    """Projections at one adapter strength, on a subset of probes."""

    scale: float
    """Adapter strength."""
    norm: float
    """|V| there."""
    projections: dict[str, float]
    """Projection on the leading concepts."""


class AuditRecord(_Record):
    """Everything but the arrays. One per (file sha256, recipe)."""

    schema_version: int = RESULT_SCHEMA_VERSION
    """Version of this record."""
    item: WorkItem
    """The work item as first audited; other repos with the same bytes refer to the same result."""
    file_sha256: str
    """Content hash, as verified; `WorkItem.name_sha256` when nothing could be fetched."""
    recipe_id: str
    """Recipe used."""
    outcome: Outcome
    """How it ended."""
    reason: Reason | None
    """Why, unless plain `scored`."""
    message: str
    """One sentence for people."""
    base_name: str | None
    """Base that was used; null when none was."""
    base_assumed: bool = False
    """The base is not the one that file or card names: an ancestor of it, or the first of the family."""
    base_distance: int | None = None
    """Steps of training between the base and the one that file or card names; null where no lineage leads there."""
    card_mismatch: bool = False
    """The card names another base than the shapes allow."""
    contradictions: tuple[str, ...] = ()
    """What names another family than the one that was chosen, in words."""
    format: str | None = None
    """What the file is, such as lora or textual_inversion; null when it was not opened."""
    family: str | None = None
    """Family that the file was taken for, also where it was not audited; null when it stayed open."""
    claimed_base: str | None = None
    """The base that the card, or else the file, names."""
    bases: str | None = None
    """Hash of the active bases, where none of them fits: with others the file is looked at again."""
    facts: AdapterFacts | None = None
    """What is in the file."""
    proof: ApplicationProof | None = None
    """That it was applied."""
    effect: Effect | None = None
    """Size and certainty of the change."""
    scores: tuple[ConceptScore, ...] = ()
    """Shared-basis scores, in lexicon order."""
    explanations: tuple[Explanation, ...] = ()
    """Private explanations, one per variant."""
    proposals: ProposalState = "not_asked"
    """Whether the VLM was asked, and with what success. `pending`: scores are final, explanations still to come."""
    phrases: tuple[ProposedPhrase, ...] = ()
    """What the VLM proposed."""
    replies: tuple[RawReply, ...] = ()
    """Its raw replies."""
    arms: TriggerArms | None = None
    """Trigger's effect, when one is declared."""
    dose: tuple[DosePoint, ...] = ()
    """Dose response."""
    dose_rises: bool | None = None
    """Whether |V| rises with the strength; null when not measured. False is a warning."""
    thumbnails: tuple[tuple[int, str], ...] = ()
    """(probe index, prompt) of each stored image pair."""
    timings_s: dict[str, float] = Field(default_factory=dict)
    """Seconds per stage; not part of any comparison."""
    versions: dict[str, str] = Field(default_factory=dict)
    """Package versions used."""
    finished_at: str = ""
    """UTC, ISO 8601."""
