"""`auditor evaluate encoders`: what a good and a bad space measure as, and how encoders are named."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from auditor.cli.main import app
from auditor.common.package_paths import package_path
from auditor.errors import UserError
from auditor.evaluation.encoder_geometry import (
    POCKET_ENCODERS,
    EncoderRow,
    encoder_settings,
    evaluate_encoders,
    span_cosine,
    text_side,
)
from auditor.evaluation.training_lengths import style_names
from auditor.lexicons.loader import load_lexicon
from tests.tiny_encoders import save_siglip

STYLES = style_names(held_out=False)


def _rows(encoders: Sequence[str]) -> list[EncoderRow]:
    return list(evaluate_encoders(encoders, load_lexicon("pocket-1"), STYLES, scenes=8).rows)


def test_a_trained_encoder_is_aligned_and_a_random_one_is_not(tmp_path: Path) -> None:
    trained, random = _rows(["package:pocket/weights/clip", str(save_siglip(tmp_path))])
    assert trained.alignment.low > 0.8 > 0.5 > trained.alignment_chance
    assert abs(random.alignment.mean) < 0.5
    assert trained.linearity.low > 0.9 > trained.linearity_chance
    assert trained.orthogonality.high < 0.5
    assert (trained.dimension, trained.alignment.cases) == (128, len(STYLES))
    assert trained.orthogonality_chance == pytest.approx(np.sqrt(2 / (np.pi * 128)))


@pytest.mark.parametrize("encoder", POCKET_ENCODERS)
def test_every_encoder_of_the_pocket_knows_its_world(encoder: str) -> None:
    (row,) = _rows([encoder])
    assert row.alignment.low > row.alignment_chance + 0.3
    assert row.linearity.low > row.linearity_chance + 0.2


def test_a_sum_is_found_whatever_its_weights() -> None:
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(2, 10))
    assert span_cosine(0.2 * rows[0] - 3 * rows[1], rows) == pytest.approx(1)
    outside = rng.normal(size=10)
    assert span_cosine(outside - rows.T @ np.linalg.lstsq(rows.T, outside, rcond=None)[0], rows) < 1e-6
    assert span_cosine(np.zeros(10), rows) == 0


class _Words:
    """Texts as bags of words: a perfectly linear space before rows are brought to length 1."""

    def encode_texts(self, texts: Sequence[str]) -> np.ndarray:
        words = ("one", "two", "red", "blue")
        counts = np.array([[text.split().count(word) for word in words] for text in texts], np.float32)
        return counts / np.linalg.norm(counts, axis=1, keepdims=True)


def test_directions_are_means_of_differences_of_unit_rows() -> None:
    found = text_side(_Words(), ["one", "two"], [["one red", "two red"]])  # type: ignore[arg-type]
    root = 1 / np.sqrt(2)
    np.testing.assert_allclose(found, [[(root - 1) / 2, (root - 1) / 2, root, 0]], atol=1e-6)


def test_an_encoder_is_named_by_folder_tag_or_repository(tmp_path: Path) -> None:
    assert encoder_settings(POCKET_ENCODERS[0]).kind == "open_clip"
    folder = encoder_settings(str(save_siglip(tmp_path)))
    assert (folder.kind, folder.path) == ("transformers", tmp_path)
    tagged = encoder_settings("open_clip:EVA02-L-14/merged2b_s4b_b131k")
    assert (tagged.kind, tagged.name, tagged.pretrained) == ("open_clip", "EVA02-L-14", "merged2b_s4b_b131k")
    repo = encoder_settings("transformers:kakaobrain/align-base@v1")
    assert (repo.kind, repo.name, repo.pretrained) == ("transformers", "kakaobrain/align-base", "v1")
    for strange in ("nowhere", "open_clip:ViT-B-32", str(tmp_path / "none"), "new:x/y"):
        with pytest.raises(UserError, match="is no encoder"):
            encoder_settings(strange)
    with pytest.raises(UserError, match="four styles"):
        evaluate_encoders([], load_lexicon("pocket-1"), STYLES[:3])


def test_the_command_prints_every_figure(tmp_path: Path) -> None:
    clip = str(package_path("pocket/weights/clip"))
    options = ["--work-dir", str(tmp_path), "evaluate", "encoders", clip, "--scenes", "4", "--development", "--json"]
    found = CliRunner().invoke(app, options)
    assert found.exit_code == 0, found.output
    table = json.loads(found.stdout)
    assert table["styles"] == list(STYLES) and table["pairs"] == 66
    assert table["rows"][0]["encoder"] == clip and table["rows"][0]["alignment"]["cases"] == 12
