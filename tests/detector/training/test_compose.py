"""Composed songs: stems that lie where a trainer looks for them, the same for the same seed."""

import numpy as np
import pytest
import soundfile

from detector.training import compose
from detector.training.corpus import GAP, PLAYED, TAKE


@pytest.fixture
def fluidsynth(monkeypatch):
    """FluidSynth replaced by noise as long as the longest score would be. Returns what it was given."""
    given = []

    def rendered(score, soundfont, *options):
        given.append((score, soundfont, options))
        noise = np.random.default_rng(len(score)).normal(0, 0.1, (round(8 * (TAKE + GAP) * PLAYED), 2))
        return noise.astype(np.float32)

    monkeypatch.setattr(compose, "rendered", rendered)
    return given


def stems(folder):
    return {path.stem: soundfile.read(path)[0] for path in sorted(folder.iterdir())}


@pytest.mark.slow
def test_songs_are_written_once_and_the_same_seed_writes_the_same(fluidsynth, tmp_path):
    command = [str(tmp_path / "a"), "--soundfonts", "one.sf2", "two.sf2", "--songs", "2"]
    compose.main(command)
    assert {str(soundfont) for _, soundfont, _ in fluidsynth} == {"one.sf2", "two.sf2"}
    assert [path.name for path in sorted((tmp_path / "a").iterdir())] == ["0-0000", "0-0001"]
    found = stems(tmp_path / "a" / "0-0000")
    assert set(found) <= {"drums", "bass", "guitar", "piano", "other"}
    assert {len(audio) for audio in found.values()} == {round(TAKE * PLAYED) * compose.TAKES}
    assert np.abs(sum(found.values())).max() <= compose.PEAK + 1e-3
    count = len(fluidsynth)
    compose.main(command)
    assert len(fluidsynth) == count
    compose.main([str(tmp_path / "b"), *command[1:4], "--songs", "1"])
    again = stems(tmp_path / "b" / "0-0000")
    assert all(np.array_equal(found[name], again[name]) for name in found)


@pytest.mark.slow
def test_every_other_song_is_sung_if_there_are_voices(fluidsynth, tmp_path):
    (tmp_path / "voices").mkdir()
    voice = np.random.default_rng(0).normal(0, 0.1, 9 * PLAYED)
    soundfile.write(tmp_path / "voices" / "one.wav", voice, PLAYED)
    songs = ["--soundfonts", "one.sf2", "--songs", "2", "--voices", str(tmp_path / "voices")]
    compose.main([str(tmp_path / "a"), *songs])
    sung, played = (stems(tmp_path / "a" / name) for name in ("0-0000", "0-0001"))
    assert "vocals" not in played
    assert sung["vocals"].shape == (round(TAKE * PLAYED) * compose.TAKES, 2)
    takes = np.split(sung["vocals"], compose.TAKES)
    assert all(np.square(take).mean() > 1e-6 for take in takes)


def test_a_stem_is_silent_where_a_piece_has_not_got_it(tmp_path):
    sound = np.full((round(TAKE * PLAYED), 2), 0.5, np.float32)
    compose.write(tmp_path / "song", [{"drums": sound}, {"drums": sound, "bass": sound}])
    found = stems(tmp_path / "song")
    assert not found["bass"][: len(sound)].any()
    assert found["bass"][len(sound) :].all()
    assert found["drums"].all()
