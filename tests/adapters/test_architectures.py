"""Every convention on every published architecture: names and shapes, no weights."""

from __future__ import annotations

import pytest
from diffusers.loaders.single_file_utils import (
    convert_auraflow_transformer_checkpoint_to_diffusers,
    convert_chroma_transformer_checkpoint_to_diffusers,
    convert_flux2_transformer_checkpoint_to_diffusers,
    convert_flux_transformer_checkpoint_to_diffusers,
    convert_ldm_unet_checkpoint,
    convert_lumina2_to_diffusers,
    convert_sana_transformer_to_diffusers,
    convert_sd3_transformer_checkpoint_to_diffusers,
    convert_z_image_transformer_checkpoint_to_diffusers,
)

from auditor.adapters.adapter_file import describe
from auditor.adapters.fitting import match_layout, require_coverage
from auditor.adapters.header import Header, TensorInfo
from auditor.adapters.whole_model import fit_model
from auditor.errors import ItemError
from auditor.generation.injection import layout_of
from tests.architectures import (
    ARCHITECTURES,
    PAGE,
    SCHEMES,
    components,
    layout,
    match,
    original_checkpoint,
    page,
    synthetic,
    without_modules,
)

PUBLISHED_PARAMETERS = {
    "sd15": 859_520_964,
    "sd21": 865_910_724,
    "sdxl": 2_567_463_684,
    "sd35_large": 8_056_627_520,
    "flux1": 11_901_408_320,
    "qwen_image": 20_430_401_088,
    "z_image": 6_154_908_736,
    "sana_1600m": 1_604_462_752,
}
CONVERTERS = {
    "flux1": convert_flux_transformer_checkpoint_to_diffusers,
    "chroma": convert_chroma_transformer_checkpoint_to_diffusers,
    "flux2_klein_4b": convert_flux2_transformer_checkpoint_to_diffusers,
    "flux2_klein_9b": convert_flux2_transformer_checkpoint_to_diffusers,
    "z_image": convert_z_image_transformer_checkpoint_to_diffusers,
    "lumina2": convert_lumina2_to_diffusers,
    "auraflow": convert_auraflow_transformer_checkpoint_to_diffusers,
    "sana_1600m": convert_sana_transformer_to_diffusers,
    "sana_600m": convert_sana_transformer_to_diffusers,
    "sd3_medium": convert_sd3_transformer_checkpoint_to_diffusers,
    "sd35_medium": convert_sd3_transformer_checkpoint_to_diffusers,
    "sd35_large": convert_sd3_transformer_checkpoint_to_diffusers,
}
"""diffusers' own, where it has one. PixArt, Hunyuan-DiT and Kolors have none; Qwen-Image needs none."""
UNETS = ("sd15", "sd21", "sdxl")
CASES = [(a, name) for a in ARCHITECTURES for name, scheme in SCHEMES.items() if a in scheme.families]


@pytest.mark.parametrize(("architecture", "count"), PUBLISHED_PARAMETERS.items())
def test_the_denoisers_have_the_published_size(architecture: str, count: int) -> None:
    denoiser = components(architecture)[layout(architecture).denoiser]
    assert sum(parameter.numel() for parameter in denoiser.parameters()) == count
    assert all(parameter.is_meta for parameter in denoiser.parameters())


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_shapes_name_their_own_family(architecture: str) -> None:
    parts = components(architecture)
    found = layout_of(parts, next(iter(parts))).family
    # PixArt-α has all of Σ's modules and more
    assert found == (None if architecture == "pixart_sigma" else architecture)


@pytest.mark.parametrize(("architecture", "convention"), CASES)
def test_every_module_lands_with_its_shape(architecture: str, convention: str) -> None:
    adapter, matched = match(architecture, convention)
    assert not adapter.unpaired and not adapter.doubled and not adapter.misshapen and not adapter.unexpected
    assert not matched.unmatched and not matched.misshapen
    assert len(matched.fitted) == len(adapter.entries)
    places = [(target.component, target.module) for found in matched.fitted for target in found.targets]
    assert len(places) == len(set(places))
    base = layout(architecture)
    if convention != "XLabs" and "processors" not in convention:
        named = [base.denoiser] if SCHEMES[convention].text is None else list(base.components)
        assert set(places) == {(c, m) for c in named for m in base.components[c]}
    if adapter.family.family is not None:
        assert adapter.family.family == architecture
    assert architecture in adapter.family.candidates


@pytest.mark.parametrize("architecture", [*UNETS, *CONVERTERS])
def test_original_names_are_those_that_diffusers_converts(architecture: str) -> None:
    """diffusers' own converter turns a checkpoint under our original names into its model's exact names and shapes."""
    base = layout(architecture)
    denoiser = components(architecture)[base.denoiser]
    own = denoiser.state_dict()
    checkpoint = original_checkpoint(base, own, "model.diffusion_model." if base.denoiser == "unet" else "")
    if architecture.startswith("sd3"):
        checkpoint["pos_embed"] = own["pos_embed.pos_embed"]
    converted = (
        CONVERTERS[architecture](checkpoint | without_modules(architecture, own))
        if architecture in CONVERTERS
        else convert_ldm_unet_checkpoint(checkpoint, dict(denoiser.config))
    )
    assert {name: tuple(tensor.shape) for name, tensor in converted.items()} == {
        name: tuple(tensor.shape) for name, tensor in own.items()
    }


SINGLE_FILES = ("sd15", "sd21", "sdxl", "sd3_medium", "sd35_medium", "sd35_large", "flux1", "chroma",
                "flux2_klein_4b", "flux2_klein_9b", "qwen_image", "lumina2")  # fmt: skip
"""Published as single files under original names that are read whole."""
WHOLE = [(name, "") for name in ARCHITECTURES] + [(name, "model.diffusion_model.") for name in SINGLE_FILES]


@pytest.mark.parametrize(("architecture", "prefix"), WHOLE)
def test_a_whole_model_fits_its_own_architecture_only(architecture: str, prefix: str) -> None:
    base = layout(architecture)
    own = base.parameters[base.denoiser]
    state = components(architecture)[base.denoiser].state_dict()
    weights = original_checkpoint(base, state, prefix) if prefix else {name: state[name] for name in own}
    shapes = {name: tuple(tensor.shape) for name, tensor in weights.items()}
    tensors = {name: TensorInfo(name, "BF16", shape, 0, 0) for name, shape in shapes.items()}
    model = describe(Header(tensors, {}, 0, 0), PAGE)
    assert model.kind == ("checkpoint" if prefix else "denoiser")
    places = fit_model(model, base)
    landed = {(target.module, place.parameter) for place in places for target in place.targets}
    assert landed == {tuple(path.rpartition(".")[::2]) for path in own if path != "pos_embed.pos_embed"}
    for other in ARCHITECTURES:
        if other != architecture:
            with pytest.raises(ItemError) as error:
                fit_model(model, layout(other))
            assert (error.value.outcome, error.value.reason) == ("skipped", "unsupported_base")


def test_a_kohya_file_for_flux_with_t5_is_partial_and_counted() -> None:
    adapter = synthetic("flux1", SCHEMES["kohya, original names"])
    tensors = dict(adapter.header.tensors)
    for block in range(24):
        stem = f"lora_te3_encoder_block_{block}_layer_0_SelfAttention_q"
        for suffix, shape in (("lora_down.weight", (4, 4096)), ("lora_up.weight", (4096, 4)), ("alpha", ())):
            tensors[f"{stem}.{suffix}"] = TensorInfo(f"{stem}.{suffix}", "F16", shape, 0, 0)

    matched = match_layout(describe(Header(tensors, {}, 0, 0), adapter.path), layout("flux1"))
    assert len(matched.fitted) == len(adapter.entries)
    assert [entry.component for entry in matched.unmatched] == ["text_encoder_3"] * 24


@pytest.mark.parametrize(
    "pair",
    [("sd15", "sdxl"), ("sdxl", "sd15"), ("sd15", "sd21"), ("sd35_medium", "sd35_large"), ("flux1", "sd35_large")],
)
def test_a_file_for_another_architecture_is_no_fit(pair: tuple[str, str]) -> None:

    theirs, ours = pair
    adapter = synthetic(theirs, SCHEMES["diffusers"])
    with pytest.raises(ItemError) as error:
        require_coverage(adapter, layout(ours), match_layout(adapter, layout(ours)))
    assert (error.value.outcome, error.value.reason) == ("skipped", "unsupported_base")


def test_the_page_says_what_the_code_does() -> None:
    assert PAGE.read_text("utf-8") == page(), "run: python -m tests.architectures"
