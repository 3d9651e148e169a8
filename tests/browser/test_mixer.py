"""The main job in a real browser, with the real server, worker and model: upload, wait, play, mix, download.

Nothing is asserted from the looks of a button alone: what is heard is read from the audio graph, through the
engine that the mixer's element carries as a property.
"""

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import av
import pytest
from django.conf import settings

from pipeline.options import model_cards

if TYPE_CHECKING:
    from playwright.sync_api import Page

playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed: see pyproject.toml")
CHROMIUM = shutil.which("chromium")

pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed: apt-get install chromium"),
    pytest.mark.skipif(not settings.WAVESURFER.is_dir(), reason="npm packages are not installed: npm ci"),
    pytest.mark.skipif(
        not all(card.installed for card in model_cards()),
        reason="The model is not installed: python -m ensemble pull htdemucs",
    ),
]

ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--autoplay-policy=no-user-gesture-required",
]
START = 120.0  # seconds until the site must answer
SEPARATION = 420.0  # seconds for half a minute of music on a slow, busy machine
REACTION = 15_000.0  # milliseconds within which the page must react
SILENT = 1e-5  # RMS amplitude: -100 dB
AUDIBLE = 1e-3
STEMS = ["vocals", "drums", "bass", "other"]

# Plays the whole song through the mixer's own engine into memory, and the downloaded stems beside it.
# Both in dB relative to the stems' sum: how much of it there is, and how far the engine is from it.
COMPARE = """async () => {
  const { Engine, LEAD } = await import('/static/webapp/engine.js');
  const job = JSON.parse(document.getElementById('job-data').textContent);
  const fresh = await (await fetch(job.api_url)).json();
  const { rate, samples, segments_done } = fresh.audio;
  const context = new OfflineAudioContext(2, samples + rate, rate);
  const stems = fresh.stems.map((stem) => ({ name: stem.name, segmentsUrl: stem.segments_url }));
  const engine = new Engine(stems, fresh.audio, context);
  engine.setAvailable(segments_done);
  while (Array.from({ length: segments_done }).some((_, index) => !engine.segments.column(index))) {
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  await engine.play();
  const heard = await context.startRendering();
  const tracks = await Promise.all(fresh.stems.map(async (stem) =>
    context.decodeAudioData(await (await fetch(stem.download_url)).arrayBuffer())));
  let energy = 0, error = 0;
  for (const channel of [0, 1]) {
    const played = heard.getChannelData(channel).subarray(Math.ceil(LEAD * rate));
    const expected = tracks.map((track) => track.getChannelData(channel));
    for (let frame = 0; frame < samples; frame++) {
      const sum = expected.reduce((total, track) => total + track[frame], 0);
      energy += sum ** 2;
      error += (sum - played[frame]) ** 2;
    }
  }
  return { level: 10 * Math.log10(energy / samples), difference: 10 * Math.log10(error / energy) };
}"""


INKED_ROWS = """(canvas) => {
  const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
  const row = (index) => data.subarray(index * canvas.width * 4, (index + 1) * canvas.width * 4);
  return Array.from({ length: canvas.height }, (_, index) => row(index).some((value) => value > 0))
    .filter(Boolean).length;
}"""

# A second engine on the same song, told that only its first ten seconds exist, as `window.second`.
SECOND_ENGINE = """async () => {
  const { Engine } = await import('/static/webapp/engine.js');
  const { song, segments: { stems } } = document.querySelector('#mixer').engine;
  window.second = new Engine(stems, song);
  second.setAvailable(1);
}"""


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh installation's data folder, with the demo song in it."""
    folder = tmp_path_factory.mktemp("data")
    manage = [sys.executable, "manage.py", "setup"]
    subprocess.run(manage, cwd=settings.BASE_DIR, env=environment(folder), check=True)
    return folder


@pytest.fixture(scope="module")
def site(data: Path) -> Iterator[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "manage.py", "serve", "--port", str(port)]
    server = subprocess.Popen(command, cwd=settings.BASE_DIR, env=environment(data))
    try:
        wait_until_healthy(f"http://127.0.0.1:{port}/healthz")
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(60)


@pytest.fixture(scope="module")
def song(site: str, data: Path) -> Iterator["Page"]:
    """The page of a song that was uploaded, and separated, before our eyes."""
    with playwright.sync_playwright() as play:
        browser = play.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        page = browser.new_page()
        page.set_default_timeout(REACTION)
        complaints: list[str] = []
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(site)
        page.set_input_files("#files", data / "demo.flac")
        page.wait_for_url("**/jobs/*/")
        page.locator("#mixer").wait_for(timeout=SEPARATION * 1000)
        page.locator(".download").first.wait_for(timeout=SEPARATION * 1000)
        yield page
        browser.close()
        assert complaints == []


@pytest.fixture
def mixer(song: "Page") -> Iterator["Page"]:
    """The page, playing from the beginning, all faders at 0 dB; as it was afterwards."""
    song.locator("#start").click()
    song.locator("#play").click()
    wait_for_sound(song, "master", heard=True)
    yield song
    song.keyboard.press("Escape")
    song.evaluate(
        """(names) => names.forEach((name) => {
          document.querySelector('#mixer').engine.setLane(name, { db: 0, mute: false, solo: false });
        })""",
        STEMS,
    )


@pytest.fixture
def second(song: "Page") -> Iterator["Page"]:
    song.evaluate(SECOND_ENGINE)
    yield song
    song.evaluate("() => second.close()")


def test_every_stem_has_a_lane_with_names_a_screen_reader_can_tell(song: "Page") -> None:
    lanes = [lane.get_attribute("aria-label") for lane in song.locator(".lane").all()]
    assert lanes[: len(STEMS)] == STEMS
    assert set(lanes[len(STEMS) :]) <= {"residual"}
    for stem in STEMS:
        for control in ("Mute", "Solo"):
            button = song.get_by_role("button", name=f"{control} {stem}")
            assert button.get_attribute("aria-pressed") == "false"
        fader = song.get_by_role("slider", name=f"Volume of {stem}")
        assert fader.get_attribute("aria-valuetext") == "0.0 dB"


def test_waveforms_are_drawn(song: "Page") -> None:
    """More rows of pixels than a flat line takes."""
    canvas = song.locator(".lane canvas").first
    assert canvas.evaluate(INKED_ROWS) > 10


def test_muting_a_lane_removes_its_signal_and_no_other(mixer: "Page") -> None:
    mixer.get_by_role("button", name="Mute drums").click()
    wait_for_sound(mixer, "drums", heard=False)
    assert mixer.get_by_role("button", name="Mute drums").get_attribute("aria-pressed") == "true"
    wait_for_sound(mixer, "master", heard=True)
    mixer.get_by_role("button", name="Mute drums").click()
    wait_for_sound(mixer, "drums", heard=True)


def test_solo_leaves_one_lane_and_mute_beats_it(mixer: "Page") -> None:
    mixer.get_by_role("button", name="Solo drums").click()
    wait_for_sound(mixer, "bass", heard=False)
    wait_for_sound(mixer, "drums", heard=True)
    mixer.get_by_role("button", name="Mute drums").click()
    wait_for_sound(mixer, "master", heard=False)


def test_a_fader_at_the_bottom_is_silence(mixer: "Page") -> None:
    mixer.get_by_role("slider", name="Volume of drums").fill("0")
    wait_for_sound(mixer, "drums", heard=False)
    assert mixer.get_by_role("slider", name="Volume of drums").get_attribute("aria-valuetext") == "−∞ dB"


def test_keys_play_pause_seek_mute_and_solo(mixer: "Page") -> None:
    mixer.keyboard.press("2")
    wait_for_sound(mixer, "drums", heard=False)
    mixer.keyboard.press("2")
    mixer.keyboard.press("Shift+3")
    wait_for_sound(mixer, "drums", heard=False)
    wait_for_sound(mixer, "bass", heard=True)
    mixer.keyboard.press("Space")
    paused_at = engine(mixer, "position")
    assert engine(mixer, "state") == "paused"
    wait_for_sound(mixer, "master", heard=False)
    mixer.keyboard.press("]")
    assert engine(mixer, "position") == pytest.approx(paused_at + 5)
    mixer.keyboard.press("Escape")
    assert engine(mixer, "position") == 0


def test_a_click_in_a_waveform_plays_from_there(mixer: "Page") -> None:
    waveform = mixer.locator(".lane").last.locator(".waveform")
    before = time.monotonic()
    waveform.click()  # in its middle
    wait_for_sound(mixer, "master", heard=True)
    late = time.monotonic() - before
    middle = engine(mixer, "duration") / 2
    assert middle - 0.1 <= engine(mixer, "position") <= middle + late + 1


def test_the_end_of_the_song_ends_it(mixer: "Page") -> None:
    mixer.evaluate("() => { const { engine } = document.querySelector('#mixer'); engine.seek(29); }")
    mixer.wait_for_function("() => document.querySelector('#mixer').engine.state === 'ended'")
    assert mixer.get_by_role("button", name="Play", exact=True).is_visible()


def test_what_is_heard_is_the_sum_of_the_stems_to_the_sample(song: "Page") -> None:
    """Segments of ten seconds against whole files: a shifted stem or a torn join is tens of dB louder."""
    figures = song.evaluate(COMPARE)
    assert figures["level"] > -40
    assert figures["difference"] < -90


def test_playing_waits_for_the_separation_and_goes_on_by_itself(second: "Page") -> None:
    second.evaluate("() => { second.seek(9); second.play(); }")
    second.wait_for_function("() => second.state === 'waiting'")
    second.evaluate("() => second.setAvailable(3)")
    second.wait_for_function("() => second.state === 'playing' && second.position > 10.5")


def test_playing_survives_a_network_that_fails(second: "Page") -> None:
    second.route("**/segments/**", lambda route: route.abort())
    second.evaluate("() => { second.setAvailable(3); second.seek(25); second.play(); }")
    second.wait_for_function("() => second.state === 'buffering'")
    second.unroute("**/segments/**")
    second.wait_for_function("() => second.state === 'playing' && second.position > 25.5")


def test_a_stem_is_downloaded_whole(song: "Page") -> None:
    with song.expect_download() as download:
        song.get_by_role("link", name="Download vocals").click()
    assert download.value.suggested_filename == "demo - vocals.wav"
    with av.open(str(download.value.path())) as file:
        frames = sum(frame.samples for frame in file.decode(audio=0))
    assert frames == song.evaluate("() => document.querySelector('#mixer').engine.song.samples")


def test_the_page_says_how_the_stems_were_made(song: "Page") -> None:
    song.get_by_text("How this was made").click()
    assert "htdemucs" in song.locator("#models").inner_text()
    assert float(song.locator("#null-db").inner_text().removesuffix(" dB").replace("−", "-")) < -90


def environment(data: Path) -> dict[str, str]:
    """Our own, but with the defaults of database and queue, and a data folder of its own."""
    ours = {name: value for name, value in os.environ.items() if name not in ("DATABASE_URL", "BROKER_URL")}
    return ours | {"SOUNDSCAPE_DATA": str(data)}


def wait_until_healthy(url: str) -> None:
    deadline = time.monotonic() + START
    while True:
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)


def engine(page: "Page", name: str) -> Any:
    return page.evaluate("(name) => document.querySelector('#mixer').engine[name]", name)


def wait_for_sound(page: "Page", lane: str, *, heard: bool) -> None:
    """Wait until the lane, or "master", is audible or silent; fails after REACTION."""
    page.wait_for_function(
        """([lane, heard, silent, audible]) => {
          const { lanes, master } = document.querySelector('#mixer').engine.levels();
          const level = { ...lanes, master }[lane];
          return heard ? level > audible : level < silent;
        }""",
        arg=[lane, heard, SILENT, AUDIBLE],
    )
