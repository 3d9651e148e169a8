"""Remixes: each stem from a song and a moment of its own, and what their truths are."""

import numpy as np
import pytest
import soundfile

from detector.evaluate import SAMPLE_RATE, SEGMENT
from detector.training import remix
from ensemble.errors import InvalidOption

TONES = {"vocals": 300, "drums": 500, "bass": 700, "guitar": 900, "piano": 1100, "other": 1300}


@pytest.fixture
def songs(tmp_path):
    """A folder of a band and one of an orchestra, every kind of stem at a pitch of its own."""
    write(tmp_path / "bands" / "one", ["vocals", "drums", "bass", "guitar", "other"])
    write(tmp_path / "orchestras" / "two", ["drums", "other"])
    return [tmp_path / "bands", tmp_path / "orchestras"]


def write(folder, stems):
    folder.mkdir(parents=True)
    for stem in stems:
        tone = 0.1 * np.sin(2 * np.pi * TONES[stem] * np.arange(9 * SAMPLE_RATE) / SAMPLE_RATE)
        soundfile.write(folder / f"{stem}.flac", tone, SAMPLE_RATE)


def test_the_same_seed_gives_the_same_and_another_seed_others(songs):
    first, again, others = ([case.mixture for case in remix.cases(songs, 6, seed)] for seed in (0, 0, 1))
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(first, others, strict=True))


def test_stems_are_of_their_kind_and_sound(songs):
    found = list(remix.cases(songs, 40))
    assert {kind for case in found for kind in case.stems} == {"vocals", "drums", "bass", "guitar", "other"}
    for case in found:
        for kind, audio in case.stems.items():
            assert audio.shape == (2, SEGMENT)
            loudest = np.argmax(np.abs(np.fft.rfft(audio[0]))) * SAMPLE_RATE / SEGMENT
            assert loudest == pytest.approx(TONES[kind], abs=1)
            assert 20 * np.log10(np.sqrt(np.square(audio).mean())) == pytest.approx(
                remix.LEVEL_DB[kind], abs=4 * remix.SPREAD_DB
            )


def test_truths(songs):
    """A guitar may hide in the orchestra, but not in what is left of a band that has a stem for it; a piano in both."""
    for case in remix.cases(songs, 60):
        for kind in remix.ALWAYS_KNOWN:
            assert case.truth(kind) is not None or kind in case.stems
        if "other" not in case.stems:
            assert case.truth("piano") is False
        elif case.truth("other"):
            assert case.truth("piano") is None
    known = {case.truth("guitar") for case in remix.cases(songs[1:] + songs[:1], 60) if set(case.stems) == {"other"}}
    assert known == {None, False}


def test_a_stem_with_a_rest_in_it_is_heard_where_it_sounds(tmp_path):
    audio = np.zeros((60 * SAMPLE_RATE, 1))
    audio[: 30 * SAMPLE_RATE] = 0.1
    soundfile.write(tmp_path / "drums.flac", audio, SAMPLE_RATE)
    rng = np.random.default_rng(0)
    assert all(np.abs(remix.sounding(tmp_path / "drums.flac", rng)).max() > 0.01 for _ in range(10))


def test_folders_without_a_kind(songs):
    with pytest.raises(InvalidOption, match="No song has vocals or bass"):
        next(remix.cases(songs[1:], 1))


def test_silence_gives_nothing_and_ends(tmp_path):
    for kind in remix.ALWAYS_KNOWN:
        (tmp_path / kind).mkdir()
        soundfile.write(tmp_path / kind / f"{kind}.flac", np.zeros((SAMPLE_RATE, 1)), SAMPLE_RATE)
    assert list(remix.cases([tmp_path], 3)) == []
