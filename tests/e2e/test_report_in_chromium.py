"""The report in a real browser: nothing breaks, nothing leaves the machine, names stay text."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from softunit.report import FitSummary, write_html
from tests.report.stand_ins import (
    HOSTILE_CLASSES,
    HOSTILE_FEATURES,
    classified,
    estimated,
    regressed,
)

SUMMARIES = {
    "hostile": lambda: classified(HOSTILE_CLASSES, features=HOSTILE_FEATURES),
    "two classes": lambda: classified(["no", "yes"]),
    "forty classes": lambda: classified([f"a rather long name of class {i}" for i in range(40)]),
    "regressor": regressed,
    "errors": estimated,
    "errors of no optimum": lambda: estimated(believed=False),
}
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def missing(what: str) -> None:
    """Skip at a desk; in CI a test that cannot run is a failure."""
    sentence = f"The browser tests need {what}."
    if os.environ.get("CI", "").lower() in ("1", "true"):
        pytest.fail(sentence)
    pytest.skip(sentence)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A headless Chromium of the system; playwright only speaks to it."""
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    if found is None:
        missing("Chromium (Debian: apt-get install chromium)")
    try:
        from playwright.sync_api import sync_playwright
    except ModuleNotFoundError:
        missing("playwright (pip install playwright)")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=found, args=ARGUMENTS)
        yield chromium
        chromium.close()


class Visit:
    """A page opened in the browser, with everything it asked for and complained about."""

    def __init__(self, browser: Any, path: Path, width: int = 1280, **options: Any) -> None:
        self.page = browser.new_page(viewport={"width": width, "height": 900}, **options)
        self.requests: list[str] = []
        self.complaints: list[str] = []
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("dialog", self.dismiss)
        self.page.goto(path.as_uri(), wait_until="load")

    def dismiss(self, dialog: Any) -> None:
        """Note a dialog, and close it: an open one would stop the page."""
        self.complaints.append(dialog.message)
        dialog.dismiss()

    def count(self, selector: str) -> int:
        """Return how many elements match."""
        return int(self.page.locator(selector).count())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one report of each kind."""
    made = tmp_path_factory.mktemp("reports")
    for name, make in SUMMARIES.items():
        summary: FitSummary = make()
        write_html(made / f"{name}.html", summary)
    return made


@pytest.mark.parametrize("name", SUMMARIES)
@pytest.mark.parametrize("width", [1280, 800, 400])
def test_it_loads_in_silence_and_alone(browser: Any, folder: Path, name: str, width: int) -> None:
    path = folder / f"{name}.html"
    visit = Visit(browser, path, width)
    assert visit.complaints == []
    assert visit.requests == [path.as_uri()]
    assert visit.page.evaluate("document.documentElement.scrollWidth") <= width
    assert visit.count("svg.chart") >= 4
    visit.page.close()


def test_the_ears_are_open(browser: Any, tmp_path: Path) -> None:
    """The checks above can fail: a page that does wrong is heard."""
    path = tmp_path / "bad.html"
    path.write_text("<script>console.error('x'); alert(1)</script><img src='file:///none.png'>")
    visit = Visit(browser, path)
    assert {"x", "1"} <= set(visit.complaints)
    assert len(visit.requests) == 2
    visit.page.close()


def test_names_from_data_stay_text(browser: Any, folder: Path) -> None:
    visit = Visit(browser, folder / "hostile.html")
    text = visit.page.inner_text("body")
    assert "<script>alert(1)</script>" in text
    assert HOSTILE_CLASSES[0] in text
    assert "\\x1b[31mred" in text
    assert visit.count("script, img, a, iframe, [onerror], [onclick]") == 0
    visit.page.close()


CONTRAST = """
() => {
  const channel = v => { v /= 255; return v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4 };
  const light = c => 0.2126 * channel(c[0]) + 0.7152 * channel(c[1]) + 0.0722 * channel(c[2]);
  const canvas = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
  const paint = colours => {
    canvas.clearRect(0, 0, 1, 1);
    for (const colour of colours) { canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1); }
    return canvas.getImageData(0, 0, 1, 1).data;
  };
  const poor = [];
  for (const element of document.querySelectorAll('body *')) {
    const own = [...element.childNodes].some(n => n.nodeType === 3 && n.textContent.trim());
    if (!own || element.closest('title, desc, style')) continue;
    const grounds = [];
    for (let at = element; at; at = at.parentElement)
      grounds.unshift(getComputedStyle(at).backgroundColor);
    const style = getComputedStyle(element);
    const ink = element.closest('svg') ? style.fill : style.color;
    const [a, b] = [light(paint(grounds)), light(paint([...grounds, ink]))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) poor.push(`${element.textContent.trim().slice(0, 30)}: ${ratio.toFixed(2)}`);
  }
  return poor;
}
"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", ["hostile", "regressor", "errors of no optimum"])
def test_every_text_can_be_read(browser: Any, folder: Path, scheme: str, name: str) -> None:
    """Contrast of at least 4.5 to 1 (WCAG AA) in both colour schemes."""
    visit = Visit(browser, folder / f"{name}.html", color_scheme=scheme)
    assert visit.page.evaluate(CONTRAST) == []
    visit.page.close()


@pytest.mark.parametrize("width", [1280, 800, 400])
@pytest.mark.parametrize("name", ["hostile", "errors"])
def test_labels_in_pictures_do_not_overlap(
    browser: Any, folder: Path, width: int, name: str
) -> None:
    visit = Visit(browser, folder / f"{name}.html", width)
    overlaps = visit.page.evaluate(
        """() => [...document.querySelectorAll('svg.chart')].flatMap(svg => {
          const boxes = [...svg.querySelectorAll('text')].map(
            t => ({text: t.textContent, box: t.getBBox()}));
          return boxes.flatMap((a, i) => boxes.slice(i + 1).filter(b =>
            a.box.x < b.box.x + b.box.width && b.box.x < a.box.x + a.box.width &&
            a.box.y + 3 < b.box.y + b.box.height && b.box.y + 3 < a.box.y + a.box.height
          ).map(b => `${a.text} | ${b.text}`));
        })"""
    )
    assert overlaps == []
    visit.page.close()


@pytest.mark.parametrize("width", [1280, 800, 400])
def test_forests_stay_in_their_cell_and_figures_apart(
    browser: Any, folder: Path, width: int
) -> None:
    """Nothing of a row of coefficients covers anything else of it, at any width."""
    visit = Visit(browser, folder / "errors.html", width)
    found = visit.page.evaluate(
        """() => [...document.querySelectorAll('.estimates tbody tr')].flatMap(row => {
          const cells = [...row.children].map(c => c.getBoundingClientRect()).filter(
            b => b.width > 0 && b.height > 0);
          const apart = (a, b) => a.right <= b.left + 1 || b.right <= a.left + 1 ||
            a.bottom <= b.top + 1 || b.bottom <= a.top + 1;
          const bad = cells.flatMap((a, i) => cells.slice(i + 1).filter(b => !apart(a, b)));
          const cell = row.querySelector('.forest-cell').getBoundingClientRect();
          const drawn = [...row.querySelectorAll('.forest i')].map(
            i => i.getBoundingClientRect()).filter(b =>
            b.left < cell.left - 6 || b.right > cell.right + 6);
          const wide = [...row.querySelectorAll('.number')].filter(
            c => c.scrollWidth > c.clientWidth + 1).map(c => c.textContent);
          return [...bad.map(() => 'overlap'), ...drawn.map(() => 'outside'), ...wide];
        })"""
    )
    assert found == []
    assert visit.count(".estimates tbody tr") == 12
    visit.page.close()
