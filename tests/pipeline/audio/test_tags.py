"""Tags and covers: what goes in comes out, and a strange picture spoils nothing."""

import io
from dataclasses import replace

import av
import numpy as np
import pytest
from support.sounds import RATE, music

from pipeline.audio.decode import decode
from pipeline.audio.encode import Encoder, output_rate
from pipeline.audio.tags import LARGEST, LONGEST, Tags, cover_type, read
from pipeline.options import FORMATS, SOURCE

SAMPLES = 2 * RATE
TEXTS = Tags("Ünïcode “Song” 🎸", "Ada & Sons", "Roads", "1999", "3/12", "Rock")


def image(codec, size=(48, 32)):
    """A picture file of noise."""
    target = io.BytesIO()
    with av.open(target, "w", format="image2pipe") as output:
        stream = output.add_stream(codec, rate=1)
        stream.width, stream.height, stream.pix_fmt = *size, "rgb24" if codec == "png" else "yuvj420p"
        pixels = np.random.default_rng(0).integers(0, 255, (size[1], size[0], 3), np.uint8)
        output.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        output.mux(stream.encode(None))
    return target.getvalue()


@pytest.fixture(params=["mjpeg", "png"])
def tagged(request):
    return replace(
        TEXTS, cover=image(request.param), cover_type={"mjpeg": "image/jpeg"}.get(request.param, "image/png")
    )


def written(path, tags, format):
    with Encoder(path, format, "24", tags, output_rate(format, SOURCE, RATE)) as encoder:
        encoder.write(music(2))
    return path


def uploaded(path, tmp_path):
    *_, recording = decode(path, tmp_path / "raw.f32")
    return recording


@pytest.mark.parametrize("format", ["flac", "mp3", "mp3-v0", "m4a", "opus"])
def test_texts_and_cover_come_back(format, tagged, tmp_path):
    recording = uploaded(written(tmp_path / f"song.{format}", tagged, format), tmp_path)
    assert recording.tags == tagged
    assert recording.source_samples == SAMPLES and not recording.warnings


def test_a_wav_holds_the_texts(tagged, tmp_path):
    recording = uploaded(written(tmp_path / "song.wav", tagged, "wav"), tmp_path)
    assert recording.tags == TEXTS and recording.samples == SAMPLES


@pytest.mark.parametrize("format", FORMATS)
def test_a_song_without_tags_has_none(format, tmp_path):
    assert uploaded(written(tmp_path / f"song.{format}", None, format), tmp_path).tags == Tags()


def test_texts_become_one_short_line(tmp_path):
    strange = Tags("  two\nlines\tand\x07 a bell  ", "x" * 1000)
    found = uploaded(written(tmp_path / "song.flac", strange, "flac"), tmp_path).tags
    assert found == Tags("two lines and a bell", "x" * LONGEST)


def test_only_real_pictures_of_sensible_size_are_covers():
    picture = image("png")
    assert cover_type(picture) == "image/png" and cover_type(image("mjpeg")) == "image/jpeg"
    assert cover_type(picture + bytes(LARGEST)) == ""
    for wrong in [b"", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n" + bytes(100), b"GIF89a" + bytes(100), b"<svg/>"]:
        assert cover_type(wrong) == ""


def test_a_picture_that_is_none_is_left_out_and_the_song_stays(tmp_path):
    """An attached picture of another kind, as old files have them."""
    song = tmp_path / "song.mp3"
    with av.open(str(song), "w", format="mp3") as output:
        sound = output.add_stream("libmp3lame", rate=RATE, layout="stereo")
        picture = output.add_stream("bmp", rate=1)
        picture.width = picture.height = 16
        picture.pix_fmt = "bgr24"
        picture.disposition = av.stream.Disposition.attached_pic
        output.mux(picture.encode(av.VideoFrame(16, 16, "bgr24")))
        frame = av.AudioFrame.from_ndarray(music(2), format="fltp", layout="stereo")
        frame.rate = RATE
        output.mux(sound.encode(frame))
        output.mux(sound.encode(None))
    recording = uploaded(song, tmp_path)
    assert recording.tags == Tags() and recording.samples == SAMPLES


def test_a_film_is_no_cover(tmp_path):
    """Its first frame is not what its makers chose to stand for it."""
    song = tmp_path / "film.mp4"
    with av.open(str(song), "w", format="mp4") as output:
        sound = output.add_stream("aac", rate=RATE, layout="stereo")
        film = output.add_stream("mjpeg", rate=25)
        film.width = film.height = 64
        film.pix_fmt = "yuvj420p"
        output.mux(film.encode(av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), format="rgb24")))
        frame = av.AudioFrame.from_ndarray(music(2), format="fltp", layout="stereo")
        frame.rate = RATE
        for part in [*film.encode(None), *sound.encode(frame), *sound.encode(None)]:
            output.mux(part)
    with av.open(str(song)) as container:
        assert read(container) == Tags()


def test_a_version_is_named_behind_the_title():
    assert TEXTS.version("drums") == replace(TEXTS, title="Ünïcode “Song” 🎸 (drums)")
