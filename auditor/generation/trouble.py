"""What a pipeline does about a device that is too small or a precision that is too coarse."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import structlog
import torch
from numpy.typing import NDArray

log = structlog.get_logger(__name__)
Rendered = tuple[NDArray[np.uint8], NDArray[np.bool_]]
"""Pictures (n, H, W, 3) and which of them are not finite (n,)."""
WIDER = " in bfloat16"
"""Added to the name of the text encoders' state."""


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


@contextmanager
def in_bfloat16(pipe: Any) -> Iterator[None]:
    """Compute all but the decoder in bfloat16 within the block; afterwards the very same float16 weights are back.

    Its range is float32's: some adapters overflow a float16 denoiser or text encoder. The weights lie in memory twice
    meanwhile.
    """
    modules = (part for name, part in pipe.components.items() if isinstance(part, torch.nn.Module) and name != "vae")
    tensors = (tensor for module in modules for tensor in (*module.parameters(), *module.buffers()))
    before = [(tensor, tensor.data) for tensor in tensors if tensor.dtype == torch.float16]
    try:
        for tensor, data in before:
            tensor.data = data.to(torch.bfloat16)
        yield
    finally:
        for tensor, data in before:
            tensor.data = data


def in_wider_formats(render: Callable[[str], Rendered], pipe: Any) -> Rendered:
    """Pictures in float16; where one is not finite all with the decoder in float32, then with the rest in bfloat16 too.

    Args:
        render: Draws; told what to add to the name of the text encoders' state.
        pipe: The pipeline that it draws with.

    Returns:
        What `render` gave last. Flags that are set still are the adapter's own, or the base's.
    """
    found = render("")
    if not found[1].any() or pipe.dtype != torch.float16:
        return found
    with decoding_in_float32(pipe.vae):
        found = render("")
    if found[1].any():
        log.warning("not finite in float16, drawn in bfloat16", pictures=len(found[0]))
        with decoding_in_float32(pipe.vae), in_bfloat16(pipe):
            found = render(WIDER)
    return found
