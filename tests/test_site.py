"""The built site, page by page in a browser; .ci/run builds it first.

``python -m sphinx -W -b html docs docs/_build/html``, then ``pytest -m long tests/test_site.py``.
"""

import functools
import html
import http.server
import re
import threading
from pathlib import Path
from urllib.parse import unquote, urldefrag, urljoin, urlsplit

import pytest

SITE = Path(__file__).parent.parent / "docs" / "_build" / "html"
FILES = (p.relative_to(SITE).as_posix() for p in SITE.rglob("*.html"))
PAGES = sorted(f for f in FILES if not f.startswith("_"))
#: One or two pages of each kind, which axe-core checks: it takes seconds a page.
KINDS = [
    *("index.html", "api.html", "api/calibkit.CalibratedClassifier.html", "search.html"),
    *("guides.html", "auto_guides/is_my_model_calibrated.html", "auto_gallery/index.html"),
    *("auto_gallery/wrap_a_classifier.html", "trust/index.html", "trust/do-certificates-hold.html"),
    *("intervals.html", "genindex.html"),
]
#: What a reader types, and a page that must be among the first ten.
SEARCHES = {
    "temperature": "api/calibkit.TemperatureCalibrator.html",
    "isotonic": "api/calibkit.IsotonicCalibrator.html",
    "certify": "api/calibkit.certify.html",
    "brier score": "api/calibkit.brier_score.html",
    "estimate": "api/calibkit.estimate.html",
    "to_sql": "api/calibkit.export.to_sql.html",
    "onnx": "api/calibkit.export.to_onnx.html",
    "alarm": "api/calibkit.CalibrationAlarm.html",
    "netcal": "auto_guides/coming_from_other_packages.html",
    "reliability": "api/calibkit.ReliabilityDisplay.html",
}
PARTS = 8  # so that two processes can share the pages

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(not PAGES, reason="the site is not built: see CONTRIBUTING.md"),
]


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Serves files and prints nothing."""

    def log_message(self, *args):
        pass


@pytest.fixture(scope="module")
def address():
    """Where the site is served, on this machine only."""
    handler = functools.partial(Quiet, directory=SITE)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


@pytest.fixture
def opened(browser, address):
    """Opens pages; at the end, no error and no request to another place may have been seen."""
    problems, contexts = [], []

    def answered(response):
        if response.status >= 400 or not response.url.startswith((address, "data:")):
            problems.append(f"{response.status} {response.url}")

    def opens(page, width=1400, scheme="light"):
        size = {"width": width, "height": 900}
        contexts.append(browser.new_context(viewport=size, color_scheme=scheme))
        tab = contexts[-1].new_page()
        tab.on("console", lambda m: problems.extend([f"{tab.url}: {m.text}"] * (m.type == "error")))
        tab.on("pageerror", lambda e: problems.append(f"{tab.url}: {e}"))
        tab.on("response", answered)
        tab.goto(address + page)
        return tab

    yield opens
    for context in contexts:
        context.close()
    assert problems == []


ATTRIBUTE = re.compile(r'\s(id|name|href|src)="([^"]+)"')


class Links:
    """Ids and links of a page, by a pattern: a parser takes a minute for all pages."""

    def __init__(self, page):
        self.ids, self.links = set(), set()
        for kind, value in ATTRIBUTE.findall((SITE / page).read_text()):
            (self.ids if kind in ("id", "name") else self.links).add(html.unescape(value))


def test_links_and_images_lead_somewhere():
    pages = {page: Links(page) for page in PAGES}
    files = {p.relative_to(SITE).as_posix() for p in SITE.rglob("*") if p.is_file()}
    broken = []
    for page, found in pages.items():
        for link in found.links:
            if urlsplit(link).scheme or link.startswith("//"):
                continue
            path, anchor = urldefrag(unquote(urljoin(page, link)))
            path = path.partition("?")[0]
            unknown = anchor and path in pages and anchor not in pages[path].ids
            if unknown or path not in files:
                broken.append((page, link))
    assert broken == []


def test_what_the_site_loads_is_its_own():
    """Pages link to other projects, but load nothing from them."""
    loaded = re.compile(r"<(?:script|img|iframe|link)\b[^>]*\b(?:src|href)=\"(?:https?:)?//[^\"]*")
    assert [(p, found) for p in PAGES if (found := loaded.findall((SITE / p).read_text()))] == []


def sideways(tab):
    """Whether a page is wider than its window."""
    return tab.evaluate("document.documentElement.scrollWidth > innerWidth")


def severe(tab, axe):
    """Serious and critical findings of axe-core: the rule, how often, and the first place."""
    found = axe.Axe().run(tab, options={"resultTypes": ["violations"], "preload": False})
    return [
        (v["id"], len(v["nodes"]), v["nodes"][0]["html"][:200])
        for v in found.response["violations"]
        if v["impact"] in ("serious", "critical")
    ]


@pytest.mark.parametrize("part", range(PARTS))
def test_every_page_fits_into_wide_and_narrow_windows(opened, address, part):
    tab, found = opened("index.html"), []
    for page in PAGES[part::PARTS]:
        tab.goto(address + page)
        for width in (1400, 380):
            tab.set_viewport_size({"width": width, "height": 900})
            found += [(page, width)] * sideways(tab)
    assert found == []


@pytest.mark.parametrize("part", range(3))
@pytest.mark.parametrize(("scheme", "width"), [("light", 1400), ("dark", 380)])
def test_kinds_of_pages_are_accessible_in_both_themes(opened, address, scheme, width, part):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    tab, found = opened("index.html", width, scheme), []
    for page in KINDS[part::3]:
        tab.goto(address + page)
        rgb = tab.evaluate("getComputedStyle(document.body).backgroundColor")
        assert (max(map(int, re.findall(r"\d+", rgb)[:3])) < 60) == (scheme == "dark"), page
        found += [(page, *v) for v in severe(tab, axe)]
    assert found == []


def test_search_finds_words(opened, address):
    tab = opened("index.html")
    for words, page in SEARCHES.items():
        tab.goto(f"{address}search.html?q={words}")
        tab.wait_for_selector("#search-results p.search-summary:not(:empty)")
        tab.wait_for_selector("#search-results ul.search > li a")
        tab.wait_for_function("!document.querySelector('#search-progress')?.textContent.trim()")
        links = tab.locator("#search-results ul.search > li > a").all()[:10]
        first = [urljoin("search.html", x.get_attribute("href").partition("?")[0]) for x in links]
        assert any(link.partition("#")[0] == page for link in first), (words, first)


def focused(tab):
    """The text of what has the focus."""
    return tab.evaluate(
        "(e => (e.innerText || e.ariaLabel || e.title || e.placeholder || '').trim())"
        "(document.activeElement)"
    )


@pytest.mark.parametrize("width", [380, 1400])
def test_keys_reach_navigation_and_search(opened, width):
    tab = opened("api/calibkit.estimate.html", width)
    seen = []
    for _ in range(25):
        tab.keyboard.press("Tab")
        seen.append(focused(tab))
    assert seen[0] == "Skip to main content"
    wanted = ["calibkit", "Guides", "Reference"] if width == 1400 else ["calibkit"]
    assert [w for w in wanted if w not in seen] == []
    assert any("search" in s.lower() for s in seen)
    tab.keyboard.press("Control+k")
    tab.keyboard.type("isotonic")
    tab.keyboard.press("Enter")
    tab.wait_for_selector("#search-results ul.search > li a")
    assert "search.html?q=isotonic" in tab.url


def test_the_theme_can_be_chosen(opened):
    tab = opened("index.html")
    for mode in ("dark", "light"):
        tab.locator("button.theme-switch-button:visible").focus()
        tab.keyboard.press("Enter")
        tab.locator(f"[data-mode={mode}]:visible").click()
        assert tab.evaluate("document.documentElement.dataset.theme") == mode
