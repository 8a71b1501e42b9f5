"""The kinds of encoders that the setting `recipe.encoder.kind` may name: one line each."""

from __future__ import annotations

from importlib import import_module
from typing import Any

ENCODER_KINDS = {
    "open_clip": "auditor.encoding.open_clip_encoder:OpenClipEncoder",
    "transformers": "auditor.encoding.transformers_encoder:TransformersEncoder",
}
"""Kind → module and class. The class is an `Encoder` and is made by
`Class(source, pretrained=…, device=…, batch_size=…)`. `source` is a folder; for `open_clip` it may be a name, whose
weights are then those of `pretrained`. Loaded only when used, so that reading settings loads no framework."""


def encoder_class(kind: str) -> Any:
    """The class behind a kind.

    Raises:
        KeyError: There is no such kind.
    """
    module, _, name = ENCODER_KINDS[kind].partition(":")
    return getattr(import_module(module), name)


def known_kind(kind: str) -> str:
    """The kind itself.

    Raises:
        ValueError: There is no such kind.
    """
    if kind not in ENCODER_KINDS:
        raise ValueError(f"kind {kind!r} is unknown; choose one of {', '.join(ENCODER_KINDS)}")
    return kind
