"""The picture of a stem: a sine is where it belongs in time, pitch and level, whatever the song's length."""

import numpy as np
import pytest

from pipeline.playback import spectrogram
from pipeline.playback.segments import Block, SegmentWriter
from pipeline.playback.spectrogram import BANDS, HIGHEST, LOWEST, MOST_COLUMNS, cached, columns

RATE = 44_100
CENTRES = np.sqrt(np.geomspace(LOWEST, HIGHEST, BANDS + 1)[:-1] * np.geomspace(LOWEST, HIGHEST, BANDS + 1)[1:])


def picture(directory, audio):
    """Write one stem and look at it: (columns, BANDS) in dB below full scale."""
    total = audio.shape[1]
    with SegmentWriter(directory) as writer:
        writer.write(Block(0, total, total, {"vocals": audio.astype(np.float32)}))
        writer.close()
    seen = np.frombuffer(cached(directory, "vocals").read_bytes(), np.uint8).reshape(-1, BANDS)
    assert len(seen) == columns(total) <= MOST_COLUMNS
    return (seen / 255 - 1) * -spectrogram.FLOOR_DB


def tone(frequency, seconds, db=0.0):
    wave = 10 ** (db / 20) * np.sin(2 * np.pi * frequency * np.arange(round(seconds * RATE)) / RATE)
    return np.stack([wave, wave])


@pytest.mark.parametrize("frequency", [60.0, 440.0, 3000.0, 15_000.0])
@pytest.mark.parametrize("db", [0.0, -30.0])
def test_a_tone_is_seen_at_its_pitch_and_level(tmp_path, frequency, db):
    seen = picture(tmp_path, tone(frequency, 3, db))[10:-10]
    brightest = CENTRES[seen.argmax(axis=1)]
    assert np.abs(np.log2(brightest / frequency)).max() < 0.15  # octaves
    np.testing.assert_allclose(seen.max(axis=1), db, atol=1.6)  # a window loses up to 1.4 dB between two bins


def test_it_is_dark_elsewhere(tmp_path):
    seen = picture(tmp_path, tone(1000.0, 3))[10:-10]
    assert seen[:, np.abs(np.log2(CENTRES / 1000)) > 1].max() < -80
    assert (picture(tmp_path / "silence", np.zeros((2, RATE))) == -90).all()


def test_sound_is_seen_when_it_is_heard_also_across_a_join(tmp_path):
    """Half a second of tone from 9.75 s on: segments join at 5, 10 and 15 s."""
    audio = np.zeros((2, 20 * RATE))
    audio[:, round(9.75 * RATE) : round(10.25 * RATE)] = tone(440.0, 0.5)
    seen = picture(tmp_path, audio).max(axis=1)
    times = (np.arange(len(seen)) + 0.5) * spectrogram.SHORTEST_COLUMN / RATE
    assert seen[(times > 9.85) & (times < 10.15)].min() > -3
    assert seen[(times < 9.6) | (times > 10.4)].max() == -90


def test_a_long_song_is_drawn_in_wider_columns_without_a_gap(tmp_path, monkeypatch):
    """Columns wider than a window, and a click in each of some places: all are seen."""
    monkeypatch.setattr(spectrogram, "MOST_COLUMNS", 20)
    audio = np.zeros((2, 10 * RATE + 77))
    clicks = np.arange(1, 20) * RATE // 2
    audio[:, clicks] = 1.0
    seen = picture(tmp_path, audio).max(axis=1)
    assert len(seen) == 20
    assert (seen[clicks * 20 // audio.shape[1]] > -80).all()


@pytest.mark.parametrize("samples", [1, 1000, 44_100, 441_000, 441_001])
def test_any_length_has_a_picture(tmp_path, samples):
    assert len(picture(tmp_path, np.full((2, samples), 0.1))) == -(-samples // spectrogram.SHORTEST_COLUMN)


def test_it_is_made_once(tmp_path, monkeypatch):
    picture(tmp_path, tone(440.0, 1))
    monkeypatch.delattr(spectrogram, "spectrogram")
    assert cached(tmp_path, "vocals").stat().st_size == columns(RATE) * BANDS


def test_an_unknown_stem_is_not_found(tmp_path):
    picture(tmp_path, tone(440.0, 1))
    with pytest.raises(FileNotFoundError):
        cached(tmp_path, "kazoo")
