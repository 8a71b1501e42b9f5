"""The shipped Janus draws what it is asked for, and an audit says what a copy of its image decoder was taught."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import JanusForConditionalGeneration

from auditor.adapters.adapter_file import inspect_file
from auditor.audit.opening import open_base
from auditor.common.package_paths import package_path
from auditor.evaluation.captions import evaluate_captions
from auditor.generation.autoregressive_base import AutoregressiveBase
from auditor.generation.render_options import RenderOptions
from auditor.measuring.arms import measure_plain
from auditor.measuring.base_choice import choose_base
from auditor.measuring.measure_file import audit_file
from auditor.measuring.opened_base import OpenedBase
from auditor.pocket.styles import STYLES
from auditor.pocket.training.lessons import janus_style_lesson
from auditor.pocket.training.token_copies import copy_path, ensure_copies
from auditor.records.result import AuditRecord, WorkItem
from auditor.settings import Settings, resolve

FOLDER = package_path("pocket/weights/janus")
WEIGHT_LIMIT_BYTES = 2_500_000
DECODER = ("model.vqmodel.decoder.", "model.vqmodel.post_quant_conv.")
STYLE = "striped"
SWITCHED_ON = (
    "recipe.bases.pocket.enabled=false",
    "recipe.bases.pocket_tokens.enabled=true",
    "recipe.bases.pocket_janus.enabled=true",
    "recipe.proposer.kind=none",
    "recipe.probe_count=12",
    "recipe.looks=[]",
    "recipe.dose_scales=[]",
    "recipe.trigger_arms=false",
    "recipe.solver.image_probes=1",
    "recipe.solver.null_draws=200",
)


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    work = tmp_path_factory.mktemp("janus")
    return resolve(profile="pocket", overrides=SWITCHED_ON, work_dir=work, environment={}).settings


@pytest.fixture(scope="module")
def opened(settings: Settings) -> OpenedBase:
    return open_base(settings, "pocket_janus")


def _audit(opened: OpenedBase, settings: Settings, path: Path) -> AuditRecord:
    item = WorkItem(
        repo_id="a/b", commit_sha="0" * 40, path=path.name, file_sha256=None, base_name=None, base_claim="pocket/janus"
    )
    adapter = inspect_file(path)
    choice = choose_base(item, adapter, settings)
    assert (choice.base_name, choice.assumed) == ("pocket_janus", False)  # not the other base of its kind
    return audit_file(opened, item, adapter, "0" * 64, choice).result.record


def test_it_is_small_and_switched_off() -> None:
    assert sum(file.stat().st_size for file in FOLDER.iterdir()) < WEIGHT_LIMIT_BYTES
    assert {tensor.dtype for tensor in load_file(FOLDER / "model.safetensors").values()} == {torch.float16}
    assert "pocket_janus" not in resolve(profile="pocket", environment={}).settings.recipe.active_bases


def test_it_draws_what_it_is_asked_for() -> None:
    found = evaluate_captions(resolve(profile="pocket", environment={}).settings, 50, "pocket_janus")
    assert found.right.right >= 40  # of 50; chance is 1


def test_the_librarys_own_loop_draws_the_same_tokens(capfd: pytest.CaptureFixture[str]) -> None:
    """Guided, with nothing left to chance, and without a word of the library: its warnings are findings."""
    prompt = "a red boat on water"
    base = AutoregressiveBase(FOLDER, RenderOptions(size=64, guidance=3.0, temperature=1e-6))
    tokens = base._tokens
    model: JanusForConditionalGeneration = tokens.model
    ids = torch.tensor([tokens.prompt_ids(prompt)])
    capfd.readouterr()
    drawn = model.generate(ids, torch.ones_like(ids), generation_mode="image", do_sample=False, guidance_scale=3.0)
    assert "".join(capfd.readouterr()) == ""
    assert drawn.shape == (1, 64) and torch.equal(drawn, base._sample([prompt], [1]))


def test_base_against_base_is_exactly_zero(opened: OpenedBase, settings: Settings, tmp_path: Path) -> None:
    measured = measure_plain(opened)
    assert measured.differences.shape[0] == 12 and not measured.differences.any()
    weights = load_file(FOLDER / "model.safetensors")
    path = tmp_path / "model.safetensors"
    save_file({name: tensor for name, tensor in weights.items() if name.startswith(DECODER)}, path)
    record = _audit(opened, settings, path)
    assert (record.outcome, record.reason) == ("no_effect", "no_learned_change")


def test_a_copy_of_its_decoder_is_scored_by_its_style(opened: OpenedBase, settings: Settings, tmp_path: Path) -> None:
    assert not STYLES[STYLE].held_out
    lesson = replace(janus_style_lesson(STYLE), steps=60)
    ensure_copies(FOLDER, tmp_path, [lesson])
    path = copy_path(tmp_path, lesson)
    taught, base = load_file(path), load_file(FOLDER / "model.safetensors")
    assert set(taught) == {name for name in base if name.startswith(DECODER)}
    assert all(torch.isfinite(t).all() and not torch.equal(t, base[name]) for name, t in taught.items())
    record = _audit(opened, settings, path)
    assert record.outcome == "scored" and record.facts is not None and record.facts.method == "autoregressive_model"
    assert record.proof is not None and record.proof.layers_injected == len(taught)
    ranked = sorted(record.scores, key=lambda score: -score.score)
    assert np.isfinite([score.score for score in ranked]).all() and STYLE in [s.concept for s in ranked[:3]]
