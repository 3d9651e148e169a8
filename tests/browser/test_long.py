"""Whole songs in real time, in a real browser: minutes each, so `pytest -m long` runs them and nothing else does.

What they measure is printed (pytest -s shows it); times are not asserted, because they are the machine's.
"""

import base64
import io
import itertools
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin

import numpy as np
import pytest
import scipy.signal
import soundfile
from browser.conftest import Separated, browser_context, seeded
from numpy.typing import NDArray
from support.player import AUDIBLE, SILENT, wait_for_sound
from support.unobserved import unobserved

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.long

Audio = NDArray[np.float32]

SONG = "jonathan_coulton_better.mp3"  # 3:14
PATIENCE = 1200.0  # seconds for the separation of a whole song on a slow, busy machine
SIX = ["vocals", "drums", "bass", "guitar", "piano", "other"]
TEN_MINUTES = 600.0
SEEKS = 50
MEMORY = 150.0  # megabytes of the page's process, with what a browser needs for any page
BEGIN, STRETCH, STRETCHES = 15, 9.5, 12  # two minutes from 0:15, each stem alone for so many seconds by turns
SEARCH = 22_050  # samples to both sides in which a stem is looked for

# Records what the mix is before the master fader, from now on, as `window.recorded`: [context's frame, left channel].
RECORD = """async () => {
  const { context, bus } = document.querySelector('#mixer').engine;
  const source = `registerProcessor('recorder', class extends AudioWorkletProcessor {
    process([[left]]) {
      this.port.postMessage([currentFrame, left ? left.slice() : new Float32Array(128)]);
      return true;
    }
  })`;
  await context.audioWorklet.addModule(URL.createObjectURL(new Blob([source], { type: 'text/javascript' })));
  const recorder = new AudioWorkletNode(context, 'recorder', { numberOfOutputs: 0 });
  window.recorded = [];
  recorder.port.onmessage = ({ data }) => window.recorded.push(data);
  bus.gate.connect(recorder);
}"""

# Hears one stem alone for some seconds: {samples: base64 of float32, frame: of the song, by the engine's own clock}.
LISTEN = """async ([name, seconds]) => {
  const { engine } = document.querySelector('#mixer');
  const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));
  engine.setSolo(name, true, true);
  await pause(500);
  window.recorded = [];
  await pause(1000 * seconds);
  const blocks = window.recorded;
  const { context, latency } = engine;
  let [now, position] = [NaN, NaN];
  while (now !== context.currentTime) [now, position] = [context.currentTime, engine.position];  // the clock moves on
  const left = new Float32Array(blocks.at(-1)[0] - blocks[0][0] + 128);
  for (const [frame, samples] of blocks) left.set(samples, frame - blocks[0][0]);
  let text = '';
  const bytes = new Uint8Array(left.buffer);
  for (let at = 0; at < bytes.length; at += 32768) text += String.fromCharCode(...bytes.subarray(at, at + 32768));
  const frame = blocks[0][0] + (position - now + latency) * context.sampleRate;
  return { samples: btoa(text), frame: Math.round(frame) };
}"""


@pytest.fixture(scope="module")
def played(site: str, data: Path, shared: Path) -> Separated:
    """The uploaded song, played while a worker separated it and was killed in between."""
    with browser_context() as context:
        page = context.new_page()
        page.goto(site)
        page.set_input_files("#files", shared / "songs" / SONG)
        page.wait_for_url("**/jobs/*/", timeout=60_000)
        listen_from_the_beginning(page)
        lose_the_worker(page, data)
        page.locator(".download").first.wait_for(timeout=PATIENCE * 1000)
        return Separated(page.url, context.storage_state())


def listen_from_the_beginning(page: "Page") -> None:
    uploaded = time.monotonic()
    page.locator("#play").click(timeout=PATIENCE * 1000)
    wait_for_sound(page, "master", audible=True)
    print(f"\nfrom the end of the upload to the original: {time.monotonic() - uploaded:.1f} s")
    wait_for(page, f"engine.sounding === 'draft' && engine.levels().master.rms > {AUDIBLE}")
    print(f"from the end of the upload to the draft's first stems: {time.monotonic() - uploaded:.1f} s")
    wait_for(page, "engine.segments.available > 0")
    page.keyboard.press("Home")
    wait_for(page, f"engine.sounding === 'stems' && engine.levels().master.rms > {AUDIBLE}")
    print(f"from the end of the upload to the first separated stem: {time.monotonic() - uploaded:.1f} s")


def lose_the_worker(page: "Page", data: Path) -> None:
    """What is finished continues to play, the page shows what happened, and the rest is still separated."""
    wait_for(page, "engine.segments.available > 1")
    os.kill(worker_of(data), signal.SIGKILL)
    page.get_by_text("The worker has stopped").first.wait_for(timeout=60_000)
    page.keyboard.press("Home")
    wait_for(page, "engine.state === 'playing' && engine.sounding === 'stems' && engine.position > 2")
    page.get_by_text("The worker has stopped").first.wait_for(state="hidden", timeout=120_000)
    wait_for(page, "engine.state === 'playing' || engine.state === 'ended'")


def test_a_song_plays_while_it_is_separated_and_survives_its_worker(played: Separated) -> None:
    assert "/jobs/" in played.url


@pytest.fixture(scope="module")
def whole(played: Separated) -> Iterator["Page"]:
    """Bypasses the CSP, because the recorder is not one of the site's scripts."""
    with browser_context(storage_state=played.visitor, bypass_csp=True) as context:
        page = context.new_page()
        page.goto(played.url)
        page.locator(".download").first.wait_for()
        yield page


def test_two_minutes_drift_by_no_sample(whole: "Page") -> None:
    """Solos each stem in turn and locates it in its file to measure how late it plays."""
    files = {name: stem_file(whole, name) for name in ("vocals", "drums", "bass", "other")}
    whole.evaluate(f"document.querySelector('#mixer').engine.seek({BEGIN})")
    whole.locator("#play").click()
    wait_for_sound(whole, "master", audible=True)
    whole.evaluate(RECORD)
    late = [
        lateness(whole.evaluate(LISTEN, [name, STRETCH]), files[name])
        for _, name in zip(range(STRETCHES), itertools.cycle(files), strict=False)
    ]
    whole.keyboard.press("Escape")
    known = [found for found in late if found is not None]
    print(f"\n{len(known)} stretches of {STRETCH:.0f} s late by {sorted(set(known))} samples")
    assert len(known) >= STRETCHES / 2
    assert len(set(known)) == 1


def lateness(rendering: dict[str, Any], file: Audio) -> int | None:
    """Samples by which a stem plays later than the engine's position; None where it is silent."""
    played = np.frombuffer(base64.b64decode(rendering["samples"]), np.float32)
    if np.sqrt(np.square(played).mean()) < AUDIBLE:
        return None
    first = rendering["frame"] - SEARCH
    expected = file[max(first, 0) : first + len(played) + 2 * SEARCH]
    energy = np.concatenate([[0.0], np.cumsum(np.square(expected, dtype=np.float64))])
    around = energy[len(played) :] - energy[: -len(played)]
    likeness = scipy.signal.correlate(expected, played, "valid", "fft") / np.sqrt(np.maximum(around, SILENT))
    return SEARCH - int(np.argmax(likeness))  # by likeness, not by loudness: the next beat may be the same, but louder


def stem_file(page: "Page", name: str) -> Audio:
    """The left channel of a downloaded stem."""
    answer = page.request.get(urljoin(page.url, f"stems/{name}/download"))
    audio, _ = soundfile.read(io.BytesIO(answer.body()), dtype="float32", always_2d=True)
    return np.asarray(audio[:, 0])


def test_ten_minutes_of_six_stems_stay_within_bounded_memory(site: str, data: Path) -> None:
    job = seeded(data, TEN_MINUTES, SIX)
    engine = "document.querySelector('#mixer').engine"
    with unobserved(job.visitor["cookies"]) as page:
        page.go_to(site + job.path)
        page.wait_for("document.querySelector('.download')", PATIENCE)
        page.evaluate("document.querySelector('#play').click()")
        page.wait_for(f"{engine}.state === 'playing'", PATIENCE)
        used = []
        for _ in range(10):
            time.sleep(TEN_MINUTES / 10 - 0.5)
            used.append(page.memory())
        assert page.evaluate(f"{engine}.position") > 0.9 * TEN_MINUTES
        for place in np.random.default_rng(1).uniform(0, TEN_MINUTES - 5, SEEKS):
            page.evaluate(f"{engine}.seek({place})")
            page.evaluate(f"{engine}.play()")
            page.wait_for(f"{engine}.state === 'playing'", PATIENCE)
            used.append(page.memory())
    minutes, seeks = (", ".join(f"{each:.0f}" for each in part) for part in (used[:10], used[10:]))
    print(f"\nMB of the page's process, minute by minute: {minutes}; after each seek: {seeks}")
    assert max(used) < MEMORY


def worker_of(data: Path) -> int:
    """Process id of that site's worker."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            is_worker = b"celery" in (process / "cmdline").read_bytes()
            if is_worker and f"SOUNDSCAPE_DATA={data}\0".encode() in (process / "environ").read_bytes() + b"\0":
                return int(process.name)
        except OSError:  # it ended while we looked, or is not ours
            continue
    raise AssertionError("There is no worker.")


def wait_for(page: "Page", condition: str) -> None:
    """Wait until the engine is in that state."""
    page.wait_for_function(
        f"() => {{ const {{ engine }} = document.querySelector('#mixer'); return {condition}; }}",
        timeout=PATIENCE * 1000,
    )
