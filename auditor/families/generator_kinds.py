"""Kinds of generators: how a base draws, and how weights that take the place of its own are recognised.

A kind other than `diffusers` is added in five places: here, `adapters/kinds.py` (`Kind` and `AUDITED`), its class in
`generation/` (see `ReplacedWeightsBase`), `OWN_GENERATORS` in `audit/opening.py`, and docs/generators.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

GeneratorKind = Literal["diffusers", "autoregressive", "gan"]
"""`diffusers`: a denoiser in a pipeline of that library. `autoregressive`: image tokens, one after the other. `gan`: a
single pass from noise to picture."""

TENSOR_NAMES: Mapping[GeneratorKind, str] = {
    # Chameleon and Anole, Janus and Emu3 in the layout of transformers; or the image tokenizer alone, as it was trained
    "autoregressive": r"\A(?:(?:model\.)?vqmodel\.|quantize\.embedding\.weight\Z)",
    # our ControlGAN's conditioning augmentation
    "gan": r"\Aaugmentation\.project\.weight\Z",
}
"""What the name of one tensor in a file of such weights matches, and of none in an adapter."""
