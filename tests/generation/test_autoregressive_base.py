"""Transformers that draw image tokens: pairing, copies of the decoder, restoring, and the published layout."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import ChameleonVQVAEConfig, GenerationConfig
from transformers.models.chameleon.modeling_chameleon import ChameleonVQVAE
from transformers.models.janus.modeling_janus import JanusVQVAE, JanusVQVAEConfig

from auditor.adapters.adapter_file import inspect_file
from auditor.adapters.normalise import normalise
from auditor.adapters.normalised import NormalisedAdapter
from auditor.errors import ItemError, PrerequisiteMissing, Refused, UserError
from auditor.generation.autoregressive_base import AutoregressiveBase
from auditor.generation.render_options import RenderOptions
from auditor.generation.vqgan import VQGAN, VQGANConfig
from tests.tiny_models import SIZE
from tests.tiny_token_models import JANUS_SIZE, SIDE, save_chameleon, save_janus

PROMPTS, SEEDS = ["a photo of a red boat", "a blue house in snow", "a green tree"], [3, 4, 2**40]
DECODER = "model.vqmodel.decoder.conv_out.weight"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_chameleon(tmp_path_factory.mktemp("chameleon"))


@pytest.fixture(scope="module")
def shared(folder: Path) -> AutoregressiveBase:
    return AutoregressiveBase(folder, RenderOptions(size=SIZE, batch_size=2, guidance=1.0, family="tokens"))


@pytest.fixture
def base(shared: AutoregressiveBase) -> Iterator[AutoregressiveBase]:
    """The check after each test is that the base was left as it was."""
    yield shared
    shared.remove()


def _copy(folder: Path, path: Path, base: AutoregressiveBase, *, only: str, by: float = 0.2) -> NormalisedAdapter:
    """Weights of the base with those whose name holds `only` changed, in a file."""
    tensors = load_file(folder / "model.safetensors")
    generator = torch.Generator().manual_seed(1)
    for name, tensor in tensors.items():
        if only in name:
            tensors[name] = tensor + by * (tensor.std() + 0.1) * torch.randn(tensor.shape, generator=generator)
    save_file(tensors, path)
    return normalise(inspect_file(path), base.layout())


def test_base_against_base_is_exactly_zero(folder: Path, base: AutoregressiveBase) -> None:
    first = base.generate(PROMPTS, SEEDS)
    other = AutoregressiveBase(folder, RenderOptions(size=SIZE, batch_size=2, guidance=1.0)).generate(PROMPTS, SEEDS)
    assert first.shape == (3, SIZE, SIZE, 3) and base.last_checks.usable.all()
    assert np.array_equal(first, other)
    assert not np.array_equal(base.generate(PROMPTS, [9, 10, 11]), first)


def test_a_copy_of_the_decoder_draws_the_very_tokens_of_the_base(
    folder: Path, tmp_path: Path, base: AutoregressiveBase
) -> None:
    before = base.generate(PROMPTS, SEEDS)
    drawn = base.calls.base
    adapter = _copy(folder, tmp_path / "copy.safetensors", base, only="vqmodel.decoder")
    proof = base.apply(adapter)
    assert proof.layers_injected == len(adapter.changes) and proof.latent_shift > 0 and proof.delta_norm > 0
    whole, half = (base.generate(PROMPTS, SEEDS, scale=scale) for scale in (1.0, 0.5))
    assert (base.calls.base, base.calls.adapted) == (drawn, 0)  # not a token was drawn anew
    assert not np.array_equal(whole, before)
    assert np.abs(half.astype(float) - before).mean() < np.abs(whole.astype(float) - before).mean()
    assert np.array_equal(base.generate(PROMPTS, SEEDS, adapter=False), before)
    assert np.array_equal(base.generate(PROMPTS, SEEDS), whole)
    # sampled again, from nothing, with the copy in place: the same tokens
    base._remembered.clear()
    assert np.array_equal(base.generate(PROMPTS, SEEDS), whole)
    base.remove()
    assert np.array_equal(base.generate(PROMPTS, SEEDS), before)


def test_a_copy_of_the_transformer_is_sampled_anew_and_paired_by_seed(
    folder: Path, tmp_path: Path, base: AutoregressiveBase
) -> None:
    base.generate(PROMPTS, SEEDS)
    plain = torch.stack([base._remembered[key] for key in zip(PROMPTS, SEEDS, strict=True)])
    base.apply(_copy(folder, tmp_path / "copy.safetensors", base, only="model.layers.1.mlp", by=0.02))
    drawn = base.calls.adapted
    base.generate(PROMPTS, SEEDS)
    assert base.calls.adapted == drawn + len(PROMPTS) * SIDE**2
    with torch.inference_mode():
        paired = base._sample(PROMPTS, SEEDS).cpu()
        unpaired = base._sample(PROMPTS, [seed + 1 for seed in SEEDS]).cpu()
    # far more tokens are the base's with its noise than with another
    assert (paired == plain).float().mean() > (unpaired == plain).float().mean() + 0.1


def test_what_every_copy_needs_is_not_forgotten_for_what_one_does(
    base: AutoregressiveBase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("auditor.generation.autoregressive_base._KEPT_PICTURES", 5)
    first, before = base.generate(PROMPTS, SEEDS), base.calls.base
    for word in ("ohwx", "zvkr", "qmxt"):
        base.generate([f"{word}, {prompt}" for prompt in PROMPTS[:2]], SEEDS[:2])
        assert np.array_equal(base.generate(PROMPTS, SEEDS), first)
    assert base.calls.base == before + 3 * 2 * SIDE**2


def test_a_weight_under_two_names_is_changed_once(tmp_path: Path) -> None:
    base = AutoregressiveBase(save_chameleon(tmp_path / "tied", tied=True), RenderOptions(size=SIZE, batch_size=3))
    before = base.generate(PROMPTS, SEEDS)
    weights = base._model.state_dict()
    own, codes = (weights[n].clone() for n in ("lm_head.weight", "model.vqmodel.quantize.embedding.weight"))
    tuned = own * 1.3
    path, kept = tmp_path / "model.safetensors", {"model.vqmodel.quantize.embedding.weight": codes}
    save_file(kept | {"model.embed_tokens.weight": tuned, "lm_head.weight": tuned.clone()}, path)
    proof = base.apply(normalise(inspect_file(path), base.layout()))
    assert proof.delta_norm == pytest.approx(float((tuned - own).double().norm()))
    base.generate(PROMPTS, SEEDS, scale=0.5)
    torch.testing.assert_close(base._model.lm_head.weight, own * 1.15)
    base._remembered.clear()
    assert np.array_equal(base.generate(PROMPTS, SEEDS, adapter=False), before)
    base.remove()
    for first, second in ((tuned, own * 0.9), (own, tuned)):
        save_file(kept | {"model.embed_tokens.weight": first.clone(), "lm_head.weight": second.clone()}, path)
        with pytest.raises(Refused) as refused:
            base.apply(normalise(inspect_file(path), base.layout()))
        assert refused.value.reason == "unexpected_tensors"
        base.remove()
    assert np.array_equal(base.generate(PROMPTS, SEEDS), before)


def test_a_copy_whose_logits_overflow_draws_nothing_that_counts(
    folder: Path, tmp_path: Path, base: AutoregressiveBase, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = base.generate(PROMPTS, SEEDS)
    base.apply(_copy(folder, tmp_path / "copy.safetensors", base, only="model.layers.1.mlp", by=0.02))
    plain = type(base._tokens).logits
    monkeypatch.setattr(
        type(base._tokens),
        "logits",
        lambda self, hidden: plain(self, hidden).index_fill(0, torch.tensor([1]), torch.inf),
    )
    base.generate(PROMPTS[:2], SEEDS[:2])
    assert list(base.last_checks.nonfinite) == [False, True]
    monkeypatch.undo()
    assert np.array_equal(base.generate(PROMPTS, SEEDS, adapter=False), before)


def test_a_picture_depends_on_its_seed_not_on_its_place(base: AutoregressiveBase) -> None:
    together = base.generate(PROMPTS[:2], SEEDS[:2])
    base._remembered.clear()
    turned = base.generate(PROMPTS[1::-1], SEEDS[1::-1])[::-1]
    assert np.array_equal(together, turned)


def test_guidance_moves_the_pictures_and_doubles_the_calls(folder: Path, base: AutoregressiveBase) -> None:
    plain = base.generate(PROMPTS, SEEDS)
    guided = AutoregressiveBase(folder, RenderOptions(size=SIZE, batch_size=3, guidance=3.0))
    assert not np.array_equal(guided.generate(PROMPTS, SEEDS), plain)
    assert guided.calls.base == 2 * len(PROMPTS) * SIDE**2


def test_the_sampled_tokens_follow_the_softmax(folder: Path, base: AutoregressiveBase) -> None:
    count = 400
    with torch.inference_mode():
        prefix = base._tokens.prefix([base._tokens.prompt_ids(PROMPTS[0])])
        hidden = base._tokens.body(inputs_embeds=prefix.embeddings).last_hidden_state[:, -1]
        expected = base._tokens.logits(hidden)[0].softmax(0)
        base._tokens.side, side = 1, base._tokens.side
        try:
            drawn = base._sample([PROMPTS[0]] * count, range(count))[:, 0]
        finally:
            base._tokens.side = side
    found = torch.bincount(drawn, minlength=len(expected)) / count
    error = (expected * (1 - expected) / count).sqrt()
    assert ((found - expected).abs() < 4 * error + 1 / count).all()


@pytest.mark.parametrize("form", ["decoder alone", "tokenizer alone", "shards"])
def test_every_form_of_a_copy_is_the_same_copy(
    folder: Path, tmp_path: Path, base: AutoregressiveBase, form: str
) -> None:
    whole = _copy(folder, tmp_path / "whole.safetensors", base, only="vqmodel.decoder")
    base.apply(whole)
    expected = base.generate(PROMPTS, SEEDS)
    base.remove()
    tensors = load_file(tmp_path / "whole.safetensors")
    path, companions = tmp_path / "model.safetensors", {}
    if form == "shards":
        first = {name: tensor for name, tensor in tensors.items() if "vqmodel" not in name}
        path, other = (tmp_path / f"model-0000{n}-of-00002.safetensors" for n in (1, 2))
        save_file(first, path)
        save_file({name: tensor for name, tensor in tensors.items() if "vqmodel" in name}, other)
        companions = {other.name: other}
    else:
        part = "model.vqmodel." if form == "tokenizer alone" else "model.vqmodel.decoder."
        drop = "model.vqmodel." if form == "tokenizer alone" else ""
        save_file({name.removeprefix(drop): tensor for name, tensor in tensors.items() if name.startswith(part)}, path)
    file = inspect_file(path, companions=companions)
    assert file.kind == "autoregressive_model"
    base.apply(normalise(file, base.layout()))
    assert np.array_equal(base.generate(PROMPTS, SEEDS), expected)


def test_what_is_no_copy_of_this_base_is_refused(folder: Path, tmp_path: Path, base: AutoregressiveBase) -> None:
    tensors = load_file(folder / "model.safetensors")
    path = tmp_path / "model.safetensors"
    for changed, said in (
        ({DECODER: torch.zeros(3, 64, 3, 3)}, "has shape"),
        ({"model.vqmodel.decoder.up.9.block.0.conv1.weight": torch.zeros(4, 4, 3, 3)}, "no place"),
        ({DECODER: tensors[DECODER].to(torch.float8_e4m3fn)}, "quantised"),
        ({"model.vqmodel.scale": torch.tensor(1.0)}, "single number"),
    ):
        save_file(tensors | changed, path)
        with pytest.raises(ItemError, match=said) as error:
            normalise(inspect_file(path), base.layout())
        assert error.value.outcome == "skipped"
    before = base.generate(PROMPTS, SEEDS)
    save_file(tensors | {DECODER: torch.full_like(tensors[DECODER], float("nan"))}, path)
    with pytest.raises(Refused) as refused:
        base.apply(normalise(inspect_file(path), base.layout()))
    assert refused.value.reason == "nonfinite_weights"
    for changed in ({}, {"model.vqmodel.quant_conv.bias": torch.ones(8)}):  # nothing, and what draws nothing
        save_file(tensors | changed, path)
        with pytest.raises(ItemError) as error:
            base.apply(normalise(inspect_file(path), base.layout()))
        assert (error.value.outcome, error.value.reason) == ("no_effect", "no_learned_change")
    assert np.array_equal(base.generate(PROMPTS, SEEDS), before)


def test_a_folder_that_cannot_draw_is_named(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="draws pictures of 32 pixels"):
        AutoregressiveBase(folder, RenderOptions(size=64))
    with pytest.raises(PrerequisiteMissing, match=r"config\.json"):
        AutoregressiveBase(tmp_path, RenderOptions(size=SIZE))
    published = tmp_path / "chameleon"  # as Chameleon itself is published
    save_chameleon(published)
    tensors = load_file(published / "model.safetensors")
    kept = {name: tensor for name, tensor in tensors.items() if ".decoder." not in name}
    save_file(kept, published / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(PrerequisiteMissing, match="image decoder"):
        AutoregressiveBase(published, RenderOptions(size=SIZE))
    config = json.loads((folder / "config.json").read_text("utf-8"))
    for changed, said in (({"hidden_size": 64}, "cannot be loaded"), ({"vocabulary_map": [1]}, "vocabulary_map")):
        other = save_chameleon(tmp_path / "other")  # weights of other shapes than it says, and a value of another kind
        (other / "config.json").write_text(json.dumps(config | changed))
        with pytest.raises(PrerequisiteMissing, match=said):
            AutoregressiveBase(other, RenderOptions(size=SIZE))
    for text, said in (('{"model_type": "gpt2"}', "gpt2"), ("[]", "of type None"), ('{"model_type": ["a"]}', "a'")):
        (published / "config.json").write_text(text)
        with pytest.raises(UserError, match=said):
            AutoregressiveBase(published, RenderOptions(size=SIZE))


def test_janus_draws_and_wears_a_copy_of_its_decoder(tmp_path: Path) -> None:
    folder = save_janus(tmp_path / "janus")
    base = AutoregressiveBase(folder, RenderOptions(size=JANUS_SIZE, batch_size=2, guidance=5.0))
    before = base.generate(PROMPTS, SEEDS)
    assert before.shape == (3, JANUS_SIZE, JANUS_SIZE, 3) and base.last_checks.usable.all()
    drawn = base.calls.base
    base.apply(_copy(folder, tmp_path / "copy.safetensors", base, only="vqmodel.decoder"))
    assert not np.array_equal(base.generate(PROMPTS, SEEDS), before)
    assert (base.calls.base, base.calls.adapted) == (drawn, 0)
    base.remove()
    assert np.array_equal(base.generate(PROMPTS, SEEDS), before)


def test_janus_is_guided_as_the_library_guides_it(tmp_path: Path) -> None:
    """Away from padding in the place of the words: with nothing left to chance, the library's loop draws the same."""
    folder = save_janus(tmp_path / "janus")
    base = AutoregressiveBase(folder, RenderOptions(size=JANUS_SIZE, guidance=4.0, temperature=1e-6))
    tokens, model = base._tokens, base._tokens.model
    model.model.vision_model.config.num_image_tokens = 16
    begin, pad = tokens.prompt_ids("")[-1], tokens.tokenizer.pad_token_id
    model.generation_config = GenerationConfig(
        bos_token_id=tokens.tokenizer.bos_token_id, pad_token_id=pad, generation_kwargs={"boi_token_id": begin}
    )
    for prompt in PROMPTS:
        ids = torch.tensor([tokens.prompt_ids(prompt)])
        asked = torch.ones_like(ids)
        theirs = model.generate(ids, asked, generation_mode="image", do_sample=False, guidance_scale=4.0)
        assert torch.equal(theirs, base._sample([prompt], [0]))
        assert not torch.equal(theirs, base._sample([""], [0]))


def test_the_tokenizer_has_the_published_names_and_shapes() -> None:
    """transformers has the encoder's half; the decoder's names and shapes follow from the same configuration."""
    with torch.device("meta"):
        ours = {name: tuple(tensor.shape) for name, tensor in VQGAN(VQGANConfig()).state_dict().items()}
        theirs = ChameleonVQVAE(ChameleonVQVAEConfig()).state_dict()
    assert {name: tuple(tensor.shape) for name, tensor in theirs.items()}.items() <= ours.items()
    decoder = {name.removeprefix("decoder.") for name in ours.keys() - theirs.keys()}
    blocks = {f"up.{level}.block.{block}" for level in range(5) for block in range(3)} | {"mid.block_1", "mid.block_2"}
    expected = {f"{at}.{part}{n}" for at in blocks for part in ("norm", "conv") for n in (1, 2)}
    expected |= {"up.1.block.0.nin_shortcut", "up.3.block.0.nin_shortcut", "conv_in", "norm_out", "conv_out"}
    expected |= {f"up.{level}.upsample.conv" for level in range(1, 5)}
    expected |= {f"mid.attn_1.{part}" for part in ("norm", "q", "k", "v", "proj_out")}
    assert decoder == {f"{name}.{kind}" for name in expected for kind in ("weight", "bias")}
    assert ours["decoder.conv_in.weight"] == (512, 256, 3, 3) and ours["decoder.conv_out.weight"] == (3, 128, 3, 3)
    assert ours["decoder.up.4.block.2.conv2.weight"] == (512, 512, 3, 3)
    assert ours["decoder.up.3.block.0.conv1.weight"] == (256, 512, 3, 3)
    assert ours["decoder.up.1.block.0.nin_shortcut.weight"] == (128, 256, 1, 1)
    assert ours["decoder.up.0.block.0.conv1.weight"] == (128, 128, 3, 3)
    assert VQGANConfig().side == 32


def test_the_tokenizer_computes_what_the_library_does() -> None:
    """The encoder against transformers' Chameleon, the decoder against its Janus, which orders its levels otherwise."""
    sizes = {"embed_dim": 8, "num_embeddings": 20, "latent_channels": 32, "base_channels": 32, "num_res_blocks": 1,
             "channel_multiplier": [1, 1, 2]}  # fmt: skip
    torch.manual_seed(0)
    ours = VQGAN(VQGANConfig.of(sizes | {"resolution": 16, "attn_resolutions": [4]})).eval()
    pictures = torch.rand(2, 3, 16, 16) * 2 - 1
    reading = ChameleonVQVAE(ChameleonVQVAEConfig(**sizes, resolution=16, attn_resolutions=[4]))
    reading.load_state_dict({n: t for n, t in ours.state_dict().items() if not n.startswith("decoder.")}, strict=True)
    with torch.no_grad():
        codes = reading.encode(pictures, return_dict=True).image_tokens.view(2, -1)
        assert torch.equal(ours.encode(pictures), codes)
    drawing = JanusVQVAE(JanusVQVAEConfig(**sizes, num_patches=4))
    turned = {"decoder.up.0.": "decoder.up.2.", "decoder.up.2.": "decoder.up.0."}
    state = {}
    for name, tensor in ours.state_dict().items():
        if name.startswith(("decoder.", "quantize.", "post_quant_conv.")):
            old = next((start for start in turned if name.startswith(start)), None)
            state[name if old is None else turned[old] + name[len(old) :]] = tensor
    unit = torch.nn.functional.normalize(state["quantize.embedding.weight"], dim=-1)  # Janus' codes have length 1
    ours.quantize.embedding.weight.data.copy_(unit)
    missing = drawing.load_state_dict(state, strict=False)
    assert not missing.unexpected_keys and all(n.startswith(("encoder.", "quant_conv.")) for n in missing.missing_keys)
    with torch.no_grad():
        assert torch.allclose(ours.decode(codes), drawing.decode(codes), atol=1e-5)
