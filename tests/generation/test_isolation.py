"""Whatever was on before, and however it ended, an adapter's pictures are the same bit for bit."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from auditor.adapters.adapter_file import inspect_file
from auditor.adapters.normalise import normalise
from auditor.errors import ItemError, Refused
from auditor.generation.diffusers_base import DiffusersBase
from tests.adapter_files import write
from tests.adapters.test_lycoris import METHODS, train
from tests.tiny_models import random_factors

MODULE = "down_blocks.1.attentions.0.transformer_blocks.0.attn1.to_q"
PROMPTS, SEEDS = ["a red boat on sand", "a blue house in snow"], [1, 2]


def _trained(method: str) -> Callable[[DiffusersBase, Path], None]:
    def make(base: DiffusersBase, path: Path) -> None:
        train(base, METHODS[method][0], alpha=1.0)[1].save_weights(str(path), torch.float32, {})

    return make


def _broken(method: str, part: str) -> Callable[[DiffusersBase, Path], None]:
    """The file's last such tensor spoilt: the other modules are in place when that is noticed."""

    def make(base: DiffusersBase, path: Path) -> None:
        _trained(method)(base, path)
        tensors = load_file(path)
        last = max(name for name in tensors if name.endswith(part))
        save_file(tensors | {last: torch.full_like(tensors[last], 3e38)}, path)

    return make


def _model(base: DiffusersBase, path: Path) -> None:
    save_file({name: tensor * 1.01 for name, tensor in base._pipe.unet.state_dict().items()}, path)


def _broken_model(base: DiffusersBase, path: Path) -> None:
    tensors = {name: tensor.clone() for name, tensor in base._pipe.unet.state_dict().items()}
    last = list(tensors)[-1]
    save_file(tensors | {last: torch.full_like(tensors[last], float("inf"))}, path)


def _word(base: DiffusersBase, path: Path) -> None:
    save_file({"emb_params": torch.ones(3, base._pipe.text_encoder.config.hidden_size)}, path)


BEFORE = {
    "inject": {"dora": _trained("dora_in"), "word": _word, "half a dora": _broken("dora_out", ".dora_scale")},
    "merge": {"loha": _trained("loha_tucker"), "model": _model, "half a model": _broken_model,
              "half a difference": _broken("full", ".diff")},
}  # fmt: skip


@pytest.mark.parametrize("application", ["inject", "merge"])
def test_the_next_adapter_is_unaffected(pocket_base: DiffusersBase, tmp_path: Path, application: str) -> None:
    base = pocket_base
    base._applier._merge_all = application == "merge"
    factors = {"unet": random_factors(base.layout().components["unet"], {MODULE: 4})}
    good = normalise(inspect_file(write(tmp_path / "good.safetensors", "kohya", factors)), base.layout())
    plain = base.generate(PROMPTS, SEEDS)
    base.apply(good)
    alone = base.generate(PROMPTS, SEEDS)
    base.remove()
    assert not np.array_equal(alone, plain)
    for name, make in BEFORE[application].items():
        path = tmp_path / f"{name}.safetensors"
        make(base, path)
        try:
            base.apply(normalise(inspect_file(path), base.layout()))
        except ItemError as error:
            assert isinstance(error, Refused) and name.startswith("half"), f"{name}: {error}"
        else:
            assert not name.startswith("half")
            words = "<word-0><word-1><word-2>"
            assert not np.array_equal(
                base.generate([words, words], SEEDS), base.generate([words] * 2, SEEDS, adapter=False)
            )
            base.generate(PROMPTS, SEEDS, scale=0.7)
        base.remove()  # raises if a single weight differs
        assert base.fingerprint() == base.base_fingerprint
        base.apply(good)
        assert np.array_equal(base.generate(PROMPTS, SEEDS), alone), name
        base.remove()
    assert np.array_equal(base.generate(PROMPTS, SEEDS), plain)
    base._applier._merge_all = True
