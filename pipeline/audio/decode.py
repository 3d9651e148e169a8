"""Decoding of audio files with PyAV (ffmpeg inside the wheel), downmixing and resampling.

Up to 64 channels become stereo by one rule: mono is copied to both channels; stereo is kept; with more channels, left
ones go left and right ones go right, front channels at full level, surround, wide and height channels 3 dB lower;
centre channels go to both sides 3 dB lower; low-frequency effects channels are dropped (ITU-R BS.775, extended to
22.2). Channels of unknown position alternate between left and right at full level.
"""

import errno
import struct
from collections.abc import Generator, Iterator
from itertools import chain, pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.audio.frame import AudioFrame

from ensemble.errors import InvalidAudio
from pipeline.audio import tags
from pipeline.audio.probe import (
    NO_SOUND,
    UNREADABLE,
    audio_stream,
    channel_places,
    claimed_seconds,
    clock,
    open_audio,
    require_content,
    too_long,
)
from pipeline.audio.recording import CHANNELS, SAMPLE_RATE, Audio, Recording
from pipeline.audio.resampling import remainder, resampled

MINUS_3_DB = np.sqrt(0.5)
# Gains to (left, right) by ffmpeg's names of channels.
PLACES = (
    dict.fromkeys(("FL", "FLC", "DL", "BIL"), (1, 0))
    | dict.fromkeys(("FR", "FRC", "DR", "BIR"), (0, 1))
    | dict.fromkeys(("BL", "SL", "SDL", "SSL", "WL", "TFL", "TSL", "TBL", "TTL", "BFL"), (MINUS_3_DB, 0))
    | dict.fromkeys(("BR", "SR", "SDR", "SSR", "WR", "TFR", "TSR", "TBR", "TTR", "BFR"), (0, MINUS_3_DB))
    | dict.fromkeys(("FC", "BC", "TC", "TFC", "TBC", "BFC"), (MINUS_3_DB, MINUS_3_DB))
    | dict.fromkeys(("LFE", "LFE2"), (0, 0))
)
UNKNOWN_PLACES = ((1, 0), (0, 1))  # alternating
NO_PLACE = "NONE"
UNKNOWN_SIZE = 0xFFFFFFFF  # written by recorders that stream
MISSING = 0.05  # of the claimed length; a smaller gap is an encoder's rounding
INCOMPLETE = "The file {} and is incomplete. Everything up to that point was used."


def decode(source: Path, target: Path, max_seconds: float = float("inf")) -> Iterator[Recording]:
    """Decode `source` to raw float32 in `target`, yielding the growing Recording about once per second of audio.

    Usable audio of a damaged file is used, with a warning. Raises InvalidAudio if there is no audio, if it is damaged
    beyond use or not finite, or if it is longer than max_seconds.
    """
    try:
        require_content(source)
        with open_audio(source) as container:
            found = tags.read(container)
        with open_audio(source) as container:
            for recording in _decode(container, Recording(target, source=source, tags=found), max_seconds):
                yield recording
        if _cut_wav(source):
            recording.warnings.append(INCOMPLETE.format(f"ends after {clock(recording.samples / SAMPLE_RATE)}"))
    except av.error.FFmpegError as error:
        if error.errno == errno.ENOSPC:
            raise
        raise InvalidAudio(UNREADABLE) from error


def native(source: Path) -> Iterator[Audio]:
    """The song at its own sample rate, before `decode` resamples it, in blocks of about a second, (2, n) float32."""
    with open_audio(source) as container:
        yield from _native(container, audio_stream(container), [0])


def remainder_of(source: Path | None, source_rate: int, rate: int) -> Iterator[Audio]:
    """Blocks, (2, n) float32, of what files at `rate`, Hz, can contain and SAMPLE_RATE can't; none if that is nothing.

    See `resampling`.
    """
    if source is None or SAMPLE_RATE in (source_rate, rate):
        return iter(())
    return remainder(native(source), source_rate, rate)


def _decode(container: Any, recording: Recording, max_seconds: float) -> Iterator[Recording]:
    stream = audio_stream(container)
    damaged = yield from _store(container, stream, recording, max_seconds)
    if not recording.samples:
        raise InvalidAudio(NO_SOUND)
    _warn(recording, claimed_seconds(container, stream), damaged)
    yield recording


def _store(container: Any, stream: Any, recording: Recording, max_seconds: float) -> Generator[Recording, None, int]:
    """Write everything that can be decoded. Returns the number of damaged packets."""
    damaged = [0]
    recording.source_rate = stream.rate
    with recording.path.open("wb") as file:
        for audio in resampled(_counted(_native(container, stream, damaged), recording), stream.rate, SAMPLE_RATE):
            _check_finite(audio, recording.samples)
            recording.append(audio, file)
            if recording.samples > max_seconds * SAMPLE_RATE:
                raise InvalidAudio(too_long(max_seconds))
            yield recording
    return damaged[0]


def _native(container: Any, stream: Any, damaged: list[int]) -> Iterator[Audio]:
    frames = _frames(container, stream, damaged)
    if "mp4" in container.format.name:
        frames = _unpadded(frames, round(claimed_seconds(container, stream) * stream.rate))
    return _batches(frames)


def _counted(blocks: Iterator[Audio], recording: Recording) -> Iterator[Audio]:
    for block in blocks:
        recording.source_samples += block.shape[1]
        yield block


def _frames(container: Any, stream: Any, damaged: list[int]) -> Iterator[Audio]:
    """Stereo frames, (2, n), at the stream's own rate. Damaged packets are counted and skipped."""
    claimed = channel_places(stream)
    to_float = av.AudioResampler(format="flt")  # interleaved, because PyAV reads past the end of 8 or more planes
    for packet in container.demux(stream):
        try:
            frames = packet.decode()
        except av.error.FFmpegError:
            damaged[0] += 1
            continue
        for frame in frames:
            for converted in _convert(to_float, frame):
                places = [channel.name for channel in converted.layout.channels]
                samples = np.asarray(converted.to_ndarray(), np.float32).reshape(-1, len(places)).T
                yield to_stereo(samples, claimed if len(claimed) == len(places) and NO_PLACE in places else places)


def _unpadded(frames: Iterator[Audio], samples: int) -> Iterator[Audio]:
    """Cut the last frame at `samples`: the rest is padding, which only the edit list of an MP4 reveals."""
    before, end = 0, np.zeros((CHANNELS, 0), np.float32)
    for frame, following in pairwise(chain(frames, [end])):
        yield frame if following.size or before >= samples else frame[:, : samples - before]
        before += frame.shape[1]


def _convert(to_float: Any, frame: AudioFrame) -> list[AudioFrame]:
    frame.pts = None
    try:
        return list(to_float.resample(frame))
    except ValueError as error:
        raise InvalidAudio(
            "This file changes its sample rate or channels midway. Export it again as one WAV or FLAC."
        ) from error


def to_stereo(audio: Audio, places: list[str]) -> Audio:
    """Downmix to stereo by the rule at the top of this file.

    Parameters
    ----------
    audio
        (channels, n) float32.
    places
        ffmpeg's channel names.

    Returns
    -------
    (2, n) float32.
    """
    if len(places) == 1:
        return np.repeat(audio, CHANNELS, axis=0)
    if len(places) == CHANNELS:
        return audio
    gains = [PLACES.get(place, UNKNOWN_PLACES[index % 2]) for index, place in enumerate(places)]
    return np.asarray(gains, np.float32).T @ audio


def _batches(frames: Iterator[Audio]) -> Iterator[Audio]:
    """Join short frames to blocks of about a second, to reduce the number of calls."""
    batch: list[Audio] = []
    for frame in frames:
        batch.append(frame)
        if batch[0].shape[1] * len(batch) >= SAMPLE_RATE:
            yield np.concatenate(batch, axis=1)
            batch = []
    if batch:
        yield np.concatenate(batch, axis=1)


def _check_finite(audio: Audio, before: int) -> None:
    bad = ~np.isfinite(audio).all(axis=0)
    if bad.any():
        raise InvalidAudio(
            "This file contains invalid samples (not a number, or infinite) at "
            f"{clock((before + bad.argmax()) / SAMPLE_RATE)}. A plug-in may have failed there; export it again."
        )


def _warn(recording: Recording, claimed: float, damaged: int) -> None:
    seconds = recording.samples / SAMPLE_RATE
    if claimed - seconds > max(1.0, MISSING * claimed):
        recording.warnings.append(INCOMPLETE.format(f"says it lasts {clock(claimed)} but ends after {clock(seconds)}"))
    if damaged:
        recording.warnings.append(f"{damaged} damaged places in the file were skipped.")


def _cut_wav(source: Path) -> bool:
    """Whether a WAV is shorter than its header claims, which ffmpeg ignores. 0 and the largest size mean unknown."""
    with source.open("rb") as file:
        tag, size = struct.unpack("<4sI", file.read(8).ljust(8, b"\0"))
    return bool(tag == b"RIFF" and source.stat().st_size < size < UNKNOWN_SIZE)
