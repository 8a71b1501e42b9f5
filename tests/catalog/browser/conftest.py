"""An exported site with planted truth, from disk and from a static host, and Chromium to look at it."""

from __future__ import annotations

import functools
import http.server
import shutil
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from auditor.catalog.compare_page import render_comparison
from auditor.catalog.comparisons import compare
from auditor.catalog.export.bundle import export
from tests.catalog.browser.planted import COMPARED, Planted

SCREEN = {"viewport": {"width": 1200, "height": 900}, "reduced_motion": "reduce"}


@dataclass
class Gallery:
    """What the tests look at: the catalog, the exported folder, and a page that compares two adapters."""

    database: Path
    folder: Path
    comparison: Path


@pytest.fixture(scope="session")
def gallery(tmp_path_factory: pytest.TempPathFactory, lexicon, build) -> Gallery:
    """Sixty adapters and a dozen repos without weights, exported."""
    world = build.world(tmp_path_factory.mktemp("gallery"), lexicon, build.recipe(lexicon))
    Planted(world, build).fill()
    out = world.folder / "out"
    export(world.database, out, world.results, ["site", "csv"], max_pages=40)
    page = world.folder / "compare.html"
    page.write_text(render_comparison(world.database, compare(world.database, *COMPARED)), encoding="utf-8")
    return Gallery(world.database, out, page)


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture(scope="session")
def hosted(gallery: Gallery) -> Iterator[str]:
    """Address of the exported folder on a static host."""
    handler = functools.partial(_Quiet, directory=str(gallery.folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Debian's Chromium; the driver's own browsers are not fetched."""
    program = shutil.which("chromium") or shutil.which("google-chrome")
    assert program, "these tests need Chromium: .ci/browser installs it"
    options = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--font-render-hinting=none"]
    with sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=program, args=options)
        yield started
        started.close()


@dataclass
class Visit:
    """One page of the site, and what went wrong on it."""

    page: Page
    said: list[str] = field(default_factory=list)
    elsewhere: list[str] = field(default_factory=list)

    def clean(self) -> bool:
        """No error in the console, and nothing asked of anybody but the site itself."""
        return not self.said and not self.elsewhere


class Visitor:
    """Opens pages and listens to them."""

    def __init__(self, browser: Browser, index: str, hosted: str) -> None:
        self.browser, self.index, self.hosted = browser, index, hosted
        self.contexts: list[BrowserContext] = []

    def open(self, address: str = "", **options: object) -> Visit:
        """A page in a fresh profile, loaded to the end. `address` is a hash of the index, or a whole address."""
        context = self.browser.new_context(
            **{"viewport": {"width": 1200, "height": 900}, "reduced_motion": "reduce", **options}
        )
        self.contexts.append(context)
        visit = Visit(context.new_page())
        own = self.index.removesuffix("index.html"), self.hosted, "data:", address.partition("#")[0] or "data:"
        visit.page.on(
            "console", lambda message: message.type in ("error", "warning") and visit.said.append(message.text)
        )
        visit.page.on("pageerror", lambda error: visit.said.append(str(error)))
        visit.page.on("request", lambda asked: asked.url.startswith(own) or visit.elsewhere.append(asked.url))
        visit.page.goto(address if "://" in address else self.index + address)
        visit.page.wait_for_load_state("networkidle")
        return visit


@pytest.fixture
def visitor(browser: Browser, gallery: Gallery, hosted: str) -> Iterator[Visitor]:
    made = Visitor(browser, (gallery.folder / "index.html").as_uri(), hosted)
    yield made
    for context in made.contexts:
        context.close()
