from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from auditor.errors import PrerequisiteMissing
from auditor.pocket.vlm.architecture import build_model
from auditor.pocket.vlm.objective import Batch, ConceptHead, Objective
from auditor.pocket.vlm.pairs import CONCEPTS
from auditor.proposing.cache import ReplyCache
from auditor.proposing.proposer import ProposerSettings, Sampling
from auditor.proposing.transformers_proposer import TransformersProposer, folder_revision

Pairs = tuple[np.ndarray, np.ndarray]


@pytest.fixture(scope="module")
def parrot(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pocket model after a dozen steps on one reply: it gives that reply to everything."""
    model, processor = build_model(seed=3)
    objective, head = Objective(model, processor), ConceptHead()
    optimiser = torch.optim.AdamW(model.parameters(), lr=4e-3)
    rng = np.random.default_rng(0)
    for pairs in (3, 1) * 12:
        pictures = torch.from_numpy(rng.random((2, pairs, 2, 64, 64, 3), dtype=np.float32))
        replies = ('{"concepts": ["vibrant", "high-contrast"]}',) * 2
        batch = Batch(pictures, torch.zeros(2, len(CONCEPTS)), replies, ((), ()))
        optimiser.zero_grad()
        objective.losses(batch, head, vision_only=False)[1].backward()
        optimiser.step()
    folder = tmp_path_factory.mktemp("parrot")
    model.to(torch.float16).save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


def test_a_trained_model_answers_in_the_production_schema(parrot: Path, pairs: Pairs, tmp_path: Path) -> None:
    proposer = TransformersProposer(parrot, cache=ReplyCache(tmp_path), batch_size=2)
    first = proposer.propose(*pairs)
    assert [(p.text, p.support) for p in first.phrases] == [("vibrant", 1.0), ("high-contrast", 1.0)]
    assert [r.text for r in first.replies] == ['{"concepts": ["vibrant", "high-contrast"]}'] * 3
    again = proposer.propose(*pairs)
    assert again.phrases == first.phrases and all(r.cached for r in again.replies)


def test_a_random_model_is_recorded_as_invalid(random_vlm: Path, pairs: Pairs) -> None:
    settings = ProposerSettings(Sampling(attempts=2, max_tokens=6))
    proposer = TransformersProposer(random_vlm, settings)
    proposals = proposer.propose(*pairs)
    assert (proposals.reason, proposals.phrases) == ("vlm_invalid", ())
    assert [(r.group, r.attempt) for r in proposals.replies] == [(g, a) for g in range(3) for a in range(2)]
    again = proposer.propose(*pairs)
    assert [(r.text, r.seed) for r in again.replies] == [(r.text, r.seed) for r in proposals.replies]


def test_sampling_leaves_the_global_random_state_alone(random_vlm: Path, pairs: Pairs) -> None:
    proposer = TransformersProposer(random_vlm, ProposerSettings(Sampling(temperature=1.0, attempts=1, max_tokens=2)))
    torch.manual_seed(5)
    before = torch.get_rng_state()
    proposer.propose(*pairs)
    assert torch.equal(before, torch.get_rng_state())


def test_batching_does_not_change_replies(random_vlm: Path, pairs: Pairs) -> None:
    settings = ProposerSettings(Sampling(attempts=1, max_tokens=4))
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
