"""Which recipe is in force for a base, known without loading a model: what submitting and watching go by."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import structlog

from auditor.common.atomic_files import write_text
from auditor.common.own_files import Damaged, reading, set_aside
from auditor.families.published_models import MODELS
from auditor.lexicons import load_lexicon
from auditor.planning.local_models import cached_commit
from auditor.probes import load_probes
from auditor.records.outcomes import TRANSIENT_REASONS
from auditor.records.recipe import ALGORITHM_VERSION, Recipe
from auditor.results.workspace import Workspace
from auditor.settings import Settings, portable

log = structlog.get_logger(__name__)


def publish_recipe(settings: Settings, recipe: Recipe) -> None:
    """Keep every recipe ever used by its id, and name the current one of each base with the settings it came from."""
    folder = Workspace(settings.work.dir).recipes
    text = recipe.model_dump_json(indent=1)
    for name, content in (
        (f"{recipe.recipe_id}.json", text),
        (f"current-{recipe.base_name}.json", text),
        (f"current-{recipe.base_name}.settings", settings_key(settings)),
    ):
        write_text(folder / name, content)


def settings_key(settings: Settings) -> str:
    """Hash of all that a recipe is made from and that can be known without loading a model."""
    chosen = settings.recipe
    lexicon = load_lexicon(chosen.lexicon, chosen.concept_template)
    probes = load_probes(chosen.probes)
    models = [
        *((b.repo, b.revision) for b in chosen.active_bases.values() if b.path is None),
        (chosen.proposer.model, chosen.proposer.revision),
    ]
    canonical = json.dumps(
        {
            "recipe": portable(settings)["recipe"],
            "algorithm": ALGORITHM_VERSION,
            "lexicon": lexicon.content_hash,
            "probes": probes.content_hash,
            # A branch means another commit once its repo is fetched anew.
            "commits": [cached_commit(repo, revision) for repo, revision in models if repo is not None],
        },
        sort_keys=True,
    )
    return hashlib.sha256(canonical.encode()).hexdigest()


def bases_key(settings: Settings) -> str:
    """Hash of what decides which active base a file goes on."""
    bases = {
        name: (base.family, base.repo, base.aliases, base.checkpoint_hashes)
        for name, base in settings.recipe.active_bases.items()
    }
    known = sorted((model.repo, model.family, model.parent or "") for model in MODELS)
    return hashlib.sha256(json.dumps([bases, known], sort_keys=True).encode()).hexdigest()[:16]


def lasts(reason: str | None, bases: str | None, bases_now: str | None) -> bool:
    """Whether a result is final: its reason does not pass, and no other bases were active when none was found to fit.

    Args:
        reason: Of the result.
        bases: `bases_key` in the result.
        bases_now: `bases_key` of the settings.
    """
    return reason not in TRANSIENT_REASONS and (reason != "unsupported_base" or bases == bases_now)


def recipes_in_force(settings: Settings) -> dict[str, Recipe]:
    """Recipe by base, for the bases that were opened with exactly these settings before.

    A base that is missing here was never opened, or with other settings: everything on it is still to do.
    """
    folder, key = Workspace(settings.work.dir).recipes, settings_key(settings)
    found = {}
    for base_name in settings.recipe.active_bases:
        recipe, made_with = folder / f"current-{base_name}.json", folder / f"current-{base_name}.settings"
        if _text(made_with) == key and (stored := read_recipe(recipe)) is not None:
            found[base_name] = stored
    return found


def read_recipe(path: Path) -> Recipe | None:
    """A stored recipe; None when there is none, or when it is damaged: it lies aside then.

    One that is missing counts as never used, so the next audit opens its base and writes it again. A recipe by its id
    must have that id, and one in force must lie there by its id, too: bits that flip may leave good JSON.
    """
    try:
        with reading(path, "recipe", "auditor audit"):
            recipe = Recipe.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except Damaged as error:
        log.warning("recipe is damaged", error=str(error))
        return None
    by_id = path.with_name(f"{recipe.recipe_id}.json")
    if not by_id.exists():
        damaged = set_aside(path, "recipe", "auditor audit", f"it is none that was used: {recipe.recipe_id}")
        log.warning("recipe is damaged", error=str(damaged))
        return None
    return recipe


def recipe_ids_in_force(settings: Settings) -> dict[str, str]:
    """Ids of `recipes_in_force`."""
    return {base_name: recipe.recipe_id for base_name, recipe in recipes_in_force(settings).items()}


def _text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return None
