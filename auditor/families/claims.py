"""What a claim about a base means: the name of a model in a card, or what a trainer wrote into a file.

A name that is in the table of published models is known exactly. Any other is read by the family's own name in it,
which is weaker: it may be a model of that family that nobody has heard of, or a wish.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from auditor.families.family import Task
from auditor.families.published_models import PUBLISHED
from auditor.families.table import FAMILIES

_MAX_CHARS = 256
_FORM = re.compile(r"/(?:lora|lokr|loha|textual-inversion|adapter)\Z")
"""What a ModelSpec architecture ends with: the form of the file."""
_TASKS: tuple[tuple[str, Task], ...] = (
    ("inpaint|outpaint|paint-by-example|flux-?1-fill|fill-dev", "inpainting"),
    ("kontext|pix2pix|magicbrush|hidream-e1|image-?edit|qwen-?edit|(?<!cr)edit-", "image_editing"),
    ("controlnet|control-lora|-control-v\\d|-(?:ip|t2i)-?adapter|depth-dev|canny-dev|-2-depth-"
     "|flux-?1-(?:depth|canny|redux)|-redux-", "control"),
    ("upscal|-unclip-|image-variations|zero-?123|marigold|-lotus-(?:depth|normal)|-ic-light", "image_to_image"),
    ("-(?:t|i|v|ti)2v-|-(?:text|txt|image|img)-?(?:to|2)-?vid|-video-?(?:diffusion|model|gen)|-stable-video|-svd-"
     "|animatediff|motion-(?:adapter|module|lora)|temporaldiff|zeroscope|modelscope-t2|hotshot-xl|open-?sora|skyreels"
     "|easyanimate|step-?video|magi-1|pyramid-flow|vchitect|videocrafter|i2vgen|-allegro-|sana-video|longcat-video"
     "|krea-realtime", "video"),
)  # fmt: skip
# In this order: the more particular name first. Texts are lower case with single hyphens, at both ends too.
_FAMILIES: tuple[tuple[str, str], ...] = (
    ("-qwen-?image", "qwen_image"),
    ("-hunyuan-?video-?1-?5", "hunyuan_video15"), ("-hunyuan-?video|-framepack", "hunyuan_video"),
    ("-hunyuan-?image-?3", "hunyuan_image3"), ("-hunyuan-?image", "hunyuan_image"), ("-hunyuan-?dit", "hunyuandit"),
    ("-wan-?(?:2|21|22)?(?:-\\d)?-?(?:t2v|i2v|vace|fun)?-?1-3b", "wan_1b"),
    ("-wan-?2|-wan-video|-wan-?(?:t2v|i2v|vace)", "wan_14b"),
    ("-ltx-?2", "ltx2"), ("-ltx|-ltxv", "ltx_video"),
    ("-cogvideox?-?2b", "cogvideox_2b"), ("-cogvideo", "cogvideox_5b"),
    ("-mochi-", "mochi"), ("-anima-", "anima"), ("-cosmos-", "cosmos2"),
    ("-z-?image", "z_image"),
    ("-flux-?2-klein(?:-base)?-9b|-klein-?9b", "flux2_klein_9b"), ("-flux-?2-klein|-klein-", "flux2_klein_4b"),
    ("-flux-?2", "flux2_dev"), ("-flux-?1-lite", "flux1_lite"), ("-flex-?[12]-", "flex"),
    ("-chroma(?:-|1|-?v\\d)", "chroma"),
    ("-pony-?(?:diffusion-)?v7|-auraflow", "auraflow"),
    ("-pixart-sigma|-pixart-?s", "pixart_sigma"), ("-pixart", "pixart_alpha"),
    ("-sana1-5-4-8b|-sana-?4800m", "sana_4800m"), ("-sana-?600m|-sana-0-6b", "sana_600m"), ("-sana-", "sana_1600m"),
    ("-lumina-?(?:image-)?2|-neta-lumina", "lumina2"), ("-lumina-next", "lumina_next"), ("-kolors", "kolors"),
    ("-playground-?v?2-5-", "playground25"), ("-playground-?v?2-", "playground2"),
    ("-ssd-?1b-", "ssd_1b"), ("segmind-vega", "vega"), ("-koala-(?:700m|1b|lightning)", "koala"),
    ("-japanese-stable-diffusion-xl", "japanese_sdxl"), ("-japanese-stable-diffusion", "japanese_sd"),
    ("-taiyi-stable-diffusion-xl", "taiyi_xl"), ("-taiyi-stable-diffusion", "taiyi"),
    ("-bk-sdm-v2", "bk_sdm2"), ("-bk-sdm|^-(?:small|tiny)-sd-", "bk_sdm"),
    ("-kandinsky", "kandinsky"), ("-stable-cascade|-wuerstchen", "cascade"), ("-if-i{1,3}-(?:m|l|xl)-", "deepfloyd_if"),
    ("-f-lite-", "f_lite"), ("-glm-image", "glm_image"), ("-mitsua-likes", "mitsua_likes"),
    ("-cogview-?4", "cogview4"), ("-hidream", "hidream"),
    ("-omnigen", "omnigen"), ("-fibo-", "fibo"), ("-bria-", "bria"), ("-longcat-image", "longcat_image"),
    ("-ovis-image", "ovis_image"), ("-ernie-image", "ernie_image"), ("-krea-?2-", "krea2"),
    ("-commoncanvas-xl", "commoncanvas_xl"), ("-commoncanvas-s", "commoncanvas_s"), ("-altdiffusion", "altdiffusion"),
    ("-sd-?3-?5-?l|-stable-diffusion-3-5-large", "sd35_large"),
    ("-sd-?3-?5-?m|-stable-diffusion-3-5-medium", "sd35_medium"),
    ("-stable-diffusion-3-(?:medium|m-)|-sd-?v?3-?(?:medium|m|2b)?-|-stable-diffusion-3-$", "sd3_medium"),
    ("-(?:sd)?xl-(?:base-|v1-)?refiner", "sdxl_refiner"),
    ("-sdxl|-sd-?xl|-stable-diffusion-xl|-xl-base|-pony|-illustrious|-noob-?ai|-animagine-xl", "sdxl"),
    ("-flux-?1|-flux-(?:dev|schnell|krea)|-flux-$", "flux1"),
    ("-sd-?v?2|-stable-diffusion-?v?2|^-v2-1-", "sd21"),
    ("-sd-?v?1|-stable-diffusion-?v?1|^-v1-[45]-", "sd15"),
)  # fmt: skip
_TASKS_COMPILED = tuple((re.compile(pattern), task) for pattern, task in _TASKS)
_FAMILIES_COMPILED = tuple((re.compile(pattern), family) for pattern, family in _FAMILIES)


@dataclass(frozen=True, slots=True)
class ClaimedBase:
    """What a claim names.

    Attributes:
        text: The claim as written; an uploader's text.
        family: Family of the model; null where the name tells none.
        task: What the model makes.
        known: The name is in the table of published models.
    """

    text: str
    family: str | None
    task: Task = "text_to_image"
    known: bool = False

    @property
    def title(self) -> str:
        """What to call its family."""
        return FAMILIES[self.family].title if self.family is not None and self.family in FAMILIES else self.text


def read_claim(text: str) -> ClaimedBase:
    """Read one claim, a repo id or a trainer's word for an architecture. Total."""
    published = PUBLISHED.get(text.lower())
    if published is not None:
        return ClaimedBase(text, published.family, published.task, known=True)
    # the owner's name says nothing about the model
    name = _FORM.sub("", text[:_MAX_CHARS].lower()).rpartition("/")[2]
    plain = "-" + re.sub(r"[^a-z0-9]+", "-", name).strip("-") + "-"
    family = next((name for pattern, name in _FAMILIES_COMPILED if pattern.search(plain)), None)
    task = next((task for pattern, task in _TASKS_COMPILED if pattern.search(plain)), None)
    return ClaimedBase(text, family, task or (FAMILIES[family].task if family is not None else "text_to_image"))
