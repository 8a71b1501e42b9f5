"""Files that peft saves, against peft's own merge; and the file that diffusers still misreads, against ours."""

from __future__ import annotations

import copy
from pathlib import Path

import peft
import pytest
import torch
from diffusers import StableDiffusionPipeline
from safetensors.torch import load_file

from auditor.adapters.adapter_file import inspect_file
from auditor.adapters.normalise import normalise
from auditor.generation.diffusers_base import DiffusersBase
from auditor.generation.injection import layout_of
from auditor.generation.merging import Merger
from tests.adapter_files import write
from tests.tiny_models import _unet, random_factors

BLOCK = "down_blocks.0.attentions.0.transformer_blocks.0"
ATTENTION = [f"{BLOCK}.attn{number}.{projection}" for number in (1, 2) for projection in ("to_q", "to_out.0")]
CONV = ["mid_block.resnets.0.conv1", "up_blocks.1.resnets.0.conv_shortcut"]
COMMON = {"r": 4, "target_modules": ATTENTION + CONV}
CONFIGS = {
    "lora": peft.LoraConfig(**COMMON, lora_alpha=6),
    "rslora": peft.LoraConfig(**COMMON, lora_alpha=6, use_rslora=True),
    "patterns": peft.LoraConfig(
        **COMMON, lora_alpha=6, rank_pattern={ATTENTION[0]: 2}, alpha_pattern={ATTENTION[1]: 1, CONV[0]: 9}
    ),
    "dora": peft.LoraConfig(**COMMON, lora_alpha=6, use_dora=True),
    "bias": peft.LoraConfig(r=4, target_modules=["time_embedding.linear_1", "mid_block.resnets.0.time_emb_proj"],
                            lora_alpha=6, lora_bias=True),
    "loha": peft.LoHaConfig(**COMMON, alpha=6, use_effective_conv2d=False),
    "loha_tucker": peft.LoHaConfig(**COMMON, alpha=6, use_effective_conv2d=True),
    "lokr": peft.LoKrConfig(**COMMON, alpha=6, decompose_both=True, use_effective_conv2d=False),
    "lokr_tucker": peft.LoKrConfig(**COMMON, alpha=6, use_effective_conv2d=True),
}  # fmt: skip


@pytest.mark.parametrize("method", CONFIGS)
def test_the_merge_is_pefts_own(tmp_path: Path, method: str) -> None:
    torch.manual_seed(2)
    unet = _unet().requires_grad_(False)
    base = layout_of({"unet": unet}, "unet")
    wrapped = peft.get_peft_model(copy.deepcopy(unet), CONFIGS[method])
    with torch.no_grad():
        for parameter in (p for p in wrapped.parameters() if p.requires_grad):
            parameter.add_(0.2 * torch.randn_like(parameter))
    wrapped.save_pretrained(tmp_path)
    expected = wrapped.merge_and_unload().state_dict()
    adapter = normalise(inspect_file(tmp_path / "adapter_model.safetensors"), base)
    assert not adapter.unmatched and adapter.facts.convention == "peft"
    merger = Merger({"unet": unet})
    merger.put(tuple(adapter.all_changes()))
    merged = unet.state_dict()
    assert merged.keys() == expected.keys()
    for name, tensor in expected.items():
        torch.testing.assert_close(merged[name], tensor, rtol=2e-5, atol=2e-6, msg=lambda m, n=name: f"{n}: {m}")


def test_diffusers_still_misreads_an_alpha_that_differs_from_the_rest(tmp_path: Path, base: DiffusersBase) -> None:
    """diffusers 0.42.1 loses the alpha that one attention projection of a kohya file has for itself.

    When this fails, the library has learnt to read it, and the reason to bake every alpha in is one less.
    """
    shapes = base.layout().components["unet"]
    ranks = dict.fromkeys((*ATTENTION, f"{BLOCK}.ff.net.2"), 4)
    alphas = {"unet": {module: 2.0 for module in ranks} | {ATTENTION[0]: 16.0}}
    path = write(tmp_path / "file.safetensors", "kohya", {"unet": random_factors(shapes, ranks)}, alphas)
    pristine = {name: base._pipe.unet.get_submodule(name).weight.clone() for name in ranks}
    adapter = normalise(inspect_file(path), base.layout())
    exact = {
        change.targets[0].module: next(change.changed([pristine[change.targets[0].module]], 1.0))
        for change in adapter.all_changes()
    }
    parts = {name: copy.deepcopy(part) for name, part in base._pipe.components.items()}
    pipe = StableDiffusionPipeline(**parts, requires_safety_checker=False)
    pipe.load_lora_weights(load_file(path))
    wrong = []
    for module in ranks:
        layer = pipe.unet.get_submodule(module)
        (name,) = layer.scaling
        update = layer.get_delta_weight(name).double()
        ours = exact[module] - pristine[module].double()
        if (update - ours).norm() > 1e-4 * ours.norm():
            wrong.append(module)
    assert wrong == [ATTENTION[0]]
