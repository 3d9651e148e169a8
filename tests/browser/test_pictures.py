"""Drawings along the time axis: everything in a lane zooms and scrolls together, without seams."""

from collections.abc import Iterator
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
from browser.conftest import Web, chromium, shelf, visit
from browser.test_controls import opened
from support.player import STEMS

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

SECONDS = 42
SONGS: list[dict[str, Any]] = [
    {"title": "Whole", "seconds": SECONDS, "stems": STEMS},
    {"title": "Half", "seconds": SECONDS, "stems": STEMS, "state": "running", "separated": 0.5},
]
# Where in the song the left and right edge of each picture of a lane are, by its own place and that of the waveform.
PLACES = """([lane, song]) => {
  const { shadowRoot } = [...lane.querySelector('.waveform').children].find((child) => child.shadowRoot);
  const wave = shadowRoot.querySelector('.wrapper').getBoundingClientRect();
  const place = (x) => ((x - wave.left) / wave.width) * song;
  const covers = [...shadowRoot.querySelectorAll('.wrapper > div')].filter(({ style }) => style.inset.includes('var('));
  const pictures = [lane.querySelector('.timeline canvas'), ...covers];
  return [pictures.map((each) => each.getBoundingClientRect()).map(({ left, right }) => [place(left), place(right)]),
    wave.width / lane.querySelector('.waveform').clientWidth];
}"""
# How high each column of the waveform's canvases is drawn, canvas by canvas.
HEIGHTS = """(lane) => {
  const { shadowRoot } = [...lane.querySelector('.waveform').children].find((child) => child.shadowRoot);
  return [...shadowRoot.querySelectorAll('.canvases canvas')]
    .sort((one, other) => parseFloat(one.style.left) - parseFloat(other.style.left))
    .map((canvas) => {
      const { width, height } = canvas;
      const { data } = canvas.getContext('2d').getImageData(0, 0, width, height);
      const inked = (x) => Array.from({ length: height }, (_, y) => data[4 * (y * width + x) + 3] / 255);
      return Array.from({ length: width }, (_, x) => inked(x).reduce((sum, ink) => sum + ink, 0));
    });
}"""


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    with shelf(tmp_path_factory.mktemp("pictures"), SONGS) as web:
        yield web


@pytest.fixture(scope="module")
def browser(web: Web) -> Iterator["Browser"]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def page(browser: "Browser", web: Web) -> Iterator["Page"]:
    with visit(browser, storage_state=web.songs["Whole"].visitor, base_url=web.address) as context:
        yield context.new_page()


def places(page: "Page") -> tuple[list[list[float]], float]:
    lane = page.locator(".lane[data-stem=drums]").element_handle()
    found, zoom = page.evaluate(PLACES, [lane, SECONDS])
    return found, zoom


@pytest.mark.parametrize(("title", "there"), [("Whole", SECONDS), ("Half", 20)])
def test_all_pictures_of_a_lane_show_the_part_of_the_song_that_is_in_sight(
    page: "Page", web: Web, title: str, there: float
) -> None:
    """Covers the timeline of a detection, drafts, and what is not available yet."""
    opened(page, web.songs[title].path)
    page.wait_for_function("() => document.querySelector('.lane[data-stem=drums] .timeline canvas').width === 42")
    for key, seek in (("", 0), ("+", 0), ("+", 30), ("0", 0)):
        if key:
            page.keyboard.press(key)
        page.evaluate("(seconds) => document.querySelector('#mixer').engine.seek(seconds)", seek)
        pictures, zoom = places(page)
        assert zoom == pytest.approx({"": 1, "0": 1}.get(key, 1.5 if seek == 0 else 2.25), abs=0.01)
        assert len(pictures) == 3
        assert pictures[0] == pytest.approx([0, SECONDS], abs=0.15)
        assert pictures[1] == pictures[2] == pytest.approx([there, SECONDS], abs=0.15)


def test_a_waveform_has_no_notch_where_its_canvases_meet(page: "Page", web: Web) -> None:
    opened(page, web.songs["Whole"].path)
    for _ in range(6):
        page.keyboard.press("+")
    lane = page.locator(".lane[data-stem=other]")
    page.wait_for_function(f"(lane) => Math.max(...({HEIGHTS})(lane)[0]) > 10", arg=lane.element_handle())
    heights = lane.evaluate(HEIGHTS)
    assert len(heights) > 1
    for before, after in pairwise(heights):
        least = min(*before[-6:-3], *after[3:6])
        assert min(*before[-3:], *after[:3]) > 0.8 * least
