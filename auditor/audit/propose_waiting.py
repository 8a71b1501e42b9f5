"""The stage after the audit: name what the kept pictures show, and finish the results that wait for it.

Needs the proposer, the encoder and the reference; the base is not loaded. Tasks share the work by content hash, so
that they agree on who does what although the list grows shorter while they run.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import structlog

from auditor.audit.finishing import Finisher
from auditor.audit.opening import probes_for
from auditor.audit.proposers import load_proposer, shown_identity, works_ahead
from auditor.encoding.encoder import Encoder
from auditor.errors import PrerequisiteMissing
from auditor.lexicons import load_lexicon
from auditor.measuring.reference import load_reference
from auditor.measuring.scoring import Scorer, make_scorer
from auditor.planning.encoder_opening import load_encoder
from auditor.planning.recipes_in_force import read_recipe
from auditor.proposing.proposer import Proposer
from auditor.records.result import AuditRecord
from auditor.results.waiting_pictures import list_waiting
from auditor.results.workspace import Workspace
from auditor.settings import Settings, SolverSettings

log = structlog.get_logger(__name__)


@dataclass
class ProposeReport:
    """What a propose task did.

    `named` counts results by their final outcome; `unanswered` still wait, because the proposer was away;
    `other_recipe` wait for a proposer, base or encoder that the settings do not name; `lost` have damaged pictures
    and are audited again by the next audit; `left` were not reached before the task was told to stop.
    """

    named: Counter[str] = field(default_factory=Counter)
    unanswered: int = 0
    other_recipe: int = 0
    lost: int = 0
    left: int = 0


def waiting_for(settings: Settings, task: int, tasks: int) -> list[tuple[str, str]]:
    """(file sha256, recipe id) of this task's share of all that waits, recipe by recipe."""
    every = list_waiting(Workspace(settings.work.dir).waiting)
    return sorted((w for w in every if int(w[0][:8], 16) % tasks == task), key=lambda w: (w[1], w[0]))


def propose_waiting(
    settings: Settings,
    waiting: Iterable[tuple[str, str]],
    *,
    stopping: Callable[[], bool],
    on_record: Callable[[AuditRecord], None] = lambda record: None,
) -> ProposeReport:
    """Name the concepts of waiting results and replace them by final ones.

    Args:
        settings: Of the run; `recipe.proposer` must be the one that the results were audited for.
        waiting: From `waiting_for`.
        stopping: Whether the task was told to stop; asked between results.
        on_record: Told about every final record.

    Raises:
        PrerequisiteMissing: There is no proposer in the settings, or it cannot be opened.
    """
    proposer = load_proposer(settings)
    if proposer is None:
        raise PrerequisiteMissing(
            "recipe.proposer.kind is none: there is nobody to ask; set it as it was for the audit"
        )
    report = ProposeReport()

    def count(record: AuditRecord, unanswered: bool) -> None:
        report.unanswered += unanswered
        if not unanswered:
            report.named[record.outcome] += 1
            on_record(record)

    waiting = list(waiting)
    if not waiting:
        return report
    finisher = Finisher(Workspace(settings.work.dir), count, stopping)
    finisher.open(proposer, ahead=works_ahead(settings))
    encoder = load_encoder(settings)
    try:
        for recipe_id, group in itertools.groupby(waiting, key=lambda w: w[1]):
            scorer = _scorer(settings, recipe_id, encoder, proposer)
            if scorer is None:
                report.other_recipe += len(list(group))
                continue
            finisher.expect()
            finisher.use(scorer)
            for file_sha256, _ in group:
                if stopping():
                    report.left += 1
                    continue
                report.lost += not finisher.take_up(
                    file_sha256, recipe_id, scorer.reference.images, settings.recipe.proposer.max_side
                )
        finisher.drain()
    finally:
        finisher.close()
    return report


def _scorer(settings: Settings, recipe_id: str, encoder: Encoder, proposer: Proposer) -> Scorer | None:
    """The scorer of an earlier audit, rebuilt without its base; None when these settings would change its answers."""
    workspace, chosen = Workspace(settings.work.dir), settings.recipe
    try:
        recipe = read_recipe(workspace.recipes / f"{recipe_id}.json")
        if recipe is None:
            return None
        reference = load_reference(workspace.reference, recipe)
    except (OSError, ValueError) as error:
        log.warning("recipe cannot be opened", recipe_id=recipe_id, error=str(error))
        return None
    lexicon = load_lexicon(chosen.lexicon, chosen.concept_template)
    probes = probes_for(chosen.probes, chosen.seed).first(recipe.probe_count)
    same = {
        "proposer": shown_identity(proposer, chosen.proposer.requests) == recipe.proposer,
        "encoder": encoder.identity == recipe.encoder,
        "lexicon": lexicon.content_hash == recipe.lexicon_hash and lexicon.template == recipe.concept_template,
        "probes": probes.content_hash == recipe.probe_set_hash,
    }
    if not all(same.values()):
        changed = ", ".join(name for name, kept in same.items() if not kept)
        log.warning("results of another recipe keep waiting", recipe_id=recipe_id, changed=changed)
        return None
    solver = SolverSettings.model_validate(recipe.solver)
    return make_scorer(solver, lexicon, probes.prompts, reference, encoder)
