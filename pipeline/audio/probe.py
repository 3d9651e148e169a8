"""A quick check whether a file is a song that can be separated, before it is decoded. Imports no NumPy.

`python -m pipeline.audio.probe FILE MAX_SECONDS` answers in JSON: {"seconds": claimed length, 0 if unknown} or
{"refused": reason}. It limits its own memory and processor time first, so that a web server can let it open files of
strangers: a crash of the C decoder ends this process and no other.
"""

import json
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import av

from ensemble.errors import InvalidAudio

MIN_SECONDS = 1.0
MAX_CHANNELS = 64  # limit of ffmpeg's resampler
MEMORY = 2 * 2**30  # bytes of address space, most of which is never used
PROCESSOR_SECONDS = 10
# Sound containers only: playlists and image sequences could make an upload read other files of the server.
DEMUXERS = "wav,w64,mp3,flac,ogg,mov,matroska,aac,aiff,asf,caf,ac3,eac3,au,avi,ape,wv,tta,amr,mpeg,mpegts,flv,dsf"
ESTIMATED = {"aac", "ac3", "amr", "eac3", "mp3"}  # formats whose length ffmpeg may estimate from the first bit rate

EMPTY = "This file is empty. Choose the song itself, or export it again."
UNREADABLE = (
    "This is not an audio file that can be read: it is damaged, incomplete, protected, or something else under "
    "an audio file's name. Play it in your audio program and export it again as WAV, FLAC or MP3."
)
NO_AUDIO = "This file has no audio track: it is a picture or a silent video. Choose a song."
NO_SOUND = "This file holds no sound. Export it again from your audio program."
TOO_SHORT = "This file is shorter than a second. Choose a longer one."


def probe(source: Path, max_seconds: float) -> float:
    """Length in seconds that the file claims, 0 if unknown.

    Raises InvalidAudio if it can't be read, is shorter than a second, or is longer than max_seconds, as far as that can
    be determined without decoding all of it.
    """
    require_content(source)
    try:
        with open_audio(source) as container:
            stream = audio_stream(container)
            claimed = claimed_seconds(container, stream)
            _require_sound(container, stream)
        if claimed > max_seconds and (container.format.name not in ESTIMATED or _outlasts(source, max_seconds)):
            raise InvalidAudio(too_long(max_seconds))
    except av.error.FFmpegError as error:
        raise InvalidAudio(UNREADABLE) from error
    return claimed


def require_content(source: Path) -> None:
    """Raise InvalidAudio if the file is empty or can't be opened."""
    try:
        with source.open("rb") as file:
            if not file.seek(0, os.SEEK_END):
                raise InvalidAudio(EMPTY)
    except OSError as error:
        raise InvalidAudio(f"{source.name} can't be opened: {error.strerror or error}.") from error


def open_audio(source: Path) -> Any:
    """Open a container for reading. Raises FFmpegError."""
    return av.open(str(source), metadata_errors="ignore", options={"format_whitelist": DEMUXERS})


def audio_stream(container: Any) -> Any:
    """The first audio stream of a container. Raises InvalidAudio."""
    stream = next(iter(container.streams.audio), None)
    if stream is None or not stream.rate:
        raise InvalidAudio(NO_AUDIO)
    return stream


def channel_places(stream: Any) -> list[str]:
    """ffmpeg's names of the channels' positions, in the file's order. Raises InvalidAudio.

    Call it before the first frame is decoded. A custom order, as in some AIFF, CAF and MOV files, is replaced in the
    decoder: PyAV 18 frees its memory with each frame, which crashes the process. Read and replaced once, it is freed
    once.
    """
    layout = stream.codec_context.layout
    places = [channel.name for channel in layout.channels]
    if len(places) > MAX_CHANNELS:
        raise InvalidAudio(
            f"This file has {len(places)} channels; at most {MAX_CHANNELS} can be read. Export it as stereo."
        )
    if layout.name.startswith(f"{len(places)} channels ("):
        stream.codec_context.layout = f"{len(places)} channels"
    return places


def claimed_seconds(container: Any, stream: Any) -> float:
    """Length in seconds according to the file, 0 if unknown."""
    if stream.duration and stream.time_base:
        return float(stream.duration * stream.time_base)
    return float(container.duration or 0) / av.time_base


def too_long(max_seconds: float) -> str:
    """The message for a song that is too long."""
    return f"This song is longer than {clock(max_seconds)}, the limit here. Cut it into parts."


def clock(seconds: float) -> str:
    """Format a time as people write it: 0:07, 3:25, 1:02:03."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _require_sound(container: Any, stream: Any) -> None:
    """Decode the first second. Raises InvalidAudio if there is less."""
    channel_places(stream)
    stream.codec_context.thread_count = 1
    seconds = 0.0
    for packet in container.demux(stream):
        with suppress(av.error.FFmpegError):  # a damaged place, which decoding skips
            seconds += sum(frame.samples / frame.sample_rate for frame in packet.decode())
        if seconds >= MIN_SECONDS:
            return
    raise InvalidAudio(TOO_SHORT if seconds else NO_SOUND)


def _outlasts(source: Path, max_seconds: float) -> bool:
    """Whether the file is longer than max_seconds, counted without decoding."""
    seconds = 0.0
    with open_audio(source) as container:
        stream = audio_stream(container)
        for packet in container.demux(stream):
            seconds += float((packet.duration or 0) * (packet.time_base or 0))
            if seconds > max_seconds:
                return True
    return False


def _limit_this_process() -> None:
    try:
        import resource  # noqa: PLC0415
    except ImportError:  # on Windows
        return
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (PROCESSOR_SECONDS, PROCESSOR_SECONDS))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def main(source: str, max_seconds: str) -> None:
    """Print the answer as JSON."""
    _limit_this_process()
    try:
        answer: dict[str, Any] = {"seconds": probe(Path(source), float(max_seconds))}
    except InvalidAudio as error:
        answer = {"refused": error.message}
    print(json.dumps(answer))


if __name__ == "__main__":
    main(*sys.argv[1:])
