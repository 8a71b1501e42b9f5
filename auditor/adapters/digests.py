"""Digests that find the same adapter again, whatever file it is in."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping

import torch

from auditor.adapters.adapter_file import AdapterFile
from auditor.adapters.changes import Replacement
from auditor.adapters.normalised import FittedChange
from auditor.errors import Refused

_CHUNK_BYTES = 1 << 20


def tensors_digest(adapter: AdapterFile) -> str:
    """Digest of a file's tensors in the order of their names: blind to metadata and storage order."""
    digest = hashlib.blake2b(digest_size=32)
    with adapter.path.open("rb") as stream:
        for name in sorted(adapter.header.tensors):
            info = adapter.header.tensors[name]
            digest.update(f"{name}\0{info.dtype}\0{info.shape}\0".encode())
            stream.seek(adapter.header.data_start + info.begin)
            left = info.end - info.begin
            while left > 0:
                chunk = stream.read(min(left, _CHUNK_BYTES))
                if not chunk:
                    raise Refused("corrupt_file", "The file became shorter while it was read.")
                digest.update(chunk)
                left -= len(chunk)
    return digest.hexdigest()


def content_digest(tensors: Mapping[str, torch.Tensor], changes: Iterable[FittedChange] = ()) -> str:
    """Digest of a normalised adapter, equal for one adapter written in two conventions."""
    digest = hashlib.blake2b(digest_size=32)
    for name in sorted(tensors):
        _add(digest, name, tensors[name])
    for fitted in sorted(changes, key=lambda change: change.name):
        change = fitted.change
        if isinstance(change, Replacement):  # a whole model: its file's own digest stands for it
            continue
        digest.update(f"{fitted.name}\0{change.method}\0{change.scale!r}\0{change.axis}\0".encode())
        for part in sorted(change.factors):
            _add(digest, part, change.factors[part].float())
        if change.magnitude is not None:
            _add(digest, "magnitude", change.magnitude.float().flatten())
    return digest.hexdigest()


def _add(digest: hashlib.blake2b, name: str, tensor: torch.Tensor) -> None:
    digest.update(f"{name}\0{tuple(tensor.shape)}\0".encode())
    digest.update(tensor.contiguous().numpy().tobytes())
