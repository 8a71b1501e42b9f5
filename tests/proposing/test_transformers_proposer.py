from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from auditor.common.package_paths import package_path
from auditor.errors import PrerequisiteMissing
from auditor.lexicons import load_lexicon
from auditor.pocket.scenes import render, sample_scene
from auditor.pocket.styles import apply_style
from auditor.proposing.proposer import ProposerOptions, Sampling
from auditor.proposing.reply_cache import ReplyCache
from auditor.proposing.revision import folder_revision
from auditor.proposing.transformers_proposer import TransformersProposer

Pairs = tuple[np.ndarray, np.ndarray]


@pytest.fixture(scope="module")
def styled() -> Pairs:
    """Nine scenes, plain and inverted."""
    rng = np.random.default_rng(8)
    plain = [render(sample_scene(rng)) for _ in range(9)]
    changed = [apply_style(image, "inverted", 1.0, rng) for image in plain]
    as_bytes = [np.round(np.stack(images) * 255).astype(np.uint8) for images in (plain, changed)]
    return as_bytes[0], as_bytes[1]


def test_the_pocket_model_names_a_difference_in_the_production_schema(styled: Pairs, tmp_path: Path) -> None:
    lexicon = load_lexicon("pocket-1")
    proposer = TransformersProposer(package_path("pocket/weights/vlm"), cache=ReplyCache(tmp_path), batch_size=2)
    first = proposer.propose(*styled)
    assert first.reason is None and first.groups_answered == first.groups == 3
    assert "inverted" in {lexicon.canonical(phrase.text) for phrase in first.phrases}
    again = proposer.propose(*styled)
    assert again.phrases == first.phrases and all(reply.cached for reply in again.replies)


def test_a_random_model_is_recorded_as_invalid(random_vlm: Path, pairs: Pairs) -> None:
    settings = ProposerOptions(Sampling(attempts=2, max_tokens=6))
    proposer = TransformersProposer(random_vlm, settings)
    proposals = proposer.propose(*pairs)
    assert (proposals.reason, proposals.phrases) == ("vlm_invalid", ())
    assert [(r.group, r.attempt) for r in proposals.replies] == [(g, a) for g in range(3) for a in range(2)]
    again = proposer.propose(*pairs)
    assert [(r.text, r.seed) for r in again.replies] == [(r.text, r.seed) for r in proposals.replies]


def test_sampling_leaves_the_global_random_state_alone(random_vlm: Path, pairs: Pairs) -> None:
    proposer = TransformersProposer(random_vlm, ProposerOptions(Sampling(temperature=1.0, attempts=1, max_tokens=2)))
    torch.manual_seed(5)
    before = torch.get_rng_state()
    proposer.propose(*pairs)
    assert torch.equal(before, torch.get_rng_state())


def test_batching_does_not_change_replies(random_vlm: Path, pairs: Pairs) -> None:
    settings = ProposerOptions(Sampling(attempts=1, max_tokens=4))
    alone = TransformersProposer(random_vlm, settings, batch_size=1).propose(*pairs)
    together = TransformersProposer(random_vlm, settings, batch_size=8).propose(*pairs)
    assert [r.text for r in alone.replies] == [r.text for r in together.replies]


def test_revision_knows_every_file_that_counts(random_vlm: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(random_vlm, copy)
    (copy / "README.md").write_text("a card decides nothing")
    assert folder_revision(copy) == folder_revision(random_vlm)
    (copy / "chat_template.jinja").write_text("other")
    assert folder_revision(copy) != folder_revision(random_vlm)


def test_an_absent_model_names_the_next_step(tmp_path: Path) -> None:
    with pytest.raises(PrerequisiteMissing, match="download or train"):
        TransformersProposer(tmp_path)


def test_retries_differ_whatever_the_model_recommends(tmp_path: Path, random_vlm: Path, pairs: Pairs) -> None:
    """Qwen2-VL-7B-Instruct ships a configuration that leaves chance nothing to choose from."""
    folder = tmp_path / "vlm"
    shutil.copytree(random_vlm, folder)
    recommended = {"do_sample": True, "temperature": 0.1, "top_p": 0.001, "top_k": 1, "repetition_penalty": 1.05}
    path = folder / "generation_config.json"
    path.write_text(json.dumps((json.loads(path.read_text()) if path.is_file() else {}) | recommended))
    settings = ProposerOptions(Sampling(temperature=1.0, attempts=4, max_tokens=8))
    replies = TransformersProposer(folder, settings).propose(*pairs).replies
    first_group = {reply.text for reply in replies if reply.group == 0}
    assert len(first_group) == 4


def test_the_first_try_is_the_likeliest_word_whatever_the_model_recommends(
    tmp_path: Path, random_vlm: Path, pairs: Pairs
) -> None:
    folder = tmp_path / "vlm"
    shutil.copytree(random_vlm, folder)
    path = folder / "generation_config.json"
    plain = json.loads(path.read_text()) if path.is_file() else {}
    path.write_text(json.dumps(plain | {"do_sample": True, "repetition_penalty": 5.0}))
    settings = ProposerOptions(Sampling(temperature=0.0, attempts=1, max_tokens=8))
    recommended = TransformersProposer(folder, settings).propose(*pairs)
    own = TransformersProposer(random_vlm, settings).propose(*pairs)
    assert [reply.text for reply in recommended.replies] == [reply.text for reply in own.replies]
