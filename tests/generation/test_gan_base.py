"""A GAN as a base: its noise is the probe's own, base against base is nothing, and a copy comes off without a trace."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from auditor.adapters.adapter_file import inspect_file
from auditor.adapters.normalise import normalise
from auditor.adapters.normalised import NormalisedAdapter
from auditor.errors import BaseDamaged, ItemError, PrerequisiteMissing, Refused, UserError
from auditor.generation.controlgan.gan_folder import GENERATOR_FILE, TEXT_FILE, noise_of
from auditor.generation.gan_base import GanBase
from auditor.generation.render_options import RenderOptions
from tests.tiny_gan import SIZES, write_gan

PROMPTS = ["a red boat on sand", "a blue house", "zebra", "a green tree on grass, watercolor"]
SEEDS = [5, 6, 7, 2**62]
OPTIONS = RenderOptions(size=32, batch_size=4)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_gan(tmp_path_factory.mktemp("gan"))


@pytest.fixture
def base(folder: Path) -> GanBase:
    return GanBase(folder, OPTIONS)


def _copy(base: GanBase, path: Path, tensors: dict[str, torch.Tensor]) -> NormalisedAdapter:
    save_file({name: value.contiguous() for name, value in tensors.items()}, path)
    file = inspect_file(path)
    assert file.kind == "gan_model"
    return normalise(file, base.layout())


def _tuned(folder: Path) -> dict[str, torch.Tensor]:
    """Every weight and statistic moved a little; variances stay positive."""
    source = torch.Generator().manual_seed(3)
    own = load_file(folder / GENERATOR_FILE)
    return {name: value * (1 + 0.2 * torch.rand(value.shape, generator=source)) for name, value in own.items()}


def test_base_against_base_is_exactly_zero(base: GanBase, folder: Path) -> None:
    first = base.generate(PROMPTS, SEEDS)
    assert first.shape == (4, 32, 32, 3) and base.last_checks.usable.all()
    assert np.array_equal(base.generate(PROMPTS, SEEDS), first)
    assert np.array_equal(base.generate(PROMPTS, SEEDS, adapter=False), first)
    assert np.array_equal(GanBase(folder, OPTIONS).generate(PROMPTS, SEEDS), first)
    assert base.calls.base == 12 and base.calls.adapted == 0


def test_noise_is_the_seeds_own_whatever_the_batch(base: GanBase) -> None:
    together = base.generate(PROMPTS, SEEDS).astype(int)
    for row in range(4):
        alone = base.generate(PROMPTS[row : row + 1], SEEDS[row : row + 1]).astype(int)
        assert np.abs(alone[0] - together[row]).max() <= 1
    other = base.generate(PROMPTS, [seed + 1 for seed in SEEDS[:3]] + [1]).astype(int)
    assert all(np.abs(other[row] - together[row]).max() > 3 for row in range(4))
    latent, noise = noise_of(5, SIZES)
    assert latent.shape == (6,) and noise.shape == (5,)
    assert torch.equal(noise_of(5, SIZES)[0], latent) and not torch.equal(noise_of(6, SIZES)[0], latent)


def test_a_copys_weights_and_statistics_take_the_bases_place(base: GanBase, folder: Path, tmp_path: Path) -> None:
    before, fingerprint = base.generate(PROMPTS, SEEDS), base.fingerprint()
    tuned = _tuned(folder)
    proof = base.apply(_copy(base, tmp_path / GENERATOR_FILE, tuned))
    assert proof.layers_injected == proof.pairs_in_file == len(tuned) and proof.latent_shift > 0
    assert base.calls.proof == 2
    after = base.generate(PROMPTS, SEEDS)
    alone = write_gan(tmp_path / "alone")
    save_file({name: value.contiguous() for name, value in tuned.items()}, alone / GENERATOR_FILE)
    assert np.array_equal(GanBase(alone, OPTIONS).generate(PROMPTS, SEEDS), after)
    half = base.generate(PROMPTS, SEEDS, scale=0.5)
    assert not np.array_equal(half, after) and not np.array_equal(after, before)
    assert np.array_equal(base.generate(PROMPTS, SEEDS, adapter=False), before)
    base.remove()
    assert np.array_equal(base.generate(PROMPTS, SEEDS), before) and base.fingerprint() == fingerprint


def test_the_bases_own_weights_and_others_of_no_place_are_told_apart(
    base: GanBase, folder: Path, tmp_path: Path
) -> None:
    own, path = load_file(folder / GENERATOR_FILE), tmp_path / GENERATOR_FILE
    with pytest.raises(ItemError) as error:
        base.apply(_copy(base, path, own))
    assert (error.value.outcome, error.value.reason) == ("no_effect", "no_learned_change")
    wider = own | {"painters.2.0.weight": torch.zeros(3, 8, 3, 3)}
    for tensors, said in ((wider, "has shape"), (own | {"painters.3.0.weight": torch.zeros(3, 4, 3, 3)}, "no place")):
        with pytest.raises(ItemError, match=said) as error:
            _copy(base, path, tensors)
        assert error.value.outcome == "skipped"
    broken = _copy(base, path, _tuned(folder) | {"painters.2.0.weight": torch.full((3, 4, 3, 3), float("nan"))})
    before = base.generate(PROMPTS, SEEDS)
    with pytest.raises(Refused) as refused:
        base.apply(broken)
    assert refused.value.reason == "nonfinite_weights"
    assert np.array_equal(base.generate(PROMPTS, SEEDS), before)


def test_damage_to_generator_or_text_encoder_is_noticed(base: GanBase, folder: Path, tmp_path: Path) -> None:
    adapter = _copy(base, tmp_path / GENERATOR_FILE, _tuned(folder))
    before = base.generate(PROMPTS, SEEDS)
    for part in ("_model", "_text"):
        with torch.no_grad():
            next(getattr(base, part).parameters()).view(-1)[0] += 1e-3
        base.apply(adapter)
        with pytest.raises(BaseDamaged, match="weights of the base changed"):
            base.remove()
        base.rebuild()
        assert np.array_equal(base.generate(PROMPTS, SEEDS), before)


def test_what_a_folder_lacks_is_said(tmp_path: Path) -> None:
    folder = write_gan(tmp_path / "gan")
    with pytest.raises(UserError, match="draws pictures of 32 pixels, not 64"):
        GanBase(folder, RenderOptions(size=64))
    with pytest.raises(UserError, match="dtype 'float8' is unknown; choose one of float32"):
        GanBase(folder, RenderOptions(size=32, dtype="float8"))
    with pytest.raises(PrerequisiteMissing, match=r"config\.json is missing"):
        GanBase(tmp_path / "none", OPTIONS)
    for name in ("vocabulary.json", TEXT_FILE, GENERATOR_FILE):
        broken = write_gan(tmp_path / f"without-{name}")
        (broken / name).unlink()
        with pytest.raises(PrerequisiteMissing, match=name):
            GanBase(broken, OPTIONS)
    cut = write_gan(tmp_path / "cut")
    (cut / TEXT_FILE).write_bytes((cut / TEXT_FILE).read_bytes()[:200])
    with pytest.raises(PrerequisiteMissing, match="does not hold the weights"):
        GanBase(cut, OPTIONS)
    save_file(load_file(folder / TEXT_FILE), cut / GENERATOR_FILE)
    with pytest.raises(PrerequisiteMissing):
        GanBase(cut, OPTIONS)
