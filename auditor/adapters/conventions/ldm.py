"""Stable Diffusion 1, 2 and XL: the names of CompVis' and Stability's UNet (input, middle and output blocks)."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from auditor.adapters.conventions.origin import Origin, block_numbers

_TOP = {
    "time_embed.0": "time_embedding.linear_1",
    "time_embed.2": "time_embedding.linear_2",
    "label_emb.0.0": "add_embedding.linear_1",
    "label_emb.0.2": "add_embedding.linear_2",
    "input_blocks.0.0": "conv_in",
    "out.0": "conv_norm_out",
    "out.2": "conv_out",
}
_RESNET = {
    "in_layers.0": "norm1",
    "in_layers.2": "conv1",
    "emb_layers.1": "time_emb_proj",
    "out_layers.0": "norm2",
    "out_layers.3": "conv2",
    "skip_connection": "conv_shortcut",
}
_RESNET_BACK = {ours: theirs for theirs, ours in _RESNET.items()}


def table(modules: Collection[str]) -> dict[str, Origin]:
    """Original path → diffusers module, numbered as the base's own blocks lie in sequence."""
    result = {original: Origin((ours,)) for original, ours in _TOP.items()}
    places = dict(_places(modules))
    for module in modules:
        for depth in (5, 4, 3):
            place = ".".join(module.split(".")[:depth])
            if place in places:
                original = _inner(place, module[len(place) + 1 :])
                result[".".join(filter(None, (places[place], original)))] = Origin((module,))
                break
    return result


def _inner(place: str, rest: str) -> str:
    """The original name inside one block: residual blocks were renamed, attention blocks were not."""
    return _RESNET_BACK.get(rest, rest) if ".resnets." in place else rest


def _places(modules: Collection[str]) -> Iterator[tuple[str, str]]:
    """diffusers block → its place in the original sequence."""
    known = set(modules)

    def has(path: str) -> bool:
        return path in known or any(module.startswith(path + ".") for module in known)

    number = 1
    for block in block_numbers(modules, "down_blocks"):
        for layer in block_numbers(modules, f"down_blocks.{block}.resnets"):
            yield f"down_blocks.{block}.resnets.{layer}", f"input_blocks.{number}.0"
            yield f"down_blocks.{block}.attentions.{layer}", f"input_blocks.{number}.1"
            number += 1
        sampler = f"down_blocks.{block}.downsamplers.0"
        if has(sampler):
            yield f"{sampler}.conv", f"input_blocks.{number}.0.op"
            number += 1
    for layer in block_numbers(modules, "mid_block.resnets"):
        yield f"mid_block.resnets.{layer}", f"middle_block.{2 * layer}"
    yield "mid_block.attentions.0", "middle_block.1"
    number = 0
    for block in block_numbers(modules, "up_blocks"):
        layers = block_numbers(modules, f"up_blocks.{block}.resnets")
        for layer in layers:
            yield f"up_blocks.{block}.resnets.{layer}", f"output_blocks.{number}.0"
            yield f"up_blocks.{block}.attentions.{layer}", f"output_blocks.{number}.1"
            if layer == layers[-1] and has(f"up_blocks.{block}.upsamplers.0"):
                place = 2 if has(f"up_blocks.{block}.attentions.{layer}") else 1
                yield f"up_blocks.{block}.upsamplers.0.conv", f"output_blocks.{number}.{place}.conv"
            number += 1
