"""Loops, with assertions on rendered audio: the loop repeats whatever is done in whatever order."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from browser.conftest import browser_context
from support.offline import LEAD, LOOKAHEAD, Player, Rendering, Song, serve, write_song

from pipeline.audio.recording import SAMPLE_RATE

SECONDS = 14.0
LATE = (LEAD + LOOKAHEAD) / SAMPLE_RATE  # seconds from a jump to its first frame, while the position stands still
NEAR = 0.003  # seconds: times are those of blocks of 128 frames
SHORTEST = 0.1  # seconds of a loop; they begin and end on a millisecond
STEPS = (0.0, 0.43, 0.97, 1.68, 2.31)  # seconds at which actions come: no two are equally far apart
LOOKS = (3.4, 4.9)  # seconds at which is looked what plays
WINDOW = SAMPLE_RATE // 40

PLAY, IN, OUT, LOOP = ("play",), ("loopFromHere",), ("loopToHere",), ("toggleLoop",)
AHEAD, BACK, DRAG = ("seek", 9.0), ("seek", 0.5), ("setLoop", 2.0, 2.9)
Action = tuple[Any, ...]


@pytest.fixture(scope="module")
def songs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("songs")


@pytest.fixture(scope="module")
def song(songs: Path) -> Song:
    """A song of noise, so that every moment is unique."""
    noise = np.random.default_rng(3).normal(0, 0.05, (2, round(SECONDS * SAMPLE_RATE))).astype(np.float32)
    return write_song(songs / "noise", {"other": noise})


@pytest.fixture(scope="module")
def player(songs: Path) -> Iterator[Player]:
    with serve(songs) as server, browser_context() as context:
        page = context.new_page()
        page.goto(f"http://127.0.0.1:{server.server_address[1]}/")
        yield Player(page, server)


@dataclass
class Expected:
    """Models the expected position, without an engine."""

    playing: bool = False
    place: float = 0.0
    since: float = 0.0  # when that place was, or will be, heard
    jumped: bool = False  # there, rather than played up to it
    loop: tuple[float, float] | None = None
    last: tuple[float, float] | None = None

    def at(self, time: float) -> float:
        if not self.playing or (self.jumped and time < self.since):
            return self.place
        place = self.place + time - self.since
        if self.loop and self.place < self.loop[1] <= place:
            start, end = self.loop
            return start + (place - end) % (end - start)
        return min(place, SECONDS)

    def act(self, time: float, name: str, *values: Any) -> None:
        place = self.at(time)
        match name, values:
            case "play", ():
                if not self.playing:
                    self.go(time, self.entered(place))
                self.playing = True
            case "stop", ():
                self.playing, self.place = False, 0.0
            case "seek", (seconds,):
                self.go(time, seconds)
            case "setLoop", (None,):
                self.set(time, None)
            case "setLoop", span:
                self.set(time, span)
            case "toggleLoop", ():
                self.set(time, None if self.loop else self.last or (0.0, SECONDS))
                self.place = self.entered(self.place)
            case "loopFromHere", ():
                self.set(time, (place, self.loop[1] if self.loop and self.loop[1] > place else SECONDS))
            case "loopToHere", () if place > 0:
                self.set(time, (self.loop[0] if self.loop and self.loop[0] < place else 0.0, place))

    def set(self, time: float, loop: tuple[float, float] | None) -> None:
        if loop:
            start, end = (round(place, 3) for place in loop)
            if start >= end:
                return
            loop = start, max(end, start + SHORTEST)
        if self.playing:  # what is about to sound cannot be changed any more
            self.place, self.since, self.jumped = self.at(time + LATE), time + LATE, False
        self.loop, self.last = loop, loop or self.last
        if self.playing and self.entered(self.place) != self.place:
            self.go(time, self.entered(self.place))

    def go(self, time: float, place: float) -> None:
        self.place, self.since, self.jumped = place, time + LATE, True

    def entered(self, place: float) -> float:
        """Positions behind the loop move to its start."""
        return self.loop[0] if self.loop and place > self.loop[1] - NEAR else place


def rendered(player: Player, song: Song, actions: list[tuple[float, Action]], looks: list[float]) -> Rendering:
    begin = (0, "setAvailable", song.segments, song.segments)
    looking = [(time, "update") for time in looks]
    return player.render(song, max(looks) + 0.5, begin, *((time, *action) for time, action in actions), *looking)


def played(rendering: Rendering, song: Song, time: float, loop: tuple[float, float] | None) -> float:
    """The position at that time, after asserting that exactly that part sounds."""
    note = rendering.at(time)
    now, place = (round(note[name] * SAMPLE_RATE) for name in ("now", "position"))
    start, stop = place - WINDOW, place
    if loop and start < loop[0] * SAMPLE_RATE < stop:
        start = round(loop[0] * SAMPLE_RATE) + 1
    sound = rendering.audio[:, now - (stop - start) : now]
    if note["state"] == "playing" and start > 0:
        np.testing.assert_allclose(sound, song.mixture[:, start:stop], atol=1e-3)
    elif note["state"] != "playing":
        assert np.abs(sound).max() < 1e-6
    return float(note["position"])


@pytest.mark.parametrize("other", [AHEAD, BACK, DRAG])
def test_every_order_of_play_in_out_loop_and_another(player: Player, song: Song, other: Action) -> None:
    """Runs them in one rendering, each starting paused at the beginning without a loop."""
    actions: list[tuple[float, Action]] = []
    looks: list[float] = []
    orders = list(permutations([PLAY, IN, OUT, LOOP, other]))
    for begin, order in zip(range(0, 5 * len(orders), 5), orders, strict=True):
        actions += [(begin, ("stop",)), (begin, ("setLoop", None))]
        actions += [(begin + step, action) for step, action in zip(STEPS, order, strict=True)]
        looks += [begin + look for look in LOOKS]
    rendering = rendered(player, song, actions, looks)
    model = Expected()
    for moment, action in sorted(actions + [(look, ()) for look in looks], key=lambda each: each[0]):
        now = rendering.at(moment)["now"]
        if action:
            model.act(now, *action)
        else:
            order = orders[int(moment // 5)]
            assert played(rendering, song, moment, model.loop) == pytest.approx(model.at(now), abs=NEAR), order


IN_AND_OUT = [(1.0, IN), (1.9, OUT)]
EVERYWHERE = (2.5, 3.4, 4.6, 5.0)  # seconds


def stays_in_loop(rendering: Rendering, tempo: float = 1.0) -> None:
    """Assert that the loop of IN_AND_OUT plays."""
    start, end = (rendering.at(time)["now"] * tempo for time in (1.0, 1.9))
    for time in EVERYWHERE:
        note = rendering.at(time)
        assert note["state"] == "playing"
        assert start - 0.3 < note["position"] < end
        assert (
            np.sqrt(np.square(rendering.audio[:, round((time - 0.1) * SAMPLE_RATE) : round(time * SAMPLE_RATE)]).mean())
            > 0.02
        )


@pytest.mark.parametrize(("tempo", "pitch"), [(0.8, 0), (1.5, 0), (1, -3)])
def test_a_loop_set_while_it_plays_at_another_tempo_or_pitch(
    player: Player, song: Song, tempo: float, pitch: float
) -> None:
    shape = [(0.0, ("setTempo", tempo)), (0.0, ("setPitch", pitch)), (0.0, PLAY)]
    rendering = rendered(player, song, [*shape, *IN_AND_OUT], [*EVERYWHERE])
    stays_in_loop(rendering, tempo)
    assert rendering.at(5.0)["latency"] > 0.05


def test_a_loop_set_while_the_original_sounds(player: Player, song: Song) -> None:
    first = [(0, "setAvailable", 0, song.segments), (0, "play")]
    look = [(time, "update") for time in EVERYWHERE]
    rendering = player.render(song, 5.5, *first, *((time, *action) for time, action in IN_AND_OUT), *look)
    assert {rendering.at(time)["sounding"] for time in EVERYWHERE} == {"original"}
    stays_in_loop(rendering)


def test_a_loop_set_while_the_draft_sounds(player: Player, song: Song, songs: Path) -> None:
    drafted = Song(song.folder, song.stems, write_song(songs / "draft", song.stems))
    first = [(0, "setAvailable", 0, 0, song.segments), (0, "play")]
    look = [(time, "update") for time in EVERYWHERE]
    rendering = player.render(drafted, 5.5, *first, *((time, *action) for time, action in IN_AND_OUT), *look)
    assert {rendering.at(time)["sounding"] for time in EVERYWHERE} == {"draft"}
    stays_in_loop(rendering)


def test_a_loop_set_while_it_waits_for_more_of_the_song_plays_on_in_the_loop(player: Player, song: Song) -> None:
    """Only one segment is available, and the loop ends there."""
    actions = [
        (0, "setAvailable", 1),
        (0, "play"),
        (3, "loopFromHere"),
        (6, "loopToHere"),
        (7, "update"),
        (9, "update"),
    ]
    rendering = player.render(song, 9.5, *actions)
    assert rendering.at(4)["position"] == pytest.approx(4 - LATE, abs=NEAR)
    assert [rendering.at(time)["state"] for time in (6, 7, 9)] == ["playing"] * 3
    assert 3.5 < rendering.at(7)["position"] < 4.2


def test_a_loop_plays_although_what_follows_it_is_not_there(player: Player, song: Song) -> None:
    actions = [(0, "setAvailable", 1), (0, "setLoop", 4, 4.95), (0, "seek", 4.6), (0, "play"), (2, "update")]
    rendering = player.render(song, 3, *actions)
    assert rendering.at(2)["state"] == "playing"
    assert played(rendering, song, 2, (4, 4.95)) == pytest.approx(4 + (0.6 + 2 - LATE) % 0.95, abs=NEAR)


def test_play_pressed_behind_the_loop_begins_at_its_start(player: Player, song: Song) -> None:
    """This includes the end of the song."""
    actions = [
        (0, "setAvailable", 3), (0, "setLoop", 2, 4), (0, "seek", 6), (0, "play"),
        (1, "seek", 13.5), (1.25, "update"), (2, "play"), (2.5, "update"),
    ]  # fmt: skip
    rendering = player.render(song, 3, *actions)
    assert rendering.at(0)["position"] == 2
    assert played(rendering, song, 1.25, None) == pytest.approx(13.75 - LATE, abs=NEAR)
    assert rendering.at(2)["position"] == 2
    assert played(rendering, song, 2.5, None) == pytest.approx(2.5 - LATE, abs=NEAR)


def test_a_seek_leads_out_of_the_loop_and_nothing_but_the_loop_or_play_back(player: Player, song: Song) -> None:
    """As in studio software, a click behind the loop plays from there."""
    actions = [
        (0, "setAvailable", 3, 3), (0, "setLoop", 1, 2), (0, "play"), (0.5, "seek", 6), (1, "setOriginal", True),
        (1.5, "setTempo", 1.2), (2, "setTempo", 1), (3, "update"), (4, "setLoop", 1, 2.5), (4.5, "update"),
    ]  # fmt: skip
    rendering = player.render(song, 5, *actions)
    assert 8 < played(rendering, song, 3, None) < 8.7
    assert rendering.at(4)["position"] == 1
    assert played(rendering, song, 4.5, None) == pytest.approx(1.5 - LATE, abs=NEAR)


def test_a_seek_to_the_end_ends_the_song(player: Player, songs: Path) -> None:
    """This includes a song of whole segments, after which no segment starts."""
    noise = np.random.default_rng(4).normal(0, 0.05, (2, 5 * SAMPLE_RATE)).astype(np.float32)
    song = write_song(songs / "five", {"other": noise})
    rendering = player.play(song, 2, (0.5, "seek", 5), (1, "update"))
    assert rendering.at(1)["state"] == "ended"
