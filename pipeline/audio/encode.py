"""Encoding of audio files with PyAV (ffmpeg inside the wheel)."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import av
import numpy as np
from av.audio.frame import AudioFrame
from numpy.typing import NDArray

from pipeline.audio import tags as tagging
from pipeline.audio.recording import SAMPLE_RATE, Audio, interleaved
from pipeline.audio.tags import Tags
from pipeline.options import SOURCE


@dataclass(frozen=True, slots=True)
class Coding:
    """How a file type is written.

    full_scale: of integer samples; None keeps floats. rates: sample rates in Hz that its players support reliably;
    empty: any up to HIGHEST_RATE.
    """

    muxer: str
    codec: str
    layout: str
    full_scale: int | None = None
    bit_rate: int | None = None
    rates: tuple[int, ...] = ()
    options: dict[str, str] = field(default_factory=dict)


EVERYDAY_RATES = (SAMPLE_RATE, 48_000)
HIGHEST_RATE = 655_350  # Hz, FLAC's limit

CODINGS = {
    ("wav", "16"): Coding("wav", "pcm_s16le", "s16", 2**15),
    ("wav", "24"): Coding("wav", "pcm_s24le", "s32", 2**23),
    ("wav", "float"): Coding("wav", "pcm_f32le", "flt"),
    ("flac", "16"): Coding("flac", "flac", "s16", 2**15),
    ("flac", "24"): Coding("flac", "flac", "s32", 2**23),
    ("mp3", "float"): Coding("mp3", "libmp3lame", "fltp", bit_rate=320_000, rates=EVERYDAY_RATES),
    ("mp3-v0", "float"): Coding(
        "mp3", "libmp3lame", "fltp", rates=EVERYDAY_RATES, options={"flags": "+qscale", "global_quality": "0"}
    ),
    # Without perceptual noise substitution: stems with substituted noise would no longer add up.
    ("m4a", "float"): Coding("mp4", "aac", "fltp", bit_rate=256_000, rates=EVERYDAY_RATES, options={"aac_pns": "0"}),
    ("opus", "float"): Coding("ogg", "libopus", "flt", bit_rate=192_000, rates=(48_000,)),
}


def coding(format: str, bits: str) -> Coding:
    """The coding of a format; if it doesn't support this sample format, its best one."""
    best = "24" if format == "flac" else "float"
    return CODINGS.get((format, bits)) or CODINGS[format, best]


def suffix(format: str) -> str:
    """File name suffix of a format: mp3 for mp3-v0."""
    return format.partition("-")[0]


def clips(format: str, bits: str) -> bool:
    """Whether the format loses samples beyond +-1."""
    return coding(format, bits) != CODINGS["wav", "float"]


def output_rate(format: str, asked: str, source_rate: int) -> int:
    """Sample rate of a file in Hz: as in Options, or the nearest of the same family that the format supports.

    Multiples of 8 kHz become 48 kHz, everything else 44.1 kHz.
    """
    rate = source_rate if asked == SOURCE else int(asked)
    rates = coding(format, "float").rates
    if (rate in rates) if rates else rate <= HIGHEST_RATE:
        return rate
    family = 48_000 if rate % 8000 == 0 else SAMPLE_RATE
    return family if family in (rates or EVERYDAY_RATES) else 48_000


class Encoder:
    """Writes blocks, (2, n) float32, to an audio file. A context manager; the file is complete when it exits.

    rate: of the blocks and of the file in Hz, as output_rate gives for the format. tags are written as far as the
    format supports them. Padding that a codec adds before and after the sound is declared in the file, so that players
    return the very samples that were written. An open file passed as `target` stays open.
    """

    def __init__(
        self, target: Path | IO[bytes], format: str, bits: str, tags: Tags | None = None, rate: int = SAMPLE_RATE
    ) -> None:
        made = coding(format, bits)
        self._container = output(target, made.muxer, rate)
        self._sound = Sound(self._container, made, rate)
        if tags:
            tagging.write(self._container, tags)

    def write(self, audio: Audio) -> None:
        """Append a block, (2, n) float32."""
        self._sound.write(audio)

    def __enter__(self) -> "Encoder":
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._sound.finish()
        finally:
            self._container.close()


def output(target: Path | IO[bytes], muxer: str, rate: int) -> Any:
    """Open a container for writing with the options that our files need."""
    options = {
        "wav": {"rf64": "auto"},  # beyond 4 GiB
        "mp4": {"brand": "M4A ", "movie_timescale": str(rate)},  # the edit list cuts to the sample, not the millisecond
    }
    file = str(target) if isinstance(target, Path) else target
    return av.open(file, "w", format=muxer, options=options.get(muxer, {}))


class Sound:
    """A stream of blocks, (2, n) float32 at `rate`, Hz, in a container that is being written."""

    def __init__(self, container: Any, coding: Coding, rate: int) -> None:
        self._container, self._coding, self._rate = container, coding, rate
        self._stream = container.add_stream(coding.codec, rate=rate, layout="stereo", options=coding.options)
        self._stream.codec_context.format = coding.layout
        if coding.bit_rate:
            self._stream.bit_rate = coding.bit_rate
        self._written = 0

    def write(self, audio: Audio) -> None:
        """Append a block, (2, n) float32."""
        if not audio.size:
            return
        frame = AudioFrame.from_ndarray(self._samples(audio), format=self._coding.layout, layout="stereo")
        frame.rate, frame.pts = self._rate, self._written
        self._written += audio.shape[1]
        self._container.mux(self._stream.encode(frame))

    def finish(self) -> None:
        """Write what the codec still buffers."""
        self._container.mux(self._stream.encode(None))

    def _samples(self, audio: Audio) -> NDArray[Any]:
        scale = self._coding.full_scale
        if scale is None:
            planar = self._coding.layout.endswith("p")
            return np.ascontiguousarray(audio) if planar else interleaved(audio).reshape(1, -1)
        whole = np.clip(np.rint(audio.T.astype(np.float64) * scale), -scale, scale - 1).reshape(1, -1)
        return whole.astype(np.int16) if scale == 2**15 else whole.astype(np.int32) << 8
