"""Accessibility of every page, in dark mode and on a phone; and the list of songs.

The songs are seeded rows and no worker runs, so that only tests change anything.
"""

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from browser.conftest import Web, chromium, shelf, visit
from django.conf import settings
from support.sounds import silent_wav

from webapp.api.events import POLL_INTERVAL

if TYPE_CHECKING:
    from playwright.sync_api import Browser, FilePayload, Locator, Page, Route

AXE = settings.BASE_DIR / "node_modules" / "axe-core" / "axe.min.js"
SCHEMES = ["light", "dark"]
WIDTHS = [1280, 360]
UPLOAD_LIMIT = 1_000_000  # bytes
SLOW = {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": 50_000}  # bytes per second
FAST = SLOW | {"uploadThroughput": -1}
# A square of one pixel.
COVER = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR42mOoBwAAgQCAfhwpxwAAAABJRU5ErkJggg=="
# A listener's songs, newest last. No test changes them.
SHELF: list[dict[str, Any]] = [
    {"title": "Blue in the morning", "seconds": 12, "stems": ["vocals", "drums", "bass", "other"]},
    {"title": "Étude 10", "filename": "practice.flac", "seconds": 4, "stems": ["vocals", "piano", "other", "residual"]},
    {"title": "étude 9", "seconds": 8, "stems": ["vocals", "drums"], "cover": COVER},
    {"title": "Half way there", "seconds": 20, "stems": ["vocals", "drums", "piano", "other"], "state": "running",
     "separated": 0.5, "drafted": ["vocals", "drums", "other"],
     "job": {"seconds_left": 75}},
    {"title": "Broken tape", "seconds": 1, "stems": ["vocals"], "state": "failed"},
    {"title": "Next in line", "seconds": 1, "stems": ["vocals"], "state": "queued"},
]  # fmt: skip
NEWEST = [spec["title"] for spec in reversed(SHELF)]
# Another listener's, each for one test to change.
DESK: list[dict[str, Any]] = [
    {"title": title, "seconds": 1, "stems": ["vocals"], "owner": "editor", "state": state}
    for title, state in {
        "To be renamed": "done",
        "To be kept after all": "done",
        "To be deleted": "done",
        "To be deleted from its page": "done",
        "To be tried again": "failed",
        "To be browsed": "done",
    }.items()
]
# What a checker looks at: whose page, where, and what must be there first. Visitors without songs have no name.
PAGES = {
    "home of a visitor": ("", "/", "#empty"),
    "home with songs": ("listener", "/", ".song"),
    "finished song": ("listener", "Blue in the morning", "#mixer .download"),
    "song in work": ("listener", "Half way there", "#mixer #draft:not([hidden])"),
    "failed song": ("listener", "Broken tape", "#status"),
    "login": ("", "/accounts/login/", "form.card"),
    "sign up": ("", "/accounts/signup/", "form.card"),
    "account": ("listener", "/accounts/", "article.settings"),
    "password": ("listener", "/accounts/password/", "form.card"),
    "forgotten password": ("", "/accounts/password/forgotten/", "form.card"),
    "tokens": ("listener", "/accounts/tokens/", "form"),
    "webhooks": ("listener", "/accounts/webhooks/", "form"),
    "help": ("", "/help/", "article.settings"),
    "problems": ("", "/api/v1/problems/", "#throttled"),
    "farewell": ("listener", "/accounts/delete/", "form.card"),
    "nothing there": ("", "/nowhere/", ".card"),
}

VIOLATIONS = """async () => {
  document.querySelectorAll('details').forEach((details) => { details.open = true; });
  return (await axe.run({ resultTypes: ['violations'] })).violations.map(({ id, nodes }) =>
    `${id}: ${nodes.map(({ html, failureSummary }) => `${html} ${failureSummary}`).join(', ')}`);
}"""

UNDER_WAY = """() => {
  const bars = [...document.querySelectorAll('#uploads progress')];
  return bars.filter(({ value }) => value > 0 && value < 1).length;
}"""


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    if not AXE.is_file():
        pytest.skip("npm packages are not installed: npm ci")
    data = tmp_path_factory.mktemp("pages")
    specs = [{"owner": "listener"} | spec for spec in SHELF + DESK]
    with shelf(data, specs, SOUNDSCAPE_MAX_UPLOAD_MB="1") as web:
        yield web


@pytest.fixture(scope="module")
def browser(web: Web) -> Iterator["Browser"]:
    """Shared by this module, because tests have no database while Playwright runs."""
    with chromium() as browser:
        yield browser


@contextmanager
def open_page(browser: "Browser", web: Web, whose: str = "", **options: Any) -> Iterator["Page"]:
    """Open a tab of a listener, an editor, or somebody without songs."""
    owned = {"listener": SHELF, "editor": DESK}.get(whose)
    cookies = {"storage_state": web.songs[owned[0]["title"]].visitor} if owned else {}
    with visit(browser, base_url=web.address, reduced_motion="reduce", **cookies, **options) as context:
        yield context.new_page()


@pytest.fixture
def home(browser: "Browser", web: Web) -> Iterator["Page"]:
    """The listener's home page."""
    with open_page(browser, web, "listener") as page:
        page.goto("/")
        yield page


@pytest.fixture
def desk(browser: "Browser", web: Web) -> Iterator["Page"]:
    """The editor's home page."""
    with open_page(browser, web, "editor") as page:
        page.goto("/")
        yield page


@pytest.fixture
def empty(browser: "Browser", web: Web) -> Iterator["Page"]:
    """The home page of a new visitor."""
    with open_page(browser, web) as page:
        page.goto("/")
        yield page


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("name", PAGES)
def test_a_page_has_no_barriers(browser: "Browser", web: Web, name: str, scheme: str, width: int) -> None:
    whose, path, ready = PAGES[name]
    with open_page(browser, web, whose, color_scheme=scheme, viewport={"width": width, "height": 900}) as page:
        page.goto(web.songs[path].path if path in web.songs else path)
        page.locator(ready).first.wait_for()
        assert barriers(page) == []
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "The page scrolls sideways."


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_list_in_use_has_no_barriers(browser: "Browser", web: Web, scheme: str, width: int) -> None:
    """Edits a title, deletes a song, fails an upload, and searches."""
    with open_page(browser, web, "listener", color_scheme=scheme, viewport={"width": width, "height": 900}) as page:
        page.route("**/api/v1/jobs/**", lambda route: answer_instead(route, {"DELETE": 204, "POST": 500, "PATCH": 400}))
        page.goto("/")
        page.set_input_files("#files", sound("song.wav", 2000))
        page.get_by_text("Upload failed").wait_for()
        button(page, "Étude 10", "Delete").click()
        button(page, "étude 9", "Rename").click()
        page.keyboard.press("Enter")
        page.locator(".song .problem:visible").wait_for()
        page.locator("#search").fill("etude")
        assert barriers(page) == []
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "The page scrolls sideways."


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_mixer_in_use_has_no_barriers(browser: "Browser", web: Web, scheme: str, width: int) -> None:
    """Presses buttons, mutes a lane, draws a spectrogram, edits the title, and then opens the list of shortcuts."""
    with open_page(browser, web, "listener", color_scheme=scheme, viewport={"width": width, "height": 900}) as page:
        page.goto(web.songs["Blue in the morning"].path)
        page.locator("#mixer .download").first.wait_for()
        for name in ("Mute vocals", "Solo drums", "Solo bass", "Spectrogram of bass", "Original instead of the mix"):
            page.get_by_role("button", name=name).click()
        page.keyboard.press("l")
        page.get_by_role("button", name="Rename").click()
        assert barriers(page) == []
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "The page scrolls sideways."
        page.keyboard.press("Escape")
        page.keyboard.press("?")
        page.locator("#keyboard").wait_for()
        assert barriers(page) == []


def test_search_finds_by_title_and_file_name_as_one_types(home: "Page") -> None:
    assert titles(home) == NEWEST
    assert home.locator("#found").inner_text() == "6 songs"
    home.locator("#search").press_sequentially("etude")
    assert titles(home) == ["étude 9", "Étude 10"]
    assert home.locator("#found").inner_text() == "2 of 6 songs"
    home.locator("#search").fill("PRACTICE")
    assert titles(home) == ["Étude 10"]
    home.locator("#search").fill("polka")
    assert titles(home) == []
    assert home.locator("#found").inner_text() == "None of 6 songs matches “polka”."
    home.locator("#search").fill("")
    assert titles(home) == NEWEST


def test_songs_are_sorted_as_chosen_and_stay_so(home: "Page") -> None:
    orders = {
        "Title": ["Blue in the morning", "Broken tape", "étude 9", "Étude 10", "Half way there", "Next in line"],
        "Length": ["Étude 10", "étude 9", "Blue in the morning", "Half way there", "Next in line", "Broken tape"],
        "State": ["Broken tape", "Half way there", "Next in line", "étude 9", "Étude 10", "Blue in the morning"],
        "Newest": NEWEST,
    }
    for label, expected in orders.items():
        home.locator("#sort").select_option(label)
        assert titles(home) == expected
    home.locator("#sort").select_option("Title")
    home.reload()
    assert titles(home) == orders["Title"]


def test_a_song_is_renamed_in_its_place_by_keyboard(desk: "Page", web: Web) -> None:
    button(desk, "To be renamed", "Rename").press("Enter")
    editor = desk.get_by_role("textbox", name="Title")
    assert editor.input_value() == "To be renamed"
    editor.fill("Nothing of this")
    editor.press("Escape")
    assert "To be renamed" in titles(desk)
    assert focused(desk) == "Rename: To be renamed"
    button(desk, "To be renamed", "Rename").press("Enter")
    editor.fill("   ")
    editor.press("Enter")
    row(desk, "To be renamed").get_by_role("alert").wait_for()
    assert row(desk, "To be renamed").get_by_role("alert").inner_text()
    assert editor.is_visible()
    editor.fill("<b>Renamed</b>")
    editor.press("Enter")
    row(desk, "<b>Renamed</b>").wait_for()
    assert focused(desk) == "Rename: <b>Renamed</b>"
    desk.reload()
    assert "<b>Renamed</b>" in titles(desk)
    assert "To be renamed" not in titles(desk)


def test_a_name_that_cannot_be_saved_says_why_and_is_not_lost(desk: "Page") -> None:
    desk.route("**/api/v1/jobs/*/", lambda route: route.abort())
    button(desk, "To be tried again", "Rename").click()
    editor = desk.get_by_role("textbox", name="Title")
    editor.fill("Another name")
    editor.press("Enter")
    desk.get_by_text("The server cannot be reached.").wait_for()
    assert editor.input_value() == "Another name"
    assert titles(desk).count("To be tried again") == 1


def test_a_deleted_song_comes_back_by_keyboard(desk: "Page", web: Web) -> None:
    title = "To be kept after all"
    url = f"/api/v1/jobs/{web.songs[title].job}/"
    count = len(titles(desk))
    button(desk, title, "Delete").press("Enter")
    desk.get_by_text(f"Deleted “{title}”.").wait_for()
    assert focused(desk) == f"Undo: restore “{title}”"
    assert title not in titles(desk)
    assert desk.locator("#found").inner_text() == f"{count - 1} songs"
    assert status(desk, url) == 404
    desk.keyboard.press("Enter")
    row(desk, title).wait_for()
    assert focused(desk) == title
    assert status(desk, url) == 200
    assert desk.locator(".deleted").count() == 0


def test_undo_waits_for_whoever_is_at_it(desk: "Page") -> None:
    """It stays for a while, and for as long as it has the focus."""
    title = "To be deleted"
    desk.clock.install()
    desk.reload()
    button(desk, title, "Delete").press("Enter")
    undo = desk.get_by_role("button", name=f"Undo: restore “{title}”")
    undo.wait_for()
    desk.clock.fast_forward(600_000)
    assert undo.is_visible()
    desk.locator("#search").fill("another song")
    assert undo.is_visible()
    desk.mouse.move(0, 0)
    desk.clock.fast_forward(20_000)
    assert undo.is_visible()
    desk.clock.fast_forward(60_000)
    undo.wait_for(state="detached")
    desk.reload()
    assert title not in titles(desk)


def test_a_song_deleted_from_its_page_comes_back_at_home(desk: "Page", web: Web) -> None:
    title = "To be deleted from its page"
    visits: list[str] = []

    def late(route: "Route") -> None:
        """Let the deletion's event arrive first, which must not navigate home a second time."""
        visits.append(route.request.url)
        time.sleep(2 * POLL_INTERVAL)
        route.continue_()

    desk.goto(web.songs[title].path)
    desk.route(f"{web.address}/", late)
    desk.get_by_role("button", name="Delete").first.click()
    desk.wait_for_url(f"{web.address}/")
    assert len(visits) == 1
    desk.get_by_role("button", name=f"Undo: restore “{title}”").wait_for()
    assert focused(desk) == f"Undo: restore “{title}”"
    desk.keyboard.press("Enter")
    row(desk, title).wait_for()
    row(desk, title).get_by_role("link", name=title, exact=True).click()
    desk.get_by_role("heading", name=title).wait_for()


def test_a_failed_song_says_why_and_is_tried_again_and_cancelled(desk: "Page") -> None:
    song = row(desk, "To be tried again")
    assert "This file holds no sound." in song.inner_text()
    button(desk, "To be tried again", "Try again").click()
    song.get_by_text("Waiting").wait_for()
    button(desk, "To be tried again", "Cancel").click()
    song.get_by_text("Cancelled").wait_for()
    assert button(desk, "To be tried again", "Try again").is_visible()


def test_songs_in_work_say_how_long_and_those_that_wait_their_place(home: "Page") -> None:
    assert "about 75 seconds left" in row(home, "Half way there").inner_text()
    assert row(home, "Half way there").get_by_role("progressbar").get_attribute("value") == "0.375"
    assert "Starts after" in row(home, "Next in line").inner_text()


def test_pictures_are_covers_or_waveforms_in_the_colours_of_the_scheme(home: "Page") -> None:
    row(home, "étude 9").scroll_into_view_if_needed()
    cover = row(home, "étude 9").locator(".thumbnail img")
    home.wait_for_function("(image) => image.naturalWidth > 0", arg=cover.element_handle())
    row(home, "Étude 10").scroll_into_view_if_needed()
    drawing = row(home, "Étude 10").locator(".waveform-small path")
    drawing.wait_for()
    assert (drawing.get_attribute("d") or "").count("L") == 2 * 240 - 1
    colour = "(path) => getComputedStyle(path).fill"
    light = drawing.evaluate(colour)
    home.emulate_media(color_scheme="dark")
    assert drawing.evaluate(colour) != light
    assert row(home, "Broken tape").locator(".thumbnail img, .waveform-small").count() == 0


def test_pictures_are_fetched_only_when_they_come_near(browser: "Browser", web: Web) -> None:
    asked: list[str] = []
    with open_page(browser, web, "listener", viewport={"width": 1280, "height": 300}) as page:
        page.on("request", lambda request: asked.append(request.url))
        page.goto("/")
        page.locator(".song").first.wait_for()
        page.wait_for_load_state()
        assert [url for url in asked if url.endswith(("/thumbnail", "/cover"))] == []
        row(page, "Blue in the morning").scroll_into_view_if_needed()
        row(page, "Blue in the morning").locator(".waveform-small").wait_for()


def test_uploads_go_at_once_with_progress_of_their_own_and_can_be_cancelled(empty: "Page") -> None:
    line = empty.context.new_cdp_session(empty)
    line.send("Network.enable")
    line.send("Network.emulateNetworkConditions", SLOW)
    empty.set_input_files("#files", [sound(f"{name}.wav", UPLOAD_LIMIT * 9 // 10) for name in ("one", "two", "three")])
    uploads = empty.locator("#uploads .song")
    empty.wait_for_function(f"() => ({UNDER_WAY})() === 2")
    assert "Waiting" in uploads.nth(2).inner_text()
    uploads.nth(0).get_by_role("button", name="Cancel").click()
    empty.wait_for_function("() => document.querySelectorAll('#uploads .song').length === 2")
    line.send("Network.emulateNetworkConditions", FAST)
    row(empty, "three").wait_for()
    row(empty, "two").wait_for()
    assert titles(empty).count("one") == 0
    assert uploads.count() == 0


def test_an_upload_that_fails_says_why_and_is_tried_again(empty: "Page") -> None:
    empty.route("**/api/v1/jobs/", lambda route: route.abort())
    empty.set_input_files("#files", [sound("small.wav", 2000), sound("large.wav", UPLOAD_LIMIT + 1)])
    small, large = (empty.locator("#uploads .song", has_text=name) for name in ("small.wav", "large.wav"))
    small.get_by_text("The server cannot be reached.").wait_for()
    assert "the maximum is 1.0 MB" in large.inner_text()
    assert not large.get_by_role("button", name="Try again").is_visible()
    large.get_by_role("button", name="Dismiss").click()
    empty.unroute("**/api/v1/jobs/")
    small.get_by_role("button", name="Try again").click()
    row(empty, "small").wait_for()
    assert empty.locator("#uploads .song").count() == 0


def test_a_file_that_is_no_song_is_refused_in_words_and_not_offered_again(empty: "Page") -> None:
    empty.set_input_files("#files", [{"name": "notes.mp3", "mimeType": "audio/mpeg", "buffer": b"no audio" * 1000}])
    refused = empty.locator("#uploads .song", has_text="notes.mp3")
    refused.get_by_text("This is not an audio file that can be read").wait_for()
    assert not refused.get_by_role("button", name="Try again").is_visible()
    assert row(empty, "notes").count() == 0


def test_the_api_is_looked_at_and_used_in_a_browser(desk: "Page", web: Web) -> None:
    complaints: list[str] = []
    desk.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    desk.goto(f"/api/v1/jobs/{web.songs['To be browsed'].job}/")
    desk.locator("textarea[name=_content]").fill('{"title": "Renamed where I browsed"}')
    desk.get_by_role("button", name="PATCH").click()
    desk.get_by_text("Renamed where I browsed").first.wait_for()
    desk.goto("/api/v1/jobs/?search=browsed")
    desk.get_by_text("Renamed where I browsed").first.wait_for()
    assert complaints == []  # the policy forbids nothing that these pages need


def barriers(page: "Page") -> list[str]:
    """Violations that axe finds."""
    page.evaluate(AXE.read_text("utf-8"))
    found: list[str] = page.evaluate(VIOLATIONS)
    return found


def row(page: "Page", title: str) -> "Locator":
    link = page.locator("h3 a", has_text=re.compile(f"^{re.escape(title)}$"))
    return page.locator("#songs > .song", has=link)


def button(page: "Page", title: str, says: str) -> "Locator":
    return page.get_by_role("button", name=f"{says}: {title}", exact=True)


def titles(page: "Page") -> list[str]:
    """Titles of the visible songs, from the top."""
    return [link.inner_text() for link in page.locator("#songs .song:not([hidden]) h3 a").all()]


def focused(page: "Page") -> str:
    """The accessible name of the focused element."""
    name: str = page.evaluate("document.activeElement.ariaLabel ?? document.activeElement.textContent")
    return name


def status(page: "Page", url: str) -> int:
    code: int = page.evaluate("async (url) => (await fetch(url)).status", url)
    return code


def answer_instead(route: "Route", codes: dict[str, int]) -> None:
    """Answer requests of some methods with these status codes, without the server."""
    code = codes.get(route.request.method)
    if code is None:
        route.continue_()
    else:
        route.fulfill(status=code, body="" if code == 204 else '{"detail": "Not today."}')


def sound(name: str, size: int) -> "FilePayload":
    """A silent song of that many bytes."""
    return {"name": name, "mimeType": "audio/wav", "buffer": silent_wav(size - 44)}
