"""Sound as the pipeline holds it, and audio files out, by PyAV (ffmpeg inside the wheel)."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import av
import numpy as np
import soxr
from av.audio.frame import AudioFrame
from numpy.typing import NDArray

from ensemble.errors import SeparationError, disk_is_full
from pipeline import tags as tagging
from pipeline.tags import Tags

Audio = NDArray[np.float32]

RATE = 44_100  # Hz, of everything after decoding
CHANNELS = 2
BYTES_PER_FRAME = 4 * CHANNELS


@dataclass
class Recording:
    """A decoded song on disk, interleaved float32 at RATE. mean, std: of its mono mix; energy, peak: of both sides."""

    path: Path
    samples: int = 0
    tags: Tags = field(default_factory=Tags)
    warnings: list[str] = field(default_factory=list)
    energy: float = 0.0
    peak: float = 0.0
    mono_sum: float = 0.0
    mono_energy: float = 0.0

    @property
    def mean(self) -> float:
        """Mean of the mono mix."""
        return self.mono_sum / self.samples

    @property
    def std(self) -> float:
        """Sample standard deviation of the mono mix."""
        spread = self.mono_energy - self.samples * self.mean**2
        return float(np.sqrt(max(spread, 0.0) / max(self.samples - 1, 1)))

    def read(self, start: int, stop: int) -> Audio:
        """Samples start to stop as (2, stop - start); zeros before the beginning and after the end."""
        first, last = max(start, 0), min(stop, self.samples)
        audio = np.zeros((CHANNELS, stop - start), np.float32)
        if first < last:
            count, offset = (last - first) * CHANNELS, first * BYTES_PER_FRAME
            stored = np.fromfile(self.path, np.float32, count, offset=offset)
            audio[:, first - start : last - start] = stored.reshape(-1, CHANNELS).T
        return audio

    def append(self, audio: Audio, file: Any) -> None:
        """Write (2, n) to the open file and keep count."""
        interleaved(audio).tofile(file)
        mono = audio.mean(axis=0, dtype=np.float64)
        self.samples += audio.shape[1]
        self.mono_sum += float(mono.sum())
        self.mono_energy += float(mono @ mono)
        self.energy += float(np.square(audio, dtype=np.float64).sum())
        self.peak = max(self.peak, float(np.abs(audio).max(initial=0.0)))


def interleaved(audio: Audio) -> Audio:
    """(channels, n) to (n, channels), contiguous."""
    return np.ascontiguousarray(audio.T, dtype=np.float32)


def clock(seconds: float) -> str:
    """A time as people write it: 0:07, 3:25, 1:02:03."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


@dataclass(frozen=True, slots=True)
class Coding:
    """How a file type is written. full_scale: of the integers that samples become; None keeps floats."""

    muxer: str
    codec: str
    layout: str
    full_scale: int | None = None
    bit_rate: int | None = None
    rate: int = RATE
    options: dict[str, str] = field(default_factory=dict)


CODINGS = {
    ("wav", "16"): Coding("wav", "pcm_s16le", "s16", 2**15),
    ("wav", "24"): Coding("wav", "pcm_s24le", "s32", 2**23),
    ("wav", "float"): Coding("wav", "pcm_f32le", "flt"),
    ("flac", "16"): Coding("flac", "flac", "s16", 2**15),
    ("flac", "24"): Coding("flac", "flac", "s32", 2**23),
    ("mp3", "float"): Coding("mp3", "libmp3lame", "fltp", bit_rate=320_000),
    ("mp3-v0", "float"): Coding("mp3", "libmp3lame", "fltp", options={"flags": "+qscale", "global_quality": "0"}),
    # Noise in place of what sounds like it, which AAC may write, would be missed where stems are added up.
    ("m4a", "float"): Coding("mp4", "aac", "fltp", bit_rate=256_000, options={"aac_pns": "0"}),
    ("opus", "float"): Coding("ogg", "libopus", "flt", bit_rate=192_000, rate=48_000),
}
MUXER_OPTIONS = {
    "wav": {"rf64": "auto"},  # beyond 4 GiB
    "mp4": {"brand": "M4A ", "movie_timescale": str(RATE)},  # the edit list cuts to the sample, not the millisecond
}


def coding(format: str, bits: str) -> Coding:
    """The coding of a format; where it has no such sample format, its best one."""
    best = "24" if format == "flac" else "float"
    return CODINGS.get((format, bits)) or CODINGS[format, best]


def suffix(format: str) -> str:
    """How the name of a file of that format ends: mp3 for mp3-v0."""
    return format.partition("-")[0]


def clips(format: str, bits: str) -> bool:
    """Whether samples beyond +-1 would be lost in this format."""
    return coding(format, bits) != CODINGS["wav", "float"]


class Encoder:
    """Writes (2, n) float32 blocks to an audio file. A context manager; the file is whole once it is left.

    An open file is left open. tags are written as far as the format takes them. What a codec puts before and after the
    sound is marked in the file, so that a player gives back as many samples as were written, and each at its place.
    """

    def __init__(self, target: Path | IO[bytes], format: str, bits: str, tags: Tags | None = None) -> None:
        made = coding(format, bits)
        self._container = output(target, made.muxer)
        self._sound = Sound(self._container, made)
        if tags:
            tagging.write(self._container, tags)

    def write(self, audio: Audio) -> None:
        """Append (2, n)."""
        self._sound.write(audio)

    def __enter__(self) -> "Encoder":
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._sound.finish()
        finally:
            self._container.close()


def output(target: Path | IO[bytes], muxer: str) -> Any:
    """A container to write, as our files need it."""
    file = str(target) if isinstance(target, Path) else target
    return av.open(file, "w", format=muxer, options=MUXER_OPTIONS.get(muxer, {}))


class Sound:
    """One stream of (2, n) float32 blocks in a container that is being written."""

    def __init__(self, container: Any, coding: Coding) -> None:
        self._container, self._coding = container, coding
        self._stream = container.add_stream(coding.codec, rate=coding.rate, layout="stereo", options=coding.options)
        self._stream.codec_context.format = coding.layout
        if coding.bit_rate:
            self._stream.bit_rate = coding.bit_rate
        self._resampler = soxr.ResampleStream(RATE, coding.rate, CHANNELS, dtype="float32", quality="VHQ")
        self._written = 0

    def write(self, audio: Audio) -> None:
        """Append (2, n) at RATE."""
        self._encode(audio if self._coding.rate == RATE else self._resampled(audio))

    def finish(self) -> None:
        """Write what is still held back."""
        if self._coding.rate != RATE:
            self._encode(self._resampled(np.zeros((CHANNELS, 0), np.float32), last=True))
        self._container.mux(self._stream.encode(None))

    def _encode(self, audio: Audio) -> None:
        if not audio.size:
            return
        frame = AudioFrame.from_ndarray(self._samples(audio), format=self._coding.layout, layout="stereo")
        frame.rate, frame.pts = self._coding.rate, self._written
        self._written += audio.shape[1]
        self._container.mux(self._stream.encode(frame))

    def _resampled(self, audio: Audio, last: bool = False) -> Audio:
        return np.asarray(self._resampler.resample_chunk(interleaved(audio), last=last).T)

    def _samples(self, audio: Audio) -> NDArray[Any]:
        scale = self._coding.full_scale
        if scale is None:
            planar = self._coding.layout.endswith("p")
            return np.ascontiguousarray(audio) if planar else interleaved(audio).reshape(1, -1)
        whole = np.clip(np.rint(audio.T.astype(np.float64) * scale), -scale, scale - 1).reshape(1, -1)
        return whole.astype(np.int16) if scale == 2**15 else whole.astype(np.int32) << 8


def disk_full(error: OSError, folder: Path) -> SeparationError:
    """What to say when writing failed."""
    if disk_is_full(error):
        return SeparationError(f"The disk of {folder} is full. Make room there and try again.")
    return SeparationError(f"Could not write to {folder}: {error.strerror or error}.")
