"""What a recipe says of how a base draws: its id must not change for those that were used before."""

from __future__ import annotations

import json

from auditor.audit.opening import drawing_of
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
