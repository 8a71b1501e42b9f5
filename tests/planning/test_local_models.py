"""What is fetched of a base: enough for its pipeline, and not every variant that its repo offers."""

from __future__ import annotations

from pathlib import Path

import pytest
from huggingface_hub import constants, snapshot_download

from auditor.common.package_paths import package_path
from auditor.errors import PrerequisiteMissing
from auditor.planning.local_models import HubFiles, base_files, from_hub_cache
from auditor.pocket.hub_server import HubIndex, serve, synthetic_repo
from auditor.settings import resolve

TEXT = ("model_index.json", "scheduler/scheduler_config.json", "tokenizer/vocab.json", "tokenizer/merges.txt")
DENOISER = "diffusion_pytorch_model"
REPOS = {
    "sd15": (
        (*TEXT, "unet/config.json", f"unet/{DENOISER}.fp16.safetensors", f"vae/{DENOISER}.fp16.safetensors",
         "text_encoder/model.fp16.safetensors"),
        ("v1-5-pruned.safetensors", "v1-5-pruned.ckpt", f"unet/{DENOISER}.safetensors", f"unet/{DENOISER}.bin",
         f"unet/{DENOISER}.non_ema.safetensors", "text_encoder/model.safetensors"),
    ),
    "sdxl": (
        (*TEXT, "tokenizer_2/vocab.json", f"unet/{DENOISER}.fp16.safetensors", "text_encoder/model.fp16.safetensors",
         "text_encoder_2/model.fp16.safetensors"),
        ("sd_xl_base_1.0.safetensors", f"unet/{DENOISER}.safetensors", "unet/model.onnx_data"),
    ),
    "sd35_large": (
        (*TEXT, "tokenizer_3/spiece.model", f"transformer/{DENOISER}-00001-of-00002.safetensors",
         f"transformer/{DENOISER}.safetensors.index.json", "text_encoder_3/model-00001-of-00002.safetensors"),
        ("sd3.5_large.safetensors", "text_encoders/t5xxl_fp16.safetensors", "text_encoder/model.fp16.safetensors"),
    ),
    "flux1_dev": (
        (*TEXT, "tokenizer_2/spiece.model", f"transformer/{DENOISER}-00001-of-00003.safetensors",
         "text_encoder_2/model-00001-of-00002.safetensors", f"vae/{DENOISER}.safetensors"),
        ("flux1-dev.safetensors", "ae.safetensors"),
    ),
}  # fmt: skip
"""Base of the hub profile -> files to fetch, files to leave, by the names of the published repos."""


@pytest.mark.parametrize("name", REPOS)
def test_a_base_is_fetched_by_its_variant_and_found_again(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    needed, others = REPOS[name]
    wanted = base_files(resolve(profile="hub", environment={}).settings.recipe.bases[name])
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    repo = synthetic_repo(wanted.repo, {path: path.encode() for path in (*needed, *others)}, card={})
    with pytest.raises(PrerequisiteMissing, match="hf download"):
        from_hub_cache(wanted)
    with serve(HubIndex([repo])) as hub:
        snapshot_download(
            wanted.repo,
            revision=wanted.revision,
            endpoint=hub.endpoint,
            cache_dir=tmp_path,
            allow_patterns=list(wanted.include),
            ignore_patterns=list(wanted.exclude),
        )
    folder = from_hub_cache(wanted)
    assert {str(p.relative_to(folder)) for p in folder.rglob("*") if not p.is_dir()} == set(needed)
    next(folder.rglob("*.safetensors")).unlink()
    with pytest.raises(PrerequisiteMissing, match="not all of it"):
        from_hub_cache(wanted)


def test_the_patterns_cover_a_whole_pipeline() -> None:
    """Every file of the pocket base, which its pipeline is loaded from, but the card."""
    from huggingface_hub.utils import filter_repo_objects

    base = resolve(profile="pocket", environment={}).settings.recipe.bases["pocket"]
    folder = package_path("pocket/weights/base")
    files = [str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file() and path.suffix != ".md"]
    wanted = base_files(base)
    assert sorted(filter_repo_objects(files, allow_patterns=wanted.include, ignore_patterns=wanted.exclude)) == sorted(
        files
    )


def test_a_command_can_be_pasted() -> None:
    command = HubFiles("owner/name", "main", ("*.json", "unet/*"), ("*.fp16*",)).command
    assert command == 'hf download owner/name --revision main --include "*.json" --include "unet/*" --exclude "*.fp16*"'
