"""What a pipeline does about a device that is too small or a precision that is too coarse."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import structlog
import torch

log = structlog.get_logger(__name__)


def use_less_memory(pipe: Any, batch_size: int) -> None:
    """Decode picture by picture from now on, and give back what the allocator holds, before a smaller batch is tried.

    Args:
        pipe: A diffusers pipeline.
        batch_size: Of the next try; said in the log, as the setting to write down.
    """
    log.warning("batch too large for this device", next_batch_size=batch_size, setting="recipe.bases.NAME.batch_size")
    if hasattr(pipe.vae, "enable_slicing"):
        pipe.vae.enable_slicing()
    release()


def release() -> None:
    """Give back what nothing refers to any more, to the device."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


@contextmanager
def decoding_in_float32(vae: torch.nn.Module) -> Iterator[None]:
    """Decode in float32 within the block; the weights are bit-equal afterwards, as float16 → 32 → 16 is exact.

    Some decoders, SDXL's among them, overflow in float16 (diffusers' `force_upcast`).
    """
    dtype: torch.dtype = next(vae.parameters()).dtype
    decode: Any = vae.decode
    vae.to(torch.float32)
    vae.decode = lambda latents, *args, **options: decode(latents.float(), *args, **options)  # type: ignore[assignment]
    try:
        yield
    finally:
        del vae.decode
        vae.to(dtype)
