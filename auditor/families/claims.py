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
    ("inpaint|flux-1-fill|flux1-fill|fill-dev", "inpainting"),
    ("kontext|image-edit|qwen-edit|pix2pix|edit-(?:2509|2511|plus)|omnigen2-edit", "image_editing"),
    ("controlnet|depth-dev|canny-dev|flux-1-(?:depth|canny|redux)|-redux-", "control"),
)
# In this order: the more particular name first. Texts are lower case with single hyphens, at both ends too.
_FAMILIES: tuple[tuple[str, str], ...] = (
    ("-qwen-?image", "qwen_image"),
    ("-hunyuan-?video-?1-?5", "hunyuan_video15"), ("-hunyuan-?video|-framepack", "hunyuan_video"),
    ("-hunyuan-?image", "hunyuan_image"), ("-hunyuan-?dit", "hunyuandit"),
    ("-wan-?(?:2|21|22)?(?:-\\d)?-?(?:t2v|i2v|vace|fun)?-?1-3b", "wan_1b"),
    ("-wan-?2|-wan-video|-wan-?(?:t2v|i2v|vace)", "wan_14b"),
    ("-ltx-?2", "ltx2"), ("-ltx|-ltxv", "ltx_video"),
    ("-cogvideox?-?2b", "cogvideox_2b"), ("-cogvideo", "cogvideox_5b"),
    ("-mochi-", "mochi"), ("-anima-", "anima"), ("-cosmos-", "cosmos2"),
    ("-z-?image", "z_image"),
    ("-flux-?2-klein(?:-base)?-9b|-klein-?9b", "flux2_klein_9b"), ("-flux-?2-klein|-klein-", "flux2_klein_4b"),
    ("-flux-?2", "flux2_dev"), ("-flux-1-lite|-flux1-lite", "flux1_lite"), ("-chroma(?:-|1|-?v\\d)", "chroma"),
    ("-pony-?(?:diffusion-)?v7|-auraflow", "auraflow"),
    ("-pixart-sigma|-pixart-?s", "pixart_sigma"), ("-pixart", "pixart_alpha"),
    ("-sana-?600m|-sana-0-6b", "sana_600m"), ("-sana-", "sana_1600m"),
    ("-lumina-?(?:image-)?2|-neta-lumina", "lumina2"), ("-kolors", "kolors"),
    ("-playground-?v?2-5", "playground25"), ("-cogview-?4", "cogview4"), ("-hidream", "hidream"),
    ("-omnigen", "omnigen"), ("-fibo-", "fibo"), ("-bria-", "bria"), ("-longcat-image", "longcat_image"),
    ("-ovis-image", "ovis_image"), ("-ernie-image", "ernie_image"), ("-krea-?2-", "krea2"),
    ("-commoncanvas-xl", "commoncanvas_xl"), ("-commoncanvas-s", "commoncanvas_s"), ("-altdiffusion", "altdiffusion"),
    ("-sd-?3-?5-?l|-stable-diffusion-3-5-large", "sd35_large"),
    ("-sd-?3-?5-?m|-stable-diffusion-3-5-medium", "sd35_medium"),
    ("-stable-diffusion-3-(?:medium|m-)|-sd-?v?3-?(?:medium|m|2b)?-|-stable-diffusion-3-$", "sd3_medium"),
    ("-(?:sd)?xl-(?:base-|v1-)?refiner", "sdxl_refiner"),
    ("-sdxl|-sd-?xl|-stable-diffusion-xl|-xl-base|-pony|-illustrious|-noob-?ai|-animagine-xl", "sdxl"),
    ("-flux-?1|-flux-(?:dev|schnell|krea)|-flux-$", "flux1"),
    ("-sd-?v?2|-stable-diffusion-?v?2|-v2-1-", "sd21"),
    ("-sd-?v?1|-stable-diffusion-?v?1|-v1-[45]-", "sd15"),
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
