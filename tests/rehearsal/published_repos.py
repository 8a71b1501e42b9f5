"""The repos that the hub profile names, written as folders: their files, names and layouts, with random weights.

Each repo also holds what is published beside the weights that are used: single checkpoints, other precisions, pickles,
the weights of the safety checker. None of that should be fetched.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import diffusers
import open_clip
import torch
from safetensors.torch import load_file, save_file

from auditor.common.package_paths import package_path
from auditor.settings import BaseModelSettings
from tests.rehearsal.published_parts import CLASSIC, Parts, full_sd15
from tests.small_pipelines import BUILDERS, nothing_at_zero

SHARDED = frozenset({"FluxPipeline", "ChromaPipeline", "QwenImagePipeline", "ZImagePipeline", "AuraFlowPipeline"})
"""Pipelines whose larger components are published in shards."""
_LARGE = ("transformer", "text_encoder_2", "text_encoder_3")
# What is published beside; 100 bytes of each are enough to see that nobody asks for them.
_BESIDE = {
    "StableDiffusionPipeline": ("v1-5-pruned-emaonly.safetensors", "v1-5-pruned.ckpt",
                                "unet/diffusion_pytorch_model.bin", "unet/diffusion_pytorch_model.non_ema.safetensors",
                                "safety_checker/model.safetensors", "safety_checker/model.fp16.safetensors",
                                "safety_checker/pytorch_model.bin"),
    "StableDiffusionXLPipeline": ("sd_xl_base_1.0.safetensors", "sd_xl_base_1.0_0.9vae.safetensors",
                                  "unet/model.onnx", "vae_1_0/diffusion_pytorch_model.fp16.safetensors",
                                  "text_encoder/flax_model.msgpack"),
    "StableDiffusion3Pipeline": ("sd3.5.safetensors", "text_encoders/clip_l.safetensors",
                                 "text_encoders/t5xxl_fp16.safetensors", "text_encoder/model.fp16.safetensors"),
    "FluxPipeline": ("flux1.safetensors", "ae.safetensors", "dev_grid.jpg"),
}  # fmt: skip
CLIP_CONFIG = {
    "embed_dim": 64,
    "quick_gelu": True,
    "vision_cfg": {"image_size": 224, "layers": 2, "width": 64, "head_width": 32, "patch_size": 32},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 64, "heads": 2, "layers": 2},
}
"""A small model of the class of CLIP ViT-L/14: same tokenizer, picture size and activation."""
# Qwen2-VL-7B-Instruct's, but for the numbers of its own tokens.
_PUBLISHED_SAMPLING = {"do_sample": True, "temperature": 0.01, "top_k": 1, "top_p": 0.001, "repetition_penalty": 1.05}

Modules = Mapping[str, torch.nn.Module]


def write_base(name: str, base: BaseModelSettings, folder: Path, *, full: bool = False) -> Modules:
    """Write a base's repo.

    Args:
        name: Of the base; a few have a build of their own.
        base: Says class, variant and family.
        folder: To be made.
        full: At its published size, in half precision alone.

    Returns:
        Its components.
    """
    torch.manual_seed(sum(name.encode()))
    made = CLASSIC.get(name) or CLASSIC.get(base.family)
    sharded = base.pipeline in SHARDED or base.family == "sd35_large"
    if full:
        modules = _write_parts(full_sd15(), base, folder, sharded=False, full=True)
    elif made is not None:
        modules = _write_parts(made(), base, folder, sharded=sharded)
    else:
        modules = _write_other(base, folder, sharded=sharded)
    for path in _BESIDE.get(base.pipeline, ()):
        (folder / path).parent.mkdir(exist_ok=True)
        (folder / path).write_bytes(path.encode().ljust(100))
    (folder / "README.md").write_text("---\nlibrary_name: diffusers\npipeline_tag: text-to-image\n---\n", "utf-8")
    return modules


def _write_parts(parts: Parts, base: BaseModelSettings, folder: Path, *, sharded: bool, full: bool = False) -> Modules:
    """Component by component: what the library would write today differs from what lies on the Hub."""
    index: dict[str, Any] = {"_class_name": base.pipeline, "_diffusers_version": "0.6.0", **parts.more}
    for name, module in parts.modules.items():
        nothing_at_zero(module)
        library = "diffusers" if isinstance(module, diffusers.ModelMixin) else "transformers"
        index[name] = [library, type(module).__name__]
        _save(module, folder / name, base, sharded=sharded and name in _LARGE, full=full)
        for path in sorted((folder / name).glob("*.safetensors")):
            _rename(path, name, early=parts.early)
    for name, write in parts.tokenizers.items():
        write(folder / name)
        index[name] = [
            "transformers",
            "T5Tokenizer" if (folder / name / "tokenizer.json").exists() else "CLIPTokenizer",
        ]
    index["scheduler"] = ["diffusers", parts.scheduler["_class_name"]]
    _json(folder / "scheduler" / "scheduler_config.json", parts.scheduler)
    if index.get("safety_checker", [None])[0] is not None:
        checker = {"architectures": ["StableDiffusionSafetyChecker"], "model_type": "clip", "projection_dim": 768}
        _json(folder / "safety_checker" / "config.json", checker)
    if "feature_extractor" in index:
        processor = {"crop_size": 224, "do_resize": True, "feature_extractor_type": "CLIPFeatureExtractor", "size": 224}
        _json(folder / "feature_extractor" / "preprocessor_config.json", processor)
    _json(folder / "model_index.json", index)
    return parts.modules


def _write_other(base: BaseModelSettings, folder: Path, *, sharded: bool) -> Modules:
    """A pipeline as the library of today writes it; large components again in shards."""
    pipe = getattr(diffusers, base.pipeline)(**BUILDERS[base.pipeline]())
    modules = {name: part for name, part in pipe.components.items() if isinstance(part, torch.nn.Module)}
    for module in modules.values():
        nothing_at_zero(module)
    pipe.save_pretrained(folder)
    for name, module in modules.items():
        shutil.rmtree(folder / name)
        _save(module, folder / name, base, sharded=sharded and name in ("transformer", "text_encoder"))
    return modules


def _save(module: Any, folder: Path, base: BaseModelSettings, *, sharded: bool = False, full: bool = False) -> None:
    """In the variants that the repo offers; the last is the one that is used."""
    size = sum(p.numel() * p.element_size() for p in module.parameters())
    dtype = torch.float16 if base.dtype == "float16" else torch.bfloat16
    if base.variant is None:
        module.to(dtype).save_pretrained(folder, max_shard_size=size // 4 if sharded else "50GB")
        return
    if not full:
        module.save_pretrained(folder)
    module.to(dtype).save_pretrained(folder, variant=base.variant, max_shard_size=size // 4 if sharded else "50GB")


def _rename(path: Path, component: str, *, early: bool) -> None:
    """The names that weights had in the versions of the libraries that the published files are from."""
    tensors = load_file(path)
    renamed = {_early_name(name, component, early=early): tensor for name, tensor in tensors.items()}
    if component == "text_encoder" and early:
        renamed["text_model.embeddings.position_ids"] = torch.arange(77)[None]
    if list(renamed) != list(tensors):
        save_file(renamed, path, {"format": "pt"})


def _early_name(name: str, component: str, *, early: bool) -> str:
    if component in ("text_encoder", "text_encoder_2") and name.startswith(
        ("embeddings.", "encoder.layers.", "final_")
    ):
        return f"text_model.{name}"
    if component == "vae" and early and ".attentions." in name:
        for todays, former in (("to_q", "query"), ("to_k", "key"), ("to_v", "value"), ("to_out.0", "proj_attn")):
            name = name.replace(f".{todays}.", f".{former}.")
    return name


def write_encoder(folder: Path, name: str) -> None:
    """The encoder's repo, from the configuration that open_clip knows under its name now."""
    torch.manual_seed(0)
    folder.mkdir(parents=True)
    model = open_clip.create_model(name, pretrained=None)
    save_file(model.state_dict(), folder / "open_clip_model.safetensors")
    (folder / "open_clip_pytorch_model.bin").write_bytes(b"not to be fetched")
    _json(folder / "open_clip_config.json", {"model_cfg": open_clip.get_model_config(name), "preprocess_cfg": {}})


def write_proposer(folder: Path) -> None:
    """The proposer's repo: the pocket's Qwen2-VL in shards, with the sampling that the 7B model is published with."""
    shutil.copytree(package_path("pocket/weights/vlm"), folder)
    tensors = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    names = sorted(tensors)
    halves = {"model-00001-of-00002.safetensors": names[::2], "model-00002-of-00002.safetensors": names[1::2]}
    for path, some in halves.items():
        save_file({name: tensors[name] for name in some}, folder / path, {"format": "pt"})
    index = {"metadata": {}, "weight_map": {name: path for path, some in halves.items() for name in some}}
    _json(folder / "model.safetensors.index.json", index)
    own = json.loads((folder / "generation_config.json").read_text("utf-8"))
    _json(folder / "generation_config.json", own | _PUBLISHED_SAMPLING)


def _json(path: Path, value: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=2), "utf-8")
