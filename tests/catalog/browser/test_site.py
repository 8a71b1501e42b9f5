"""The exported site in Chromium: it loads cleanly, works by keyboard, and axe-core finds nothing wrong."""

import pytest
from axe_playwright_python.sync_playwright import Axe

pytestmark = pytest.mark.browser
PHONE = {"viewport": {"width": 390, "height": 844}, "device_scale_factor": 1}
DARK = {"color_scheme": "dark"}
QUESTION = "#words=vibrant+watercolor"


def own_page(gallery):
    return next(path for path in sorted((gallery.folder / "pages").rglob("*.html"))).as_uri()


def addresses(gallery):
    return {
        "index": "",
        "question": QUESTION,
        "adapter": "#adapter=3",
        "whole page": own_page(gallery),
        "compare": gallery.comparison.as_uri(),
    }


PLACES = ["index", "question", "adapter", "whole page", "compare"]


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("how", [{}, PHONE, DARK], ids=["light", "phone", "dark"])
def test_pages_load_without_errors_and_ask_nobody_else(gallery, visitor, place, how):
    visit = visitor.open(addresses(gallery)[place], **how)
    assert visit.clean(), (visit.said, visit.elsewhere)
    assert visit.page.title()
    wide = visit.page.evaluate("document.documentElement.scrollWidth - innerWidth")
    assert wide <= 0, "the page is wider than the screen"


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("how", [{}, PHONE, DARK], ids=["light", "phone", "dark"])
def test_axe_finds_no_violation(gallery, visitor, place, how):
    visit = visitor.open(addresses(gallery)[place], **how)
    found = Axe().run(visit.page)
    assert found.response["passes"], "nothing was checked"
    wrong = [
        (v["id"], v["impact"], [n["html"][:160] for n in v["nodes"][:3]], v["nodes"][0]["failureSummary"][:300])
        for v in found.response["violations"]
    ]
    assert not wrong
