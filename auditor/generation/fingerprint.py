"""Digest a base's weights, so that any change an adapter left behind is noticed.

Up to `FULL_HASH_BYTES` every byte is hashed. Larger models are summed where they lie: per tensor, the plain
and a position-weighted sum of the raw bit patterns modulo 2^64. One changed weight always changes the plain
sum (its pattern changes by less than 2^64); two weights that change places change the weighted one. Only a
change made to cancel out in both would pass, and no loader error does that.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping

import torch

from auditor.errors import BaseDamaged
from auditor.generation.injection import base_modules

FULL_HASH_BYTES = 256 * 1024**2
_CHUNK = 1 << 24
_PATTERNS = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}


def fingerprint_tensors(components: Mapping[str, torch.nn.Module]) -> dict[str, str]:
    """Digest per weight and buffer of all components, blind to an adapter that is in place.

    Returns:
        `component.path.parameter` → hexadecimal digest.
    """
    tensors = {
        f"{component}.{name}": tensor
        for component, model in components.items()
        for name, tensor in _base_tensors(model)
    }
    total_bytes = sum(t.numel() * t.element_size() for t in tensors.values())
    digest = _hash_bytes if total_bytes <= FULL_HASH_BYTES else _hash_sums
    return {name: digest(tensor.detach()) for name, tensor in tensors.items()}


def combine(digests: Mapping[str, str]) -> str:
    """One digest for a whole pipeline."""
    whole = hashlib.blake2b(digest_size=16)
    for name in sorted(digests):
        whole.update(f"{name}\0{digests[name]}\0".encode())
    return whole.hexdigest()


def require_unchanged(components: Mapping[str, torch.nn.Module], original: Mapping[str, str]) -> None:
    """Compare every weight of a base, nothing in place, with what it was.

    Args:
        components: As they are now.
        original: From `fingerprint_tensors`, before.

    Raises:
        BaseDamaged: A weight differs, is gone or is new.
    """
    now = fingerprint_tensors(components)
    if now != original:
        names = sorted(n for n in now.keys() | original.keys() if now.get(n) != original.get(n))
        message = f"{len(names)} weights of the base changed ({', '.join(names[:3])}). It must be rebuilt."
        raise BaseDamaged(message)


def _base_tensors(model: torch.nn.Module) -> Iterator[tuple[str, torch.Tensor]]:
    for path, module in base_modules(model):
        # non-persistent buffers are part of what renders an image, so they count too
        own = [*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)]
        for name, tensor in own:
            yield f"{path}.{name}", tensor


def _header(tensor: torch.Tensor) -> bytes:
    return f"{tensor.dtype}\0{tuple(tensor.shape)}\0".encode()


def _hash_bytes(tensor: torch.Tensor) -> str:
    raw = tensor.contiguous().cpu().reshape(-1).view(torch.uint8).numpy()
    return hashlib.blake2b(_header(tensor) + raw.tobytes(), digest_size=16).hexdigest()


def _hash_sums(tensor: torch.Tensor) -> str:
    patterns = tensor.contiguous().reshape(-1).view(_PATTERNS[tensor.element_size()])
    plain = weighted = 0
    for start in range(0, patterns.numel(), _CHUNK):
        chunk = patterns[start : start + _CHUNK].to(torch.int64)
        positions = torch.arange(start + 1, start + 1 + chunk.numel(), device=chunk.device)
        plain += int(chunk.sum())
        weighted += int((chunk * positions).sum())  # wraps modulo 2^64, deterministically
    sums = f"{plain % 2**64}\0{weighted % 2**64}".encode()
    return hashlib.blake2b(_header(tensor) + sums, digest_size=16).hexdigest()
