"""Files of 1 to 64 channels in every container that can be written here. Read in a child: what fails may kill it."""

import json
import subprocess
import sys
import wave

import av
import numpy as np
import pytest
from support.sounds import RATE, read

from ensemble import registry
from ensemble.errors import InvalidAudio
from pipeline.audio.decode import decode

SECONDS = 0.25
LAYOUTS = {
    1: "mono", 2: "stereo", 3: "3.0", 4: "quad", 5: "5.0", 6: "5.1", 7: "6.1", 8: "7.1", 10: "5.1.4", 12: "7.1.4",
    14: "9.1.4",
}  # fmt: skip
FEW = (*range(1, 9), 12, 16)
CONTAINERS = {  # muxer, codec, sample format, channel counts
    "wav": ("wav", "pcm_s24le", "s32", range(1, 17)),
    "w64": ("w64", "pcm_f32le", "flt", (8, 16, 24, 64)),
    "flac": ("flac", "flac", "s16", range(1, 9)),
    "opus": ("ogg", "libopus", "flt", (1, 2, 3, 4, 6, 8)),
    "m4a": ("ipod", "aac", "fltp", range(1, 9)),
    "mka": ("matroska", "pcm_s24le", "s32", FEW),
    "mov": ("mov", "pcm_s16le", "s16", FEW),
    "caf": ("caf", "pcm_s24be", "s32", FEW),
    "wv": ("wv", "wavpack", "fltp", FEW[:-1]),
    "aiff": ("aiff", "pcm_s24be", "s32", FEW),
}
DECODE = """
import json, sys
from pathlib import Path
from pipeline.audio.decode import decode
for path in map(Path, sys.argv[1:]):
    *_, recording = decode(path, path.with_name(path.name + ".f32"))
    print(json.dumps([path.name, recording.samples, recording.warnings]), flush=True)
"""


def tones(count, seconds=SECONDS):
    """A tone of its own on each channel, (count, samples)."""
    t = np.arange(int(seconds * RATE)) / RATE
    return np.stack([0.04 * np.sin(2 * np.pi * 40 * (index + 6) * t) for index in range(count)]).astype(np.float32)


def layout(count):
    return LAYOUTS.get(count, f"{count} channels")


def write(path, layout, container, codec, format, seconds=SECONDS):
    """Returns the names of the channels' places."""
    rate = 48_000 if codec == "libopus" else RATE
    places = [channel.name for channel in av.AudioLayout(layout).channels]
    with av.open(str(path), "w", format=container) as output:
        stream = output.add_stream(codec, rate=rate, layout=layout)
        stream.codec_context.format = format
        audio = np.ascontiguousarray(tones(len(places), seconds).T).reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(audio, format="flt", layout=layout)
        frame.rate = RATE
        resampler = av.AudioResampler(format=format, layout=layout, rate=rate)
        for part in [*resampler.resample(frame), *resampler.resample(None)]:
            output.mux(stream.encode(part))
        output.mux(stream.encode(None))
    return places


def gains(places):
    """What the rule at the top of pipeline/audio/decode.py says, (2, channels)."""
    if len(places) <= 2:
        return np.ones((2, 1)) if len(places) == 1 else np.eye(2)
    columns = []
    for index, place in enumerate(places):
        side = {"L": (1, 0), "R": (0, 1), "C": (1, 1)}
        if place.startswith("LFE"):
            columns.append((0, 0))
        elif place == "NONE":
            columns.append(side["LR"[index % 2]])
        elif place in {"FL", "FR", "FLC", "FRC"}:
            columns.append(side[place[1]])
        else:
            columns.append(tuple(np.sqrt(0.5) * gain for gain in side[place[-1]]))
    return np.transpose(columns)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("channels")
    places = {}
    for suffix, (muxer, codec, format, counts) in CONTAINERS.items():
        for count in counts:
            name = f"{count}.{suffix}"
            places[name] = write(folder / name, layout(count), muxer, codec, format)
            if (suffix == "mka" and count > 2) or name == "7.m4a":  # they keep the number of channels alone
                places[name] = ["NONE"] * count
    places["wide.mov"] = write(folder / "wide.mov", "hexadecagonal", *CONTAINERS["mov"][:3])
    return folder, places


def test_any_number_of_channels_in_any_container_is_folded_by_the_stated_rule(files):
    folder, places = files
    command = [sys.executable, "-c", DECODE, *(str(folder / name) for name in places)]
    child = subprocess.run(command, capture_output=True, text=True, check=False)
    read_back = [json.loads(line) for line in child.stdout.splitlines()]
    assert child.returncode == 0, f"after {read_back[-1:]}: {child.stderr[-500:]}"
    assert [name for name, *_ in read_back] == list(places)
    wrong = []
    for name, samples, warnings in read_back:
        audio = np.fromfile(folder / f"{name}.f32", np.float32).reshape(-1, 2).T
        expected = gains(places[name]) @ tones(len(places[name]))
        found, wanted = (projected(sound[:, : expected.shape[1]], len(places[name])) for sound in (audio, expected))
        if warnings or abs(samples - expected.shape[1]) > 2200 or np.abs(found - wanted).max() > 0.12:
            wrong.append((name, warnings, samples, np.round(found, 2), np.round(wanted, 2)))
    assert not wrong, "\n".join(map(str, wrong))


def projected(audio, count):
    """How loud each channel's tone is on each side, (2, count)."""
    spectrum = np.abs(np.fft.rfft(audio[:, : int(SECONDS * RATE)], int(SECONDS * RATE), axis=1))
    tones = [int(40 * (index + 6) * SECONDS) for index in range(count)]
    return spectrum[:, tones] / (0.04 * SECONDS * RATE / 2)


def test_more_channels_than_can_be_read_are_refused_in_words(tmp_path):
    with wave.open(str(tmp_path / "song.wav"), "wb") as file:
        file.setnchannels(65)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(bytes(2 * 65 * RATE))
    with pytest.raises(InvalidAudio, match="65 channels; at most 64"):
        next(decode(tmp_path / "song.wav", tmp_path / "raw.f32"))


@pytest.mark.slow
def test_songs_of_many_channels_are_separated_on_the_command_line(tmp_path):
    """Stems sum to the fold-down."""
    if not registry.installed("unmix"):
        pytest.skip("needs the network that comes with SoundScape")
    counts = (1, 2, 3, 4, 5, 6, 7, 8, 12, 16)
    songs = [tmp_path / f"{count}-channels.wav" for count in counts]
    for count, song in zip(counts, songs, strict=True):
        write(song, layout(count), *CONTAINERS["wav"][:3], seconds=1.5)
    command = [sys.executable, "-m", "pipeline", *map(str, songs), "--preset", "draft", "-o", str(tmp_path / "out")]
    child = subprocess.run(command, capture_output=True, text=True, check=False)
    assert child.returncode == 0, child.stderr[-500:]
    for song in songs:
        *_, mixture = decode(song, tmp_path / "mixture.f32")
        stems = [read(stem) for stem in (tmp_path / "out" / song.stem).iterdir()]
        np.testing.assert_allclose(sum(stems), mixture.read(0, mixture.samples), atol=1e-5)
