from __future__ import annotations

import pytest

from auditor.adapters.keys import DENOISER
from auditor.adapters.layout import BaseLayout
from auditor.adapters.recognition import recognise_layout
from auditor.errors import Refused
from tests.adapters.conftest import BLOCK


def test_flattened_names_find_their_module(layout: BaseLayout) -> None:
    for module in layout.components["unet"]:
        assert layout.resolve("unet", module.replace(".", "_"), flat=True) == module
    assert layout.resolve("unet", "input_blocks_1_1_proj_in", flat=True) is None


def test_an_ambiguous_flattened_name_is_refused() -> None:
    layout = BaseLayout("unet", {"unet": {"a_b.c": (4, 4), "a.b_c": (4, 4), "d.e": (4, 4)}})
    assert layout.resolve("unet", "d_e", flat=True) == "d.e"
    with pytest.raises(Refused) as refused:
        layout.resolve("unet", "a_b_c", flat=True)
    assert refused.value.reason == "ambiguous_modules"


@pytest.mark.parametrize("own", ["", "text_model."])
@pytest.mark.parametrize("spelt", ["", "text_model."])
def test_clip_is_found_with_and_without_its_inner_name(own: str, spelt: str) -> None:
    module = "encoder.layers.0.self_attn.q_proj"
    layout = BaseLayout("unet", {"unet": {}, "text_encoder": {own + module: (8, 8)}})
    assert layout.resolve("text_encoder", spelt + module, flat=False) == own + module
    assert layout.resolve("text_encoder", (spelt + module).replace(".", "_"), flat=True) == own + module
    old = spelt + module.replace("q_proj", "to_q")
    assert layout.resolve("text_encoder", old, flat=False) == own + module


def test_components_are_named_by_the_base(layout: BaseLayout) -> None:
    assert layout.component(DENOISER) == "unet"
    assert layout.component("transformer") is None
    assert layout.component("text_encoder_3") is None
    assert layout.components_with(f"{BLOCK}.proj_in") == ("unet",)


def test_a_custom_width_has_no_published_family(layout: BaseLayout) -> None:
    assert recognise_layout(layout) is None


def test_the_files_own_spelling_goes_before_those_of_other_versions() -> None:
    names = ("self_attn.to_q", "self_attn.q_proj", "text_model.self_attn.q_proj")
    layout = BaseLayout("unet", {"unet": {}, "text_encoder": {name: (8, 8) for name in names}})
    for name in names:
        assert layout.resolve("text_encoder", name, flat=False) == name
        assert layout.resolve("text_encoder", name.replace(".", "_"), flat=True) == name
