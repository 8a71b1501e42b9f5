"""Compare whole checkpoints: versions of one base, or fine-tunes of it, each against the first (paper, Fig. 10)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from auditor.audit.opening import load_generator, open_base
from auditor.errors import UserError
from auditor.generation.trouble import release
from auditor.measuring.checkpoint_scores import CheckpointScores, score_checkpoint
from auditor.planning.local_models import use_own_cpus
from auditor.settings import BaseModelSettings, Settings


@dataclass(frozen=True)
class BaseVersions:
    """Checkpoints as differences to the first.

    Attributes:
        first: Name of the base that the others are compared with.
        recipe_id: The recipe whose words, probes and reference were used.
        versions: The others, in the order asked for.
    """

    first: str
    recipe_id: str
    versions: tuple[CheckpointScores, ...]


def compare_bases(
    settings: Settings,
    first: str,
    others: Sequence[str],
    on_step: Callable[[str], None] = lambda what: None,
    on_reference: Callable[[str, int, int], None] = lambda what, done, total: None,
) -> BaseVersions:
    """Score every other checkpoint against the first. Two are in memory at a time.

    Args:
        settings: Of the run.
        first: A base of the recipe that is switched on; its reference is made where it is not there yet.
        others: Bases of the recipe, switched on or not, or folders in the Hub's layout. A folder is drawn as the first
            base is: sampler, steps, size, guidance.
        on_step: Told which checkpoint is drawn.
        on_reference: Told about the making of the reference.

    Raises:
        UserError: A name is neither a base of the recipe nor a folder.
        ItemError: A checkpoint draws nothing.
    """
    wanted = {name: _base(settings, name, first) for name in others}
    use_own_cpus()
    opened = open_base(settings, first, on_step=on_reference)
    found = []
    for name, base in wanted.items():
        on_step(name)
        found.append(score_checkpoint(opened, load_generator(base, settings.recipe.application), name))
        release()
    return BaseVersions(first, opened.recipe.recipe_id, tuple(found))


def _base(settings: Settings, name: str, first: str) -> BaseModelSettings:
    known = settings.recipe.bases
    if first not in settings.recipe.active_bases:
        raise UserError(f"no base {first!r} is switched on; known: {', '.join(settings.recipe.active_bases)}")
    if name in known:
        return known[name]
    if not Path(name).is_dir():
        raise UserError(f"{name!r} is neither a base of the recipe ({', '.join(known)}) nor a folder")
    return known[first].model_copy(update={"path": Path(name), "repo": None, "variant": None})
