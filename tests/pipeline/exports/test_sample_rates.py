"""Files at the song's own sample rate, which together are the song to what 44.1 kHz can't hold."""

from dataclasses import replace

import numpy as np
import pytest
from support.sounds import RATE, read

from pipeline.audio.decode import decode, native
from pipeline.audio.encode import Encoder, output_rate
from pipeline.audio.recording import Recording
from pipeline.audio.resampling import Resampler, StreamReader, carrier, frames_at, remainder, resampled, silence
from pipeline.audio.tags import Tags
from pipeline.exports import mix, ni_stems, stem_files
from pipeline.exports.mix import Lane, Mix
from pipeline.exports.song import Song
from pipeline.exports.stem_files import Form
from pipeline.options import SOURCE, Options
from pipeline.playback.segments import Block, SegmentWriter, gain_of
from pipeline.spool import Files, Spool

SECONDS = 11.3
SPLIT = {"vocals": 0.5, "drums": 0.3, "other": 0.2}  # what each stem has of the noise that the song is
TAGS = Tags("Song")


def noise(rate, seconds=SECONDS, level=0.4):
    """Sound up to the very end of the band, (2, n)."""
    return np.random.default_rng(rate).uniform(-level, level, (2, round(seconds * rate))).astype(np.float32)


def upload(folder, rate, audio):
    path = folder / f"{rate}.wav"
    with Encoder(path, "wav", "float", rate=rate) as encoder:
        encoder.write(audio)
    return path


def recorded(folder, rate, audio):
    *_, recording = decode(upload(folder, rate, audio), folder / "mixture.f32")
    return recording


def null_db(parts, whole):
    missed = sum(part.astype(np.float64) for part in parts) - whole
    return 10 * np.log10(np.square(missed).sum() / np.square(whole, dtype=np.float64).sum())


@pytest.fixture(params=[48_000, 96_000, 22_050, 47_999], scope="module")
def song(request, tmp_path_factory):
    """(its recording, its own sound, a folder of segments) of a song at some rate, and stems that are shares of it."""
    rate = request.param
    audio = noise(rate)
    place = tmp_path_factory.mktemp("song")
    recording = recorded(place, rate, audio)
    mixture = recording.read(0, recording.samples)
    parts = {name: mixture * np.float32(share) for name, share in SPLIT.items()}
    parts["other"] = mixture - parts["vocals"] - parts["drums"]
    folder = place / "segments"
    with SegmentWriter(folder) as writer:
        gain = gain_of(recording.peak)
        writer.write(Block(0, recording.samples, recording.samples, parts, gain=gain, source=recording.origin))
        writer.close()
    return recording, audio, folder


def opened(song, sample_rate=SOURCE, format="wav"):
    recording, _, folder = song
    return Song.open(folder, recording.source, format, sample_rate)


@pytest.mark.parametrize("format, asked, source, rate", [
    ("wav", SOURCE, 48_000, 48_000), ("wav", SOURCE, 8000, 8000), ("wav", "44100", 48_000, 44_100),
    ("flac", SOURCE, 192_000, 192_000), ("flac", "96000", 44_100, 96_000), ("flac", SOURCE, 768_000, 48_000),
    ("mp3", SOURCE, 44_100, 44_100), ("mp3", SOURCE, 48_000, 48_000), ("mp3", SOURCE, 96_000, 48_000),
    ("mp3", SOURCE, 88_200, 44_100), ("mp3-v0", SOURCE, 22_050, 44_100), ("m4a", SOURCE, 192_000, 48_000),
    ("m4a", SOURCE, 8000, 48_000), ("opus", SOURCE, 44_100, 48_000), ("opus", "44100", 44_100, 48_000),
])  # fmt: skip
def test_a_file_has_the_songs_own_rate_or_the_nearest_its_format_can_have(format, asked, source, rate, tmp_path):
    assert output_rate(format, asked, source) == rate
    with Encoder(tmp_path / "file", format, "24", rate=rate) as encoder:
        encoder.write(noise(rate, 0.5))
    assert sum(block.shape[1] for block in native(tmp_path / "file")) == round(0.5 * rate)


def test_worker_files_add_up_to_the_song_at_its_own_rate(song, tmp_path):
    recording, audio, _ = song
    spool = Spool(tmp_path)
    with spool:
        mixture = recording.read(0, recording.samples)
        spool.write({"drums": mixture * np.float32(0.3), "other": mixture * np.float32(0.7)})
    files = Files(spool, {"drums": ["drums"], "other": ["other"]}, recording.source_rate, recording)
    written = files.encode(tmp_path, Options(), tags=TAGS, gain=1.0, on_file=lambda _: None)
    sounds = [read(path) for path in written.values()]
    assert {sound.shape for sound in sounds} == {audio.shape}
    assert null_db(sounds, audio) < -120


def test_exported_stems_add_up_to_the_song_at_its_own_rate(song, tmp_path):
    """Segments keep 24 bits."""
    _, audio, _ = song
    sounds = []
    for name in SPLIT:
        stem_files.write(opened(song), name, tmp_path / "stem.wav", Form("wav", "float", TAGS))
        sounds.append(read(tmp_path / "stem.wav"))
    assert null_db(sounds, audio) < -100
    if audio.shape[1] > SECONDS * RATE:  # without what 44.1 kHz can't hold it is far from that
        without = [np.concatenate(list(replace(opened(song), upload=None).mixed(name)), axis=1) for name in SPLIT]
        assert null_db(without, audio) > -20


@pytest.mark.parametrize(("start", "end"), [(0.0, None), (0.0, 0.4), (1.7, 3.1), (5.0, 10.0), (10.123456, None)])
def test_a_mix_and_any_part_of_it_is_the_song_at_its_own_rate(song, start, end, tmp_path):
    recording, audio, _ = song
    lanes = [Lane(name) for name in SPLIT]
    mix.render(opened(song), Mix(lanes, start=start, end=end), tmp_path / "mix.wav", "wav", "float")
    rate = recording.source_rate
    expected = audio[:, round(start * rate) : None if end is None else round(end * rate)]
    found = read(tmp_path / "mix.wav")
    assert found.shape == expected.shape
    assert null_db([found], expected) < -100


def test_faders_and_pans_act_on_what_only_the_own_rate_holds_too(song, tmp_path):
    _, audio, _ = song
    lanes = [Lane(name, -6.0, pan=1.0) for name in SPLIT]
    mix.render(opened(song), Mix(lanes), tmp_path / "mix.wav", "wav", "float")
    expected = 10 ** (-6 / 20) * audio.sum(axis=0)
    found = read(tmp_path / "mix.wav")
    assert np.abs(found[0]).max() < 1e-6
    assert null_db([found[1]], expected) < -100


def test_without_the_lane_that_carries_it_nothing_above_is_heard(song, tmp_path):
    recording, *_ = song
    if recording.source_rate < RATE:
        pytest.skip("44.1 kHz holds all of this song")
    mix.render(opened(song), Mix([Lane("vocals")]), tmp_path / "mix.wav", "wav", "float")
    found = read(tmp_path / "mix.wav")[0]
    power = np.abs(np.fft.rfft(found * np.hanning(found.size))) ** 2
    above = np.fft.rfftfreq(found.size, 1 / recording.source_rate) > 22_500
    assert power[above].sum() < 1e-9 * power.sum()


def test_another_rate_than_the_songs_own_can_be_asked_for(song, tmp_path):
    recording, audio, _ = song
    for rate in (44_100, 48_000):
        mixed = mix.render(
            opened(song, str(rate)), Mix([Lane(name) for name in SPLIT]), tmp_path / "mix.wav", "wav", "float"
        )
        found = read(tmp_path / "mix.wav")
        direct = StreamReader(resampled([audio], recording.source_rate, rate)).read(found.shape[1])
        assert mixed == 0 and found.shape[1] == frames_at(rate, *recording.origin)
        assert null_db([found], direct) < -90


@pytest.mark.parametrize(("tempo", "limiter"), [(0.8, False), (1.0, True)])
def test_tempo_and_limiter_work_at_the_songs_own_rate(song, tempo, limiter, tmp_path):
    _, audio, _ = song
    louder = Mix([Lane(name, 6.0) for name in SPLIT], tempo=tempo, limiter=limiter, master_db=6.0)
    mix.render(opened(song), louder, tmp_path / "mix.wav", "wav", "float")
    found = read(tmp_path / "mix.wav")
    assert found.shape[1] == round(audio.shape[1] / tempo)
    assert (np.abs(found).max() <= 1 + 1e-6) == limiter


def test_dj_files_are_at_a_rate_that_decks_play(song, tmp_path):
    recording, _, folder = song
    quartet = Song.open(folder, recording.source, "m4a", SOURCE)
    with pytest.raises(Exception, match="no bass"):
        ni_stems.write(quartet, tmp_path / "song.stem.mp4", TAGS)
    assert quartet.rate in (44_100, 48_000)


class TestTheReader:
    def test_takes_blocks_of_any_length_and_then_silence(self):
        sound = noise(1000, 3)
        reader = StreamReader(np.array_split(sound, 7, axis=1))
        taken = [reader.read(count) for count in (0, 1, 999, 1500, 800)]
        assert [part.shape[1] for part in taken] == [0, 1, 999, 1500, 800]
        np.testing.assert_array_equal(np.concatenate(taken, axis=1), np.pad(sound, ((0, 0), (0, 300))))

    def test_skips(self):
        sound = noise(1000, 200)
        reader = StreamReader([sound])
        reader.skip(150_001)
        np.testing.assert_array_equal(reader.read(10), sound[:, 150_001:150_011])


@pytest.mark.parametrize("rate", [4000, 44_100, 48_000, 192_000])
@pytest.mark.parametrize("size", [100_000, 999])
def test_resampling_is_linear_and_the_same_in_blocks_of_any_size(rate, size):
    sound = noise(RATE, 2.37)
    parts = [sound * np.float32(0.3), sound - sound * np.float32(0.3)]
    blocks = [sound[:, start : start + size] for start in range(0, sound.shape[1], size)]
    whole = np.concatenate(list(resampled(blocks, RATE, rate)), axis=1)
    apart = [np.concatenate(list(resampled([part], RATE, rate)), axis=1) for part in parts]
    assert abs(whole.shape[1] - frames_at(rate, sound.shape[1], RATE)) <= 1
    assert null_db(apart, whole) < -120


@pytest.mark.parametrize("seconds", [0, 0.0001, 1, 3.3])
def test_what_is_lost_is_what_the_way_there_and_back_leaves_out(seconds):
    """A slow reference: the whole song at once."""
    sound = noise(96_000, seconds)
    back = Resampler(RATE, 96_000)(Resampler(96_000, RATE)(sound, last=True), last=True)
    lost = np.concatenate([silence(0), *remainder(np.array_split(sound, 3, axis=1), 96_000, 96_000)], axis=1)
    count = min(back.shape[1], sound.shape[1], lost.shape[1])
    assert abs(count - sound.shape[1]) <= 2
    np.testing.assert_allclose(lost[:, :count], sound[:, :count] - back[:, :count], atol=1e-6)


def test_the_residual_carries_it_where_there_is_one():
    assert carrier(["vocals", "other"]) == "other"
    assert carrier(["vocals", "other", "residual"]) == "residual"


def test_a_recording_that_was_never_a_file_is_as_it_is(tmp_path):
    recording = Recording(tmp_path / "mixture.f32", samples=1000)
    assert recording.origin == (1000, RATE)
