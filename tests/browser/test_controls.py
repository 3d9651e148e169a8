"""The mixer's controls on seeded songs, with a web server alone: what a person does is asserted from the engine.

What the engine makes of it is tested in `test_engine.py`, the whole way from the upload in `test_mixer.py`.
"""

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin

import av
import pytest
from browser.conftest import Web, chromium, shelf, visit
from browser.test_stems import send_event, show_instead
from support import running
from support.player import STEMS, engine, wait_for_sound

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator, Page

SECONDS = 40
SONGS: list[dict[str, Any]] = [
    {"title": "Whole", "seconds": SECONDS, "stems": STEMS},
    {"title": "Half", "seconds": SECONDS, "stems": STEMS, "state": "running", "separated": 0.5},
    {
        "title": "Drafted",
        "seconds": SECONDS,
        "stems": [*STEMS, "piano"],
        "drafted": STEMS,
        "state": "running",
        "separated": 0.5,
    },
    {"title": "Guest's", "seconds": 5, "stems": STEMS, "owner": "visitor"},
]
MAKE_GUEST = "from webapp.models import User; User.objects.filter(username='visitor').update(is_guest=True)"
# Milliseconds before a tap: what follows a swipe or scrolling sooner, as no finger can, is taken for a part of it.
LIFT = 400.0
REST = 200.0  # milliseconds before a finger is lifted: lifted while moving, it throws, and the next tap only stops that
RENDERING = 60_000.0  # milliseconds for a file of the song on a busy machine
# As a page has it that was opened by plain http from another machine.
INSECURE = "delete AudioContext.prototype.__proto__.audioWorklet; delete navigator.__proto__.clipboard;"
PIXELS_OFF = """() => {
  const hosts = [...document.querySelectorAll('.lane .waveform > div')].filter(({ shadowRoot }) => shadowRoot);
  const places = hosts.map(({ shadowRoot }) => shadowRoot.querySelector('.scroll').scrollLeft);
  return Math.max(...places) - Math.min(...places);
}"""

COLOURS = """(canvas) => {
  const { data } = canvas.getContext('2d').getImageData(0, 0, 64, canvas.height);
  return new Set(new Uint32Array(data.buffer)).size;
}"""
# Follows the playhead until it has turned back so many times, or gone far beyond: how often, and where it was at most.
TURNS = """async (wanted) => {
  const { engine } = document.querySelector('#mixer');
  let [turns, farthest, last] = [0, engine.position, engine.position];
  while (turns < wanted && engine.position < 10) {
    await new Promise((resolve) => setTimeout(resolve, 10));
    if (engine.position < last) turns++;
    last = engine.position;
    farthest = Math.max(farthest, last);
  }
  return [turns, farthest];
}"""
LOOP, SHAPE = ["loop", "in", "out"], ["tempo", "tempo-reset", "pitch", "pitch-reset"]
TOOLS = [*LOOP, *SHAPE, "zoom-out", "fit", "zoom-in", "link", "help"]
STRIP = ["spectrum", "mute", "solo", "download", "fader", "pan"]
# An export that never ends, as the server tells of it.
ENDLESS = {
    "url": "/endless", "state": "running", "progress": 0.4, "error": "", "file_url": None, "filename": "", "size": None,
}  # fmt: skip


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    """No worker runs, so that only tests change anything."""
    data = tmp_path_factory.mktemp("controls")
    with shelf(data, SONGS) as web:
        running.manage(data, "shell", "-c", MAKE_GUEST)
        yield web


@pytest.fixture(scope="module")
def browser(web: Web) -> Iterator["Browser"]:
    """Shared by this module, because tests have no database while Playwright runs."""
    with chromium() as browser:
        yield browser


@pytest.fixture
def page(browser: "Browser", web: Web) -> Iterator["Page"]:
    """A visit by the owner with empty storage."""
    with visit(browser, storage_state=web.songs["Whole"].visitor, base_url=web.address) as context:
        yield context.new_page()


@pytest.fixture
def mixer(page: "Page", web: Web) -> "Page":
    return opened(page, web.songs["Whole"].path)


def opened(page: "Page", path: str) -> "Page":
    page.goto(path)
    page.locator(".lane").first.wait_for()
    return page


def test_pan_is_told_in_words_and_goes_back_to_the_centre(mixer: "Page") -> None:
    pan = mixer.get_by_role("slider", name="Pan of bass")
    assert pan.get_attribute("aria-valuetext") == "C"
    pan.fill("-0.3")
    assert lane(mixer, "bass")["pan"] == -0.3
    assert pan.get_attribute("aria-valuetext") == "L 30"
    pan.press("ArrowRight")
    assert lane(mixer, "bass")["pan"] == -0.29
    pan.press("Delete")
    assert lane(mixer, "bass")["pan"] == 0
    pan.fill("1")
    assert pan.get_attribute("aria-valuetext") == "R 100"
    pan.dblclick(position={"x": 3, "y": 8})
    assert lane(mixer, "bass")["pan"] == 0


def test_the_wheel_moves_a_fader_finely_only_where_the_focus_is(mixer: "Page") -> None:
    fader = mixer.get_by_role("slider", name="Volume of drums")
    fader.scroll_into_view_if_needed()
    fader.hover()
    mixer.mouse.wheel(0, 20)
    assert lane(mixer, "drums")["db"] == 0
    fader.focus()
    fader.hover()
    mixer.mouse.wheel(0, 20)
    mixer.wait_for_function("() => document.querySelector('#mixer').engine.lanes[1].db === -0.1")


def test_tempo_and_pitch_are_set_and_reset(mixer: "Page") -> None:
    tempo, pitch = (mixer.get_by_role("slider", name=name) for name in ("Tempo", "Pitch"))
    tempo.fill("80")
    pitch.fill("-3")
    assert (engine(mixer, "tempo"), engine(mixer, "pitch")) == (0.8, -3)
    assert tempo.get_attribute("aria-valuetext") == "80%"
    assert pitch.get_attribute("aria-valuetext") == "−3 semitones"
    mixer.get_by_role("button", name="Reset tempo to 100%").click()
    pitch.press("Backspace")
    assert (engine(mixer, "tempo"), engine(mixer, "pitch")) == (1, 0)


def test_the_limiter_is_seen_working(mixer: "Page") -> None:
    mixer.evaluate("() => document.querySelector('#mixer').engine.setMaster(6)")
    for stem in STEMS:
        mixer.evaluate("(name) => document.querySelector('#mixer').engine.setLane(name, { db: 24 })", stem)
    mixer.locator("#play").click()
    mixer.wait_for_function("() => Number(document.querySelector('#reduction').ariaValueNow) > 1")
    assert mixer.get_by_role("meter", name="Gain reduction of the limiter").get_attribute("aria-valuetext") != "0.0 dB"
    mixer.get_by_role("button", name="Limiter").click()
    assert engine(mixer, "limiter") is False
    assert not mixer.locator("#reduction").is_visible()


def test_where_sound_cannot_be_processed_the_page_says_why(page: "Page", web: Web) -> None:
    page.add_init_script(INSECURE)
    opened(page, web.songs["Whole"].path)
    page.get_by_text("need a secure connection").wait_for()
    assert page.get_by_role("slider", name="Tempo").is_disabled()
    assert page.get_by_role("slider", name="Pitch").is_disabled()
    assert page.get_by_role("button", name="Limiter").is_disabled()
    page.get_by_role("button", name="Mute drums").click()
    page.get_by_role("button", name="Copy link").click()
    page.get_by_text("Copy this link.").wait_for()
    assert "mute=drums" in page.get_by_label("Link to this mix").input_value()


def test_a_loop_is_dragged_on_the_ruler_and_its_end_moved(mixer: "Page") -> None:
    ruler = box(mixer.locator("#ruler"))
    drag(mixer, ruler, 0.25, 0.5)
    loop = engine(mixer, "loop")
    assert loop["start"] == pytest.approx(SECONDS / 4, abs=0.5)
    assert loop["end"] == pytest.approx(SECONDS / 2, abs=0.5)
    assert mixer.get_by_role("button", name="Loop", exact=True).get_attribute("aria-pressed") == "true"
    drag(mixer, ruler, 0.498, 0.75)
    assert engine(mixer, "loop")["end"] == pytest.approx(0.75 * SECONDS, abs=0.5)
    assert engine(mixer, "loop")["start"] == loop["start"]
    assert engine(mixer, "position") == 0  # dragging did not seek


def test_keys_set_and_switch_the_loop(mixer: "Page") -> None:
    seek(mixer, 12)
    mixer.keyboard.press("i")
    seek(mixer, 15.5)
    mixer.keyboard.press("o")
    assert engine(mixer, "loop") == {"start": 12, "end": 15.5}
    assert mixer.locator("#loop-text").inner_text() == "0:12–0:15"
    mixer.keyboard.press("l")
    assert engine(mixer, "loop") is None
    mixer.keyboard.press("l")
    assert engine(mixer, "loop") == {"start": 12, "end": 15.5}


def test_a_loop_that_is_set_while_it_plays_is_played_again_and_again(mixer: "Page") -> None:
    mixer.keyboard.press("Space")
    play_to(mixer, 1)
    mixer.keyboard.press("i")
    play_to(mixer, 2)
    mixer.keyboard.press("o")
    turns, farthest = mixer.evaluate(TURNS, 3)
    loop = engine(mixer, "loop")
    assert turns == 3
    assert farthest <= loop["end"]
    mixer.locator("#position").fill("30")  # and from there on behind the loop
    play_to(mixer, 31)
    mixer.keyboard.press("Space")
    mixer.keyboard.press("Space")
    play_to(mixer, loop["start"])
    assert engine(mixer, "position") < loop["end"]


def test_switching_the_loop_on_brings_a_playhead_behind_it_to_its_start(mixer: "Page") -> None:
    mixer.evaluate("() => document.querySelector('#mixer').engine.setLoop(2, 4)")
    mixer.keyboard.press("l")
    seek(mixer, 8)
    mixer.keyboard.press("l")
    assert engine(mixer, "position") == 2


def play_to(page: "Page", seconds: float) -> None:
    page.wait_for_function(
        """(seconds) => {
          const { position, state } = document.querySelector('#mixer').engine;
          return state === 'playing' && position >= seconds;
        }""",
        arg=seconds,
    )


def test_the_first_loop_is_what_is_in_sight(mixer: "Page") -> None:
    mixer.keyboard.press("l")
    assert engine(mixer, "loop") == {"start": 0, "end": SECONDS}


def test_the_original_is_compared_by_key_and_button(mixer: "Page") -> None:
    button = mixer.get_by_role("button", name="Original instead of the mix")
    mixer.locator("#play").click()
    wait_for_sound(mixer, "master", audible=True)
    mixer.keyboard.press("a")
    mixer.wait_for_function("() => document.querySelector('#mixer').engine.sounding === 'original'")
    assert button.get_attribute("aria-pressed") == "true"
    mixer.locator(".lane.silent[data-stem=drums]").wait_for()
    assert mixer.locator("#playback").inner_text() == ""
    button.click()
    mixer.locator(".lane.silent[data-stem=original]").wait_for()
    assert engine(mixer, "sounding") == "stems"


def test_zoom_keeps_lanes_in_step_and_the_minimap_moves_them(mixer: "Page") -> None:
    minimap = mixer.get_by_role("scrollbar", name="Visible part of the song")
    assert not minimap.is_visible()
    for _ in range(4):
        mixer.keyboard.press("+")
    minimap.wait_for()
    seek(mixer, 30)  # out of sight: the lanes follow
    assert minimap.get_attribute("aria-valuetext") != "0:00 to 0:07"
    assert mixer.evaluate(PIXELS_OFF) == 0
    before = minimap.get_attribute("aria-valuenow")
    minimap.press("ArrowLeft")
    assert int(minimap.get_attribute("aria-valuenow") or 0) < int(before or 0)
    assert mixer.evaluate(PIXELS_OFF) == 0
    assert engine(mixer, "position") == 30  # arrows in the minimap look around, they do not seek
    mixer.keyboard.press("0")
    minimap.wait_for(state="hidden")


def test_ctrl_and_wheel_zoom_around_the_pointer(mixer: "Page") -> None:
    lanes = box(mixer.locator(".lane .waveform").first)
    mixer.mouse.move(lanes["x"] + lanes["width"] / 2, lanes["y"] + 10)
    mixer.keyboard.down("Control")
    mixer.mouse.wheel(0, -200)
    mixer.mouse.wheel(0, -200)
    mixer.keyboard.up("Control")
    minimap = mixer.get_by_role("scrollbar", name="Visible part of the song")
    minimap.wait_for()
    start, end = (seconds(each) for each in (minimap.get_attribute("aria-valuetext") or "").split(" to "))
    assert (start + end) / 2 == pytest.approx(SECONDS / 2, abs=1.1)


def test_a_phone_needs_no_mouse_and_no_keys(browser: "Browser", web: Web) -> None:
    phone = {"viewport": {"width": 360, "height": 740}, "has_touch": True, "is_mobile": True}
    song = web.songs["Whole"]
    with visit(browser, storage_state=song.visitor, base_url=web.address, **phone) as context:
        page = opened(context.new_page(), song.path)
        tap(page.get_by_role("button", name="Mute drums"))
        assert lane(page, "drums")["mute"]
        swipe(page, box(page.locator("#ruler")), 0.25, 0.75)
        loop = engine(page, "loop")
        assert [loop["start"], loop["end"]] == pytest.approx([SECONDS / 4, 3 * SECONDS / 4], abs=1.5)
        tap(page.get_by_role("button", name="Zoom in"))
        minimap = page.get_by_role("scrollbar", name="Visible part of the song")
        before = int(minimap.get_attribute("aria-valuenow") or 0)
        swipe(page, box(minimap), 0.5, 0.9)
        assert int(minimap.get_attribute("aria-valuenow") or 0) > before
        tap(page.get_by_role("button", name="Play", exact=True))
        wait_for_sound(page, "master", audible=True)


def test_a_spectrogram_covers_its_lane_from_end_to_end(mixer: "Page") -> None:
    button = mixer.get_by_role("button", name="Spectrogram of bass")
    button.click()
    picture = mixer.get_by_role("img", name="Spectrogram of bass")
    picture.wait_for()
    assert button.get_attribute("aria-pressed") == "true"
    mixer.keyboard.press("+")
    wave = mixer.locator(".lane[data-stem=bass] .wrapper")
    assert box(picture)["width"] == pytest.approx(box(wave)["width"], abs=1)
    assert picture.evaluate(COLOURS) > 10
    button.click()
    picture.wait_for(state="detached")


def test_a_spectrogram_that_does_not_come_says_so(mixer: "Page") -> None:
    mixer.route("**/spectrogram", lambda route: route.abort())
    mixer.get_by_role("button", name="Spectrogram of drums").click()
    mixer.get_by_text("The server cannot be reached").wait_for()
    assert mixer.get_by_role("button", name="Spectrogram of drums").get_attribute("aria-pressed") == "false"


def test_a_mix_is_remembered_until_the_next_visit(mixer: "Page", web: Web) -> None:
    mixer.get_by_role("slider", name="Pan of drums").fill("0.5")
    mixer.get_by_role("button", name="Solo drums").click()
    mixer.get_by_role("slider", name="Tempo").fill("120")
    opened(mixer, web.songs["Whole"].path)
    assert (lane(mixer, "drums")["pan"], lane(mixer, "drums")["solo"]) == (0.5, True)
    assert engine(mixer, "tempo") == 1.2


def test_a_link_says_it_all_and_wins_over_what_is_remembered(mixer: "Page", web: Web) -> None:
    mixer.context.grant_permissions(["clipboard-read", "clipboard-write"])
    mixer.get_by_role("button", name="Mute vocals").click()
    mixer.evaluate("() => document.querySelector('#mixer').engine.setLoop(4.2, 5.8)")
    mixer.get_by_role("slider", name="Tempo").fill("80")
    mixer.get_by_role("button", name="Copy link").click()
    mixer.get_by_text("Link copied. It opens this mix on any device where you are logged in").wait_for()
    link = mixer.evaluate("() => navigator.clipboard.readText()")
    assert link.startswith(f"{web.address}{web.songs['Whole'].path}#")
    mixer.get_by_role("button", name="Mute vocals").click()
    mixer.goto("about:blank")
    opened(mixer, link)
    assert lane(mixer, "vocals")["mute"] is True
    assert engine(mixer, "loop") == {"start": 4.2, "end": 5.8}
    assert engine(mixer, "tempo") == 0.8
    assert "#" in mixer.url
    mixer.get_by_role("button", name="Solo bass").click()  # from here on the link is not what is heard
    assert "#" not in mixer.url


def test_a_guests_link_says_that_it_opens_in_this_browser_only(browser: "Browser", web: Web) -> None:
    song = web.songs["Guest's"]
    with visit(browser, storage_state=song.visitor, base_url=web.address) as context:
        context.grant_permissions(["clipboard-read", "clipboard-write"])
        page = opened(context.new_page(), song.path)
        page.get_by_role("button", name="Copy link").click()
        page.get_by_text("Link copied. It opens this mix in this browser only").wait_for()


def test_a_link_that_makes_no_sense_is_as_good_as_none(page: "Page", web: Web) -> None:
    opened(page, f"{web.songs['Whole'].path}#vocals=loud&bass=99&tempo=-1&end=3&start=7&mute=nobody")
    assert lane(page, "vocals")["db"] == 0
    assert lane(page, "bass")["db"] == 6
    assert (engine(page, "tempo"), engine(page, "loop")) == (0.5, None)


def test_the_keys_are_shown_and_leave_the_player_alone(mixer: "Page") -> None:
    mixer.keyboard.press("Shift+Slash")
    dialog = mixer.get_by_role("dialog", name="Keyboard")
    dialog.wait_for()
    mixer.keyboard.press("1")
    assert lane(mixer, "vocals")["mute"] is False
    mixer.keyboard.press("Escape")
    dialog.wait_for(state="hidden")


def test_all_works_by_keyboard_alone(mixer: "Page") -> None:
    """Tab reaches every control in visual order."""
    expected = [*TOOLS, "compare", *STRIP * len(STEMS), "start", "play", "position", "master", "limiter"]
    mixer.locator("#loop").focus()
    for control in expected:
        focused = mixer.evaluate("() => [document.activeElement.id, document.activeElement.className]")
        assert control in focused
        mixer.keyboard.press("Tab")


def test_the_original_is_there_first_and_the_stems_join_it(page: "Page", web: Web) -> None:
    """Playback continues while they arrive, and the mix in a link applies to them."""
    song = web.songs["Half"]
    job = job_of(page, f"{song.path}#mute=drums")
    show_instead(page, job | {"stems": [], "audio": job["audio"] | {"segments_done": 0}})
    opened(page, f"{song.path}#mute=drums")
    assert page.locator(".lane").count() == 1
    assert not page.get_by_role("button", name="Original instead of the mix").is_visible()
    page.locator("#play").click()
    page.get_by_text("playing the original").wait_for()
    wait_for_sound(page, "master", audible=True)
    page.wait_for_function("() => document.querySelector('#mixer').engine.position > 0.5")
    send_event(page, job)
    page.locator(".lane[data-stem=drums]").wait_for()
    assert engine(page, "state") == "playing"
    page.wait_for_function("() => document.querySelector('#mixer').engine.sounding === 'stems'")
    wait_for_sound(page, "vocals", audible=True)
    assert engine(page, "position") > 0.5
    assert lane(page, "drums")["mute"] is True
    seek(page, 25)
    page.get_by_text("playing the original").wait_for()


def test_a_draft_is_mixed_and_drawn_until_the_stems_are_there(page: "Page", web: Web) -> None:
    """Separated stems replace it during playback, and fader settings are kept."""
    song = web.songs["Drafted"]
    job = job_of(page, song.path)
    show_instead(page, job | {"audio": job["audio"] | {"segments_done": 0}})
    opened(page, song.path)
    note = page.locator("#draft")
    assert note.inner_text().startswith("This is a rough draft")
    assert note.inner_text().endswith("other also contains piano.")
    page.locator("#play").click()
    page.get_by_text("playing a draft").wait_for()
    wait_for_sound(page, "vocals", audible=True)
    page.locator(".lane.silent[data-stem=piano]").wait_for()
    page.get_by_role("button", name="Mute drums").click()
    wait_for_sound(page, "drums", audible=False)
    send_event(page, job)
    page.get_by_text("Everything after 0:20 is a rough draft").wait_for()
    page.locator(".lane:not(.silent)[data-stem=piano]").wait_for()
    assert (engine(page, "state"), engine(page, "sounding")) == ("playing", "stems")
    wait_for_sound(page, "piano", audible=True)
    wait_for_sound(page, "drums", audible=False)
    seek(page, 25)
    page.get_by_text("playing a draft").wait_for()
    send_event(page, job | {"audio": job["audio"] | {"draft_done": 0}})
    note.wait_for(state="hidden")


def job_of(page: "Page", path: str) -> Any:
    """Serve this job to the page at that URL."""
    page.goto(path)
    job = json.loads(page.locator("#job-data").text_content() or "")
    page.goto("about:blank")
    return job


def test_this_mix_is_written_and_saved_by_itself_and_found_again_on_the_next_visit(mixer: "Page") -> None:
    mixer.get_by_role("button", name="Mute drums").click()
    mixer.evaluate("() => document.querySelector('#mixer').engine.setLoop(5, 12)")
    mixer.get_by_text("Only the loop, 0:05 to 0:12").wait_for()
    mixer.locator("#export-format").select_option("FLAC")
    with mixer.expect_download(timeout=RENDERING) as download:
        mixer.get_by_role("button", name="Export", exact=True).click()
    assert download.value.suggested_filename == "Whole - mix.flac"
    assert mixer.get_by_role("link", name="Download Whole - mix.flac").is_visible()
    with av.open(str(download.value.path())) as file:
        assert sum(frame.samples for frame in file.decode(audio=0)) == 7 * 44_100
    saved: list[Any] = []
    mixer.on("download", lambda made: saved.append(made))  # noqa: PLW0108 - Playwright wants a function of ours
    mixer.reload()
    link = mixer.get_by_role("link", name="Download Whole - mix.flac")
    link.wait_for()
    assert mixer.request.get(urljoin(mixer.url, link.get_attribute("href") or "")).ok
    assert saved == []
    mixer.get_by_role("button", name="Remove").click()
    mixer.reload()
    mixer.get_by_role("button", name="Export", exact=True).wait_for()
    assert mixer.locator(".export").count() == 0


def test_an_export_can_be_cancelled_and_tried_again(mixer: "Page") -> None:
    busy = {"detail": "Several files are being written."}
    mixer.route("**/exports/", lambda route: route.fulfill(status=503, json=busy))
    mixer.get_by_role("button", name="Export", exact=True).click()
    mixer.get_by_text(busy["detail"]).wait_for()
    mixer.unroute("**/exports/")
    mixer.route("**/exports/", lambda route: route.fulfill(status=201, json=ENDLESS))
    mixer.route("**/endless", lambda route: route.fulfill(json=ENDLESS))
    mixer.get_by_role("button", name="Try again").click()
    mixer.wait_for_function("() => document.querySelector('.export progress').value === 0.4")
    with mixer.expect_request(lambda request: request.method == "DELETE" and request.url.endswith("/endless")):
        mixer.locator(".export").get_by_role("button", name="Cancel").click()
    assert mixer.locator(".export").count() == 0
    assert mixer.evaluate("() => document.activeElement.textContent") == "Export"


def test_one_stem_is_ordered_without_the_mix(mixer: "Page") -> None:
    mixer.get_by_role("button", name="Mute drums").click()
    mixer.get_by_label("Content").select_option("Bass")
    mixer.locator("#export-format").select_option("Opus")
    with mixer.expect_request(lambda request: request.method == "POST") as ordered:
        mixer.get_by_role("button", name="Export", exact=True).click()
    assert ordered.value.post_data == "format=opus&what=stem&sample_rate=source&stem=bass"


def test_the_format_is_asked_at_the_export_and_remembered(mixer: "Page") -> None:
    """The most compatible format comes first, and the lanes' menu and the form share the selection."""
    mixer.evaluate("() => localStorage.removeItem('soundscape.format')")
    mixer.reload()
    assert mixer.locator("#export-format").evaluate("(list) => list.selectedOptions[0].label") == "MP3, 320 kbit/s"
    mixer.get_by_role("button", name="Export drums").focus()
    mixer.keyboard.press("Enter")
    menu = mixer.get_by_role("group", name="Export Drums as")
    mixer.keyboard.press("Escape")
    menu.wait_for(state="hidden")
    mixer.keyboard.press("Enter")
    mixer.keyboard.press("Tab")
    mixer.keyboard.press("Tab")
    with mixer.expect_request(lambda request: request.method == "POST") as ordered:
        mixer.keyboard.press("Enter")
    assert ordered.value.post_data == "format=flac&what=stem&stem=drums"
    menu.wait_for(state="hidden")
    assert mixer.evaluate("() => document.activeElement.ariaLabel") == "Export drums"
    mixer.reload()
    assert mixer.locator("#export-format").evaluate("(list) => list.selectedOptions[0].label") == "FLAC"


def test_nobody_is_asked_for_a_format_before_an_upload(page: "Page", web: Web) -> None:
    page.goto(web.address)
    assert page.locator("#upload-options").get_by_role("combobox").count() == 2  # stems, bleed removal


def lane(page: "Page", name: str) -> Any:
    return next(lane for lane in engine(page, "lanes") if lane["name"] == name)


def seek(page: "Page", seconds: float) -> None:
    page.evaluate("(seconds) => document.querySelector('#mixer').engine.seek(seconds)", seconds)


def box(element: "Locator") -> Any:
    element.scroll_into_view_if_needed()
    return element.bounding_box()


def drag(page: "Page", area: Any, start: float, end: float) -> None:
    """Drag between two positions, as fractions of the area's width."""
    middle = area["y"] + area["height"] / 2
    page.mouse.move(area["x"] + start * area["width"], middle)
    page.mouse.down()
    page.mouse.move(area["x"] + (start + end) / 2 * area["width"], middle)
    page.mouse.move(area["x"] + end * area["width"], middle)
    page.mouse.up()


def swipe(page: "Page", area: Any, start: float, end: float) -> None:
    """Do the same with a finger, which the browser may interpret as scrolling."""
    finger = page.context.new_cdp_session(page)
    y = area["y"] + area["height"] / 2
    for step in range(11):
        x = area["x"] + (start + (end - start) * step / 10) * area["width"]
        kind = "touchMove" if step else "touchStart"
        finger.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [{"x": x, "y": y}]})
    page.wait_for_timeout(REST)
    finger.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})


def tap(element: "Locator") -> None:
    element.scroll_into_view_if_needed()
    element.page.wait_for_timeout(LIFT)
    element.tap()


def seconds(clock: str) -> int:
    minutes, rest = clock.split(":")
    return 60 * int(minutes) + int(rest)
