"""NI Stems: five tracks that are what they say, in a file whose boxes hold together."""

import json
import struct

import av
import numpy as np
import pytest
from support.sounds import RATE, music

from ensemble.errors import InvalidOption
from pipeline.audio.decode import decode
from pipeline.audio.tags import Tags
from pipeline.exports import ni_stems
from pipeline.exports.song import Song
from pipeline.playback.segments import SEGMENT, Block, SegmentWriter

ORDER = ["drums", "bass", "other", "vocals"]
SAMPLES = SEGMENT + 777
TAGS = Tags("Night Drive", "Ada", "Roads", "1999", "3", "Rock")


def stems_of(names, level=0.3):
    return {name: level * music(11, seed=seed)[:, :SAMPLES] for seed, name in enumerate(names)}


def written(folder, stems, **options):
    with SegmentWriter(folder) as writer:
        writer.write(Block(0, SAMPLES, SAMPLES, stems))
        writer.close()
    target = folder / "song.stem.mp4"
    return target, ni_stems.write(Song.open(folder), target, TAGS, **options)


@pytest.fixture(scope="module")
def song(tmp_path_factory):
    """Six stems and what is left, which four tracks must hold."""
    stems = stems_of(["vocals", "drums", "bass", "guitar", "piano", "other", "residual"])
    progress = []
    target, lowered = written(tmp_path_factory.mktemp("song"), stems, on_progress=progress.append)
    return target, stems, lowered, progress


def track(path, number):
    """A track's samples, padding at its end left out."""
    with av.open(str(path)) as container:
        stream = container.streams.audio[number]
        assert stream.duration * stream.time_base * RATE == SAMPLES
        frames = [frame.to_ndarray() for frame in container.decode(stream)]
    return np.concatenate(frames, axis=1)[:, :SAMPLES]


def boxes(content):
    """Name and content of each box, which together must fill it."""
    at = 0
    while at < len(content):
        size, name = struct.unpack_from(">I4s", content, at)
        assert 8 <= size <= len(content) - at
        yield name.decode("latin-1"), content[at + 8 : at + size]
        at += size


def same(found, expected):
    return np.square(found - expected).sum() < 0.02 * np.square(expected).sum()


def test_every_track_is_its_stem_and_the_first_the_mix(song):
    path, stems, lowered, _ = song
    tracks = [track(path, number) for number in range(5)]
    assert lowered == 0
    assert same(tracks[0], sum(stems.values()))
    for name, found in zip(ORDER, tracks[1:], strict=True):
        assert same(found, sum(stems[part] for part in ("guitar", "piano", "other", "residual"))
                    if name == "other" else stems[name]), name  # fmt: skip
    assert same(sum(tracks[1:]), tracks[0])


def test_an_ordinary_player_hears_the_song_to_the_sample(song, tmp_path):
    path, stems, *_ = song
    *_, recording = decode(path, tmp_path / "raw.f32")
    assert recording.samples == SAMPLES and recording.tags == TAGS
    assert same(recording.read(0, SAMPLES), sum(stems.values()))


def test_the_box_names_the_stems(song):
    path, *_ = song
    top = dict(boxes(path.read_bytes()))
    assert [*top][-1] == "moov"
    box = json.loads(dict(boxes(dict(boxes(top["moov"]))["udta"]))["stem"])
    assert box["version"] == 1
    assert [stem["name"] for stem in box["stems"]] == ["Drums", "Bass", "Other", "Vocals"]
    assert all(len(stem["color"]) == 7 and int(stem["color"][1:], 16) for stem in box["stems"])
    assert not box["mastering_dsp"]["compressor"]["enabled"] and not box["mastering_dsp"]["limiter"]["enabled"]


def test_only_the_mix_is_switched_on(song):
    path, *_ = song
    moov = dict(boxes(path.read_bytes()))["moov"]
    headers = [dict(boxes(content))["tkhd"] for name, content in boxes(moov) if name == "trak"]
    assert [header[3] & 1 for header in headers] == [1, 0, 0, 0, 0]


def test_progress_is_reported_from_nothing_to_all(song):
    *_, progress = song
    assert progress == sorted(progress) and progress[0] > 0 and progress[-1] == 1


def test_what_would_clip_is_lowered_alike(tmp_path):
    stems = stems_of(ORDER, level=2)
    loudest = np.abs(sum(stems.values())).max()
    path, lowered = written(tmp_path, stems)
    assert lowered == pytest.approx(20 * np.log10(loudest), abs=0.01) and lowered > 3
    assert same(track(path, 0), sum(stems.values()) / loudest)
    assert same(track(path, 2), stems["bass"] / loudest)


@pytest.mark.parametrize("missing", ORDER)
def test_a_song_without_one_of_the_four_is_refused_in_words(missing, tmp_path):
    with pytest.raises(InvalidOption, match=f"no {missing}"):
        written(tmp_path, stems_of([name for name in ORDER if name != missing]))
    assert not (tmp_path / "song.stem.mp4").exists()


def test_a_folder_that_is_not_complete_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError):
        ni_stems.write(Song.open(tmp_path), tmp_path / "song.stem.mp4", TAGS)
