"""The player's engine without the site: assertions on rendered audio of songs as the worker writes them."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from browser.conftest import browser_context
from support.offline import LEAD, LOOKAHEAD, Player, Song, serve, write_song
from support.sounds import read

from pipeline.audio.recording import SAMPLE_RATE
from pipeline.exports.limiter import limited
from pipeline.exports.mix import Lane, Mix, panning, render
from pipeline.exports.song import Song as SeparatedSong

if TYPE_CHECKING:
    from playwright.sync_api import Route

TESTS = Path(__file__).parent.parent
SECONDS = 32.5
LONG = 125
NAMES = ["vocals", "drums", "bass", "other"]
RAMP = 0.02  # seconds within which a change is heard
NOW = LEAD + LOOKAHEAD  # frames until the song's first is heard


@pytest.fixture(scope="module")
def songs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("songs")


@pytest.fixture(scope="module")
def song(songs: Path) -> Song:
    """A song of three stems of noise that never repeats, and a tone."""
    noise = np.random.default_rng(7).normal(0, 0.05, (3, 2, round(SECONDS * SAMPLE_RATE))).astype(np.float32)
    tone = np.float32(0.2) * np.sin(2 * np.pi * 440 * np.arange(noise.shape[2]) / SAMPLE_RATE).astype(np.float32)
    return write_song(songs / "short", dict(zip(NAMES, [*noise, np.stack([tone, tone])], strict=True)))


@pytest.fixture(scope="module")
def server(songs: Path) -> Iterator[Any]:
    with serve(songs) as files:
        yield files


@pytest.fixture(scope="module")
def player(server: Any) -> Iterator[Player]:
    with browser_context() as context:
        page = context.new_page()
        page.goto(f"http://127.0.0.1:{server.server_address[1]}/")
        yield Player(page, server)


def db(difference: np.ndarray, reference: np.ndarray) -> float:
    """Energy of a difference relative to the reference, dB."""
    return float(
        10 * np.log10(np.square(difference, dtype=float).sum() / np.square(reference, dtype=float).sum() + 1e-30)
    )


def frames(start: float, stop: float) -> slice:
    return slice(round(start * SAMPLE_RATE), round(stop * SAMPLE_RATE))


def pitch(wave: np.ndarray) -> float:
    """Frequency of a tone, Hz."""
    spectrum = np.abs(np.fft.rfft(wave * np.hanning(wave.size), 4 * wave.size))
    return float(np.argmax(spectrum) * SAMPLE_RATE / spectrum.size / 2)


def test_all_at_zero_is_the_song_to_the_sample(player: Player, song: Song) -> None:
    rendering = player.play(song, 33)
    assert db(rendering.song(0, song.mixture.shape[1]) - song.mixture, song.mixture) < -90


def test_two_minutes_and_more_drift_by_no_sample(player: Player, songs: Path) -> None:
    """Each stem is located in the rendering, ten seconds apart, exactly where it is in its file."""
    noise = np.random.default_rng(8).normal(0, 0.05, (2, 2, LONG * SAMPLE_RATE)).astype(np.float32)
    song = write_song(songs / "long", {"vocals": noise[0], "drums": noise[1]})
    rendering = player.play(song, LONG + 1).song(0, LONG * SAMPLE_RATE)
    for stem in song.stems.values():
        for start in range(SAMPLE_RATE, (LONG - 1) * SAMPLE_RATE, 10 * SAMPLE_RATE):
            part = rendering[0, start - 50 : start + 8192 + 50].astype(float)
            likeness = np.correlate(part, stem[0, start : start + 8192].astype(float), "valid")
            assert np.argmax(likeness) == 50
    assert db(rendering - song.mixture, song.mixture) < -90


@pytest.mark.parametrize(
    ("actions", "gains"),
    [
        ([("setLane", "drums", {"mute": True})], {"drums": 0}),
        ([("setSolo", "bass", True), ("setSolo", "vocals", True)], {"drums": 0, "other": 0}),
        ([("setSolo", "bass", True), ("setSolo", "vocals", True, True)], {"drums": 0, "other": 0, "bass": 0}),
        ([("setSolo", "bass", True), ("setLane", "bass", {"mute": True})], dict.fromkeys(NAMES, 0)),
        ([("setLane", "vocals", {"db": -20}), ("setLane", "bass", {"db": 6})], {"vocals": 0.1, "bass": 10**0.3}),
        ([("setMaster", -6)], dict.fromkeys(NAMES, 10**-0.3)),
    ],
)
def test_what_is_moved_before_play_is_heard_from_the_first_sample(
    player: Player, song: Song, actions: list[tuple[Any, ...]], gains: dict[str, float]
) -> None:
    rendering = player.play(song, 3, *((0, *action) for action in actions)).song(0, 2 * SAMPLE_RATE)
    expected = sum(gains.get(name, 1) * stem[:, : 2 * SAMPLE_RATE] for name, stem in song.stems.items())
    assert db(rendering - expected, song.mixture[:, : 2 * SAMPLE_RATE]) < -90


def test_mute_is_heard_within_20_ms_and_does_not_click(player: Player, song: Song) -> None:
    begin = [(0, "setSolo", "other", True)]
    rendering = player.play(song, 4, *begin, (2, "setLane", "other", {"mute": True})).audio
    assert np.abs(rendering[:, frames(2 + RAMP, 4)]).max() < 0.02 * 0.2
    steepest = np.abs(np.diff(rendering[:, frames(1, 1.5)])).max()
    assert np.abs(np.diff(rendering[:, frames(1.9, 2.1)])).max() < 1.5 * steepest


def test_pan_is_the_law(player: Player, song: Song) -> None:
    """Uses the last of the vectors that the server's exports are tested against, one pan after another."""
    lanes = json.loads((TESTS / "vectors/mix.json").read_text())[-1]
    pans = [lane["pan"] for lane in lanes["lanes"]]
    moves = [(second, "setLane", "drums", {"pan": value}) for second, value in enumerate(pans)]
    rendering = player.play(song, len(pans) + 1, (0, "setSolo", "drums", True), *moves)
    for second, matrix in enumerate(lanes["panning"]):
        a, b = second * SAMPLE_RATE + SAMPLE_RATE // 2, (second + 1) * SAMPLE_RATE - SAMPLE_RATE // 10
        expected = np.array(matrix) @ song.stems["drums"][:, a:b]
        assert db(rendering.song(a, b) - expected, expected) < -80


def test_the_gain_law_and_the_limiter_are_the_servers(player: Player) -> None:
    found = player.page.evaluate(
        """async (vectors) => {
          const { laneGains } = await import('/static/webapp/audio/mix-law.js');
          return vectors.map(({ lanes }) => laneGains(lanes.map((lane) => ({ ...lane, db: lane.db ?? -Infinity }))));
        }""",
        vectors := json.loads((TESTS / "vectors/mix.json").read_text()),
    )
    for gains, vector in zip(found, vectors, strict=True):
        assert gains == pytest.approx(vector["gains"], abs=1e-12)


@pytest.mark.parametrize("size", [128, 1000, 30_000])
def test_the_limiter_is_the_servers_in_blocks_of_any_size(player: Player, size: int) -> None:
    vector = json.loads((TESTS / "vectors/limiter.json").read_text())
    rendering = player.page.evaluate(
        """async ([{ input, output }, size]) => {
          const { Limiter } = await import('/static/webapp/audio/nodes/limiter.js');
          const channel = (side) => Float32Array.from(input.flatMap((part) => Array(part[0]).fill(part[side])));
          const [sound, limiter] = [[channel(1), channel(2)], new Limiter(44100)];
          const rendering = sound.map(({ length }) => new Float32Array(length));
          for (let start = 0; start < sound[0].length; start += size) {
            const block = (channels) => channels.map((each) => each.subarray(start, start + size));
            limiter.process(block(sound), block(rendering), true);
          }
          return output.map(([frame]) => [frame, rendering[0][frame], rendering[1][frame]]);
        }""",
        [vector, size],
    )
    np.testing.assert_allclose(rendering, vector["output"], atol=1e-6)


def test_the_limiter_holds_the_ceiling_can_be_seen_and_switched_off(player: Player, song: Song) -> None:
    loud = [(0, "setLane", name, {"db": 6}) for name in NAMES] + [(0, "setMaster", 6)]
    rendering = player.play(song, 5, *loud)
    bare = player.play(song, 5, *loud, (0, "setLimiter", False))
    assert np.abs(rendering.audio).max() <= 1 + 1e-6
    assert np.abs(bare.audio).max() > 1.5
    assert rendering.at(4)["levels"]["reduction"] > 1
    assert bare.at(4)["levels"]["reduction"] == 0
    assert rendering.at(4)["latency"] == bare.at(4)["latency"] == pytest.approx(LOOKAHEAD / SAMPLE_RATE)
    expected = np.concatenate(list(limited([bare.song(0, 4 * SAMPLE_RATE)], SAMPLE_RATE)), axis=1)
    assert db(rendering.song(0, 3 * SAMPLE_RATE) - expected[:, : 3 * SAMPLE_RATE], expected) < -80


def test_the_exported_mix_is_what_is_heard(player: Player, song: Song, tmp_path: Path) -> None:
    """Null test of an exported file against the browser's rendering, with gain, pan, mute, master and limiter."""
    lanes = [Lane("vocals", 6, pan=-0.4), Lane("drums", mute=True), Lane("bass", -3.5, pan=0.9), Lane("other", 5.5)]
    render(SeparatedSong.open(song.folder), Mix(lanes, master_db=6, limiter=True), tmp_path / "mix.wav", "wav", "float")
    moves = [(0, "setLane", lane.name, {"db": lane.db, "pan": lane.pan, "mute": lane.mute}) for lane in lanes]
    rendering = player.play(song, 33, *moves, (0, "setMaster", 6))
    written = read(tmp_path / "mix.wav")
    assert written.shape == song.mixture.shape
    assert rendering.at(4)["levels"]["reduction"] > 1
    assert db(rendering.song(0, written.shape[1]) - written, written) < -80


def test_a_seek_goes_on_exactly_there_after_a_fade(player: Player, song: Song) -> None:
    rendering = player.play(song, 6, (2, "seek", 21.25))
    begin = rendering.cut(2)
    faded = round(RAMP * SAMPLE_RATE)
    expected = song.mixture[:, round(21.25 * SAMPLE_RATE) + faded :][:, : 3 * SAMPLE_RATE]
    assert db(rendering.audio[:, begin + faded : begin + faded + 3 * SAMPLE_RATE] - expected, expected) < -90
    assert np.abs(rendering.audio[:, begin - 400 : begin]).max() < 1e-6
    assert rendering.at(4)["position"] == pytest.approx(
        21.25 + rendering.at(4)["now"] - begin / SAMPLE_RATE, abs=2 / SAMPLE_RATE
    )


@pytest.mark.parametrize(("start", "end"), [(1, 1.5), (9.25, 11), (2, 2.3)])
def test_a_loop_is_seamless_to_the_sample(player: Player, song: Song, start: float, end: float) -> None:
    rendering = player.play(song, end + 9, (0, "setLoop", start, end))
    a, b = round(start * SAMPLE_RATE), round(end * SAMPLE_RATE)
    expected = np.concatenate([song.mixture[:, :b], *[song.mixture[:, a:b]] * 18], axis=1)[:, : b + 8 * SAMPLE_RATE]
    assert db(rendering.song(0, expected.shape[1]) - expected, expected) < -90


def test_a_loop_is_set_and_left_while_it_plays(player: Player, song: Song) -> None:
    rendering = player.play(song, 9, (2, "setLoop", 1, 3), (6.5, "setLoop", None))
    mixture, second = song.mixture, SAMPLE_RATE
    expected = np.concatenate([mixture[:, : 3 * second], mixture[:, second : 3 * second], mixture[:, second:]], axis=1)
    assert db(rendering.song(0, 8 * SAMPLE_RATE) - expected[:, : 8 * SAMPLE_RATE], expected) < -90
    assert rendering.at(8)["position"] == pytest.approx(
        rendering.at(8)["now"] - 4 - NOW / SAMPLE_RATE, abs=2 / SAMPLE_RATE
    )


@pytest.mark.parametrize(("tempo", "semitones"), [(0.8, 0), (1, 3), (1.5, -4), (2, 0)])
def test_tempo_and_pitch_are_independent(player: Player, song: Song, tempo: float, semitones: float) -> None:
    shape = [(0, "setTempo", tempo), (0, "setPitch", semitones), (0, "setSolo", "other", True)]
    rendering = player.play(song, 9, *shape)
    assert pitch(rendering.audio[0, frames(2, 8)]) == pytest.approx(440 * 2 ** (semitones / 12), rel=0.005)
    note = rendering.at(8)
    assert note["latency"] > 0.05
    assert note["position"] == pytest.approx((note["now"] - LEAD / SAMPLE_RATE - note["latency"]) * tempo, abs=0.0001)


def test_a_tempo_is_in_time_with_the_position(player: Player, songs: Path) -> None:
    """A burst sounds exactly at its position."""
    burst = np.zeros((2, 12 * SAMPLE_RATE), np.float32)
    burst[:, 6 * SAMPLE_RATE : 6 * SAMPLE_RATE + 2000] = np.random.default_rng(4).normal(0, 0.2, 2000)
    song = write_song(songs / "burst", {"other": burst})
    rendering = player.play(song, 10, (0, "setTempo", 0.8), (4, "pause"))
    fresh = player.play(song, 10, (0, "setTempo", 0.8))
    energy = np.square(fresh.audio[0].astype(float))
    centre = float((energy * np.arange(energy.size)).sum() / energy.sum()) / SAMPLE_RATE
    at = fresh.at(8)
    assert at["position"] - 0.8 * (at["now"] - centre) == pytest.approx(6 + 1000 / SAMPLE_RATE, abs=0.02)
    assert np.abs(rendering.audio[:, frames(4.1, 10)]).max() < 1e-4


def test_tempo_changes_while_it_plays_and_back_at_1_it_is_exact_again(player: Player, song: Song) -> None:
    rendering = player.play(song, 12, (2, "setTempo", 0.8), (4, "setTempo", 1.25), (6, "setTempo", 1))
    settled = rendering.at(8)
    place, now = (round(settled[name] * SAMPLE_RATE) for name in ("position", "now"))
    expected = song.mixture[:, place : place + 2 * SAMPLE_RATE]
    assert db(rendering.audio[:, now : now + 2 * SAMPLE_RATE] - expected, expected) < -80
    assert np.sqrt(np.square(rendering.audio[:, frames(4.5, 5.5)]).mean()) > 0.05


def test_what_is_not_separated_is_the_original_and_the_stems_take_over(player: Player, song: Song) -> None:
    """Original and stems have the same signal at the same position, so the change is inaudible."""
    begin = [(0, "setAvailable", 2, song.segments), (0, "play")]
    rendering = player.render(song, 31, *begin, (16, "setAvailable", song.segments, song.segments))
    assert [rendering.at(time)["sounding"] for time in (4, 12, 20)] == ["stems", "original", "stems"]
    assert rendering.at(20)["levels"]["lanes"]["drums"]["rms"] == pytest.approx(0.05, rel=0.1)
    assert rendering.at(12)["levels"]["lanes"]["drums"]["rms"] < 1e-5
    assert db(rendering.song(0, 30 * SAMPLE_RATE) - song.mixture[:, : 30 * SAMPLE_RATE], song.mixture) < -60


@pytest.fixture(scope="module")
def drafted(songs: Path, song: Song) -> Song:
    """The same song with a draft, whose stems bleed into one another and lack one."""
    vocals, drums, bass, other = (song.stems[name] for name in NAMES)
    stems = {"vocals": vocals + 0.3 * drums + 0.5 * other, "drums": 0.7 * drums + bass, "other": 0.5 * other}
    return Song(song.folder, song.stems, write_song(songs / "draft", stems))


def test_the_draft_is_heard_until_the_stems_take_over_and_nothing_is_lost(player: Player, drafted: Song) -> None:
    """Two segments of stems, then the draft. Stems that arrive during the draft replace it."""
    begin = [(0, "setAvailable", 2, 7, 7), (0, "play")]
    rendering = player.render(drafted, 31, *begin, (16, "setAvailable", 7, 7, 0))
    assert [rendering.at(time)["sounding"] for time in (4, 12, 20)] == ["stems", "draft", "stems"]
    levels = rendering.at(12)["levels"]["lanes"]
    assert levels["bass"]["rms"] < 1e-5 < 0.05 < levels["drums"]["rms"]
    song = drafted.mixture[:, : 30 * SAMPLE_RATE]
    assert db(rendering.song(0, 30 * SAMPLE_RATE) - song, song) < -60
    assert max(note["buffers"] for note in rendering.snapshots) <= 5 * (4 + 3) + 4


def test_a_lane_fades_from_its_draft_in_time_and_without_a_click(player: Player, drafted: Song) -> None:
    """The change happens within a segment; the tone is half as loud in the draft."""
    alone = [(0, "setAvailable", 0, 7, 7), (0, "setSolo", "other", True), (0, "play")]
    rendering = player.render(drafted, 9, *alone, (7, "setAvailable", 7, 7, 7))
    assert [rendering.at(time)["sounding"] for time in (0, 4, 8)] == ["draft", "draft", "stems"]
    tone, cut = drafted.stems["other"], rendering.cut(7) - NOW
    before, after = (
        (SAMPLE_RATE // 10, cut - 1),
        (cut + round(RAMP * SAMPLE_RATE), 8 * SAMPLE_RATE),
    )  # it begins with a fade, too
    assert db(rendering.song(*before) - 0.5 * tone[:, slice(*before)], tone[:, slice(*before)]) < -80
    assert db(rendering.song(*after) - tone[:, slice(*after)], tone[:, slice(*after)]) < -60
    steepest = np.abs(np.diff(rendering.song(*after))).max()
    assert np.abs(np.diff(rendering.song(cut - SAMPLE_RATE, 8 * SAMPLE_RATE))).max() < 1.1 * steepest
    loudness = [
        np.abs(rendering.song(start, start + 441)).max()
        for start in range(cut - SAMPLE_RATE, 8 * SAMPLE_RATE - 441, 441)
    ]
    assert min(loudness) > 0.095


def test_a_song_without_stems_yet_plays_its_original_and_gets_them(player: Player, song: Song) -> None:
    bare = Song(song.folder, {})
    spec = song.described()
    stems = spec["stems"]
    object.__setattr__(bare, "described", lambda: spec | {"stems": []})
    actions = [(0, "setAvailable", 0, 7), (0, "play"), (4, "setStems", stems), (4, "setAvailable", 7, 7)]
    rendering = player.render(bare, 9, *actions, (6, "setLane", "drums", {"mute": True}))
    assert [rendering.at(time)["sounding"] for time in (0, 8)] == ["original", "stems"]
    begun = song.mixture[:, frames(0.1, 5)]  # it begins with the fade over to the original
    assert db(rendering.song(*(round(t * SAMPLE_RATE) for t in (0.1, 5))) - begun, begun) < -60
    without = (song.mixture - song.stems["drums"])[:, 7 * SAMPLE_RATE : 8 * SAMPLE_RATE]
    assert db(rendering.song(7 * SAMPLE_RATE, 8 * SAMPLE_RATE) - without, without) < -80


def test_the_original_is_as_loud_as_the_mix_and_changes_without_a_gap(player: Player, song: Song) -> None:
    quiet = [(0, "setLane", name, {"db": -6}) for name in NAMES] + [(0, "setLane", "drums", {"db": -60})]
    energies = {name: float(np.square(stem).sum()) for name, stem in song.stems.items()}
    rendering = player.play(
        song, 9, *quiet, (0, "setEnergies", energies), (3, "setOriginal", True), (6, "setOriginal", False)
    )
    assert [rendering.at(time)["sounding"] for time in (0, 4, 8)] == ["stems", "original", "stems"]
    mix = sum((10**-3 if name == "drums" else 10**-0.3) * stem for name, stem in song.stems.items())
    for a, b, expected in ((1, 2.9, mix), (7, 8, mix)):
        assert (
            db(
                rendering.song(*(round(t * SAMPLE_RATE) for t in (a, b))) - expected[:, frames(a, b)],
                expected[:, frames(a, b)],
            )
            < -80
        )
    original = rendering.song(4 * SAMPLE_RATE, 5 * SAMPLE_RATE)
    gain = np.vdot(original, song.mixture[:, frames(4, 5)]) / np.square(song.mixture[:, frames(4, 5)]).sum()
    assert db(original - gain * song.mixture[:, frames(4, 5)], original) < -60
    assert db(original, mix[:, frames(4, 5)]) == pytest.approx(0, abs=0.3)
    loudness = np.sqrt(
        np.convolve(np.square(rendering.song(2 * SAMPLE_RATE, 7 * SAMPLE_RATE)[0]), np.ones(1000) / 1000, "valid")
    )
    assert loudness.min() > 0.5 * np.median(loudness)


def test_an_original_that_does_not_come_stops_no_stem(player: Player, song: Song) -> None:
    player.page.route("**/original/*", lambda route: route.abort())
    expected = song.mixture[:, : 5 * SAMPLE_RATE]
    try:
        rendering = player.play(song, 6, (2, "setOriginal", True), (2.5, "setOriginal", False))
    finally:
        player.page.unroute("**/original/*")
    assert db(rendering.song(0, 5 * SAMPLE_RATE) - expected, expected) < -90
    assert rendering.at(4)["sounding"] == "stems"


def test_without_a_secure_address_it_plays_all_the_same(player: Player, server: Any, song: Song) -> None:
    """There browsers have no AudioWorklet: no limiter, tempo or pitch, and the engine reports that."""

    def answer(route: "Route") -> None:
        url = route.request.url.replace("http://studio.test", f"http://127.0.0.1:{server.server_address[1]}")
        route.fulfill(response=route.fetch(url=url))

    page = player.page.context.new_page()
    page.route("http://studio.test/**", answer)
    page.goto("http://studio.test/")
    assert page.evaluate("window.isSecureContext") is False
    rendering = Player(page, server).play(song, 4, (0, "setTempo", 0.8), (0, "setPitch", 3))
    page.close()
    expected = song.mixture[:, : 3 * SAMPLE_RATE]
    assert db(rendering.audio[:, LEAD : LEAD + 3 * SAMPLE_RATE] - expected, expected) < -90
    assert rendering.at(0)["latency"] == 0
    assert rendering.at(0)["can"] is False


def test_levels_are_those_of_what_sounds(player: Player, song: Song) -> None:
    rendering = player.play(song, 5, (0, "setLane", "other", {"db": -6, "pan": -1}), (0, "setSolo", "other", True))
    levels = rendering.at(4)["levels"]
    both_sides = 2 * 10**-0.3 * 0.2  # all of it on the left
    assert levels["lanes"]["other"]["peak"] == pytest.approx(both_sides, rel=0.01)
    assert levels["lanes"]["other"]["rms"] == pytest.approx(both_sides / 2, rel=0.02)
    assert levels["lanes"]["vocals"] == {"rms": pytest.approx(0, abs=1e-6), "peak": pytest.approx(0, abs=1e-6)}
    assert levels["master"]["peak"] == pytest.approx(both_sides, rel=0.01)


def test_the_law_of_pan_keeps_the_middle_as_it_is() -> None:
    np.testing.assert_array_equal(panning(0), np.eye(2))
