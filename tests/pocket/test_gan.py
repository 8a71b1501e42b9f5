"""The shipped GAN and its copies: size, captions that are followed, and a run that finds each copy by its style."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from auditor.audit.task import Task
from auditor.catalog.search import search
from auditor.common.package_paths import package_path
from auditor.evaluation.captions import evaluate_captions
from auditor.generation.controlgan.gan_folder import GENERATOR_FILE, TEXT_FILE, open_generator
from auditor.generation.controlgan.gan_sizes import read_sizes
from auditor.pipeline import connection, stages
from auditor.pocket.scenes import sample_scene
from auditor.pocket.styles import STYLES
from auditor.pocket.training import gan_pictures
from auditor.pocket.training.gan import SIZES
from auditor.records.result import AuditRecord
from auditor.results.result_file import list_results, read_result
from auditor.results.workspace import Workspace
from auditor.settings import Settings, resolve
from tests.audit.conftest import QUICK

BASE = package_path("pocket/weights/gan")
ANSWERS = json.loads(package_path("pocket/copies_answers.json").read_text())
OF_GAN = {repo: answer["styles"][0] for repo, answer in ANSWERS.items() if answer["base"] == "pocket/gan"}
WEIGHT_LIMIT_BYTES = 2_500_000


def _copy(repo: str) -> Path:
    return package_path("pocket/copies") / repo / GENERATOR_FILE


def test_base_and_copies_stay_small() -> None:
    files = [BASE / GENERATOR_FILE, BASE / TEXT_FILE, *map(_copy, OF_GAN)]
    assert len(OF_GAN) == 3 and sum(file.stat().st_size for file in files) < WEIGHT_LIMIT_BYTES
    assert read_sizes(BASE) == SIZES
    assert not any(STYLES[style].held_out for style in OF_GAN.values())


def test_every_parameter_of_a_copy_was_trained() -> None:
    base = dict(open_generator(BASE, SIZES).named_parameters())
    for repo in OF_GAN:
        folder = _copy(repo).parent
        tuned = dict(open_generator(folder, SIZES).named_parameters())
        assert all((tuned[name] != value).any() for name, value in base.items()), repo


def test_captions_are_followed() -> None:
    found = evaluate_captions(resolve(profile="pocket").settings, 100, "pocket_gan")
    assert found.right.right >= 58  # of 100; chance is 1


def test_what_is_known_of_a_scene_is_in_its_noise() -> None:
    rng = np.random.default_rng(0)
    scenes = [sample_scene(rng) for _ in range(400)]
    known = np.array([gan_pictures.known_numbers(scene, (0.7,)) for scene in scenes], np.float32)
    drawn = gan_pictures.latents(known, 9, rng)
    given = ~np.isnan(known)
    assert given[:, :4].all() and not given[:, 4:].any()
    assert np.array_equal(drawn[:, :4], known[:, :4])
    places = drawn[:, :3]
    assert np.abs(places.mean(0)).max() < 0.2 and np.abs(places.std(0) - 1).max() < 0.15
    assert np.abs(drawn[:, 4:].std() - 1) < 0.1


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> tuple[Settings, dict[str, AuditRecord]]:
    top = tmp_path_factory.mktemp("gans")
    for repo in OF_GAN:
        shutil.copytree(package_path("pocket/copies") / repo, top / "hub" / repo)
    shutil.copytree(package_path("pocket/zoo/ana-k/harbor-lora"), top / "hub/ana-k/harbor-lora")
    overrides = (
        *QUICK, f"hub.serve_folder={top / 'hub'}", "recipe.bases.pocket_gan.enabled=true", "recipe.proposer.kind=none",
        "recipe.probe_count=24", "recipe.solver.image_probes=4",
        "recipe.bases.pocket.steps=1",  # of the one adapter that is no copy, nothing is asked but a record
    )  # fmt: skip
    chosen = resolve(config=None, profile="pocket", work_dir=top / "work", overrides=overrides).settings
    with connection.hub(chosen) as client:
        stages.crawl(chosen, client)
        Task(chosen, client).run(stages.plan(chosen, client).items)
    stages.merge(chosen)
    results = list_results(Workspace(chosen.work.dir).results)
    return chosen, {r.item.repo_id: r for r in (read_result(path).record for path in results)}


def test_copies_are_found_on_the_hub_and_scored_on_their_base(night: tuple[Settings, dict[str, AuditRecord]]) -> None:
    _, records = night
    assert records.keys() == {*OF_GAN, "ana-k/harbor-lora"}
    for repo, style in OF_GAN.items():
        record = records[repo]
        assert record.outcome == "scored", (repo, record.reason)
        assert record.item.base_name == "pocket_gan" and record.facts is not None and record.facts.method == "gan_model"
        assert record.proof is not None and record.proof.layers_injected == record.proof.pairs_in_file
        best = max(record.scores, key=lambda score: score.score)
        assert best.concept == style, (repo, best)


def test_search_finds_a_copy_by_its_style_and_shows_its_base(night: tuple[Settings, dict[str, AuditRecord]]) -> None:
    database = night[0].catalog_path
    for repo, style in OF_GAN.items():
        hits = search(database, f"most {style}", 10, base="pocket_gan").hits
        assert hits[0].repo_id == repo and hits[0].base == "pocket_gan", style
