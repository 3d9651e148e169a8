"""What is found out about a file before it is decoded, and in a process that it cannot harm."""

import json
import subprocess
import sys

import av
import numpy as np
import pytest
from support.sounds import RATE, music

from ensemble.errors import InvalidAudio
from pipeline.audio.encode import Encoder, output_rate
from pipeline.audio.probe import probe
from pipeline.options import SOURCE


@pytest.fixture
def song(tmp_path):
    def write(format="wav", seconds=2.0):
        path = tmp_path / f"song.{format}"
        rate = output_rate(format, SOURCE, RATE)
        with Encoder(path, format, "16", rate=rate) as encoder:
            encoder.write(music(seconds * rate / RATE))
        return path

    return write


@pytest.mark.parametrize("format", ["wav", "flac", "mp3", "mp3-v0", "m4a", "opus"])
def test_the_length_is_read_without_decoding(song, format):
    assert probe(song(format), 10) == pytest.approx(2, abs=0.1)
    with pytest.raises(InvalidAudio, match="longer than 0:01"):
        probe(song(format), 1.5)


@pytest.mark.parametrize("format", ["wav", "flac", "mp3", "m4a", "opus"])
def test_less_than_a_second_is_refused(song, format):
    with pytest.raises(InvalidAudio, match="shorter than a second"):
        probe(song(format, 0.7), 10)


@pytest.mark.parametrize(("muxer", "codec", "quality"), [("adts", "aac", "118"), ("mp3", "libmp3lame", "0")])
def test_a_length_that_is_only_guessed_is_counted_before_a_song_is_refused_for_it(tmp_path, muxer, codec, quality):
    """Silence first, which takes few bits: by its bit rate the whole seems four times as long, or more."""
    audio = np.concatenate([np.zeros((2, 20 * RATE), np.float32), music(20)], axis=1)
    path = tmp_path / "song"
    with av.open(str(path), "w", format=muxer, options={"write_xing": "0"} if muxer == "mp3" else {}) as output:
        options = {"flags": "+qscale", "global_quality": quality}
        stream = output.add_stream(codec, rate=RATE, layout="stereo", options=options)
        stream.codec_context.format = "fltp"
        frame = av.AudioFrame.from_ndarray(audio, format="fltp", layout="stereo")
        frame.rate = RATE
        output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    assert probe(path, 60) > 120
    with pytest.raises(InvalidAudio, match="longer than 0:30"):
        probe(path, 30)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "empty"),
        (b"Dear diary, this is not music.\n" * 500, "not an audio file"),
        (bytes(range(256)) * 400, "audio"),
        (b"ffconcat version 1.0\nfile /etc/passwd\n", "not an audio file"),
    ],
)
def test_what_is_no_song_is_refused_in_words(tmp_path, content, message):
    (tmp_path / "song.mp3").write_bytes(content)
    with pytest.raises(InvalidAudio, match=message):
        probe(tmp_path / "song.mp3", 60)


def answer(path, seconds=60):
    command = [sys.executable, "-m", "pipeline.audio.probe", str(path), str(seconds)]
    return json.loads(subprocess.run(command, capture_output=True, check=True).stdout)


def test_a_process_of_its_own_answers_in_json(song, tmp_path):
    assert answer(song("flac")) == {"seconds": 2.0}
    (tmp_path / "empty.wav").touch()
    assert "empty" in answer(tmp_path / "empty.wav")["refused"]


LIMITS = """
import resource, sys
from pipeline.audio import probe
probe.probe = lambda *_: 1.0
probe.main("x", "1")
print([resource.getrlimit(limit)[0] for limit in (resource.RLIMIT_AS, resource.RLIMIT_CPU, resource.RLIMIT_CORE)])
print(any(name in sys.modules for name in ("numpy", "soxr", "onnxruntime")))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows limits no process this way")
def test_the_process_limits_itself_and_loads_little():
    shown = subprocess.run([sys.executable, "-c", LIMITS], capture_output=True, text=True, check=True).stdout
    assert shown.splitlines()[1:] == [f"[{2 * 2**30}, 10, 0]", "False"]


def test_no_file_is_said_to_lie_anywhere(tmp_path):
    with pytest.raises(InvalidAudio) as refusal:
        probe(tmp_path / "absent.wav", 60)
    assert "absent.wav" in refusal.value.message and str(tmp_path) not in refusal.value.message
