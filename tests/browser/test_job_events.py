"""Many windows of one browser over HTTP/1.1: all load, and all follow their songs over one event stream.

The songs are seeded rows and no worker runs; a separate program changes the rows as a worker would.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from browser.conftest import Web, chromium, shelf, visit
from support import running

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

DONE = ["First", "Second", "Third", "To be deleted", "To be renamed"]
RUNNING = ["Fourth", "Fifth", "Sixth"]
SONGS: list[dict[str, Any]] = [
    *({"title": title, "artist": "Somebody", "seconds": 1, "stems": ["vocals", "drums"]} for title in DONE),
    *(
        {"title": title, "seconds": 10, "stems": ["vocals"], "state": "running", "separated": 0.5}
        for title in RUNNING
    ),
    {"title": "Long", "seconds": 1, "stems": ["vocals"], "state": "running", "separated": 0.0,
     "job": {"stage": "decode", "stage_progress": 0.345, "blocks_done": 0, "blocks_total": 0}},
    {"title": "No sound", "seconds": 1, "stems": ["vocals"], "state": "failed", "job": {"cause": "file"}},
    {"title": "No room", "seconds": 1, "stems": ["vocals"], "state": "failed", "job": {"cause": "disk"}},
]  # fmt: skip
ADVANCE = """
from django.utils import timezone
from webapp.models import Job
rows = Job.objects.filter(track__title__in={titles})
rows.update(stage="separate", blocks_done={done}, blocks_total=8, updated_at=timezone.now())
"""
# Keeps each stream that a page opens where it can be counted.
COUNTED = """(() => {
  const Stream = EventSource;
  window.streams = [];
  window.EventSource = class extends Stream {
    constructor(...more) { super(...more); window.streams.push(this); }
  };
})()"""
LISTENS = "() => window.streams.some(({ readyState }) => readyState !== EventSource.CLOSED)"
SHOWN = """(shown) => {
  Object.defineProperty(document, 'hidden', { get: () => !shown, configurable: true });
  document.dispatchEvent(new Event('visibilitychange'));
}"""
BUSY = """() => void setTimeout(() => {
  const end = performance.now() + 12000;
  while (performance.now() < end);
})"""
LOOKS = 2500  # milliseconds in which a page has looked several times


@dataclass(frozen=True)
class Windows:
    """The site, and windows of one listener's browser."""

    web: Web
    data: Path
    pages: "list[Page]"

    def open(self, path: str) -> "Page":
        """Open a song by its title, or a path."""
        page = self.pages[0].context.new_page()
        self.pages.append(page)
        page.goto(self.web.songs[path].path if path in self.web.songs else path)
        return page

    def listening(self) -> "list[Page]":
        return [page for page in self.pages if page.evaluate(LISTENS)]

    def advance(self, done: int, titles: list[str]) -> None:
        running.manage(self.data, "shell", "-v0", "-c", ADVANCE.format(done=done, titles=titles))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Web, Path]]:
    """The site and its data folder."""
    data = tmp_path_factory.mktemp("events")
    with shelf(data, SONGS) as web:
        yield web, data


@pytest.fixture(scope="module")
def browser(site: tuple[Web, Path]) -> Iterator["Browser"]:
    """Shared by this module, because tests have no database while Playwright runs. Starts after the songs exist."""
    with chromium() as browser:
        yield browser


@pytest.fixture
def windows(browser: "Browser", site: tuple[Web, Path]) -> Iterator[Windows]:
    """A fresh browser with one window without songs; resets the running songs."""
    web, data = site
    with visit(browser, base_url=web.address, storage_state=web.songs["First"].visitor) as context:
        context.add_init_script(COUNTED)
        page = context.new_page()
        page.goto("/help/")
        windows = Windows(web, data, [page])
        windows.advance(3, RUNNING)
        yield windows


def test_ten_windows_load_and_follow_by_one_stream(windows: Windows) -> None:
    songs = [windows.open(title) for title in (*RUNNING, *DONE[:3], *RUNNING)]
    home = windows.open("/")
    for done in (5, 7):
        windows.advance(done, RUNNING)
        for page in (*songs[:3], *songs[6:]):
            page.get_by_text(f"Separating: {100 * done // 8}%").wait_for()
        home.get_by_text(f"Separating: {100 * done // 8}%").nth(2).wait_for()
    assert [page.title() for page in songs[:3]] == [f"87% · {title}" for title in RUNNING]
    assert songs[3].title() == "First · SoundScape"
    assert len(windows.listening()) == 1


@pytest.mark.parametrize("end", ["closed", "stuck"])
def test_another_window_takes_over_from_the_one_that_listens(windows: Windows, end: str) -> None:
    for title in RUNNING:
        windows.open(title).wait_for_timeout(LOOKS)
    (first,) = windows.listening()
    windows.pages.remove(first)
    if end == "closed":
        first.close()
    else:
        first.evaluate(BUSY)
    windows.advance(6, RUNNING)
    for page in windows.pages[1:]:
        page.get_by_text("Separating: 75%").wait_for()
    assert len(windows.listening()) == 1
    if end == "stuck":  # now that it comes to, one of them leaves it to the other
        windows.pages.append(first)
        first.evaluate("() => null")
        first.wait_for_timeout(LOOKS)
        assert len(windows.listening()) == 1


def test_nothing_listens_for_what_is_over_and_for_what_is_hidden(windows: Windows) -> None:
    over, live, home = windows.open("First"), windows.open("Fourth"), windows.open("/")
    home.wait_for_timeout(LOOKS)
    assert len(windows.listening()) == 1
    for page in (live, home):
        page.evaluate(SHOWN, False)
    home.wait_for_timeout(LOOKS)
    assert windows.listening() == []
    windows.advance(6, RUNNING)
    live.wait_for_function("() => document.title === '75% · Fourth'")  # now and then it asks
    assert home.get_by_text("Separating: 75%").count() == 0
    home.evaluate(SHOWN, True)
    home.get_by_text("Separating: 75%").nth(2).wait_for()
    assert not over.evaluate(LISTENS)


def test_a_finished_song_notices_what_other_windows_do_with_it(windows: Windows) -> None:
    one, other = windows.open("To be deleted"), windows.open("To be deleted")
    one.get_by_role("button", name="Rename").click()
    one.get_by_role("textbox", name="Title").fill("Renamed")
    one.keyboard.press("Enter")
    other.get_by_role("heading", name="Renamed").wait_for()
    assert one.title() == other.title() == "Renamed · SoundScape"
    one.locator("#mergeable summary").click()
    one.get_by_role("button", name="Merge drums into other").click()
    other.get_by_text("Waiting").wait_for()
    one.get_by_role("button", name="Cancel").click()
    other.get_by_text("Waiting").wait_for(state="hidden")
    one.get_by_role("button", name="Delete").first.click()
    other.wait_for_url(f"{windows.web.address}/")


def test_what_happened_while_a_window_was_hidden_is_shown_with_it(windows: Windows) -> None:
    page = windows.open("To be renamed")
    page.evaluate(SHOWN, False)
    cookies = {each.get("name"): each.get("value", "") for each in page.context.cookies()}
    answer = page.request.patch(
        f"/api/v1/jobs/{windows.web.songs['To be renamed'].job}/",
        data={"title": "From afar"},
        headers={"X-CSRFToken": cookies["csrftoken"]},
    )
    assert answer.ok
    page.wait_for_timeout(LOOKS)
    assert page.title() == "To be renamed · SoundScape"
    page.evaluate(SHOWN, True)
    page.get_by_role("heading", name="From afar").wait_for()


def test_a_server_that_restarts_is_waited_for(windows: Windows) -> None:
    page = windows.open("Fourth")
    page.wait_for_timeout(LOOKS)
    page.route("**/events/**", lambda route: route.fulfill(status=503))
    page.evaluate("() => window.streams.forEach((stream) => stream.close())")
    page.evaluate("() => window.streams.at(-1).onerror()")
    page.get_by_text("Connection to the server lost.").wait_for()
    page.unroute("**/events/**")
    page.get_by_text("Connection to the server lost.").wait_for(state="hidden")
    windows.advance(6, RUNNING)
    page.get_by_text("Separating: 75%").wait_for()


def test_how_far_a_file_is_read_is_shown(windows: Windows) -> None:
    windows.open("Long").get_by_text("Reading the song: 34%").wait_for()


def test_another_try_is_offered_only_where_it_can_help(windows: Windows) -> None:
    for title, offered in (("No sound", False), ("No room", True)):
        page = windows.open(title)
        page.get_by_text("Failed").wait_for()
        assert page.get_by_role("button", name="Try again").is_visible() == offered


def test_songs_are_found_by_their_artist(windows: Windows) -> None:
    home = windows.open("/")
    home.locator("#search").fill("somebody")
    shown = home.locator(".song:visible")
    assert shown.count() < home.locator(".song").count()
    assert {*shown.locator(".artist").all_inner_texts()} == {"Somebody"}
