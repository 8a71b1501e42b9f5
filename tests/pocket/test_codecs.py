"""Image tokenizers of both layouts behind one set of steps: against what the models themselves compute."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional as F
from transformers.models.janus.modeling_janus import JanusVQVAE

from auditor.pocket.training import image_tokens, janus_tokens
from auditor.pocket.training.codecs import ChameleonCodec, Codec, JanusCodec, codec_of
from auditor.pocket.training.image_tokens import CODES, SIDE, place_codes, quantised_loss
from auditor.pocket.training.janus_tokens import hand_on, taught_loss

LAYOUTS = {ChameleonCodec: image_tokens.SIZES, JanusCodec: janus_tokens.SIZES}


@pytest.fixture(params=LAYOUTS)
def codec(request: pytest.FixtureRequest) -> Codec:
    torch.manual_seed(0)
    made: Codec = request.param.of(LAYOUTS[request.param]).eval()
    assert type(codec_of(made.model)) is type(made)
    with torch.no_grad():  # the library starts Janus so small that all latents are alike
        made.model.quant_conv.weight.mul_(20.0)
        made.places.copy_(torch.from_numpy(np.random.default_rng(1).standard_normal(made.places.shape)))
    if isinstance(made, JanusCodec):
        made.shorten()
        assert torch.allclose(made.places.norm(dim=1), torch.ones(CODES))
    return made


def _pictures(count: int) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(2).uniform(-1, 1, (count, 3, 64, 64)).astype(np.float32))


@torch.no_grad()
def test_codes_and_pictures_are_the_models_own(codec: Codec) -> None:
    pictures, model = _pictures(3), codec.model
    codes = codec.encode(pictures)
    assert codes.shape == (3, SIDE**2) and len(codes.unique()) > 10
    own = (
        model.encode(pictures, return_dict=True).image_tokens
        if isinstance(model, JanusVQVAE)
        else model.encode(pictures)
    )
    assert torch.equal(codes, own.view(3, -1))
    assert torch.equal(codec.decode(codes), model.decode(codes))
    assert torch.equal(codec.nearest(codec.embedded(codes)), codes)


@torch.no_grad()
def test_the_length_of_a_code_of_janus_says_nothing() -> None:
    """Published codes have any length; the decoder takes their direction alone, and so must the choice among them."""
    torch.manual_seed(3)
    codec = JanusCodec.of(janus_tokens.SIZES)
    codec.places.normal_()
    codes = codec.encode(_pictures(2))
    before = codec.decode(codes)
    codec.places.mul_(torch.linspace(0.1, 9, CODES)[:, None])
    assert torch.equal(codec.encode(_pictures(2)), codes)
    assert torch.allclose(codec.decode(codes), before, atol=1e-5)


def _all_learn(codec: Codec, loss: torch.Tensor) -> None:
    loss.backward()
    for part in (codec.model.encoder, codec.model.decoder, codec.model.quantize, codec.model.quant_conv):
        assert any(p.grad is not None and bool(p.grad.abs().sum() > 0) for p in part.parameters()), type(part)


def test_encoder_codes_and_decoder_learn_together() -> None:
    torch.manual_seed(0)
    codec = ChameleonCodec.of(image_tokens.SIZES)
    before = codec.places.detach().clone()
    place_codes(codec, _pictures(16))
    assert not torch.equal(codec.places, before)
    _all_learn(codec, quantised_loss(codec, _pictures(2)))


def test_codes_that_are_handed_on_are_told_apart_as_before() -> None:
    """And a pupil that reads and draws them as its teacher does has less to lose."""
    torch.manual_seed(0)
    teacher, pupil = ChameleonCodec.of(image_tokens.SIZES), JanusCodec.of(janus_tokens.SIZES)
    with torch.no_grad():
        teacher.places.normal_()
        hand_on(pupil, teacher)
        near = torch.cdist(teacher.places, teacher.places).fill_diagonal_(torch.inf).argmin(1)
        turned = (pupil.places @ pupil.places.T).fill_diagonal_(-1)
        ranks = (turned > turned.gather(1, near[:, None])).sum(1)
        codes = pupil.encode(_pictures(2))
        read = taught_loss(pupil, pupil.decode(codes), codes)
        assert taught_loss(pupil, _pictures(2), codes) > read
    assert ranks.float().mean() < 5  # of 511: a code's nearest one is still among the nearest
    _all_learn(pupil, taught_loss(pupil, _pictures(2), codes))


@torch.no_grad()
def test_latents_near_a_code_are_that_code(codec: Codec) -> None:
    codes = torch.arange(2 * SIDE**2).view(2, -1)
    latents = codec.embedded(codes)
    noise = torch.randn(latents.shape, generator=torch.Generator().manual_seed(4))
    near, far = codec.nearest(latents + 0.01 * noise), codec.nearest(F.normalize(noise, dim=1))
    assert (near == codes).float().mean() > 0.9 > 0.2 > (far == codes).float().mean()
