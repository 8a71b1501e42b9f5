"""ControlGAN's modules: the published sizes, and what text, attention and discriminators must and must not do."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

from auditor.errors import PrerequisiteMissing, UserError
from auditor.generation.controlgan.discriminators import StageDiscriminator, WordDiscriminator, word_context
from auditor.generation.controlgan.gan_sizes import PUBLISHED, read_sizes, write_sizes
from auditor.generation.controlgan.staged_generator import StagedGenerator
from auditor.generation.controlgan.text_matching import RegionEncoder, matching_loss, word_scores
from auditor.generation.controlgan.word_attention import ChannelAttention, SpatialAttention
from auditor.generation.controlgan.word_encoder import END, TextFeatures, WordEncoder, WordList
from tests.tiny_gan import CAPTIONS, SIZES

# Shapes of the authors' generator for birds: 32 hidden channels, 512 at the stem, two residual blocks of 96 channels.
GENERATOR_SHAPES = {
    "augmentation.project.weight": (400, 256),
    "first.project.0.weight": (16_384, 200),
    "first.doublings.0.1.weight": (512, 512, 3, 3),
    "first.doublings.3.1.weight": (64, 64, 3, 3),
    "later.0.places.project.weight": (32, 256, 1),
    "later.0.features.project.weight": (64 * 64, 256, 1),
    "later.1.features.project.weight": (128 * 128, 256, 1),
    "later.1.blocks.1.layers.0.weight": (192, 96, 3, 3),
    "later.1.blocks.1.layers.3.weight": (96, 96, 3, 3),
    "later.1.doubling.1.weight": (64, 96, 3, 3),
    "painters.2.0.weight": (3, 32, 3, 3),
}
DISCRIMINATOR_WIDTHS = {
    64: (64, 128, 256, 512),
    128: (64, 128, 256, 512, 1024, 512),
    256: (64, 128, 256, 512, 1024, 2048, 1024, 512),
}


def _text(count: int, sizes=SIZES, longest: int | None = None) -> TextFeatures:
    words = sizes.words if longest is None else longest
    present = torch.arange(words)[None] < torch.randint(1, words + 1, (count, 1))
    features = torch.randn(count, sizes.word_width, words) * present[:, None]
    return TextFeatures(features, torch.randn(count, sizes.word_width), present)


def test_the_published_size_has_the_published_shapes() -> None:
    with torch.device("meta"):
        generator, text = StagedGenerator(PUBLISHED), WordEncoder(5_450, PUBLISHED)
        shapes = {name: tuple(value.shape) for name, value in generator.named_parameters()}
        assert {name: shapes[name] for name in GENERATOR_SHAPES} == GENERATOR_SHAPES
        numbers = torch.zeros(2, 18, dtype=torch.long)
        assert text.embedding(numbers).shape == (2, 18, 300) and text.reader.hidden_size == 128
        told = TextFeatures(torch.zeros(2, 256, 18), torch.zeros(2, 256), torch.ones(2, 18, dtype=torch.bool))
        drawn = generator(torch.zeros(2, 100), torch.zeros(2, 100), told)
        assert [tuple(p.shape) for p in drawn.pictures] == [(2, 3, side, side) for side in (64, 128, 256)]
        assert drawn.mean.shape == drawn.log_variance.shape == (2, 100)
        for side, widths in DISCRIMINATOR_WIDTHS.items():
            judge = StageDiscriminator(side, PUBLISHED)
            assert tuple(m.out_channels for m in judge.trunk if isinstance(m, torch.nn.Conv2d)) == widths
            features = judge(torch.zeros(2, 3, side, side))
            assert features.shape == (2, 512, 4, 4)
            assert judge.unconditional(features).shape == judge.conditional(features, told.sentence).shape == (2,)
        assert WordDiscriminator(768, 256)(torch.zeros(2, 768, 17, 17), told).shape == (2,)


def test_sizes_are_read_back_and_nonsense_is_refused(tmp_path: Path) -> None:
    write_sizes(SIZES, tmp_path)
    assert read_sizes(tmp_path) == SIZES and SIZES.sides == (8, 16, 32) and PUBLISHED.stem_doublings == 4
    for change, said in (
        ({"picture": 48}, "do not lead to"),
        ({"stages": 9}, "stages must be"),
        ({"stages": 4}, "do not lead to"),
        ({"word_width": 7}, "even"),
        ({"latent": True}, "whole number"),
        ({"channels": "x" * 10**6}, "whole number"),
    ):
        with pytest.raises(UserError, match=said) as error:
            replace(SIZES, **change)
        assert len(str(error.value)) < 200
    with pytest.raises(PrerequisiteMissing, match=r"config\.json is missing"):
        read_sizes(tmp_path / "nothing")
    for text, said in (("[]", "does not describe"), ("{", "not JSON"), ('{"_class_name": "ControlGan"}', "lacks")):
        (tmp_path / "config.json").write_text(text)
        with pytest.raises(UserError, match=said):
            read_sizes(tmp_path)


def test_unknown_words_are_left_out_and_no_caption_is_empty() -> None:
    words = WordList.of(CAPTIONS)
    assert words.words[0] == END
    numbers, lengths = words.numbers(["A red zebra, on sand!", "zebra", "a boat " * 9], 8)
    assert [words.words[i] for i in numbers[0, : lengths[0]]] == ["a", "red", "on", "sand"]
    assert lengths.tolist() == [4, 1, 8] and not numbers[1].any()


def test_a_caption_reads_the_same_in_any_batch() -> None:
    torch.manual_seed(1)
    words = WordList.of(CAPTIONS)
    encoder = WordEncoder(len(words.words), SIZES).eval()
    together = encoder(*words.numbers(CAPTIONS, SIZES.words))
    for row, caption in enumerate(CAPTIONS):
        alone = encoder(*words.numbers([caption], SIZES.words))
        torch.testing.assert_close(alone.words[0], together.words[row])
        torch.testing.assert_close(alone.sentence[0], together.sentence[row])
        assert torch.equal(alone.present[0], together.present[row])


def test_padding_draws_nothing() -> None:
    torch.manual_seed(2)
    text = _text(3)
    loud = TextFeatures(text.words.masked_fill(~text.present[:, None], 50.0), text.sentence, text.present)
    hidden = torch.randn(3, 4, 8, 8)
    for attention in (SpatialAttention(4, 8), ChannelAttention(64, 8)):
        seen = attention(hidden, text.words, text.present)
        assert seen.shape == hidden.shape
        torch.testing.assert_close(attention(hidden, loud.words, loud.present), seen)
    generator = StagedGenerator(SIZES).eval()
    noise = torch.randn(3, 6), torch.randn(3, 5)
    torch.testing.assert_close(generator(*noise, loud).pictures[-1], generator(*noise, text).pictures[-1])


def test_places_and_channels_attend_as_the_equations_say() -> None:
    torch.manual_seed(3)
    text, hidden = _text(1, longest=3), torch.randn(1, 4, 2, 2)
    kept = text.words[0][:, text.present[0]]  # (word_width, L)
    places, channels = SpatialAttention(4, 8), ChannelAttention(4, 8)
    told = places.project.weight[..., 0] @ kept  # (channels, L)
    weights = torch.softmax(hidden[0].flatten(1).T @ told, dim=1)  # (places, L)
    torch.testing.assert_close(places(hidden, text.words, text.present)[0].flatten(1), told @ weights.T)
    spread = channels.project.weight[..., 0] @ kept  # (places, L)
    weights = torch.softmax(hidden[0].flatten(1) @ spread, dim=1)  # (channels, L)
    torch.testing.assert_close(channels(hidden, text.words, text.present)[0].flatten(1), weights @ spread.T)


def test_a_word_is_correlated_with_the_region_that_shows_it() -> None:
    text = TextFeatures(torch.eye(8)[:, :2][None] * 4, torch.zeros(1, 8), torch.ones(1, 2, dtype=torch.bool))
    judge = WordDiscriminator(8, 8)
    torch.nn.init.eye_(judge.perception.weight[..., 0])
    shows = torch.zeros(1, 8, 1, 2)
    shows[0, 0, 0, 0] = shows[0, 1, 0, 1] = 4
    other = torch.zeros(1, 8, 1, 2)
    other[0, 5, 0, 0] = other[0, 6, 0, 1] = 4
    assert judge(shows, text).item() > judge(other, text).item() + 1
    found = word_context(text.words, text.present, shows.flatten(2))
    assert F.cosine_similarity(found, text.words, dim=1).min() > 0.95


def test_matching_is_learned() -> None:
    torch.manual_seed(4)
    words = WordList.of(CAPTIONS)
    encoder, eyes = WordEncoder(len(words.words), SIZES, dropout=0.0), RegionEncoder(SIZES.word_width, 4)
    numbers, lengths = words.numbers(CAPTIONS, SIZES.words)
    pictures = torch.rand(3, 3, 32, 32)
    same = torch.eye(3)
    optimiser = torch.optim.Adam([*encoder.parameters(), *eyes.parameters()], lr=1e-2)
    first = None
    for _ in range(40):
        loss = matching_loss(eyes(pictures), encoder(numbers, lengths), same)
        first = first or loss.item()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert first is not None and loss.item() < 0.5 * first
    scores = word_scores(eyes(pictures), encoder(numbers, lengths))
    assert scores.argmax(dim=1).tolist() == [0, 1, 2]
