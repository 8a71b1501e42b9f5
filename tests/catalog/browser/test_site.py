"""The exported site in Chromium: it loads cleanly, works by keyboard, and axe-core finds nothing wrong."""

import pytest
from axe_playwright_python.sync_playwright import Axe

from auditor.catalog.comparisons import compare
from tests.catalog.browser.planted import COMPARED

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
        "adapter": "#adapter=tomo/cedar-lora",
        "two": f"#compare={COMPARED[0]}&with={COMPARED[1]}",
        "whole page": own_page(gallery),
        "compare": gallery.comparison.as_uri(),
    }


PLACES = ["index", "question", "adapter", "two", "whole page", "compare"]


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


def until(page, script):
    """Wait for something on the page. (The driver's own way needs eval, which the page forbids.)"""
    while not page.evaluate(script):
        page.wait_for_timeout(50)


REACHABLE = """() => [...document.querySelectorAll("a[href], button, input, select, summary, [tabindex='0']")]
    .filter((one) => one.checkVisibility({visibilityProperty: true}) && !one.disabled && one.tabIndex >= 0)
    .map((one) => { one.dataset.mark ??= String(Math.random()); return one.dataset.mark; })"""
CELLS = (
    "() => [...document.querySelectorAll('#page tbody tr')].map((row) => [...row.cells].map((one) => one.textContent))"
)
FOCUSED = "() => document.activeElement && document.activeElement.dataset.mark"


@pytest.mark.parametrize("place", PLACES)
def test_the_keyboard_alone_reaches_everything(gallery, visitor, place):
    page = visitor.open(addresses(gallery)[place]).page
    wanted = set(page.evaluate(REACHABLE))
    assert wanted or place == "compare", "a page to act on has something to act with"
    reached = set()
    for _ in range(len(wanted) + 5):
        page.keyboard.press("Tab")
        reached.add(page.evaluate(FOCUSED))
    assert wanted <= reached


def test_a_question_a_page_and_back_by_keyboard_alone(visitor):
    visit = visitor.open()
    page = visit.page
    while page.evaluate("document.activeElement.id") != "words":
        page.keyboard.press("Tab")
    page.keyboard.type("vibrant watercolor")
    page.keyboard.press("Enter")
    until(page, "byId('understood').textContent.includes('Understood: vibrant; watercolor')")
    while page.evaluate("document.activeElement.closest('#results li h3') === null"):
        page.keyboard.press("Tab")
    name = page.evaluate("document.activeElement.textContent")
    page.keyboard.press("Enter")
    page.wait_for_selector("#page h2")
    assert page.inner_text("#page h2") == name
    assert page.evaluate("document.activeElement.id") == "page", "screen readers begin where the page begins"
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Back to the results"
    page.keyboard.press("Enter")
    page.wait_for_selector("#results li")
    assert page.evaluate("document.activeElement.textContent") == name, "back where one was"
    assert "words=vibrant" in page.url, "the question has an address"
    assert visit.clean(), (visit.said, visit.elsewhere)


@pytest.mark.parametrize("screen", [{"width": 1200, "height": 900}, {"width": 390, "height": 844}])
def test_a_newcomer_finds_licence_trigger_and_strength(visitor, screen):
    """Enter and one Tab lead to the first adapter, a press on its picture to what they need to use it."""
    visit = visitor.open(viewport=screen)
    page = visit.page
    page.click("#words")
    page.keyboard.type("vibrant watercolor I can sell")
    page.keyboard.press("Enter")
    until(page, "document.activeElement.id === 'results'")
    assert "(commercial use ok, by the card)" in page.inner_text("#understood")
    top = page.evaluate("document.querySelector('#results li').getBoundingClientRect().top")
    assert top < screen["height"], "the first answer is in sight"
    page.keyboard.press("Tab")
    first = page.evaluate("document.activeElement.textContent")
    assert first == page.locator("#results h3").first.text_content()
    page.locator("#results .pair").first.click()
    page.wait_for_selector("#page dl")
    said = dict(
        zip(page.locator("#page dt").all_inner_texts(), page.locator("#page dd").all_inner_texts(), strict=True)
    )
    assert page.inner_text("#page h2") == first
    assert said["licence"].endswith("(commercial use ok, by the card)")
    assert {"trigger", "strength"} <= said.keys() and said["fetch it"].startswith(f"hf download {first}")
    assert visit.clean(), (visit.said, visit.elsewhere)


def test_a_card_without_a_question_shows_what_the_word_alone_makes_it_do(visitor):
    page = visitor.open().page
    page.evaluate("while (shown < hits.length) showMore()")
    seen = page.evaluate(
        "Promise.all(hits.map(async (hit) => [hit.row.repo, hit.row.trigger, needsWord(await detailOf(hit.index))]))"
    )
    needing = [(repo, trigger) for repo, trigger, needed in seen if needed]
    page.wait_for_load_state("networkidle")
    for repo, trigger in needing:
        card = page.locator("#results li", has=page.locator(f"h3:has-text('{repo}')"))
        assert f"trigger {trigger} (needed)" in card.inner_text() and card.locator(".chip").count()
    assert needing


def test_two_adapters_are_compared_by_two_buttons(gallery, visitor):
    visit = visitor.open(QUESTION)
    page = visit.page
    buttons = page.locator("#results button")
    buttons.nth(0).press("Enter")
    assert "press Compare at a second adapter" in page.inner_text("#chosen")
    buttons.nth(1).press("Enter")
    page.wait_for_selector("#page table")
    one, two = (page.locator("#results h3").nth(place).text_content() for place in (0, 1))
    assert page.inner_text("#page h2") == f"{one} and {two}"
    assert visit.clean(), (visit.said, visit.elsewhere)


def test_the_comparison_says_what_the_command_says(gallery, visitor):
    one, two = COMPARED
    page = visitor.open(f"#compare={one}&with={two}").page
    found = compare(gallery.database, one, two)
    assert found.words.partition(";")[0] in page.inner_text("#page")
    rows = page.evaluate(CELLS)
    expected = [
        (f"{row['score_a']:.2f}", f"{row['score_b']:.2f}", "yes" if row["distinct_intervals"] else "no")
        for row in found.table.records()[: len(rows)]
    ]
    assert [(row[-3].split(" ")[0], row[-2].split(" ")[0], row[-1]) for row in rows] == expected and expected


def test_a_page_with_a_trigger_shows_both_arms_and_pictures_drawn_with_the_word(gallery, visitor):
    page = visitor.open("#adapter=tomo/cedar-lora").page
    text = page.inner_text("#page")
    assert "Scores of the weights alone" in text and "Scores with its trigger, qmxt style, in every prompt" in text
    assert "qmxt style, a red boat on sand" in text
    whole = visitor.open(page.locator("#page a", has_text="The whole page").evaluate("(one) => one.href")).page
    assert "With its trigger" in whole.inner_text("main")


def test_from_a_static_host_it_is_the_same(visitor, hosted):
    visit = visitor.open(f"{hosted}/index.html{QUESTION}")
    here = visitor.open(QUESTION)
    read = "hits.map((hit) => [hit.row.repo, hit.band])"
    assert visit.page.evaluate(read) == here.page.evaluate(read) != []
    assert visit.clean(), (visit.said, visit.elsewhere)


def test_adult_pictures_are_blurred_until_asked_for(visitor):
    page = visitor.open().page
    assert page.locator("#results img.veiled").count() > 0
    page.locator("#adult").press("Space")
    until(page, "document.querySelectorAll('#results img.veiled').length === 0")
