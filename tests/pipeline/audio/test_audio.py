"""Every format in, every format out, and every kind of broken file."""

import itertools
import struct
import wave

import av
import numpy as np
import pytest
from support.sounds import RATE, music, read

from ensemble.errors import InvalidAudio
from pipeline import options
from pipeline.audio.decode import MINUS_3_DB, decode, native, to_stereo
from pipeline.audio.encode import Encoder, clips, coding, suffix


def decoded(source, tmp_path, **limits):
    *_, recording = decode(source, tmp_path / "raw.f32", **limits)
    return recording


def encode(path, audio, container, codec, rate=RATE, layout="stereo", format="fltp"):
    with av.open(str(path), "w", format=container) as output:
        stream = output.add_stream(codec, rate=rate, layout=layout)
        stream.codec_context.format = format
        if codec == "wmav2":
            stream.bit_rate = 128_000
        resampler = av.AudioResampler(format=format, layout=layout, rate=rate)
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(audio), format="fltp", layout=layout)
        frame.rate = rate
        for part in resampler.resample(frame):
            output.mux(stream.encode(part))
        output.mux(stream.encode(None))
    return path


FORMATS = {
    "song.wav": ("wav", "pcm_s16le", "s16"),
    "song.mp3": ("mp3", "libmp3lame", "fltp"),
    "song.flac": ("flac", "flac", "s16"),
    "song.opus": ("ogg", "libopus", "flt"),
    "song.ogg": ("ogg", "vorbis", "fltp"),
    "song.m4a": ("ipod", "aac", "fltp"),
    "song.aiff": ("aiff", "pcm_s16be", "s16"),
    "song.wma": ("asf", "wmav2", "fltp"),
    "film.mp4": ("mp4", "aac", "fltp"),
    "film.webm": ("webm", "libopus", "flt"),
}


@pytest.mark.parametrize("name", FORMATS)
def test_formats_that_people_bring(name, tmp_path):
    container, codec, format = FORMATS[name]
    audio = music(1.5)
    rate = 48_000 if codec == "libopus" else RATE
    if codec == "vorbis":
        source = tmp_path / name
        with av.open(str(source), "w", format="ogg") as output:
            stream = output.add_stream("vorbis", rate=RATE, layout="stereo", options={"strict": "experimental"})
            frame = av.AudioFrame.from_ndarray(audio, format="fltp", layout="stereo")
            frame.rate = RATE
            output.mux(stream.encode(frame))
            output.mux(stream.encode(None))
    else:
        source = encode(tmp_path / name, audio, container, codec, rate=rate, format=format)
    recording = decoded(source, tmp_path)
    expected = 1.5 * RATE * RATE / rate
    assert abs(recording.samples - expected) < 0.1 * RATE
    found = recording.read(0, recording.samples)
    spectrum = np.abs(np.fft.rfft(found[0]))
    loudest = np.fft.rfftfreq(recording.samples, 1 / RATE)[spectrum.argmax()]
    assert min(abs(loudest - f * RATE / rate) for f in (110, 220, 277.2, 329.6)) < 40
    assert not recording.warnings


@pytest.mark.parametrize("rate", [6000, 22_050, 48_000, 96_000, 192_000])
def test_any_rate_becomes_44100_without_moving_or_fading(rate, tmp_path):
    t = np.arange(rate) / rate
    tone = 0.5 * np.sin(2 * np.pi * 440 * t).astype(np.float32)
    recording = decoded(
        encode(tmp_path / "tone.wav", np.stack([tone, tone]), "wav", "pcm_f32le", rate, format="flt"), tmp_path
    )
    assert recording.samples == RATE
    expected = 0.5 * np.sin(2 * np.pi * 440 * np.arange(RATE) / RATE)
    inside = slice(2000, -2000)
    np.testing.assert_allclose(recording.read(0, RATE)[0, inside], expected[inside], atol=1e-3)


def test_channels_become_stereo_by_the_stated_rule():
    unit = np.eye(8, dtype=np.float32)
    np.testing.assert_array_equal(to_stereo(unit[:1, :1], ["FC"]), [[1], [1]])
    surround = to_stereo(unit, ["FL", "FR", "FC", "LFE", "BL", "BR", "SL", "SR"])
    c = np.float32(MINUS_3_DB)
    np.testing.assert_allclose(surround, [[1, 0, c, 0, c, 0, c, 0], [0, 1, c, 0, 0, c, 0, c]])
    unknown = to_stereo(unit[:4, :4], ["A", "B", "C", "D"])
    np.testing.assert_array_equal(unknown, [[1, 0, 1, 0], [0, 1, 0, 1]])


@pytest.mark.parametrize(("layout", "count"), [("mono", 1), ("quad", 4), ("5.1", 6)])
def test_files_of_many_channels(layout, count, tmp_path):
    recording = decoded(
        encode(tmp_path / "song.wav", music(0.5, channels=count), "wav", "pcm_s16le", layout=layout, format="s16"),
        tmp_path,
    )
    assert recording.samples == RATE // 2 and recording.energy > 0


def test_reading_outside_the_song_gives_silence(tmp_path):
    audio = music(0.1)
    with Encoder(tmp_path / "song.wav", "wav", "float") as encoder:
        encoder.write(audio)
    recording = decoded(tmp_path / "song.wav", tmp_path)
    window = recording.read(-100, recording.samples + 50)
    np.testing.assert_array_equal(window[:, 100:-50], audio)
    assert not window[:, :100].any() and not window[:, -50:].any()
    assert not recording.read(10**6, 10**6 + 5).any()


@pytest.mark.parametrize(
    ("format", "bits", "step"),
    [
        ("wav", "16", 2**-15),
        ("wav", "24", 2**-23),
        ("wav", "float", 1e-12),
        ("flac", "16", 2**-15),
        ("flac", "24", 2**-23),
    ],
)
def test_lossless_formats_keep_every_sample(format, bits, step, tmp_path):
    audio = music(1.2)
    with Encoder(tmp_path / f"out.{format}", format, bits) as encoder:
        for block in np.array_split(audio, 7, axis=1):
            encoder.write(block)
    found = read(tmp_path / f"out.{format}")
    assert found.shape == audio.shape
    assert np.abs(found - audio).max() <= 0.51 * step


def test_float_keeps_what_is_above_full_scale_and_the_others_say_that_they_clip(tmp_path):
    loud = 3 * np.ones((2, 500), np.float32)
    with Encoder(tmp_path / "out.wav", "wav", "float") as encoder:
        encoder.write(loud)
    np.testing.assert_array_equal(read(tmp_path / "out.wav"), loud)
    assert not clips("wav", "float")
    assert all(
        clips(*pair) for pair in [("wav", "16"), ("wav", "24"), ("flac", "float"), ("mp3", "float"), ("opus", "24")]
    )


LOSSY = {"mp3": "mp3", "mp3-v0": "mp3", "m4a": "aac", "opus": "opus"}
RATES = [(format, rate) for format in LOSSY for rate in coding(format, "float").rates]


@pytest.mark.parametrize("samples", [2 * RATE, 2 * RATE + 77, 40 * 1024 + 1, 1000])
@pytest.mark.parametrize(("format", "rate"), RATES)
def test_lossy_formats_give_back_every_sample_at_its_place(format, rate, samples, tmp_path):
    """A codec's delay and padding are marked in the file: no gap before a song, and stems stay together."""
    audio = 2 * music(3)[:, :samples]
    with Encoder(tmp_path / "out", format, "24", rate=rate) as encoder:
        for block in np.array_split(audio, 3, axis=1):
            encoder.write(block)
    assert not decoded(tmp_path / "out", tmp_path).warnings
    found = np.concatenate(list(native(tmp_path / "out")), axis=1)
    assert found.shape[1] == samples
    if samples > RATE:
        shifts = range(-3, 4)
        assert max(shifts, key=lambda shift: float(np.sum(np.roll(audio, shift, axis=1) * found))) == 0
        assert np.square(found - audio).sum() < 0.02 * np.square(audio).sum()


@pytest.mark.parametrize(("format", "rate"), RATES)
def test_lossy_formats_are_what_their_names_say(format, rate, tmp_path):
    with Encoder(tmp_path / "out", format, "16", rate=rate) as encoder:
        encoder.write(music(3))
    with av.open(str(tmp_path / "out")) as container:
        stream = container.streams.audio[0]
        assert stream.codec_context.name.startswith(LOSSY[format]) and stream.rate == rate and stream.channels == 2
        sizes = {packet.size for packet in container.demux(stream) if packet.size}
    assert (max(sizes) - min(sizes) <= 1) == (format == "mp3")  # the one of a constant rate


def test_files_are_named_by_what_they_hold():
    assert {format: suffix(format) for format in options.FORMATS} == {
        "wav": "wav", "flac": "flac", "mp3": "mp3", "mp3-v0": "mp3", "m4a": "m4a", "opus": "opus",
    }  # fmt: skip


def wav_header(data_bytes, rate=RATE):
    fmt = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 2, rate, rate * 4, 4, 16)
    return b"RIFF" + struct.pack("<I", 36 + data_bytes) + b"WAVE" + fmt + b"data" + struct.pack("<I", data_bytes)


def refused(path, tmp_path, **limits):
    with pytest.raises(InvalidAudio) as refusal:
        decoded(path, tmp_path, **limits)
    assert refusal.value.permanent
    return refusal.value.message


def test_files_that_are_no_songs(tmp_path):
    song = tmp_path / "song.mp3"
    song.write_bytes(b"")
    assert "empty" in refused(song, tmp_path)
    song.write_text("Dear diary, this is not music.\n" * 500)
    assert "not an audio file" in refused(song, tmp_path)
    song.write_bytes(wav_header(0))
    assert "no sound" in refused(song, tmp_path)
    song.write_bytes(bytes(range(256)) * 400)
    assert "audio" in refused(song, tmp_path)


def test_pictures_and_silent_films(tmp_path):
    for name, container, codec, pixels in [
        ("a.png", "image2", "png", "rgb24"),
        ("b.mp4", "mp4", "mpeg4", "yuv420p"),
        ("c.ogv", "ogg", "libvpx", "yuv420p"),
    ]:
        with av.open(str(tmp_path / name), "w", format=container) as output:
            stream = output.add_stream(codec, rate=25)
            stream.width, stream.height, stream.pix_fmt = 64, 64, pixels
            frame = av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), format="rgb24")
            for part in itertools.chain(stream.encode(frame), stream.encode(None)):
                output.mux(part)
        assert "audio" in refused(tmp_path / name, tmp_path)


def test_a_playlist_cannot_read_other_files(tmp_path):
    """An upload must not make the server open what it names."""
    encode(tmp_path / "secret.mp3", music(1), "mp3", "libmp3lame")
    for name, text in [
        ("list.mp3", f"ffconcat version 1.0\nfile {tmp_path}/secret.mp3\n"),
        ("list.m3u8", f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nfile://{tmp_path}/secret.mp3\n#EXT-X-ENDLIST\n"),
    ]:
        (tmp_path / name).write_text(text)
        assert "not an audio file" in refused(tmp_path / name, tmp_path)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_samples_that_are_no_numbers(value, tmp_path):
    audio = music(3)
    audio[1, 2 * RATE + 5] = value
    with Encoder(tmp_path / "song.wav", "wav", "float") as encoder:
        encoder.write(audio)
    message = refused(tmp_path / "song.wav", tmp_path)
    assert "0:02" in message and "export" in message


def test_a_header_that_claims_ten_hours(tmp_path):
    samples = (music(2) * 30_000).astype("<i2").T.tobytes()
    song = tmp_path / "song.wav"
    song.write_bytes(wav_header(10 * 3600 * 22_050 * 4, rate=22_050) + samples)
    recording = decoded(song, tmp_path, max_seconds=60)
    assert recording.samples == 4 * RATE
    assert any("incomplete" in warning for warning in recording.warnings)


@pytest.mark.parametrize("name", ["song.mp3", "song.flac", "song.m4a"])
def test_truncated_files_are_used_as_far_as_they_go_or_refused_in_words(name, tmp_path):
    container, codec, format = FORMATS[name]
    song = encode(tmp_path / name, music(20), container, codec, format=format)
    song.write_bytes(song.read_bytes()[: song.stat().st_size // 2])
    if name == "song.m4a":  # its index stood at the end
        assert "incomplete" in refused(song, tmp_path)
        return
    recording = decoded(song, tmp_path)
    assert 5 * RATE < recording.samples < 15 * RATE
    assert any("incomplete" in warning for warning in recording.warnings)


def test_damage_in_the_middle_is_left_out(tmp_path):
    song = encode(tmp_path / "song.mp3", music(10), "mp3", "libmp3lame")
    content = bytearray(song.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 3000] = b"\xff" * 3000
    song.write_bytes(content)
    assert decoded(song, tmp_path).samples > 8 * RATE


def test_too_long_is_refused_while_decoding(tmp_path):
    song = tmp_path / "song.wav"
    with wave.open(str(song), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(bytes(2 * 8000 * 65))
    assert "longer than 1:00" in refused(song, tmp_path, max_seconds=60)
    assert (tmp_path / "raw.f32").stat().st_size < 63 * RATE * 8
