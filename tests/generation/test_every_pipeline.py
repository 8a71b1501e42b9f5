"""Every pipeline class draws, wears an adapter by both ways of putting one on, and is the same base afterwards."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from auditor.adapters.adapter_file import inspect_file
from auditor.adapters.layout import BaseLayout
from auditor.adapters.normalise import normalise
from auditor.families.table import AUDITABLE, PIPELINES
from auditor.generation.diffusers_base import DiffusersBase
from auditor.generation.prompt_forms import FORMS
from auditor.generation.render_options import RenderOptions
from tests.small_pipelines import BUILDERS, save
from tests.tiny_models import save_sd, save_sdxl

PROMPTS, SEEDS = ["a dog on grass", "a red car", "a tree, watercolor style"], [1, 2, 3]
SAMPLERS = {"PixArtAlphaPipeline": "dpmsolver++", "PixArtSigmaPipeline": "dpmsolver++", "HunyuanDiTPipeline": "ddim"}
OTHERS = {"StableDiffusionPipeline": save_sd, "StableDiffusionXLPipeline": save_sdxl}
GUIDANCE = 60.0  # random weights hardly look at the prompt
ATTENTION = (".to_q", ".to_k", ".to_v", ".to_qkv_mlp_proj", ".attention.to_q")


def _adapter(layout: BaseLayout, path: Path) -> Path:
    generator = torch.Generator().manual_seed(5)
    tensors = {}
    for module, shape in layout.components[layout.denoiser].items():
        if module.endswith(ATTENTION) and "context_refiner" not in module:
            tensors[f"transformer.{module}.lora_A.weight"] = torch.randn(4, shape[1], generator=generator)
            tensors[f"transformer.{module}.lora_B.weight"] = torch.randn(shape[0], 4, generator=generator) * 0.5
    save_file(tensors, path)
    return path


def test_the_table_of_forms_is_the_table_of_pipelines() -> None:
    assert set(FORMS) == set(PIPELINES)
    assert set(BUILDERS) == set(PIPELINES) - {
        "StableDiffusionPipeline",
        "StableDiffusionXLPipeline",
        "StableDiffusion3Pipeline",
        "FluxPipeline",
    }


def test_a_family_guides_as_its_pipeline_does() -> None:
    for family in AUDITABLE:
        assert family.rendering is not None
        assert (family.rendering.kind == "two_passes") == FORMS[family.rendering.pipeline].negative, family.name


def _drawn(base: DiffusersBase, guidance: float, interval: tuple[float, float]) -> tuple[np.ndarray, int]:
    """Pictures in four steps, and the samples that were evaluated for them."""
    base.draw_as(size=base.options.size, steps=4, guidance=guidance, guidance_interval=interval)
    before = base.calls.base
    return base.generate(PROMPTS, SEEDS).astype(int), base.calls.base - before


@pytest.mark.parametrize("name", [name for name in (*BUILDERS, *OTHERS)])
def test_guidance_acts_in_its_interval_and_nothing_is_evaluated_outside(tmp_path: Path, name: str) -> None:
    if name in BUILDERS:
        folder, size, sampler = save(name, tmp_path / name), 64, SAMPLERS.get(name, "flow_euler")
    else:
        folder, size, sampler = OTHERS[name](tmp_path / name), 32, "default"
    base = DiffusersBase(
        folder, RenderOptions(pipeline=name, sampler=sampler, steps=4, guidance=GUIDANCE, size=size, batch_size=3)
    )
    whole, all_evaluations = _drawn(base, GUIDANCE, (0.0, 1.0))
    unguided, without = _drawn(base, 1.0, (0.0, 1.0))
    never, never_evaluations = _drawn(base, GUIDANCE, (0.0, 0.1e-9))
    assert (all_evaluations, without, never_evaluations) == (24, 12, 12)
    effect = np.abs(whole - unguided).mean()
    assert np.abs(never - unguided).mean() < effect / 10, "guided in no step it is the picture without guidance"
    late, late_evaluations = _drawn(base, GUIDANCE, (0.5, 1.0))
    early, early_evaluations = _drawn(base, GUIDANCE, (0.0, 0.5))
    assert late_evaluations == early_evaluations == 18
    for part in (early, late):
        assert not np.array_equal(part, whole) and not np.array_equal(part, unguided)
    again, _ = _drawn(base, GUIDANCE, (0.0, 1.0))
    np.testing.assert_array_equal(again, whole)


@pytest.mark.parametrize(("scheduler", "evaluations"), [("PNDMScheduler", 5), ("HeunDiscreteScheduler", 7)])
def test_an_interval_is_one_of_all_evaluations_of_a_sampler_with_more_than_steps(
    tmp_path: Path, scheduler: str, evaluations: int
) -> None:
    folder = save_sd(tmp_path / "sd")
    own = {"_class_name": scheduler, "skip_prk_steps": True}
    (folder / "scheduler" / "scheduler_config.json").write_text(json.dumps(own))
    index = json.loads((folder / "model_index.json").read_text())
    (folder / "model_index.json").write_text(json.dumps(index | {"scheduler": ["diffusers", scheduler]}))
    base = DiffusersBase(folder, RenderOptions(sampler="default", steps=4, guidance=GUIDANCE, size=32, batch_size=3))
    (_, whole), (_, without) = _drawn(base, GUIDANCE, (0.0, 1.0)), _drawn(base, 1.0, (0.0, 1.0))
    assert (whole, without) == (6 * evaluations, 3 * evaluations)
    (_, early), (_, late) = _drawn(base, GUIDANCE, (0.0, 0.5)), _drawn(base, GUIDANCE, (0.5, 1.0))
    assert early - without == 3 * ((evaluations + 1) // 2) and late - without == 3 * (evaluations // 2)


@pytest.mark.parametrize("name", BUILDERS)
def test_a_pipeline_draws_and_wears_an_adapter(tmp_path: Path, name: str) -> None:
    folder = save(name, tmp_path / name)
    for application in ("inject", "merge"):
        base = DiffusersBase(
            folder,
            RenderOptions(
                pipeline=name,
                sampler=SAMPLERS.get(name, "flow_euler"),
                steps=2,
                guidance=3.0,
                size=64,
                batch_size=2,
                application=application,
            ),
        )
        plain = base.generate(PROMPTS, SEEDS)
        assert plain.shape == (3, 64, 64, 3) and base.last_checks.usable.all()
        # two steps, each guided and not, for three pictures
        assert base.calls.base == 2 * 2 * 3
        np.testing.assert_array_equal(base.generate(PROMPTS, SEEDS), plain)
        # a prompt's embedding does not depend on its neighbours; kernels round by the size of the batch
        alone = base.generate(PROMPTS[:1], SEEDS[:1])
        assert np.abs(alone.astype(int) - plain[:1]).max() <= 2
        assert not np.array_equal(base.generate(["a blue boat"], SEEDS[:1]), alone)
        adapter = normalise(inspect_file(_adapter(base.layout(), tmp_path / "lora.safetensors")), base.layout())
        proof = base.apply(adapter)
        assert proof.layers_injected == proof.pairs_in_file == len(adapter.pairs) and proof.latent_shift > 0
        worn = base.generate(PROMPTS, SEEDS)
        assert not np.array_equal(worn, plain)
        np.testing.assert_array_equal(base.generate(PROMPTS, SEEDS, adapter=False), plain)
        base.remove()
        np.testing.assert_array_equal(base.generate(PROMPTS, SEEDS), plain)
