"""Touch: a swipe scrolls wherever it starts, and only a sideways swipe moves a control."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from browser.conftest import Web, chromium, shelf, visit
from browser.test_controls import LIFT
from browser.test_review import LOGIN
from support import running
from support.player import STEMS, engine

if TYPE_CHECKING:
    from playwright.sync_api import Browser, CDPSession, Locator, Page

SECONDS = 42
PHONE = {"viewport": {"width": 390, "height": 740}, "has_touch": True, "is_mobile": True}
EDGE = 60.0  # pixels of the screen's edge where no swipe begins
CLEAR = 10.0  # pixels of a swipe after which it is clear where it goes
PAUSE = 60.0  # milliseconds until what a finger does is done
# What can be moved with a finger: all that a link says of a mix, and where playing is.
MOVED = """() => {
  const { lanes, masterDb, limiter, tempo, pitch, loop, position } = document.querySelector('#mixer').engine;
  const values = [...document.querySelectorAll('#mixer input[type=range]')].map(({ value }) => value);
  const { ariaValueNow } = document.querySelector('#minimap');
  return JSON.stringify([lanes, masterDb, limiter, tempo, pitch, loop, position, values, ariaValueNow]);
}"""
CHANGES = """(slider) => {
  window.changes = [];
  const note = ({ type }) => changes.push([type, slider.valueAsNumber]);
  for (const type of ['input', 'change']) slider.addEventListener(type, note);
}"""


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    data = tmp_path_factory.mktemp("touch")
    with shelf(data, [{"title": "Song", "seconds": SECONDS, "stems": STEMS}]) as web:
        running.manage(data, "createsuperuser", "--noinput", "--username=admin", "--email=a@example.org", **LOGIN)
        yield web


@pytest.fixture(scope="module")
def browser(web: Web) -> Iterator["Browser"]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def phone(browser: "Browser", web: Web) -> Iterator["Page"]:
    song = web.songs["Song"]
    with visit(browser, storage_state=song.visitor, base_url=web.address, **PHONE) as context:
        page = context.new_page()
        page.goto(song.path)
        page.locator(".lane").first.wait_for()
        yield page


class Finger:
    """A finger on the screen of a page."""

    def __init__(self, page: "Page") -> None:
        self._page = page
        self._session: CDPSession = page.context.new_cdp_session(page)

    def swipe(self, x: float, y: float, dx: float, dy: float) -> None:
        self.down(x, y)
        self.move(x, y, dx, dy)
        self.lift()

    def down(self, x: float, y: float) -> None:
        self._send("touchStart", {"x": x, "y": y})

    def move(self, x: float, y: float, dx: float, dy: float) -> None:
        """Move in ten steps."""
        for step in range(1, 11):
            self._send("touchMove", {"x": x + dx * step / 10, "y": y + dy * step / 10})
            self._page.wait_for_timeout(15)

    def tap(self, x: float, y: float) -> None:
        self._page.wait_for_timeout(LIFT)
        self.down(x, y)
        self.lift()

    def lift(self) -> None:
        self._send("touchEnd")
        self._page.wait_for_timeout(PAUSE)

    def _send(self, kind: str, *points: dict[str, float]) -> None:
        self._session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})


def middle(control: "Locator", share: float = 0.5) -> tuple[float, float]:
    """Centre of a control, after scrolling it to where there is room for vertical swipes."""
    control.evaluate("(control) => control.scrollIntoView({ block: 'center', behavior: 'instant' })")
    box = control.bounding_box()
    assert box
    return box["x"] + share * box["width"], box["y"] + box["height"] / 2


def scrolled(page: "Page") -> float:
    return float(page.evaluate("() => scrollY"))


def everything(page: "Page") -> "list[Locator]":
    """All controls that react to being dragged or tapped along their length."""
    mixer = page.locator("#mixer")
    controls = mixer.locator("input[type=range], #ruler, .waveform, .timeline, #minimap")
    return [control for control in controls.all() if control.is_visible()]


@pytest.mark.parametrize(("slant", "loop"), [(0, False), (0.4, True)])
def test_a_swipe_over_the_mixer_scrolls_and_changes_nothing(phone: "Page", slant: float, *, loop: bool) -> None:
    """It may start on anything, also while the lanes are zoomed and a loop is shown."""
    if loop:
        phone.evaluate("() => document.querySelector('#mixer').engine.setLoop(0, 40)")
        phone.get_by_role("button", name="Zoom in").click()
        phone.evaluate("() => document.querySelector('#mixer').engine.seek(20)")
    finger = Finger(phone)
    controls = everything(phone)
    assert len(controls) > 3 * len(STEMS)
    before = phone.evaluate(MOVED)
    for control in controls:
        for share in (0.2, 0.8):
            x, y = middle(control, share)
            up = -150 if y > 250 else 150
            at = scrolled(phone)
            finger.swipe(x, y, slant * up, up)
            assert phone.evaluate(MOVED) == before, control.evaluate("(control) => control.outerHTML.slice(0, 200)")
            assert scrolled(phone) != at
            phone.wait_for_timeout(100)  # the page may still be moving


def test_a_touch_alone_moves_no_slider(phone: "Page") -> None:
    finger = Finger(phone)
    before = phone.evaluate(MOVED)
    for slider in phone.locator("#mixer input[type=range]:not(#position)").all():
        finger.tap(*middle(slider, 0.1))
        assert phone.evaluate(MOVED) == before


@pytest.mark.parametrize("name", ["Volume of drums", "Pan of bass", "Master", "Tempo", "Pitch"])
def test_a_swipe_sideways_moves_a_slider_from_where_it_was(phone: "Page", name: str) -> None:
    """The finger may start anywhere on it, and vertical movement no longer matters."""
    slider = phone.get_by_role("slider", name=name)
    start = number(slider)
    least, most = (float(slider.get_attribute(end) or "") for end in ("min", "max"))
    x, y = middle(slider, 0.9)
    slider.evaluate(CHANGES)
    width = slider.evaluate("(slider) => slider.clientWidth")
    distance = -0.25 * width - CLEAR
    finger = Finger(phone)
    finger.down(x, y)
    finger.move(x, y, distance, 0)
    finger.move(x + distance, y, 0, 60)
    finger.lift()
    steps = 0 if slider.get_attribute("step") == "any" else float(slider.get_attribute("step") or 1) / (most - least)
    assert (start - number(slider)) / (most - least) == pytest.approx(0.25, abs=steps + 0.01)
    changes = phone.evaluate("changes")
    assert [kind for kind, _ in changes].count("change") == 1
    values = [value for _, value in changes]
    assert all(start >= value for value in values)
    assert values == sorted(values, reverse=True)


def test_the_place_in_the_song_is_dragged_from_where_it_is_and_tapped(phone: "Page") -> None:
    position = phone.get_by_role("slider", name="Position")
    phone.evaluate("() => document.querySelector('#mixer').engine.seek(5)")
    finger = Finger(phone)
    x, y = middle(position, 0.6)
    finger.swipe(x, y, 0.25 * position.evaluate("(slider) => slider.clientWidth") + CLEAR, 0)
    assert engine(phone, "position") == pytest.approx(5 + 0.25 * SECONDS, abs=1)
    finger.tap(*middle(position, 0.75))
    assert engine(phone, "position") == pytest.approx(0.75 * SECONDS, abs=1)


def test_the_minimap_is_dragged_from_where_it_is_and_tapped(phone: "Page") -> None:
    for _ in range(3):
        phone.get_by_role("button", name="Zoom in").click()
    minimap = phone.locator("#minimap")
    width = minimap.evaluate("(minimap) => minimap.clientWidth")
    finger = Finger(phone)
    start = shown(minimap)
    x, y = middle(minimap, 0.5)
    finger.swipe(x, y, 0.25 * width, 0)
    assert shown(minimap) == pytest.approx(start + 0.25 * SECONDS, abs=2)
    finger.tap(*middle(minimap, 0.5))
    assert shown(minimap) == pytest.approx(0.35 * SECONDS, abs=2)


def test_a_loop_is_dragged_on_the_ruler_where_it_is_zoomed(phone: "Page") -> None:
    phone.get_by_role("button", name="Zoom in").click()
    x, y = middle(phone.locator("#ruler"), 0.25)
    Finger(phone).swipe(x, y, 0.5 * phone.locator("#ruler").evaluate("(ruler) => ruler.clientWidth"), 0)
    loop = engine(phone, "loop")
    assert loop["end"] - loop["start"] == pytest.approx(SECONDS / 1.5 / 2, abs=2)


def test_a_swipe_over_a_reviewers_player_scrolls_and_goes_nowhere(browser: "Browser", web: Web) -> None:
    with visit(browser, base_url=web.address, **PHONE) as context:
        page = context.new_page()
        page.goto(f"/admin/webapp/job/{web.songs['Song'].job}/change/")
        page.fill("[name=username]", "admin")
        page.fill("[name=password]", LOGIN["DJANGO_SUPERUSER_PASSWORD"])
        page.click("[type=submit]")
        page.locator("[data-lane=drums]").wait_for()
        place, finger = page.locator("[data-place]"), Finger(page)
        for control in [place, *page.locator(".wave").all()]:
            x, y = middle(control, 0.7)
            at = scrolled(page)
            finger.swipe(x, y, 0, -150)
            assert number(place) == 0
            assert scrolled(page) != at
            page.wait_for_timeout(100)
        x, y = middle(place, 0.5)
        finger.swipe(x, y, 100, 0)
        width = place.evaluate("(slider) => slider.clientWidth")
        assert number(place) == pytest.approx(SECONDS * 90 / width, abs=0.5)


def number(slider: "Locator") -> float:
    return float(slider.input_value())


def shown(minimap: "Locator") -> float:
    return float(minimap.get_attribute("aria-valuenow") or "")
