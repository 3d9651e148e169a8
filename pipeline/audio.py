"""Audio files in and out, by PyAV (ffmpeg inside the wheel): decode, downmix, resample, encode.

Any channel count becomes stereo by one rule: mono goes to both sides at full level; stereo stays; with more channels
those on the left go left, those on the right go right, the front pair at full level, centre and surround 3 dB lower,
and the low-frequency effects channel is left out (ITU-R BS.775). Channels of unknown place alternate left and right.
"""

import errno
import os
import struct
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import av
import numpy as np
import soxr
from av.audio.frame import AudioFrame
from numpy.typing import NDArray

from ensemble.errors import InvalidAudio, SeparationError

Audio = NDArray[np.float32]

RATE = 44_100  # Hz, of everything after decoding
CHANNELS = 2
BYTES_PER_FRAME = 4 * CHANNELS
MINUS_3_DB = np.sqrt(0.5)
BOTH = (MINUS_3_DB, MINUS_3_DB)
PLACES = {
    "FL": (1, 0), "FR": (0, 1), "FLC": (1, 0), "FRC": (0, 1), "FC": BOTH, "LFE": (0, 0), "LFE2": (0, 0), "BC": BOTH,
    "BL": (MINUS_3_DB, 0), "BR": (0, MINUS_3_DB), "SL": (MINUS_3_DB, 0), "SR": (0, MINUS_3_DB),
    "DL": (1, 0), "DR": (0, 1), "TC": BOTH, "TFC": BOTH, "TBC": BOTH,
    "TFL": (MINUS_3_DB, 0), "TFR": (0, MINUS_3_DB), "TBL": (MINUS_3_DB, 0), "TBR": (0, MINUS_3_DB),
}  # fmt: skip
# Containers of sound only: playlists and image sequences could make an upload read other files of the server.
DEMUXERS = "wav,w64,mp3,flac,ogg,mov,matroska,aac,aiff,asf,caf,ac3,eac3,au,avi,ape,wv,tta,amr,mpeg,mpegts,flv,dsf"
UNKNOWN_SIZE = 0xFFFFFFFF  # what a recorder writes that streams
MISSING = 0.05  # of the length a file claims; less is an encoder's rounding
INCOMPLETE = "The file {} and is incomplete. Everything up to there was used."
TOO_LITTLE = "This file holds no sound. Export it again from your audio program."


@dataclass
class Recording:
    """A decoded song on disk, interleaved float32 at RATE. mean, std: of its mono mix; energy, peak: of both sides."""

    path: Path
    samples: int = 0
    title: str = ""
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


def decode(source: Path, target: Path, max_seconds: float = float("inf")) -> Iterator[Recording]:
    """Decode `source` to raw float32 in `target`, yielding the growing Recording about once a second of audio.

    Raises InvalidAudio: no audio, damaged beyond use, not finite, or longer than max_seconds. What can still be used,
    if only in part, is used, with a warning.
    """
    try:
        if not _size(source):
            raise InvalidAudio("This file is empty. Choose the song itself, or export it again.")
        with av.open(str(source), metadata_errors="ignore", options={"format_whitelist": DEMUXERS}) as container:
            for recording in _decode(container, Recording(target), max_seconds):
                yield recording
        if _cut_wav(source):
            recording.warnings.append(INCOMPLETE.format(f"ends after {clock(recording.samples / RATE)}"))
    except av.error.FFmpegError as error:
        if error.errno == errno.ENOSPC:
            raise
        raise InvalidAudio(
            "This is not an audio file that can be read: it is damaged, incomplete, protected, or something else under "
            "an audio file's name. Play it in your audio program and export it again as WAV, FLAC or MP3."
        ) from error


def _size(source: Path) -> int:
    try:
        with source.open("rb") as file:
            return file.seek(0, os.SEEK_END)
    except OSError as error:
        raise InvalidAudio(f"{source} can't be opened: {error.strerror or error}.") from error


def _decode(container: Any, recording: Recording, max_seconds: float) -> Iterator[Recording]:
    stream = next(iter(container.streams.audio), None)
    if stream is None or not stream.rate:
        raise InvalidAudio("This file has no audio track: it is a picture or a silent video. Choose a song.")
    recording.title = _title(container)
    damaged = yield from _store(container, stream, recording, max_seconds)
    if not recording.samples:
        raise InvalidAudio(TOO_LITTLE)
    _warn(recording, _claimed_seconds(container, stream), damaged)
    yield recording


def _store(container: Any, stream: Any, recording: Recording, max_seconds: float) -> Generator[Recording, None, int]:
    """Write everything that can be decoded; returns how many packets could not."""
    damaged = [0]
    with recording.path.open("wb") as file:
        for audio in _resampled(_batches(_frames(container, stream, damaged)), stream.rate):
            _check_finite(audio, recording.samples)
            recording.append(audio, file)
            if recording.samples > max_seconds * RATE:
                raise InvalidAudio(
                    f"This song is longer than {clock(max_seconds)}, the longest that is taken here. Cut it in parts."
                )
            yield recording
    return damaged[0]


def _frames(container: Any, stream: Any, damaged: list[int]) -> Iterator[Audio]:
    """Stereo frames (2, n) at the stream's own rate; packets that don't decode are counted and left out."""
    to_float = av.AudioResampler(format="fltp")
    for packet in container.demux(stream):
        try:
            frames = packet.decode()
        except av.error.FFmpegError:
            damaged[0] += 1
            continue
        for frame in frames:
            for converted in _convert(to_float, frame):
                yield to_stereo(
                    np.asarray(converted.to_ndarray(), np.float32),
                    [channel.name for channel in converted.layout.channels],
                )


def _convert(to_float: Any, frame: AudioFrame) -> list[AudioFrame]:
    frame.pts = None
    try:
        return list(to_float.resample(frame))
    except ValueError as error:
        raise InvalidAudio(
            "This file changes its sample rate or channels on the way. Export it again as one WAV or FLAC."
        ) from error


def to_stereo(audio: Audio, places: list[str]) -> Audio:
    """(channels, n) to (2, n) by the rule at the top of this file. places: ffmpeg's channel names."""
    if len(places) == 1:
        return np.repeat(audio, CHANNELS, axis=0)
    if len(places) == CHANNELS:
        return audio
    known = all(place in PLACES for place in places)
    gains = [PLACES[place] if known else ((1, 0), (0, 1))[index % 2] for index, place in enumerate(places)]
    return np.asarray(gains, np.float32).T @ audio


def _batches(frames: Iterator[Audio]) -> Iterator[Audio]:
    """Join short frames to about a second, to spare calls."""
    batch: list[Audio] = []
    for frame in frames:
        batch.append(frame)
        if batch[0].shape[1] * len(batch) >= RATE:
            yield np.concatenate(batch, axis=1)
            batch = []
    if batch:
        yield np.concatenate(batch, axis=1)


def _resampled(batches: Iterator[Audio], rate: int) -> Iterator[Audio]:
    """Bring (2, n) at `rate` to RATE with soxr's very high quality."""
    if rate == RATE:
        yield from batches
        return
    stream = soxr.ResampleStream(rate, RATE, CHANNELS, dtype="float32", quality="VHQ")
    for batch in batches:
        yield stream.resample_chunk(interleaved(batch)).T
    yield stream.resample_chunk(np.zeros((0, CHANNELS), np.float32), last=True).T


def _check_finite(audio: Audio, before: int) -> None:
    bad = ~np.isfinite(audio).all(axis=0)
    if bad.any():
        raise InvalidAudio(
            "This file holds values that are no sound (not a number, or infinite) at "
            f"{clock((before + bad.argmax()) / RATE)}. A plug-in may have failed there; export it again."
        )


def _title(container: Any) -> str:
    tags = {key.lower(): value for key, value in container.metadata.items()}
    return str(tags.get("title", "")).strip()


def _claimed_seconds(container: Any, stream: Any) -> float:
    if stream.duration and stream.time_base:
        return float(stream.duration * stream.time_base)
    return float(container.duration or 0) / av.time_base


def _warn(recording: Recording, claimed: float, damaged: int) -> None:
    seconds = recording.samples / RATE
    if claimed - seconds > max(1.0, MISSING * claimed):
        recording.warnings.append(INCOMPLETE.format(f"says it lasts {clock(claimed)} but ends after {clock(seconds)}"))
    if damaged:
        recording.warnings.append(f"{damaged} damaged places in the file were left out.")


def _cut_wav(source: Path) -> bool:
    """Whether a WAV is shorter than its first bytes say, which ffmpeg passes over. 0 and the greatest: not known."""
    with source.open("rb") as file:
        tag, size = struct.unpack("<4sI", file.read(8).ljust(8, b"\0"))
    return bool(tag == b"RIFF" and source.stat().st_size < size < UNKNOWN_SIZE)


@dataclass(frozen=True, slots=True)
class Coding:
    """How a file type is written. full_scale: of the integers that samples become; None keeps floats."""

    codec: str
    layout: str
    full_scale: int | None = None
    options: dict[str, str] = field(default_factory=dict)
    bit_rate: int | None = None


CODINGS = {
    ("wav", "16"): Coding("pcm_s16le", "s16", 2**15),
    ("wav", "24"): Coding("pcm_s24le", "s32", 2**23),
    ("wav", "float"): Coding("pcm_f32le", "flt"),
    ("flac", "16"): Coding("flac", "s16", 2**15),
    ("flac", "24"): Coding("flac", "s32", 2**23),
    ("mp3", "float"): Coding("libmp3lame", "fltp", bit_rate=320_000),
}


def coding(format: str, bits: str) -> Coding:
    """The coding of a format; where it has no such sample format, its best one."""
    best = {"flac": "24", "mp3": "float"}
    return CODINGS.get((format, bits)) or CODINGS[format, best[format]]


def clips(format: str, bits: str) -> bool:
    """Whether samples beyond +-1 would be lost in this format."""
    return coding(format, bits) != CODINGS["wav", "float"]


class Encoder:
    """Writes (2, n) float32 blocks to an audio file. A context manager; the file is whole once it is left.

    An open file is left open.
    """

    def __init__(self, target: Path | IO[bytes], format: str, bits: str, tags: dict[str, str] | None = None) -> None:
        self._coding = coding(format, bits)
        options = {"rf64": "auto"} if format == "wav" else {}
        file = str(target) if isinstance(target, Path) else target
        self._container = av.open(file, "w", format=format, options=options)
        self._container.metadata.update(tags or {})
        stream: Any = self._container.add_stream(self._coding.codec, rate=RATE, layout="stereo")
        stream.codec_context.format = self._coding.layout
        if self._coding.bit_rate:
            stream.bit_rate = self._coding.bit_rate
        self._stream = stream
        self._written = 0

    def write(self, audio: Audio) -> None:
        """Append (2, n)."""
        frame = AudioFrame.from_ndarray(self._samples(audio), format=self._coding.layout, layout="stereo")
        frame.rate, frame.pts = RATE, self._written
        self._written += audio.shape[1]
        self._container.mux(self._stream.encode(frame))

    def _samples(self, audio: Audio) -> NDArray[Any]:
        scale = self._coding.full_scale
        if scale is None:
            planar = self._coding.layout.endswith("p")
            return np.ascontiguousarray(audio) if planar else interleaved(audio).reshape(1, -1)
        whole = np.clip(np.rint(audio.T.astype(np.float64) * scale), -scale, scale - 1).reshape(1, -1)
        return whole.astype(np.int16) if scale == 2**15 else whole.astype(np.int32) << 8

    def __enter__(self) -> "Encoder":
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._container.mux(self._stream.encode(None))
        finally:
            self._container.close()


def disk_full(error: OSError, folder: Path) -> SeparationError:
    """What to say when writing failed."""
    if error.errno == errno.ENOSPC:
        return SeparationError(f"The disk of {folder} is full. Make room there and try again.")
    return SeparationError(f"Could not write to {folder}: {error.strerror or error}.")
