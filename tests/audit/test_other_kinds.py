"""A whole fine-tuned model, a textual inversion and an adapter that does next to nothing, from a repo to a record."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from auditor.audit.task import Task
from auditor.common.package_paths import package_path
from auditor.pipeline import connection, stages
from auditor.records.result import AuditRecord
from auditor.results.result_file import list_results, read_result
from auditor.results.workspace import Workspace
from auditor.settings import resolve
from tests.audit.conftest import QUICK


def _card(folder: Path) -> None:
    folder.mkdir(parents=True)
    (folder / "README.md").write_text("---\nbase_model: pocket/base\ntags: [text-to-image, lora, diffusers]\n---\n")


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory, reference_folder: Path) -> dict[str, AuditRecord]:
    top = tmp_path_factory.mktemp("kinds")
    hub, work = top / "hub", top / "work"
    (work).mkdir()
    (work / "reference").symlink_to(reference_folder)
    base = package_path("pocket/weights/base")
    weights = load_file(next((base / "unet").glob("*.safetensors")))
    generator = torch.Generator().manual_seed(3)
    tuned = {
        n: (t + 0.3 * t.float().std().nan_to_num(0.0) * torch.randn(t.shape, generator=generator)).to(t.dtype)
        for n, t in weights.items()
    }
    _card(hub / "me" / "tuned")
    (hub / "me" / "tuned" / "unet").mkdir()
    save_file(tuned, hub / "me" / "tuned" / "unet" / "diffusion_pytorch_model.safetensors")
    (hub / "me" / "tuned" / "vae").mkdir()
    save_file({"decoder.conv_in.weight": torch.ones(1)}, hub / "me/tuned/vae/diffusion_pytorch_model.safetensors")
    (hub / "me" / "tuned" / "model_index.json").write_text(json.dumps({"_class_name": ["evil", "Pipeline"]}))
    _card(hub / "me" / "word")
    text = load_file(next((base / "text_encoder").glob("*.safetensors")))
    vocabulary = next(tensor for name, tensor in text.items() if name.endswith("token_embedding.weight"))
    save_file(
        {"<blue-word>": vocabulary[500:504].float().contiguous()}, hub / "me" / "word" / "learned_embeds.safetensors"
    )
    _card(hub / "me" / "faint")
    (path,) = package_path("pocket/zoo/mkr/moss-lora").glob("*.safetensors")
    faint = {n: t * 0.03 if t.dim() > 1 else t for n, t in load_file(path).items()}
    save_file({n: t.contiguous() for n, t in faint.items()}, hub / "me" / "faint" / "adapter.safetensors")
    overrides = (*QUICK, f"hub.serve_folder={hub}", "hub.full_models=true", "hub.max_file_bytes=80000000")
    chosen = resolve(config=None, profile="pocket", work_dir=work, overrides=overrides).settings
    with connection.hub(chosen) as client:
        stages.crawl(chosen, client)
        items = stages.plan(chosen, client).items
        Task(chosen, client).run(items)
    return {r.item.repo_id: r for r in (read_result(p).record for p in list_results(Workspace(work).results))}


def test_a_whole_model_is_scored_by_its_denoiser(records: dict[str, AuditRecord]) -> None:
    record = records["me/tuned"]
    assert (record.outcome, record.reason) == ("scored_partial", "components_left_out")
    assert record.message.startswith("Scored by its denoiser; its text encoders and VAE")
    assert record.facts is not None and record.facts.method == "denoiser"
    assert record.proof is not None and record.proof.pairs_in_file == record.proof.layers_injected > 200
    assert record.facts.delta_norm == record.proof.delta_norm > 0
    assert len(record.scores) == 30


def test_a_word_is_tried_by_saying_it(records: dict[str, AuditRecord]) -> None:
    record = records["me/word"]
    assert record.facts is not None and record.facts.method == "textual_inversion"
    assert (record.item.trigger, record.item.trigger_source) == (
        "".join(f"<blue-word-{n}>" for n in range(4)),
        "embedding",
    )
    assert record.arms is not None and (record.arms.source, record.arms.weights_norm) == ("embedding", 0.0)
    assert record.arms.interaction_norm > 0.0
    assert record.outcome in ("scored", "no_effect")
    # pictures of prompts without the word would show nothing of what it does
    assert len(record.thumbnails) == 6 and record.item.trigger is not None
    assert all((record.item.trigger in said) == (record.outcome == "scored") for _, said in record.thumbnails)


def test_what_does_next_to_nothing_and_names_no_trigger_has_no_effect(records: dict[str, AuditRecord]) -> None:
    record = records["me/faint"]
    assert record.item.trigger is None and record.arms is None
    assert record.proof is not None and record.proof.delta_norm > 0.0
    assert record.effect is not None and record.effect.status == "no_effect"
    assert (record.outcome, record.scores, record.dose, record.explanations) == ("no_effect", (), (), ())
