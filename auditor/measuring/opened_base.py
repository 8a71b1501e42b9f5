"""What an adapter is measured with: the models of one base and encoder, the probes, the reference, the recipe."""

from __future__ import annotations

from dataclasses import dataclass

from auditor.encoding.encoder import Encoder
from auditor.generation.generator import Generator
from auditor.lexicons.loader import Lexicon
from auditor.measuring.reference import Reference
from auditor.measuring.scoring import Scorer
from auditor.measuring.subject_arm import SubjectMeter
from auditor.probes.loader import ProbeSet
from auditor.proposing.proposer import Proposer
from auditor.records.recipe import Recipe


@dataclass(frozen=True, eq=False)
class OpenedBase:
    """One base, ready to audit. `probes` holds the n probes in use, `all_probes` the whole set.

    `subjects` measures adapters for one subject; without it their triggers are measured as any other.
    """

    base_name: str
    recipe: Recipe
    generator: Generator
    encoder: Encoder
    proposer: Proposer | None
    probes: ProbeSet
    all_probes: ProbeSet
    lexicon: Lexicon
    reference: Reference
    scorer: Scorer
    pairs_shown: int
    max_side: int
    subjects: SubjectMeter | None = None
