from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from auditor.errors import BaseDamaged
from auditor.generation import fingerprint
from auditor.generation.fingerprint import combine, fingerprint_tensors, require_unchanged


def _model(dtype: torch.dtype = torch.float32) -> torch.nn.Module:
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(6, 5), torch.nn.BatchNorm1d(5)).to(dtype)


@pytest.fixture(params=["bytes", "sums"])
def mode(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "sums":
        monkeypatch.setattr(fingerprint, "FULL_HASH_BYTES", 0)
        monkeypatch.setattr(fingerprint, "_CHUNK", 7)
    return request.param


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_every_single_weight_counts(mode: str, dtype: torch.dtype) -> None:
    model = _model(dtype)
    original = fingerprint_tensors({"unet": model})
    assert fingerprint_tensors({"unet": model}) == original
    weight = model[0].weight.data.view(-1)
    for index in range(weight.numel()):
        kept = weight[index].clone()
        weight[index] = (
            torch.nextafter(kept.float(), torch.tensor(9.0)).to(dtype) if dtype == torch.float32 else kept * 1.02
        )
        changed = fingerprint_tensors({"unet": model})
        assert {name for name in original if original[name] != changed[name]} == {"unet.0.weight"}
        weight[index] = kept
    assert combine(fingerprint_tensors({"unet": model})) == combine(original)


def test_exchanged_weights_and_buffers_count(mode: str) -> None:
    model = _model()
    original = fingerprint_tensors({"unet": model})
    weight = model[0].weight.data
    weight[0, 0], weight[0, 1] = weight[0, 1].clone(), weight[0, 0].clone()
    model[1].running_mean[2] = 0.5
    changed = fingerprint_tensors({"unet": model})
    assert {n for n in original if original[n] != changed[n]} == {"unet.0.weight", "unet.1.running_mean"}


@settings(deadline=None)
@given(st.integers(0, 29), st.integers(0, 31))
def test_any_flipped_bit_counts_in_sums(index: int, bit: int) -> None:
    tensor = torch.linspace(-1, 1, 30)
    before = fingerprint._hash_sums(tensor)
    # as a signed 32-bit pattern
    tensor.view(torch.int32)[index] ^= (1 << bit) - (1 << 32 if bit == 31 else 0)
    assert fingerprint._hash_sums(tensor) != before


def test_damage_is_named_by_the_weights_it_is_in() -> None:
    model = _model()
    original = fingerprint_tensors({"unet": model})
    require_unchanged({"unet": model}, original)
    for components, said in (
        ({"unet": _model(torch.float16)}, r"^6 weights .*unet\.0\.bias, unet\.0\.weight, unet\.1\.bias\)"),
        ({"unet": model, "vae": torch.nn.Linear(1, 1)}, r"^2 weights .*vae\.\.bias, vae\.\.weight\)"),
        ({}, "^7 weights"),
    ):
        with pytest.raises(BaseDamaged, match=said):
            require_unchanged(components, original)
