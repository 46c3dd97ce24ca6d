"""The report in a real browser: clicked through, on a phone, in the dark, on paper, without JS."""

import shutil

import pytest

playwright = pytest.importorskip("playwright.sync_api", reason="needs the package playwright")
NAMES = ("chromium", "chromium-browser", "google-chrome")
CHROMIUM = next(filter(None, map(shutil.which, NAMES)), None)

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium (Debian: apt install chromium)"),
]

OVERFLOWING = """() => [...document.querySelectorAll("body *")].filter((element) => {
  const scrolls = element.closest(".scroll, pre, nav ul");
  const box = (scrolls ?? element).getBoundingClientRect();
  return box.width > 0 && (box.left < 0 || box.right > innerWidth);
}).map((element) => element.outerHTML.slice(0, 200))"""

LIGHTNESS = """(property) => {
  const context = document.createElement("canvas").getContext("2d");
  context.fillStyle = getComputedStyle(document.body)[property];
  context.fillRect(0, 0, 1, 1);
  return [...context.getImageData(0, 0, 1, 1).data].slice(0, 3).reduce((a, b) => a + b) / 765;
}"""


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as tools:
        # In a container the kernel may refuse the sandbox, and /dev/shm may be small.
        flags = ["--no-sandbox", "--disable-dev-shm-usage"]
        browser = tools.chromium.launch(executable_path=CHROMIUM, args=flags)
        yield browser
        browser.close()


@pytest.fixture
def visit(browser, finished):
    """Opens the report; in the end nothing may have been complained of or asked for."""
    complaints, asked, contexts = [], set(), []

    def open_page(**options):
        context = browser.new_context(**options)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: asked.add(request.url))
        page.goto(finished.report.as_uri())
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert complaints == []
    assert {url for url in asked if not url.startswith("data:")} == {finished.report.as_uri()}


def test_clicked_through(visit):
    page = visit(viewport={"width": 1280, "height": 900})
    for link in page.locator("nav a").all():
        link.click()
        assert page.locator(link.get_attribute("href")).is_visible()

    sets, buttons = page.locator(".set"), page.locator(".choice button")
    assert [sets.nth(i).is_visible() for i in range(3)] == [True, False, False]
    buttons.last.click()
    assert [sets.nth(i).is_visible() for i in range(3)] == [False, False, True]
    buttons.first.click()

    labels = page.locator(".tile.global img").first
    page.locator("#overlay").fill("0.4")
    assert labels.evaluate("image => getComputedStyle(image).opacity") == "0.4"

    page.locator(".tile.global").first.click()
    zoom, title = page.locator("#zoom"), page.locator("#zoom-title")
    assert zoom.is_visible()
    assert title.inner_text().startswith("global")
    page.locator("#zoom-picture .picture").hover()
    assert page.locator("#zoom-class").inner_text() in page.locator(".legend").first.inner_text()
    page.keyboard.press("ArrowRight")
    assert title.inner_text().strip() == "truth"
    page.get_by_label("Previous model").click()
    page.get_by_label("Previous model").click()
    assert title.inner_text().startswith("two")
    page.keyboard.press("Escape")
    assert not zoom.is_visible()

    heat = page.locator("table.iou").first
    column = heat.locator("tbody tr > :nth-child(2)")
    before = column.all_inner_texts()
    for expected in (sorted(before, key=percent)[::-1], sorted(before, key=percent), before):
        heat.get_by_role("button", name="global").click()
        assert list(map(percent, column.all_inner_texts())) == list(map(percent, expected))

    page.locator("#configuration summary").click()
    assert page.locator("pre").is_visible()


def percent(text: str) -> float:
    return float(text) if text.isdigit() else -1.0


@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_sticks_out(visit, width):
    page = visit(viewport={"width": width, "height": 844})
    page.locator("#configuration summary").click()
    for button in page.locator(".choice button").all():
        button.click()
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.evaluate(OVERFLOWING) == []
    page.locator(".choice button").first.click()
    page.locator(".tile").first.click()
    assert page.evaluate(OVERFLOWING) == []


def test_dark_where_the_reader_wants_it_dark(visit):
    light = visit(color_scheme="light")
    assert light.evaluate(LIGHTNESS, "backgroundColor") > 0.9 > light.evaluate(LIGHTNESS, "color")
    dark = visit(color_scheme="dark")
    assert dark.evaluate(LIGHTNESS, "backgroundColor") < 0.2 < dark.evaluate(LIGHTNESS, "color")


def test_everything_is_there_on_paper_and_without_javascript(visit):
    for page in (visit(), visit(java_script_enabled=False)):
        page.emulate_media(media="print")
        assert [shown.is_visible() for shown in page.locator(".set").all()] == [True] * 3
        assert page.locator("pre").is_visible()
        assert not page.locator(".controls").is_visible()
    page.emulate_media(media="screen")
    assert [shown.is_visible() for shown in page.locator(".set").all()] == [True] * 3
    assert not page.locator(".controls").is_visible()
