"""The list of odd repos. Numbers are those of the forty shapes in docs/shapes.md."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file

from auditor.pocket.odd_repos import weights as make
from auditor.pocket.odd_repos.repo import BASE_REPO, OddRepo

OWNER = "grab-bag"
STANDARD = "pytorch_lora_weights.safetensors"
SDXL, FLUX = "stabilityai/stable-diffusion-xl-base-1.0", "black-forest-labs/FLUX.1-dev"
_HUGE_FILE, _LONG_HEADER, _ABSURD_RANK = 7_000_000_000, 26_000_000, 10_000_000
_POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 123456\n"
_PICKLE = b"\x80\x02c__builtin__\nprint\nq\x00."
_DIFFUSERS_FILES = ("studio-nine/cinder-lora", "driftwood/saffron-lora", "pixelpusher/sable-lora")


@dataclass(frozen=True)
class _Sources:
    """What the odd repos are made from."""

    zoo: Path
    base: Path

    @cached_property
    def change(self) -> make.Change:
        """A trained change."""
        return make.read_change(self.zoo / _DIFFUSERS_FILES[2] / STANDARD)

    @cached_property
    def unet(self) -> dict[str, make.Array]:
        """The base's UNet."""
        return dict(load_file(self.base / "unet" / "diffusion_pytorch_model.safetensors"))

    def published(self, number: int) -> bytes:
        """A file of the zoo as it is: its copies cost no further audit."""
        return (self.zoo / _DIFFUSERS_FILES[number] / STANDARD).read_bytes()

    def resaved(self, note: str) -> bytes:
        """The change in a file of its own."""
        return make.file_of(make.diffusers(self.change), note=note)


def odd_repos(zoo: Path, base: Path) -> list[OddRepo]:
    """Make all odd repos.

    Args:
        zoo: Folder of the trained adapters' repos.
        base: Folder of the pocket base.
    """
    sources = _Sources(zoo, base)
    return [
        *_layouts(sources),
        *_formats(sources),
        *_claims(sources),
        *_access(sources),
        *_broken(sources),
        *_hostile(sources),
        *_foreign(sources),
    ]


def _odd(shape: int, name: str, about: str, files: Mapping[str, bytes | int], **fields: Any) -> OddRepo:
    return OddRepo(shape, f"{OWNER}/{name}", about, files, **fields)


# One repo after the other, as a table: what is in it stands on few lines.
# fmt: off
def _layouts(s: _Sources) -> Iterator[OddRepo]:
    """How files lie in a repo: ladders, checkpoints, collections, twins, copies."""
    ladder = {f"lace_{step:09d}.safetensors": s.resaved(f"step {step}") for step in range(100, 1100, 100)}
    yield _odd(6, "ladder", "ten training steps beside the final file", {"lace.safetensors": s.published(2), **ladder})
    state = {f"checkpoint-{step}/{name}": _PICKLE for step in (500, 1000, 2000)
             for name in ("optimizer.bin", "scheduler.bin", "random_states_0.pkl")}
    steps: dict[str, bytes | int] = {f"checkpoint-{n}/{STANDARD}": s.resaved(f"checkpoint {n}") for n in (500, 1000)}
    yield _odd(7, "checkpoints", "checkpoint folders with training state beside the final file",
               {STANDARD: s.published(0), **steps, **state})
    yield _odd(8, "only-checkpoints", "nothing but checkpoint folders",
               {**steps, f"checkpoint-2000/{STANDARD}": s.published(1)})
    yield _odd(
        9, "collection", "LoRAs for two bases, a whole model of 7 GB and a pickle in one repo",
        {"one.safetensors": s.published(0), "two.safetensors": s.published(1), "for_sdxl.safetensors": _sdxl(9),
         "everything_v3.safetensors": _HUGE_FILE, "4x_sharp.pth": _PICKLE},
        card={"base_model": [BASE_REPO, SDXL]},
    )
    yield _odd(
        10, "pivotal", "a LoRA with trained embeddings, and the same LoRA in kohya form",
        {STANDARD: s.published(1), "pivotal.safetensors": make.file_of(make.kohya(s.change), note="pivotal"),
         "pivotal_emb.safetensors": make.file_of({"clip_l": np.full((2, 128), 0.01, np.float32)})},
        card={"base_model": BASE_REPO, "instance_prompt": "a photo of <s0><s1>"},
    )
    twin = make.file_of(make.kohya(s.change), note="twin")
    yield _odd(11, "twins", "the same weights in two conventions",
               {STANDARD: s.published(2), "twin.safetensors": twin})
    harbor = (s.zoo / "ana-k/harbor-lora" / STANDARD).read_bytes()
    for name, content in (("reupload", harbor), ("reupload-2", s.published(2)), ("reupload-3", s.published(2))):
        yield _odd(12, name, "somebody else's file", {"lora.safetensors": content})
    unet = make.file_of(make.whole_unet(s.change, s.unet))
    index = json.dumps({"_class_name": "StableDiffusionPipeline", "unet": ["diffusers", "UNet2DConditionModel"]})
    yield _odd(0, "whole-model", "a full fine-tune: the base's UNet with a style trained in",
               {"model_index.json": index.encode(), "unet/config.json": (s.base / "unet/config.json").read_bytes(),
                "unet/diffusion_pytorch_model.safetensors": unet},
               card={"base_model": BASE_REPO, "base_model_relation": "finetune", "tags": ["diffusers"]},
               meta={"tags": ("text-to-image",)})


def _formats(s: _Sources) -> Iterator[OddRepo]:
    """How one change is written down, on the pocket base and in the shapes of larger ones."""
    change = s.change
    yield _odd(1, "sdxl", "one file for SDXL, and a card that says so", {STANDARD: _sdxl(1)},
               card={"base_model": SDXL})
    encoder = make.text_pairs(lambda n, p: f"lora_te_text_model_encoder_layers_{n}_self_attn_{p}", 2, 128)
    yield _odd(2, "kohya", "kohya names with a text encoder part, alpha half the rank",
               {"tulle.safetensors": make.file_of(make.kohya(change) | encoder)})
    blocks = {f"transformer.single_transformer_blocks.{n}.attn.to_q": (3072, 3072) for n in range(2)}
    yield _odd(3, "flux", "FLUX.1 in ai-toolkit's names",
               {"flux.safetensors": make.file_of(make.shaped(blocks, ".lora_A.weight", ".lora_B.weight"))},
               card={"base_model": FLUX})
    double = {"lora_unet_double_blocks_0_img_attn_qkv": (3072, 9216),
              "lora_unet_single_blocks_0_linear1": (3072, 21504),
              "lora_te1_text_model_encoder_layers_0_self_attn_q_proj": (768, 768)}
    kohya_flux = make.shaped(double, ".lora_down.weight", ".lora_up.weight")
    yield _odd(4, "flux-kohya", "FLUX.1 in kohya's names with a CLIP part",
               {"fx.safetensors": make.file_of(kohya_flux)}, card={"base_model": FLUX})
    t5 = make.text_pairs(lambda n, p: f"lora_te3_encoder_block_{n}_layer_0_SelfAttention_{p[0]}", 2, 64, seed=6)
    yield _odd(5, "flux-t5", "FLUX.1 in kohya's names with a T5 part",
               {"fx.safetensors": make.file_of(kohya_flux | t5)}, card={"base_model": FLUX})
    yield _odd(5, "third-encoder", "a part for a third text encoder that the base does not have",
               {"te3.safetensors": make.file_of(make.kohya(change) | t5)})
    names = ("adapter_model.safetensors", "adapter_config.json")
    peft = {name: (s.zoo / "pixelpusher/opal-lora" / name).read_bytes() for name in names}
    yield _odd(14, "peft", "peft's own layout with its config", peft)
    yield _odd(15, "default-keys", "peft's adapter name inside the keys",
               {STANDARD: make.file_of(make.with_default(change))})
    comfy = {"diffusion_model.double_blocks.0.img_attn.qkv": (3072, 9216),
             "diffusion_model.single_blocks.0.linear2": (15360, 3072)}
    yield _odd(16, "comfyui", "FLUX.1 in ComfyUI's names",
               {"comfy.safetensors": make.file_of(make.shaped(comfy, ".lora_A.weight", ".lora_B.weight"))},
               card={"base_model": FLUX})
    yield _odd(17, "loha", "LyCORIS LoHa", {"loha.safetensors": make.file_of(make.loha(change))})
    yield _odd(17, "lokr", "LyCORIS LoKr", {"lokr.safetensors": make.file_of(make.lokr(change))})
    convolution = "down_blocks.0.resnets.0.conv1"
    yield _odd(18, "locon", "LoCon with a Tucker core",
               {"locon.safetensors": make.file_of(make.tucker(change, s.unet, convolution))})
    yield _odd(19, "dora", "DoRA in kohya's names", {"dora.safetensors": make.file_of(make.dora(change, s.unet))})
    yield _odd(20, "mixed-ranks", "ranks and alphas that differ by block",
               {"mixed.safetensors": make.file_of(make.mixed_ranks(change))})
    scaled = make.diffusers(change)
    numbers = {f"{name.partition('.lora_')[0]}.scalar": np.array(0.5, np.float32) for name in scaled}
    yield _odd(20, "scalars", "LyCORIS' trained number beside each pair", {STANDARD: make.file_of(scaled | numbers)})
    yield _odd(21, "alpha-keys", "alpha keys under diffusers' names",
               {STANDARD: make.file_of(make.diffusers_with_alpha(change))})


def _claims(s: _Sources) -> Iterator[OddRepo]:
    """What cards say about the base. Where it has to be assumed the file is the same: one audit stands for all."""
    same: dict[str, bytes | int] = {STANDARD: s.resaved("nobody says for which base")}
    yield _odd(22, "wrong-card", "made for this base, the card says SDXL", same, card={"base_model": SDXL})
    yield _odd(22, "wrong-file", "made for SDXL, the card says this base", {STANDARD: _sdxl(22)})
    sixty = {f"transformer.transformer_blocks.{n}.attn.to_q": (3072, 3072) for n in range(60)}
    yield _odd(22, "sixty-blocks", "made for Qwen-Image, whose names and widths are FLUX.1's; the card says so",
               {STANDARD: make.file_of(make.shaped(sixty, ".lora_A.weight", ".lora_B.weight"))},
               card={"base_model": "Qwen/Qwen-Image"})
    few = {name: value for name, value in make.diffusers(s.change).items() if ".attn2.to_k." in name}
    foreign = {f"unet.foreign_blocks.{n}.attn.to_q": (32, 32) for n in range(60)}
    yield _odd(22, "little-fits", "most of it is another model's; the card names this base",
               {STANDARD: make.file_of(few | make.shaped(foreign, ".lora_A.weight", ".lora_B.weight"))})
    yield _odd(23, "no-base", "a card without a base", same, card={})
    yield _odd(24, "local-path", "the base is a path on the trainer's machine", same,
               card={"base_model": "/home/me/models/base.safetensors"})
    yield _odd(25, "merged", "two bases, merged", {STANDARD: s.published(2)},
               card={"base_model": [SDXL, "someone/another-model"], "base_model_relation": "merge"})
    yield _odd(26, "derivative", "made for a popular fine-tune of a base", same,
               card={"base_model": "LyliaEngine/Pony_Diffusion_V6_XL"})


def _access(s: _Sources) -> Iterator[OddRepo]:
    """Repos that cannot be had."""
    for name, kind in (("locked", "manual"), ("locked-auto", "auto")):
        yield _odd(28, name, f"terms to accept first ({kind})", {STANDARD: s.published(0)}, meta={"gated": kind})
    yield _odd(29, "disabled", "taken down by the Hub", {STANDARD: s.published(0)}, meta={"disabled": True})
    yield _odd(33, "empty", "no files at all", {}, card=None)
    yield _odd(33, "readme-only", "a README and a picture", {"images/soon.png": b"\x89PNG\r\n"})
    yield _odd(40, "malformed", "a list entry without a commit", {STANDARD: s.published(0)},
               meta={"entry_drop": ("sha",)})


def _broken(s: _Sources) -> Iterator[OddRepo]:
    """Files that hold no usable weights."""
    yield _odd(13, "old-pickle", "2023's processor format in a pickle", {"pytorch_lora_weights.bin": _PICKLE})
    page = b"<!DOCTYPE html><html><body>502 Bad Gateway</body></html>"
    for name, content in (("pointer", _POINTER), ("error-page", page), ("zero-bytes", b"")):
        yield _odd(34, name, f"{name.replace('-', ' ')} in place of the weights", {"lora.safetensors": content})
    yield _odd(35, "truncated", "half a file", {"lora.safetensors": s.published(0)[: len(s.published(0)) // 2]})
    plain = make.diffusers(s.change)
    first = next(iter(plain))
    yield _odd(36, "not-a-number", "NaN in one factor",
               {STANDARD: make.file_of(plain | {first: np.full_like(plain[first], np.nan)})})
    zeros = {name: np.zeros_like(value) for name, value in plain.items()}
    yield _odd(36, "all-zero", "nothing but zeros", {STANDARD: make.file_of(zeros)})
    untrained = {name: value if ".lora_A." in name else np.zeros_like(value) for name, value in plain.items()}
    yield _odd(36, "zeros", "never trained: B is zero", {STANDARD: make.file_of(untrained)})
    wide = {name: np.tile(value, (1, 2)) if ".lora_A." in name else value for name, value in plain.items()}
    yield _odd(0, "too-wide", "factors twice as wide as the modules", {STANDARD: make.file_of(wide)})


def _hostile(s: _Sources) -> Iterator[OddRepo]:
    """Files and names that would harm a trusting loader."""
    plain = make.diffusers(s.change)
    names = list(plain)
    yield _odd(37, "half-missing", "a factor without its partner",
               {STANDARD: make.file_of({name: plain[name] for name in names if name != names[1]})})
    full: dict[str, make.Array] = {"unet.conv_in.weight": np.zeros((48, 12, 3, 3), np.float16)}
    yield _odd(
        37, "full-tensors", "a whole layer of the base among the factors", {STANDARD: make.file_of(plain | full)}
    )
    yield _odd(37, "modules-to-save", "metadata that asks to replace a layer for good",
               {STANDARD: make.with_metadata(plain, {"unet.r": 4, "unet.modules_to_save": ["conv_in"]})})
    yield _odd(37, "pissa", "metadata that asks to change the base's weights",
               {STANDARD: make.with_metadata(plain, {"unet.r": 4, "unet.init_lora_weights": "pissa"})})
    module = names[0].removesuffix(".lora_A.weight")
    absurd: dict[str, make.Array] = {f"{module}.lora_A.weight": np.zeros((_ABSURD_RANK, 0), np.float16),
                                     f"{module}.lora_B.weight": np.zeros((0, _ABSURD_RANK), np.float16)}
    yield _odd(37, "absurd-rank", "rank ten million, in no bytes at all", {STANDARD: make.file_of(absurd)})
    yield _odd(37, "absurd-alpha", "alpha 4000",
               {"x.safetensors": make.file_of(make.kohya(s.change, alpha=4000.0))})
    yield _odd(37, "long-header", "a header of 26 MB", {STANDARD: make.header_of(_LONG_HEADER)})
    yield _odd(38, "pickled", "nothing but a pickle", {"lora.pt": _PICKLE})
    index = json.dumps({"_class_name": ["pipeline", "Mine"], "unet": ["diffusers", "UNet2DConditionModel"]})
    yield _odd(38, "own-code", "a pipeline that brings its own code",
               {"model_index.json": index.encode(), "pipeline.py": b"raise SystemExit('executed')\n",
                "unet/diffusion_pytorch_model.bin": _PICKLE})
    yield _odd(38, "flagged", "the Hub's scanners call its file unsafe", {STANDARD: s.published(2)},
               meta={"security": {STANDARD: "unsafe"}})
    yield _odd(38, "odd-names", "file names that are paths, commands and markup",
               {"../../escape.safetensors": s.published(0), "$(touch x);'--.safetensors": s.published(0),
                "<script>alert(1)</script>.safetensors": s.published(1)})


def _foreign(s: _Sources) -> Iterator[OddRepo]:
    """Things that are tagged as adapters of images and are not."""
    language = {f"base_model.model.model.layers.{n}.self_attn.q_proj": (64, 64) for n in range(2)}
    video = {f"diffusion_model.blocks.{n}.cross_attn.q": (128, 128) for n in range(2)}
    halves = (".lora_A.weight", ".lora_B.weight")
    grid = np.zeros((4, 4), np.float16)
    parts: dict[str, tuple[str, dict[str, make.Array]]] = {
        "chat-lora": ("a language model's LoRA", make.shaped(language, *halves)),
        "video-lora": ("a video model's LoRA", make.shaped(video, *halves)),
        "pose-control": ("a ControlNet", {f"controlnet_cond_embedding.conv_{n}.weight": grid for n in ("in", "out")}),
        "face-adapter": ("an IP-Adapter", {"image_proj.proj.weight": grid, "ip_adapter.1.to_k_ip.weight": grid}),
        "autoencoder": ("a VAE", {f"{half}.conv_in.weight": grid for half in ("encoder", "decoder")}),
    }
    for name, (about, tensors) in parts.items():
        yield _odd(39, name, about, {"weights.safetensors": make.file_of(tensors)})
    yield _odd(39, "esrgan-upscaler", "an upscaler, by its name and tags",
               {"4x.safetensors": make.file_of({"conv_first.weight": grid})},
               card={"tags": ["upscaler"]}, meta={"tags": ("text-to-image", "diffusers")})


def _sdxl(seed: int) -> bytes:
    block = "unet.down_blocks.1.attentions.0.transformer_blocks"
    modules = {f"{block}.{seed % 2}.attn2.to_k": (2048, 640), f"{block}.{seed % 2}.attn2.to_v": (2048, 640)}
    return make.file_of(make.shaped(modules, ".lora_A.weight", ".lora_B.weight"), number=str(seed))
