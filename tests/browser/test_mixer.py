"""The main job in a real browser, with the real server, worker and model: upload, wait, play, mix, download.

Nothing is asserted from the looks of a button alone: what is heard is read from the audio graph, through the
engine that the mixer's element carries as a property.
"""

import json
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import av
import numpy as np
import pytest
import soundfile
from support.player import COMPARE, COMPARE_MIX, INKED_ROWS, STEMS, engine, wait_for_sound

if TYPE_CHECKING:
    from playwright.sync_api import Page

RENDERING = 60_000.0  # milliseconds for a file of the song on a busy machine
# A second engine on the same song, told that only its first ten seconds exist, as `window.second`.
SECOND_ENGINE = """async () => {
  const { Engine } = await import('/static/webapp/audio/engine.js');
  const { song, segments: { stems } } = document.querySelector('#mixer').engine;
  window.second = new Engine(stems, song);
  second.setAvailable(2);
}"""


@pytest.fixture
def second(song: "Page") -> Iterator["Page"]:
    song.evaluate(SECOND_ENGINE)
    yield song
    song.evaluate("() => second.close()")


def test_every_stem_has_a_lane_with_names_a_screen_reader_can_tell(song: "Page") -> None:
    original, *lanes = [lane.get_attribute("aria-label") for lane in song.locator(".lane").all()]
    assert original == "original"
    assert lanes[: len(STEMS)] == STEMS
    assert set(lanes[len(STEMS) :]) <= {"residual"}
    for stem in STEMS:
        for control in ("Mute", "Solo"):
            button = song.get_by_role("button", name=f"{control} {stem}")
            assert button.get_attribute("aria-pressed") == "false"
        fader = song.get_by_role("slider", name=f"Volume of {stem}")
        assert fader.get_attribute("aria-valuetext") == "0.0 dB"


def test_waveforms_are_drawn(song: "Page") -> None:
    """Assert that it has more rows of pixels than a flat line."""
    canvas = song.locator(".lane canvas").first
    assert canvas.evaluate(INKED_ROWS) > 10


def test_muting_a_lane_removes_its_signal_and_no_other(mixer: "Page") -> None:
    mixer.get_by_role("button", name="Mute drums").click()
    wait_for_sound(mixer, "drums", audible=False)
    assert mixer.get_by_role("button", name="Mute drums").get_attribute("aria-pressed") == "true"
    wait_for_sound(mixer, "master", audible=True)
    mixer.get_by_role("button", name="Mute drums").click()
    wait_for_sound(mixer, "drums", audible=True)


def test_solo_leaves_one_lane_and_mute_beats_it(mixer: "Page") -> None:
    mixer.get_by_role("button", name="Solo drums").click()
    wait_for_sound(mixer, "bass", audible=False)
    wait_for_sound(mixer, "drums", audible=True)
    mixer.get_by_role("button", name="Mute drums").click()
    wait_for_sound(mixer, "master", audible=False)


def test_a_fader_at_the_bottom_is_silence(mixer: "Page") -> None:
    mixer.get_by_role("slider", name="Volume of drums").fill("0")
    wait_for_sound(mixer, "drums", audible=False)
    assert mixer.get_by_role("slider", name="Volume of drums").get_attribute("aria-valuetext") == "−∞ dB"


def test_keys_play_pause_seek_mute_and_solo(mixer: "Page") -> None:
    mixer.keyboard.press("2")
    wait_for_sound(mixer, "drums", audible=False)
    mixer.keyboard.press("2")
    mixer.keyboard.press("Shift+3")
    wait_for_sound(mixer, "drums", audible=False)
    wait_for_sound(mixer, "bass", audible=True)
    mixer.keyboard.press("Space")
    paused_at = engine(mixer, "position")
    assert engine(mixer, "state") == "paused"
    wait_for_sound(mixer, "master", audible=False)
    mixer.keyboard.press("]")
    assert engine(mixer, "position") == pytest.approx(paused_at + 5)
    mixer.keyboard.press("Escape")
    assert engine(mixer, "position") == 0


def test_a_click_in_a_waveform_plays_from_there(mixer: "Page") -> None:
    waveform = mixer.locator(".lane").last.locator(".waveform")
    before = time.monotonic()
    waveform.click()  # in its middle
    wait_for_sound(mixer, "master", audible=True)
    late = time.monotonic() - before
    middle = engine(mixer, "duration") / 2
    assert middle - 0.1 <= engine(mixer, "position") <= middle + late + 1


def test_the_end_of_the_song_ends_it(mixer: "Page") -> None:
    mixer.evaluate("() => { const { engine } = document.querySelector('#mixer'); engine.seek(29); }")
    mixer.wait_for_function("() => document.querySelector('#mixer').engine.state === 'ended'")
    assert mixer.get_by_role("button", name="Play", exact=True).is_visible()


def test_what_is_heard_is_the_sum_of_the_stems_to_the_sample(song: "Page") -> None:
    """Compares segments with whole files: a shifted stem or a broken join would differ by tens of dB."""
    figures = song.evaluate(COMPARE)
    assert figures["level"] > -40
    assert figures["difference"] < -90


def test_playing_waits_for_the_separation_and_goes_on_by_itself(second: "Page") -> None:
    second.evaluate("() => { second.seek(9); second.play(); }")
    second.wait_for_function("() => second.state === 'waiting'")
    second.evaluate("() => second.setAvailable(6)")
    second.wait_for_function("() => second.state === 'playing' && second.position > 10.5")


def test_playing_survives_a_network_that_fails(second: "Page") -> None:
    second.route("**/segments/**", lambda route: route.abort())
    second.evaluate("() => { second.setAvailable(6); second.seek(25); second.play(); }")
    second.wait_for_function("() => second.state === 'buffering'")
    second.unroute("**/segments/**")
    second.wait_for_function("() => second.state === 'playing' && second.position > 25.5")


def test_a_lanes_arrow_offers_its_stem_in_every_format(song: "Page") -> None:
    song.get_by_role("button", name="Export vocals").click()
    menu = song.get_by_role("group", name="Export Vocals as")
    assert menu.get_by_role("button").all_inner_texts() == song.locator("#export-format option").all_inner_texts()
    with song.expect_download(timeout=RENDERING) as download:
        menu.get_by_role("button", name="WAV, 24-bit").click()
    assert download.value.suggested_filename == "SoundScape demo - vocals.wav"
    assert menu.is_hidden()
    with av.open(str(download.value.path())) as file:
        frames = sum(frame.samples for frame in file.decode(audio=0))
    assert frames == song.evaluate("() => document.querySelector('#mixer').engine.song.samples")


def test_the_gain_law_is_the_servers(song: "Page") -> None:
    vectors = json.loads((Path(__file__).parent.parent / "vectors/mix.json").read_text())
    gains = song.evaluate(
        """async (vectors) => {
          const { laneGains } = await import('/static/webapp/audio/mix-law.js');
          return vectors.map(({ lanes }) => laneGains(lanes.map((lane) => ({ ...lane, db: lane.db ?? -Infinity }))));
        }""",
        vectors,
    )
    for found, vector in zip(gains, vectors, strict=True):
        assert found == pytest.approx(vector["gains"], abs=1e-12)


def test_the_mix_that_is_taken_along_is_the_mix_that_is_heard(mixer: "Page") -> None:
    mixer.get_by_role("slider", name="Volume of vocals").fill("0.6")
    mixer.get_by_role("slider", name="Volume of other").fill("0")
    mixer.get_by_role("button", name="Mute drums").click()
    mixer.get_by_role("slider", name="Pan of bass").fill("0.4")
    mixer.locator("#export-format").select_option("WAV, 32-bit float (for DAWs)")
    with mixer.expect_download(timeout=RENDERING) as download:
        mixer.get_by_role("button", name="Export", exact=True).click()
    assert download.value.suggested_filename == "SoundScape demo - mix.wav"
    figures = mixer.evaluate(COMPARE_MIX, download.value.url)
    assert figures["length"] == 0
    assert figures["level"] > -40
    assert figures["difference"] < -80


def test_an_untouched_mix_is_the_upload(mixer: "Page", data: Path) -> None:
    mixer.locator("#export-format").select_option("WAV, 24-bit")
    with mixer.expect_download(timeout=RENDERING) as download:
        mixer.get_by_role("button", name="Export", exact=True).click()
    written, _ = soundfile.read(download.value.path(), always_2d=True)
    uploaded, _ = soundfile.read(data / "demo.flac", always_2d=True)
    assert written.shape == uploaded.shape
    assert 10 * np.log10(np.square(written - uploaded).sum() / np.square(uploaded).sum()) < -90


def test_all_stems_are_taken_along_in_one_archive(song: "Page") -> None:
    song.get_by_label("Content").select_option("All stems (ZIP)")
    song.locator("#export-format").select_option("MP3, 320 kbit/s")
    with song.expect_download(timeout=RENDERING) as download:
        song.get_by_role("button", name="Export", exact=True).click()
    assert download.value.suggested_filename == "SoundScape demo.zip"
    with zipfile.ZipFile(download.value.path()) as archive:
        assert archive.testzip() is None
        assert {f"SoundScape demo/SoundScape demo - {stem}.mp3" for stem in STEMS} <= set(archive.namelist())


def test_the_page_says_how_the_stems_were_made(song: "Page") -> None:
    song.get_by_text("How this was made").click()
    assert "htdemucs" in song.locator("#models").inner_text()
    assert float(song.locator("#null-db").inner_text().removesuffix(" dB").replace("−", "-")) < -90
