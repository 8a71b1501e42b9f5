"""Everything one base needs to audit adapters: models loaded once, reference read or made, recipe fixed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from pydantic import JsonValue
from safetensors.numpy import save_file

from auditor.audit.proposers import load_proposer, shown_identity
from auditor.common.atomic_files import replacing
from auditor.encoding.encoder import Encoder
from auditor.errors import UserError
from auditor.families.generator_kinds import GeneratorKind
from auditor.families.guided_steps import ALWAYS, Interval
from auditor.generation.autoregressive_base import AutoregressiveBase
from auditor.generation.diffusers_base import DiffusersBase
from auditor.generation.gan_base import GanBase
from auditor.generation.generator import Generator
from auditor.generation.render_options import RenderOptions
from auditor.generation.replaced_weights import ReplacedWeightsBase
from auditor.lexicons.loader import Lexicon, load_lexicon
from auditor.measuring.opened_base import OpenedBase
from auditor.measuring.reference import ReferenceMaker, load_or_make
from auditor.measuring.scoring import Scorer, make_scorer
from auditor.measuring.subject_arm import SubjectMeter
from auditor.planning.encoder_opening import load_encoder
from auditor.planning.local_models import base_files, best_device, from_hub_cache
from auditor.planning.recipes_in_force import publish_recipe
from auditor.probes.loader import ProbeSet, load_probes
from auditor.probes.subjects import SubjectContexts, load_contexts
from auditor.proposing.proposer import Proposer
from auditor.records.recipe import ALGORITHM_VERSION, Recipe
from auditor.results.workspace import Workspace, basis_path
from auditor.settings import BaseModelSettings, Settings

OWN_GENERATORS: Mapping[GeneratorKind, type[ReplacedWeightsBase]] = {
    "autoregressive": AutoregressiveBase,
    "gan": GanBase,
}
"""Kind → class, for all kinds but pipelines of diffusers."""


def open_base(
    settings: Settings,
    base_name: str,
    *,
    encoder: Encoder | None = None,
    proposer: Proposer | None = None,
    on_step: Callable[[str, int, int], None] | None = None,
    stopping: Callable[[], bool] = lambda: False,
) -> OpenedBase:
    """Load the models of one base and its reference.

    Args:
        settings: Of the run.
        base_name: A key of `recipe.bases`.
        encoder: Reused when given; loading it takes longer than some adapters.
        proposer: Reused when given.
        on_step: Told about the making of the reference.
        stopping: Whether to leave off making it.

    Raises:
        Interrupted: It did; what is made of the reference is kept.
    """
    chosen = settings.recipe
    if base_name not in chosen.active_bases:
        raise UserError(f"no base {base_name!r} is switched on; known: {', '.join(chosen.active_bases)}")
    workspace = Workspace(settings.work.dir)
    generator = load_generator(chosen.active_bases[base_name], chosen.application)
    encoder = encoder or load_encoder(settings)
    proposer = proposer or load_proposer(settings)
    lexicon = load_lexicon(chosen.lexicon, chosen.concept_template)
    all_probes = probes_for(chosen.probes, chosen.seed)
    probes = all_probes.first(chosen.probe_count)
    recipe = make_recipe(settings, base_name, generator, encoder, proposer, lexicon, probes)
    maker = ReferenceMaker(recipe, generator, encoder, probes, lexicon, stopping)
    reference = load_or_make(workspace.reference, maker, on_step)
    scorer = make_scorer(chosen.solver, lexicon, probes.prompts, reference, encoder)
    _publish_basis(workspace, recipe, scorer)
    publish_recipe(settings, recipe)
    shown = chosen.proposer.pairs_per_request * chosen.proposer.requests
    contexts = subject_contexts(settings)
    subjects = SubjectMeter(generator, encoder, scorer, recipe, contexts) if contexts else None
    return OpenedBase(
        base_name,
        recipe,
        generator,
        encoder,
        proposer,
        probes,
        all_probes,
        lexicon,
        reference,
        scorer,
        shown,
        chosen.proposer.max_side,
        subjects,
    )


def load_generator(base: BaseModelSettings, application: str = "inject") -> Generator:
    """A base of any kind, from its local folder or from the Hub's cache."""
    if base.kind == "diffusers":
        return load_base(base, application)
    return OWN_GENERATORS[base.kind](_folder(base), _options(base, application))


def load_base(base: BaseModelSettings, application: str = "inject") -> DiffusersBase:
    """The pipeline of a base of the kind `diffusers`, from its local folder or from the Hub's cache.

    Raises:
        UserError: It is of another kind.
    """
    if base.kind != "diffusers":
        raise UserError(f"the base {base.repo or base.path} is no pipeline of diffusers, which this needs")
    return DiffusersBase(_folder(base), _options(base, application))


def _folder(base: BaseModelSettings) -> Path:
    return base.path or from_hub_cache(base_files(base))


def _options(base: BaseModelSettings, application: str) -> RenderOptions:
    return RenderOptions(
        device=best_device(),
        dtype=base.dtype,
        sampler=base.sampler,
        steps=base.steps,
        guidance=base.guidance,
        guidance_interval=base.guidance_interval,
        size=base.size,
        batch_size=base.batch_size,
        pipeline=base.pipeline,
        variant=base.variant,
        family=base.family,
        application=application,
        compiled=base.compiled,
        temperature=base.temperature,
    )


def probes_for(name: str, seed: int) -> ProbeSet:
    """A probe set with the noise of a recipe's seed."""
    probes = load_probes(name)
    return ProbeSet(probes.name, probes.prompts, probes.subjects, shifted_seeds(probes.seeds, seed))


def shifted_seeds(seeds: Sequence[int], seed: int) -> tuple[int, ...]:
    """The probes' noise under a recipe's seed."""
    return tuple((s + 7919 * seed) % 2**32 for s in seeds)


def subject_contexts(settings: Settings) -> SubjectContexts | None:
    """Contexts for adapters of one subject, with the noise of a recipe's seed; None where none are set."""
    chosen = settings.recipe
    if chosen.subject_contexts == "none" or not chosen.trigger_arms:
        return None
    contexts = load_contexts(chosen.subject_contexts)
    return replace(contexts, seeds=shifted_seeds(contexts.seeds, chosen.seed))


def make_recipe(
    settings: Settings,
    base_name: str,
    generator: Generator,
    encoder: Encoder,
    proposer: Proposer | None,
    lexicon: Lexicon,
    probes: ProbeSet,
) -> Recipe:
    """The recipe of a base that is loaded."""
    chosen, base = settings.recipe, settings.recipe.active_bases[base_name]
    contexts = subject_contexts(settings)
    return Recipe(
        algorithm_version=ALGORITHM_VERSION,
        base_name=base_name,
        base_repo=base.repo or base_name,
        base_fingerprint=generator.base_fingerprint,
        family=base.family,
        generation=drawing_of(base),
        probe_set=probes.name,
        probe_set_hash=probes.content_hash,
        probe_count=len(probes),
        looks=chosen.looks,
        cosine_error_target=chosen.cosine_error_target,
        seed=chosen.seed,
        application=chosen.application,
        lora_scale=chosen.lora_scale,
        dose_scales=chosen.dose_scales,
        dose_probes=chosen.dose_probes,
        trigger_arms=chosen.trigger_arms,
        trigger_stopping=chosen.trigger_arms and chosen.trigger_stopping,
        subject_contexts=contexts.name if contexts else None,
        subject_contexts_hash=contexts.content_hash if contexts else None,
        subject_probes=min(chosen.subject_probes, len(contexts)) if contexts else 0,
        encoder=encoder.identity,
        concept_template=lexicon.template,
        lexicon=lexicon.identifier,
        lexicon_hash=lexicon.content_hash,
        proposer=None if proposer is None else shown_identity(proposer, chosen.proposer.requests),
        solver=chosen.solver.model_dump(mode="json"),
    )


def drawing_of(base: BaseModelSettings) -> dict[str, JsonValue]:
    """What decides how a base draws. Pipelines of diffusers are described as ever: their recipes keep their ids."""
    drawing: dict[str, JsonValue] = {
        "size": base.size,
        "guidance": base.guidance,
        "dtype": base.dtype,
        "batch_size": base.batch_size,
        "device": best_device(),
    }
    if base.kind != "diffusers":
        return {"kind": base.kind, "temperature": base.temperature, **drawing}
    return {
        "pipeline": base.pipeline,
        "sampler": base.sampler,
        "steps": base.steps,
        "compiled": base.compiled,
        **drawing,
        **guided_in(base.guidance_interval),
    }


def guided_in(interval: Interval) -> dict[str, JsonValue]:
    """What a recipe says of where guidance acts: nothing where it always does, as before there was a choice."""
    return {} if interval == ALWAYS else {"guidance_interval": list(interval)}


def _publish_basis(workspace: Workspace, recipe: Recipe, scorer: Scorer) -> None:
    path = basis_path(workspace, recipe.recipe_id)
    arrays = {
        "vectors": scorer.vectors(scorer.lexicon.names),
        "common": scorer.basis.common,
        "levels": scorer.level_map.matrix,
        "clusters": scorer.clusters(),
    }
    with replacing(path) as temporary:
        save_file({name: np.ascontiguousarray(a, dtype=np.float32) for name, a in arrays.items()}, temporary)
