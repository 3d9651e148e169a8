"""Detected instruments, and reselecting stems, on the page of a separated song."""

import json
import math
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest
from support.player import COMPARE, INKED_ROWS, engine

if TYPE_CHECKING:
    from playwright.sync_api import Page, Route

KINDS = ["vocals", "drums", "bass", "guitar", "piano", "other", "strings", "winds", "synth"]
LIKELY_AT_BEST = KINDS[4:]
REMAKING = 120_000.0  # milliseconds for another choice on a slow, busy machine
DRAWN = "(lane) => lane.querySelector('.waveform').lastElementChild.getBoundingClientRect().width"  # pixels
JOB_DATA = re.compile(r'(<script id="job-data"[^>]*>).*?(</script>)', re.DOTALL)
NO_EVENTS = "retry: 100000\n\n"  # and the browser does not ask again during a test


@pytest.fixture
def job(song: "Page") -> dict[str, Any]:
    return fetch_job(song)


@pytest.fixture
def early(song: "Page", job: dict[str, Any]) -> Iterator["Page"]:
    """The song's page after detection in the mix, before separation; `send_event` updates it."""
    page = song.context.new_page()
    show_instead(page, job | before_separation(job))
    page.goto(song.url)
    yield page
    page.close()


@pytest.fixture
def playing(song: "Page") -> Iterator["Page"]:
    """The page, playing with bass muted."""
    song.evaluate("() => { const { engine } = document.querySelector('#mixer'); engine.seek(5); engine.play(); }")
    song.get_by_role("button", name="Mute bass").click()
    song.wait_for_function("() => document.querySelector('#mixer').engine.state === 'playing'")
    yield song
    song.evaluate("() => document.querySelector('#mixer').engine.stop()")


def test_what_the_mix_suggests_is_shown_before_anything_is_separated(early: "Page", job: dict[str, Any]) -> None:
    rows = early.locator("#instruments .instrument")
    early.get_by_role("heading", name="Instruments detected").wait_for()
    assert not early.locator("#mixer").is_visible()
    assert [row.get_attribute("data-stem") for row in rows.all()] == [
        kind for kind in KINDS if kind in job["detected"]["stems"]
    ]
    assert "Estimated from the mix" in early.locator("#detection-basis").inner_text()
    assert all(row.is_visible() for row in rows.all())
    for kind in LIKELY_AT_BEST:
        assert not early.locator(f"[data-stem={kind}] .presence").inner_text().startswith("Detected")


def test_what_the_stems_confirm_moves_into_the_lanes(early: "Page", job: dict[str, Any]) -> None:
    early.get_by_text("Estimated from the mix").wait_for()
    send_event(early, job)
    early.get_by_text("Confirmed by the separated stems").wait_for()
    listed = [row.get_attribute("data-stem") for row in early.locator(".instrument:visible").all()]
    lanes = [stem["name"] for stem in job["stems"]]
    assert listed == [kind for kind in job["detected"]["stems"] if kind not in lanes]
    presence = early.locator(".lane[data-stem=drums] .presence").inner_text()
    assert re.match(r"(Detected|Possibly|Not detected), ", presence)


def test_timelines_have_a_bar_a_second_and_say_the_same_in_words(song: "Page") -> None:
    strip = song.locator(".lane[data-stem=drums] .timeline canvas")
    song.wait_for_function("(canvas) => canvas.ariaLabel", arg=strip.element_handle())
    assert re.fullmatch(r"drums: \d:\d\d to \d:\d\d(, \d:\d\d to \d:\d\d)*", strip.get_attribute("aria-label") or "")
    assert strip.evaluate("(canvas) => canvas.width") == math.ceil(engine(song, "duration"))
    assert strip.evaluate(INKED_ROWS) > 10


def test_a_stem_is_put_back_into_other_and_separated_again(playing: "Page", job: dict[str, Any]) -> None:
    """Playback continues while lanes change, mutes are kept, and the stems still add up to the song."""
    before = lanes(playing)
    since = engine(playing, "position")
    playing.locator("#mergeable summary").click()
    choose(playing, "Merge drums into other")
    assert lanes(playing) == [name for name in before if name != "drums"]
    assert engine(playing, "position") > since
    assert engine(playing, "state") in ("playing", "buffering")
    assert playing.get_by_role("button", name="Mute bass").get_attribute("aria-pressed") == "true"
    assert playing.evaluate("document.querySelectorAll('#ruler > *').length") == 1  # nothing of the old mixer is left
    assert playing.evaluate(COMPARE)["difference"] < -90
    assert "Drums: part of other." in playing.locator("#stem-picker").inner_text()
    choose(playing, "Separate drums")
    assert lanes(playing) == before
    choose(playing, "Auto")
    assert lanes(playing) == before
    assert fetch_job(playing)["stems_asked"] == job["stems_asked"] == []


def test_a_choice_that_is_refused_says_why_beside_its_button(song: "Page", job: dict[str, Any]) -> None:
    reason = "Stems can be chosen again once the song is separated."
    song.route(f"**{job['stems_url']}", lambda route: route.fulfill(status=409, json={"detail": reason}))
    song.locator("#mergeable").evaluate("(details) => { details.open = true; }")
    button = song.get_by_role("button", name="Merge bass into other")
    button.click()
    song.locator("#mergeable li", has=button).get_by_text(reason).wait_for()
    assert button.is_enabled()
    song.unroute(f"**{job['stems_url']}")
    assert lanes(song) == [stem["name"] for stem in job["stems"]]


def test_an_upload_asks_for_stems_only_if_they_were_chosen(song: "Page", site: str) -> None:
    page = song.context.new_page()
    page.goto(site)
    asked = "() => new FormData(document.querySelector('#upload-options')).getAll('stems')"
    assert page.evaluate(asked) == []
    page.locator("#stems-mode").select_option("Choose…")
    assert page.evaluate(asked) == ["vocals"]
    page.locator("#upload-options").get_by_label("Bass").check()
    assert page.evaluate(asked) == ["vocals", "bass"]
    assert page.locator("#upload-options").get_by_label("Vocals").is_disabled()
    page.locator("#stems-mode").select_option("Auto")
    assert page.evaluate(asked) == []
    page.close()


def test_the_lane_of_vocals_that_nobody_sings_is_a_line_until_it_is_wanted(early: "Page", job: dict[str, Any]) -> None:
    send_event(early, job | {"merged": [merged_row("vocals")]})
    line = early.locator(".lane[data-stem=vocals] .absent", has_text="No vocals in this song.")
    line.wait_for()
    lane, mute = early.locator(".lane[data-stem=vocals]"), early.get_by_role("button", name="Mute vocals")
    assert not mute.is_visible() and not early.locator(".lane[data-stem=drums] .absent").is_visible()
    merged, other = (early.locator(f".lane[data-stem={stem}]").bounding_box() for stem in ("vocals", "drums"))
    assert merged and other and merged["height"] < other["height"] / 2
    early.get_by_role("button", name="Show vocals").click()
    mute.wait_for()
    opened = lane.bounding_box()
    assert not line.is_visible() and opened and opened["height"] == other["height"]
    assert lane.evaluate(DRAWN) == early.locator(".lane[data-stem=drums]").evaluate(DRAWN) > 100
    send_event(early, job | {"merged": [merged_row("vocals")], "title": "Renamed"})
    early.get_by_text("Renamed").first.wait_for()
    assert mute.is_visible()


def test_what_came_out_empty_is_said_and_not_offered_again(early: "Page", job: dict[str, Any]) -> None:
    sentence = "No guitar could be separated from this song: its sound stays in other."
    guitar, piano = merged_row("guitar", empty=True), merged_row("piano", presence="uncertain")
    kinds = {"choices": [*job["choices"], "guitar", "piano"], "experimental": ["guitar", "piano"]}
    send_event(early, job | kinds | {"merged": [guitar, piano], "warnings": [sentence]})
    early.get_by_text(sentence).wait_for()
    early.get_by_role("button", name="Separate piano").wait_for()
    assert early.get_by_role("button", name="Separate guitar").count() == 0


def merged_row(name: str, *, empty: bool = False, presence: str = "absent") -> dict[str, Any]:
    """A stem that is merged into `other`."""
    return {"name": name, "presence": presence, "offered": False, "empty": empty}


def before_separation(job: dict[str, Any]) -> dict[str, Any]:
    nothing_yet: dict[str, Any] = {"state": "running", "stage": "separate", "audio": None, "stems": [], "merged": []}
    return nothing_yet | {"detected": job["detected"] | {"stage": "mixture"}}


def show_instead(page: "Page", job: dict[str, Any]) -> None:
    """Serve the song's page with these job data, and without the true ones by the event stream."""

    def answer(route: "Route") -> None:
        response = route.fetch()
        data = json.dumps(job).replace("<", "\\u003c")
        route.fulfill(response=response, body=JOB_DATA.sub(lambda tags: tags[1] + data + tags[2], response.text()))

    page.route(f"**{job['url']}", answer)
    page.route("**/jobs/events/**", lambda route: route.fulfill(content_type="text/event-stream", body=NO_EVENTS))
    answer_with(page, job)


def answer_with(page: "Page", job: dict[str, Any]) -> None:
    """Answer the page's requests for its job with the same data."""
    page.route(f"**{job['api_url']}", lambda route: route.fulfill(json=job))


def send_event(page: "Page", job: dict[str, Any]) -> None:
    """Send the page an update of the job, as from the page that holds the event stream."""
    answer_with(page, job)
    page.evaluate(
        "(job) => new BroadcastChannel(`soundscape.events.${document.body.dataset.account}`).postMessage({ job })", job
    )


def choose(page: "Page", button: str) -> None:
    """Press a button that changes the stems, and wait for the new stems."""
    page.get_by_role("button", name=button, exact=True).click()
    page.locator("#status").wait_for()
    page.locator("#status").wait_for(state="hidden", timeout=REMAKING)
    page.wait_for_function("() => document.querySelector('.download:not([hidden])')")


def lanes(page: "Page") -> list[str]:
    return [lane.get_attribute("data-stem") or "" for lane in page.locator(".lane:not(.original)").all()]


def fetch_job(page: "Page") -> dict[str, Any]:
    """The job as the server has it now."""
    job: dict[str, Any] = page.evaluate(
        "async () => (await fetch(JSON.parse(document.getElementById('job-data').textContent).api_url)).json()"
    )
    return job
