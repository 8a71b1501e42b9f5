"""A rival and an encoder that are one file and one line each, as CONTRIBUTING.md says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from auditor.encoding.encoder_kinds import ENCODER_KINDS
from auditor.evaluation.encoder_geometry import evaluate_encoders
from auditor.evaluation.rivals.rival import gather
from auditor.evaluation.rivals.rival_list import RIVALS, load_rivals
from auditor.evaluation.training_lengths import style_names
from auditor.lexicons.loader import load_lexicon
from auditor.settings import EncoderSettings, resolve

ENCODER = '''
import torch
from auditor.encoding.batched_encoder import BatchedEncoder


class Brightness(BatchedEncoder):
    """Mean colours against counts of a few words."""

    def __init__(self, source, *, pretrained=None, device="cpu", batch_size=64):
        super().__init__(str(source), device=device, batch_size=batch_size)
        self.identity, self.dimension = "brightness-1", 4

    def image_features(self, images):
        means = torch.from_numpy(images.mean(axis=(1, 2)) / 255)
        return torch.cat([means, torch.ones(len(images), 1)], dim=1)

    def text_features(self, texts):
        words = ("red", "bright", "cool", "dark")
        return torch.tensor([[1.0 + text.count(word) for word in words] for text in texts])
'''
RIVAL = """
from auditor.evaluation.rivals.rival import Telling


class Length:
    name = "Length"
    replaced = ""

    def explain(self, evidence):
        moved = float(abs(evidence.shown_features - evidence.base_features).sum())
        return Telling("- something changed" if moved else "", {"moved": dict.fromkeys(evidence.lexicon.names, moved)})
"""


@pytest.fixture(autouse=True)
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "stranger_encoder.py").write_text(ENCODER)
    (tmp_path / "stranger_rival.py").write_text(RIVAL)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(ENCODER_KINDS, "brightness", "stranger_encoder:Brightness")  # the one line
    monkeypatch.setitem(RIVALS, "length", "stranger_rival:Length")
    return tmp_path


def test_an_encoder_is_a_file_and_a_line(files: Path) -> None:
    chosen = EncoderSettings(kind="brightness", name="mine", path=files)
    assert chosen.kind == "brightness"
    overrides = ["recipe.encoder.kind=brightness", f"recipe.encoder.path={files}"]
    assert resolve(profile="pocket", overrides=overrides, environment={}).settings.recipe.encoder.kind == "brightness"
    table = evaluate_encoders([f"brightness:{files}"], load_lexicon("pocket-1"), style_names(held_out=False), scenes=4)
    assert table.rows[0].dimension == 4 and table.rows[0].alignment.cases == 12


def test_a_rival_is_a_file_and_a_line(files: Path) -> None:
    from stranger_encoder import Brightness  # type: ignore[import-not-found]

    rivals = load_rivals()
    assert "length" in rivals and len(rivals) == len(RIVALS)
    dark, light = np.zeros((2, 8, 8, 3), np.uint8), np.full((2, 8, 8, 3), 200, np.uint8)
    lexicon = load_lexicon("pocket-1")
    told = [
        rivals["length"].explain(gather(["a", "b"], dark, shown, Brightness("x"), lexicon, None, 1))
        for shown in (dark, light)
    ]
    assert told[0].text == "" and told[1].text and set(told[1].numbers["moved"]) == set(lexicon.names)
