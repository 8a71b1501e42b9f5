"""What the site looks like: pictures of it beside stored ones.

`WRITE_PICTURES=1 make browser` stores them anew; look at them before they are committed. Machines differ in fonts, in
how they smooth letters and in how they draw controls, so the font is set (DejaVu Sans, which .ci/browser installs),
pictures are shrunk to a quarter, and two are alike when few of the small pixels differ much. The last test shows what
that still notices.
"""

import io
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.catalog.browser.planted import COMPARED

pytestmark = pytest.mark.browser
PICTURES = Path(__file__).parent / "pictures"
FONT = "*, *::before, *::after { font-family: 'DejaVu Sans' !important; caret-color: transparent !important; }"
SHRUNK = 4
MUCH = 40
"""Of 255, in any of the three colours: letters that are smoothed otherwise differ by less once they are shrunk."""
FEW = 0.02
"""A line of text that breaks elsewhere moves one line, a fortieth of the picture; what else moves is a change."""
QUESTION = "#words=vibrant+watercolor"
VIEWS = {
    "index": ("", {}),
    "question": (QUESTION, {}),
    "adapter": ("#adapter=tomo/cedar-lora", {}),
    "compare": (f"#compare={COMPARED[0]}&with={COMPARED[1]}", {}),
    "phone": (QUESTION, {"viewport": {"width": 390, "height": 844}}),
    "dark": (QUESTION, {"color_scheme": "dark"}),
}  # fmt: skip


def looked_at(visitor, view, spoil=""):
    """The first screen of a view (H, W, 3), shrunk."""
    address, options = VIEWS[view]
    page = visitor.open(address, bypass_csp=True, **options).page
    page.add_style_tag(content=FONT)
    if spoil:
        page.evaluate(spoil)
    page.evaluate("document.fonts.ready")
    with Image.open(io.BytesIO(page.screenshot(animations="disabled"))) as picture:
        return picture.convert("RGB").reduce(SHRUNK)


def share_that_differs(one, other):
    """Share of pixels that differ by more than `MUCH`; 1 when the sizes differ."""
    if one.size != other.size:
        return 1.0
    apart = np.abs(np.asarray(one, dtype=np.int16) - np.asarray(other, dtype=np.int16)).max(axis=2)
    return float((apart > MUCH).mean())


def stored(view):
    with Image.open(PICTURES / f"{view}.png") as picture:
        return picture.convert("RGB")


@pytest.mark.parametrize("view", VIEWS)
def test_it_looks_as_it_did(visitor, view, tmp_path):
    seen = looked_at(visitor, view)
    if os.environ.get("WRITE_PICTURES"):
        PICTURES.mkdir(exist_ok=True)
        seen.quantize(64).save(PICTURES / f"{view}.png", optimize=True)
    seen.save(tmp_path / f"{view}.png")
    differs = share_that_differs(seen, stored(view))
    assert differs <= FEW, f"{differs:.1%} of {tmp_path / view}.png differs; if that is meant, store it anew"


@pytest.mark.parametrize(
    ("view", "spoil"),
    [
        ("index", "document.querySelector('link[rel=stylesheet]').remove()"),
        ("index", "document.querySelectorAll('#results img').forEach((one) => one.remove())"),
        ("question", "document.querySelector('.band').remove()"),
        ("question", "document.querySelector('main').style.maxWidth = '700px'"),
        ("adapter", "document.querySelector('#page dl').remove()"),
        ("dark", "document.documentElement.style.setProperty('--card', 'white')"),
    ],
    ids=["no style", "no pictures", "no first hits", "narrow", "no facts", "light cards"],
)
def test_a_fault_is_noticed(visitor, view, spoil):
    assert share_that_differs(looked_at(visitor, view, spoil), stored(view)) > FEW
