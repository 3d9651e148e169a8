"""Helpers that read the player's state from the engine of the mixer's element."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from playwright.sync_api import Page

STEMS = ["vocals", "drums", "bass", "other"]  # of the demo song
SILENT = 1e-5  # RMS amplitude: -100 dB
AUDIBLE = 1e-3

# Waits until an engine has loaded everything it needs next, and lets it schedule that.
LOADED = """async (engine) => {
  const { neededColumns } = await import('/static/webapp/audio/segment-buffer.js');
  const { rate } = engine.song;
  const columns = () => {
    const loop = engine.loop && { start: engine.loop.start * rate, end: engine.loop.end * rate };
    return neededColumns(Math.round(engine.position * rate), engine.song, loop);
  };
  const missing = (segments, needed) =>
    needed.some((column) => column < segments.available && !segments.column(column));
  const reaches = (frontier) => columns().some((column) => column >= frontier);
  const othersMissing = () => {
    const { original, segments, draftSegments: draft, originalSegments } = engine;
    if (draft && reaches(segments.available) && missing(draft, columns())) return true;
    const wanted = original || reaches(Math.max(segments.available, draft?.available ?? 0));
    return wanted && missing(originalSegments, columns().slice(0, 4));
  };
  let failed = false;
  const onProblem = ({ detail }) => { failed = detail !== null; };
  engine.addEventListener('problem', onProblem);
  await engine.bus.settled();
  engine.update();
  while (!failed && (missing(engine.segments, columns()) || othersMissing())) {
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  engine.removeEventListener('problem', onProblem);
  engine.update();
}"""

# Renders a song from its beginning: both channels, without the latency before its first frame.
PLAYED = f"""async (engine, context) => {{
  const {{ LEAD }} = await import('/static/webapp/audio/playback.js');
  const loaded = {LOADED};
  const {{ sampleRate: rate, length }} = context;
  for (let time = 5; time < length / rate; time += 5) {{
    void context.suspend(time).then(async () => {{ await loaded(engine); await context.resume(); }});
  }}
  await loaded(engine);
  await engine.play();
  const rendering = await context.startRendering();
  const begin = Math.ceil(LEAD * rate) + Math.round(engine.latency * rate);
  return [0, 1].map((channel) => rendering.getChannelData(channel).subarray(begin));
}}"""

# Renders the whole song with the mixer's engine and compares it with the sum of the downloaded stems:
# the level of that sum, dB, and the level of the difference relative to it, dB.
COMPARE = f"""async () => {{
  const {{ Engine }} = await import('/static/webapp/audio/engine.js');
  const played = {PLAYED};
  const job = JSON.parse(document.getElementById('job-data').textContent);
  const fresh = await (await fetch(job.api_url)).json();
  const {{ rate, samples, segments_done }} = fresh.audio;
  const context = new OfflineAudioContext(2, samples + rate, rate);
  const stems = fresh.stems.map((stem) => ({{ name: stem.name, segmentsUrl: stem.segments_url }}));
  const engine = new Engine(stems, fresh.audio, context);
  engine.setAvailable(segments_done);
  engine.setLimiter(false);
  const rendering = await played(engine, context);
  const tracks = await Promise.all(fresh.stems.map(async (stem) =>
    context.decodeAudioData(await (await fetch(stem.download_url)).arrayBuffer())));
  let energy = 0, error = 0;
  for (const channel of [0, 1]) {{
    const expected = tracks.map((track) => track.getChannelData(channel));
    for (let frame = 0; frame < samples; frame++) {{
      const sum = expected.reduce((total, track) => total + track[frame], 0);
      energy += sum ** 2;
      error += (sum - rendering[channel][frame]) ** 2;
    }}
  }}
  return {{ level: 10 * Math.log10(energy / samples), difference: 10 * Math.log10(error / energy) }};
}}"""

# Like COMPARE, with the mixer's faders, pans, mutes and solos, against an exported file of the mix.
COMPARE_MIX = f"""async (url) => {{
  const {{ Engine }} = await import('/static/webapp/audio/engine.js');
  const played = {PLAYED};
  const {{ engine: mixer }} = document.querySelector('#mixer');
  const {{ rate, samples, segment }} = mixer.song;
  const context = new OfflineAudioContext(2, samples + rate, rate);
  const engine = new Engine(mixer.segments.stems, mixer.song, context);
  for (const {{ name, ...lane }} of mixer.lanes) engine.setLane(name, lane);
  engine.setMaster(mixer.masterDb);
  engine.setLimiter(mixer.limiter);
  engine.setAvailable(Math.ceil(samples / segment));
  const rendering = await played(engine, context);
  const written = await context.decodeAudioData(await (await fetch(url)).arrayBuffer());
  let energy = 0, error = 0;
  for (const channel of [0, 1]) {{
    const file = written.getChannelData(channel);
    for (let frame = 0; frame < samples; frame++) {{
      energy += file[frame] ** 2;
      error += (file[frame] - rendering[channel][frame]) ** 2;
    }}
  }}
  const [level, difference] = [energy / samples, error / energy].map((power) => 10 * Math.log10(power));
  return {{ length: written.length - samples, level, difference }};
}}"""

# Number of rows of a canvas that are not empty.
INKED_ROWS = """(canvas) => {
  const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
  const row = (index) => data.subarray(index * canvas.width * 4, (index + 1) * canvas.width * 4);
  return Array.from({ length: canvas.height }, (_, index) => row(index).some((value) => value > 0))
    .filter(Boolean).length;
}"""


def engine(page: "Page", name: str) -> Any:
    return page.evaluate("(name) => document.querySelector('#mixer').engine[name]", name)


def wait_for_sound(page: "Page", lane: str, *, audible: bool) -> None:
    """Wait until the lane, or "master", is audible or silent; fail after REACTION."""
    page.wait_for_function(
        """([lane, audible, silence, sound]) => {
          const { lanes, master } = document.querySelector('#mixer').engine.levels();
          const { rms } = { ...lanes, master }[lane];
          return audible ? rms > sound : rms < silence;
        }""",
        arg=[lane, audible, SILENT, AUDIBLE],
    )
