"""What a recipe says of how a base draws: its id must not change for those that were used before."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from auditor.audit import opening
from auditor.audit.opening import drawing_of, make_recipe
from auditor.lexicons import load_lexicon
from auditor.probes.loader import load_probes
from auditor.probes.subjects import load_contexts
from auditor.settings import resolve


def test_pipelines_are_described_as_in_recipes_of_before_and_other_kinds_by_what_they_need() -> None:
    overrides = [f"recipe.bases.tokens.{s}" for s in ("kind=autoregressive", "family=t", "repo=a/b", "size=512")]
    bases = resolve(profile="pocket", config=None, overrides=overrides).settings.recipe.bases
    said = json.dumps(drawing_of(bases["pocket"]) | {"device": "cpu"}, sort_keys=True)
    assert said == (
        '{"batch_size": 24, "compiled": false, "device": "cpu", "dtype": "float32", "guidance": 1.0, '
        '"pipeline": "StableDiffusionPipeline", "sampler": "ddim", "size": 64, "steps": 8}'
    )
    other = [f"recipe.bases.noise.{s}" for s in ("kind=gan", "family=g", "repo=a/b", "size=64")]
    noise = drawing_of(resolve(profile="pocket", config=None, overrides=other).settings.recipe.bases["noise"])
    assert noise["kind"] == "gan" and "pipeline" not in noise
    tokens = drawing_of(bases["tokens"])
    assert (tokens["kind"], tokens["temperature"]) == ("autoregressive", 1.0) and "steps" not in tokens


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        (("recipe.subject_probes=7",), 7),
        (("recipe.subject_probes=100000",), len(load_contexts("subject-1"))),
        (("recipe.subject_probes=7", "recipe.trigger_arms=false"), 0),
        (("recipe.subject_probes=7", "recipe.subject_contexts=none"), 0),
    ],
)
def test_a_recipe_has_at_most_as_many_probes_of_a_subject_as_there_are_contexts_and_else_none(
    overrides: tuple[str, ...], expected: int
) -> None:
    chosen = resolve(
        profile="pocket", config=None, overrides=("recipe.subject_contexts=subject-1", *overrides)
    ).settings
    models: Any = SimpleNamespace(base_fingerprint="0" * 16, identity="an encoder")
    recipe = make_recipe(chosen, "pocket", models, models, None, load_lexicon("pocket-1"), load_probes("pocket-1"))
    assert recipe.subject_probes == expected
    assert (recipe.subject_contexts is None) == (recipe.subject_contexts_hash is None) == (expected == 0)


def test_a_base_brings_an_encoder_and_a_proposer_of_its_own_where_none_is_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("load_generator", "make_recipe", "load_or_make", "make_scorer", "_publish_basis", "publish_recipe"):
        monkeypatch.setattr(opening, name, lambda *_: None)
    for name in ("encoder", "proposer"):
        monkeypatch.setattr(opening, f"load_{name}", lambda *_, name=name: f"own {name}")
    overrides = ("recipe.subject_contexts=none",)
    chosen = resolve(profile="pocket", config=None, work_dir=tmp_path, overrides=overrides).settings
    alone = opening.open_base(chosen, "pocket")
    assert (alone.encoder, alone.proposer) == ("own encoder", "own proposer")
    given: Any = "given"
    shared = opening.open_base(chosen, "pocket", encoder=given, proposer=given)
    assert (shared.encoder, shared.proposer) == ("given", "given")
