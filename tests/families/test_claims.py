"""What names of models mean, and which models descend from which."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditor.families.claims import read_claim
from auditor.families.published_models import MAX_DISTANCE, MODELS, PUBLISHED, ancestors, canonical_base
from auditor.families.shapes import expand, fold
from auditor.families.table import FAMILIES


@pytest.mark.parametrize(
    ("claim", "family", "task"),
    [
        ("Qwen/Qwen-Image", "qwen_image", "text_to_image"), ("qwen-image/lora", "qwen_image", "text_to_image"),
        ("sd_v1", "sd15", "text_to_image"), ("stable-diffusion-v1/lora", "sd15", "text_to_image"),
        ("v1-5-pruned-emaonly.safetensors", "sd15", "text_to_image"), ("sd_v2", "sd21", "text_to_image"),
        ("sdxl_base_v1-0", "sdxl", "text_to_image"), ("stable-diffusion-xl-v1-base", "sdxl", "text_to_image"),
        ("someone/My-Pony-Merge", "sdxl", "text_to_image"), ("sd3_m", "sd3_medium", "text_to_image"),
        ("flux1", "flux1", "text_to_image"), ("flux-1-schnell", "flux1", "text_to_image"),
        ("x/flux.1-dev-fp8", "flux1", "text_to_image"), ("flux2_klein_4b", "flux2_klein_4b", "text_to_image"),
        ("flux2", "flux2_dev", "text_to_image"), ("chroma", "chroma", "text_to_image"),
        ("black-forest-labs/FLUX.1-Fill-dev", "flux1", "inpainting"), ("x/FLUX.1-Fill-dev-fp8", "flux1", "inpainting"),
        ("black-forest-labs/FLUX.1-Kontext-dev", "flux1", "image_editing"),
        ("Qwen/Qwen-Image-Edit-2511", "qwen_image", "image_editing"),
        ("x/sdxl-inpainting", "sdxl", "inpainting"), ("hunyuan-video", "hunyuan_video", "video"),
        ("wan2.1_14b", "wan_14b", "video"), ("zimage", "z_image", "text_to_image"),
        ("purplesmartai/pony-v7-base", "auraflow", "text_to_image"), ("flux-lovers/cats", None, "text_to_image"),
        ("stepfun-ai/Step1X-Edit", None, "image_editing"), ("x/credit-mix", None, "text_to_image"),
        ("HiDream-ai/HiDream-E1-Full", "hidream", "image_editing"), ("stabilityai/cosxl-edit", None, "image_editing"),
        ("Fantasy-Studio/Paint-by-Example", None, "inpainting"), ("x/FLUX.1-dev-Outpaint", "flux1", "inpainting"),
        ("sd2-community/stable-diffusion-2-depth", "sd21", "control"),
        ("lllyasviel/control_v11p_sd15_canny", "sd15", "control"), ("h94/IP-Adapter-FaceID", None, "control"),
        ("stabilityai/stable-diffusion-x4-upscaler", None, "image_to_image"),
        ("stabilityai/stable-diffusion-2-1-unclip", "sd21", "image_to_image"),
        ("lambdalabs/sd-image-variations-diffusers", None, "image_to_image"),
        ("sudo-ai/zero123plus-v1.1", None, "image_to_image"), ("prs-eth/marigold-depth-v1-0", None, "image_to_image"),
        ("hpcai-tech/Open-Sora-v2", None, "video"), ("Skywork/SkyReels-V1-Hunyuan-I2V", None, "video"),
        ("ali-vilab/text-to-video-ms-1.7b", None, "video"), ("cerspense/zeroscope_v2_576w", None, "video"),
        ("stabilityai/stable-video-diffusion-img2vid-xt", None, "video"), ("guoyww/animatediff", None, "video"),
        ("hotshotco/Hotshot-XL", None, "video"), ("x/retro-video-game-style", None, "text_to_image"),
        ("segmind/SSD-1B", "ssd_1b", "text_to_image"), ("x/segmind-vega-anime", "vega", "text_to_image"),
        ("playgroundai/playground-v2-512px-base", "playground2", "text_to_image"),
        ("playground-v2.5", "playground25", "text_to_image"),
        ("segmind/tiny-sd", "bk_sdm", "text_to_image"), ("nota-ai/bk-sdm-v2-tiny", "bk_sdm2", "text_to_image"),
        ("x/japanese-stable-diffusion-xl", "japanese_sdxl", "text_to_image"),
        ("rinna/japanese-stable-diffusion", "japanese_sd", "text_to_image"),
        ("IDEA-CCNL/Taiyi-Stable-Diffusion-1B-Anime-Chinese-v0.1", "taiyi", "text_to_image"),
        ("ostris/Flex.2-preview", "flex", "text_to_image"), ("x/flux.1-lite-8B-gguf", "flux1_lite", "text_to_image"),
        ("warp-ai/wuerstchen", "cascade", "text_to_image"), ("DeepFloyd/IF-II-L-v1.0", "deepfloyd_if", "text_to_image"),
        ("tencent/HunyuanImage-3.0", "hunyuan_image3", "text_to_image"), ("x/f-lite", "f_lite", "text_to_image"),
        ("hakurei/waifu-diffusion-v1-4", None, "text_to_image"), ("v2-1_768-ema-pruned.ckpt", "sd21", "text_to_image"),
        ("", None, "text_to_image"), ("/home/user/model", None, "text_to_image"),
    ],
)  # fmt: skip
def test_a_claim_is_read(claim: str, family: str | None, task: str) -> None:
    found = read_claim(claim)
    assert (found.family, found.task) == (family, task)


@given(st.text(max_size=400))
def test_no_text_makes_it_raise(text: str) -> None:
    found = read_claim(text)
    assert found.family is None or found.family in FAMILIES


def test_the_lineage_leads_to_the_first_model() -> None:
    sdxl = FAMILIES["sdxl"].repo.lower()
    assert ancestors("OnomaAIResearch/Illustrious-XL-v2.0")[sdxl] == 4
    assert ancestors("LyliaEngine/Pony_Diffusion_V6_XL")[sdxl] == 1  # a mirror
    assert ancestors("stabilityai/stable-diffusion-xl-base-1.0")[sdxl] == 0
    assert sdxl not in ancestors("playgroundai/playground-v2.5-1024px-aesthetic")


def test_what_cards_say_lengthens_it_and_circles_end() -> None:
    said = {"me/mine": ["you/yours"], "you/yours": ["me/mine", "cagliostrolab/animagine-xl-3.1"]}
    line = ancestors("me/mine", lambda name: said.get(name, []))
    assert line[FAMILIES["sdxl"].repo.lower()] == 4
    endless = ancestors("a/0", lambda name: [f"a/{int(name[2:]) + 1}"] if name.startswith("a/") else [])
    assert len(endless) == MAX_DISTANCE + 1


def test_the_table_contradicts_itself_nowhere() -> None:
    names = [name.lower() for model in MODELS for name in model.names]
    assert len(names) == len(set(names)) == len(PUBLISHED)
    for model in MODELS:
        assert model.family in FAMILIES
        if model.parent is not None:
            parent = PUBLISHED[model.parent.lower()]
            assert canonical_base(model.parent) == model.parent
            assert parent.family == model.family
    for family in FAMILIES.values():
        assert PUBLISHED[family.repo.lower()].family == family.name
        assert family.stands_back_for is None or family.stands_back_for in FAMILIES


@given(st.sets(st.tuples(st.integers(0, 12), st.sampled_from(["a.to_q", "a.0.to_q", "b"]), st.integers(0, 3))))
def test_folded_patterns_stand_for_exactly_their_paths(picked: set[tuple[int, str, int]]) -> None:
    paths = {f"blocks.{first}.{name}.{last}" for first, name, last in picked}
    patterns = fold(paths)
    assert sorted(path for pattern in patterns for path in expand(pattern)) == sorted(paths)
