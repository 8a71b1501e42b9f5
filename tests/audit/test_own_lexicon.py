"""One's own word list and way of adding a concept, from plan to catalog: audit and merge must mean the same words."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path

import duckdb
import pytest

from auditor.lexicons import load_lexicon
from auditor.pipeline import connection, stages
from auditor.planning.slices import Slice
from tests.audit.conftest import QUICK, World, small_hub

CONCEPTS = load_lexicon("pocket-1").concepts[:4]
TINY = ("recipe.probe_count=8", "recipe.dose_scales=[]", "recipe.trigger_arms=false", "recipe.proposer.kind=none")


def own_lexicon(folder: Path) -> Path:
    content = {
        "name": "mine",
        "version": 3,
        "template": "{prompt}, {concept} style",
        "neutral_words": ["picture"],
        "concepts": [{"name": c.name, "facet": c.facet} for c in CONCEPTS],
    }
    path = folder / "my words.json"
    path.write_text(json.dumps(content))
    return path


@pytest.mark.parametrize(
    ("setting", "template"),
    [
        ((), "{prompt}, {concept} style"),
        (('recipe.concept_template="{concept}, {prompt}"',), "{concept}, {prompt}"),
    ],
)
def test_the_catalog_is_built_with_the_words_of_the_audit(
    tmp_path: Path, setting: tuple[str, ...], template: str
) -> None:
    lexicon, hub = own_lexicon(tmp_path), small_hub(tmp_path / "hub", ("mkr/moss-lora",))
    overrides = (*QUICK, *TINY, f"recipe.lexicon={lexicon}", f"hub.serve_folder={hub}", *setting)
    settings = World(tmp_path / "work", hub, overrides).settings
    with connection.hub(settings) as client:
        stages.crawl(settings, client)
        stages.plan(settings, client)
        stages.audit(settings, client, Slice())
    report = stages.merge(settings)
    assert (report.listed, report.outcomes["scored"], report.reconciles) == (1, 1, True)
    with closing(duckdb.connect(str(settings.catalog_path), read_only=True)) as catalog:
        assert catalog.execute("SELECT lexicon, concept_template FROM recipes").fetchall() == [("mine-3", template)]
        rows = catalog.execute("SELECT DISTINCT concept FROM scores").fetchall()
        assert {name for (name,) in rows} == {concept.name for concept in CONCEPTS}
        (vectors,) = catalog.execute("SELECT count(*) FROM concept_vectors").fetchall()
    assert vectors == (len(CONCEPTS),)
