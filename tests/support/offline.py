"""The player's engine without the site: song folders served as plain files and rendered offline.

The browser renders the same audio graph that people hear, as fast as it can, and stops where a test wants to act.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any

import numpy as np
from django.conf import settings
from numpy.typing import NDArray
from support.player import LOADED

from pipeline.audio.recording import SAMPLE_RATE, Recording
from pipeline.playback.segments import SEGMENT, Block, SegmentWriter, gain_of, write_original

if TYPE_CHECKING:
    from playwright.sync_api import Page

Audio = NDArray[np.float32]

TOOLS = settings.BASE_DIR / "webapp" / "templates" / "webapp" / "_tools.html"
LEAD = 1323  # frames from the call of play() at time 0 to the first frame of the song
LOOKAHEAD = 220  # frames by which the limiter is late

# Acts at the given context times, and every few seconds waits until everything needed next is loaded, as in real time.
# Methods that the engine lacks are called on the mixer's toolbar. Posts the rendering, float32, left before right, and
# returns a snapshot of the engine at each stop.
RENDER = f"""async ({{ song, stems, seconds, actions, controls }}) => {{
  const {{ Engine }} = await import('/static/webapp/audio/engine.js');
  const {{ Toolbar }} = await import('/static/webapp/mixer/toolbar.js');
  const loaded = {LOADED};
  const context = new OfflineAudioContext(2, Math.round(seconds * song.rate), song.rate);
  const engine = new Engine(stems, song, context);
  const snapshots = [];
  document.body.innerHTML = controls;
  const end = new AbortController();
  const tools = new Toolbar(document.body, engine, {{ start: 0, end: engine.duration }}, end.signal);
  engine.addEventListener('mix', () => tools.show());
  const step = async (time) => {{
    await loaded(engine);
    for (const [at, method, ...values] of actions) if (at === time) {{
      await (method in engine ? engine : tools)[method](...values);
    }}
    await loaded(engine);
    const {{ position, state, sounding, latency, canProcess }} = engine;
    const [now, levels] = [context.currentTime, engine.levels()];
    const windows = [engine.segments, engine.draftSegments, engine.originalSegments];
    const columns = Array.from({{ length: Math.ceil(song.samples / song.segment) }}, (_, index) => index);
    const buffers = windows.flatMap((segments) => columns.flatMap((column) => segments?.column(column) ?? [])).length;
    snapshots.push({{ time, now, position, state, sounding, latency, can: canProcess, levels, buffers }});
  }};
  const regular = Array.from({{ length: Math.ceil(seconds / 4) }}, (_, index) => 4 * index);
  for (const time of new Set([...actions.map(([at]) => at), ...regular])) {{
    if (time > 0) void context.suspend(time).then(async () => {{ await step(time); await context.resume(); }});
  }}
  await step(0);
  const rendering = await context.startRendering();
  await engine.close();
  end.abort();
  const channels = [0, 1].map((channel) => rendering.getChannelData(channel));
  await fetch('/rendering', {{ method: 'POST', body: new Blob(channels) }});
  return snapshots;
}}"""


@dataclass(frozen=True)
class Song:
    """A song on disk: its stems, (2, samples) each, and its draft."""

    folder: Path
    stems: dict[str, Audio]
    draft: "Song | None" = None

    @property
    def mixture(self) -> Audio:
        """The sum of its stems, which is the original."""
        return np.sum(list(self.stems.values()), axis=0)

    def described(self) -> dict[str, Any]:
        """The engine's first two arguments."""
        samples = self.mixture.shape[1]
        urls = self.urls()
        drafts = self.draft.urls() if self.draft else {}
        song = {
            "rate": SAMPLE_RATE,
            "samples": samples,
            "segment": SEGMENT,
            "gain": gain_of(float(np.abs(self.mixture).max())),
            "original": {"segmentsUrl": urls["original"]},
        }
        stems = [{"name": name, "segmentsUrl": urls[name], "draftSegmentsUrl": drafts.get(name)} for name in self.stems]
        return {"song": song, "stems": stems}

    def urls(self) -> dict[str, str]:
        """URL templates of the segments of each stem and of the original."""
        return {name: f"/songs/{self.folder.name}/{name}/{{index}}" for name in [*self.stems, "original"]}

    @property
    def segments(self) -> int:
        """Number of segments of each stem and of the original."""
        return -(-self.mixture.shape[1] // SEGMENT)


@dataclass
class Rendering:
    """The rendered audio, (2, frames), and a snapshot of the engine at each stop."""

    audio: Audio
    snapshots: list[dict[str, Any]] = field(default_factory=list)

    def song(self, start: int, stop: int) -> Audio:
        """Frames start to stop of a song that was played from its beginning at normal tempo and pitch."""
        return self.audio[:, LEAD + LOOKAHEAD + start : LEAD + LOOKAHEAD + stop]

    def cut(self, time: float) -> int:
        """First frame in which an action at that time is audible: rendering stops only between blocks of 128 frames."""
        return int(np.ceil(round(self.at(time)["now"] * SAMPLE_RATE, 3))) + LEAD + LOOKAHEAD

    def at(self, time: float) -> dict[str, Any]:
        """The snapshot taken at that time."""
        return next(snapshot for snapshot in self.snapshots if snapshot["time"] == time)


def write_song(folder: Path, stems: dict[str, Audio]) -> Song:
    """Write a song's folder as the worker does."""
    folder.mkdir()
    song = Song(folder, stems)
    mixture = song.mixture
    samples, gain = mixture.shape[1], gain_of(float(np.abs(mixture).max()))
    with SegmentWriter(folder) as writer:
        writer.write(Block(0, samples, samples, stems, gain=gain))
        writer.close()
    recording = Recording(folder / "raw")
    with recording.path.open("wb") as file:
        recording.append(mixture, file)
    write_original(folder, recording)
    return song


class Player:
    """A page on a server of plain files that renders songs."""

    def __init__(self, page: "Page", server: "Files") -> None:
        self.page = page
        self._server = server

    def render(self, song: Song, seconds: float, *actions: tuple[Any, ...]) -> Rendering:
        """Render `seconds` from the start. actions: (context time, method of engine or toolbar, values...)."""
        arguments = song.described() | {"seconds": seconds, "actions": [list(action) for action in actions]}
        arguments["controls"] = TOOLS.read_text("utf-8")
        snapshots = self.page.evaluate(RENDER, arguments)
        audio = np.frombuffer(self._server.rendering, np.float32).reshape(2, -1)
        return Rendering(audio, snapshots)

    def play(self, song: Song, seconds: float, *actions: tuple[Any, ...]) -> Rendering:
        """Render a completely separated song that plays from its beginning."""
        first = [action for action in actions if action[0] == 0]
        later = [action for action in actions if action[0] > 0]
        everything = (0, "setAvailable", song.segments, song.segments)
        return self.render(song, seconds, everything, *first, (0, "play"), *later)


class Files(ThreadingHTTPServer):
    """Serves static files and songs, and receives renderings."""

    rendering = b""


class Handler(SimpleHTTPRequestHandler):
    """Maps URLs to folders."""

    extensions_map = SimpleHTTPRequestHandler.extensions_map | {".mjs": "text/javascript"}

    def translate_path(self, path: str) -> str:
        """/songs/<song>/<stem>/<index>, /static/webapp/..., /static/vendor/<name>/...."""
        parts = path.split("?", maxsplit=1)[0].strip("/").split("/")
        if parts[0] == "songs":
            return str(Path(self.directory, *parts[1:3], f"{int(parts[3]):05d}.flac"))
        if parts[:2] == ["static", "vendor"]:
            return str(settings.VENDOR[parts[2]].joinpath(*parts[3:]))
        return str(settings.BASE_DIR.joinpath("webapp", *parts)) if parts[0] == "static" else str(Path(__file__))

    def do_POST(self) -> None:
        """Receive a rendering."""
        assert isinstance(self.server, Files)
        self.server.rendering = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(204)
        self.end_headers()

    def end_headers(self) -> None:
        """Allow scripts from files only, because the engine must work with a strict policy."""
        self.send_header("Content-Security-Policy", "script-src 'self' 'wasm-unsafe-eval'")
        super().end_headers()

    def log_message(self, *_: object) -> None:
        """Log nothing."""


@contextmanager
def serve(songs: Path) -> Iterator[Files]:
    """Serve the songs in a folder and the site's scripts on a free port."""
    server = Files(("127.0.0.1", 0), partial(Handler, directory=str(songs)))
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
