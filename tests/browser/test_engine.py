"""What the player's engine plays, asserted from rendered audio: songs as the worker leaves them, no site around."""

from collections.abc import Iterator

import numpy as np
import pytest
from browser.conftest import browser_context
from browser.offline import Player, Song, serve, write_song

from pipeline.audio import RATE

SECONDS = 32.5


@pytest.fixture(scope="module")
def songs(tmp_path_factory: pytest.TempPathFactory):
    return tmp_path_factory.mktemp("songs")


@pytest.fixture(scope="module")
def song(songs) -> Song:
    rng = np.random.default_rng(7)
    noise = rng.normal(0, 0.05, (3, 2, round(SECONDS * RATE))).astype(np.float32)
    time = np.arange(noise.shape[2]) / RATE
    tone = np.float32(0.2) * np.sin(2 * np.pi * 440 * time, dtype=np.float32)[None].repeat(2, 0)
    return write_song(songs / "short", dict(zip(["vocals", "drums", "bass", "other"], [*noise, tone], strict=True)))


@pytest.fixture(scope="module")
def player(songs) -> Iterator[Player]:
    with serve(songs) as server, browser_context() as context:
        page = context.new_page()
        page.goto(f"http://127.0.0.1:{server.server_address[1]}/")
        yield Player(page, server)


def decibels(difference, reference) -> float:
    """Energy of the difference relative to the reference."""
    return float(10 * np.log10(np.square(difference).sum() / np.square(reference).sum() + 1e-30))


def test_all_at_zero_is_the_song_to_the_sample(player, song):
    heard = player.play(song, 33)
    missed = heard.song(0, song.mixture.shape[1]) - song.mixture
    assert decibels(missed, song.mixture) < -90
