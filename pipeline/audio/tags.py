"""Title, artist, cover and other tags: read from an upload, written to files made from it."""

import base64
import io
import struct
from dataclasses import dataclass, field, replace
from typing import Any

import av
from av.stream import Disposition

TEXTS = ("title", "artist", "album", "date", "track", "genre")  # ffmpeg's names, whatever the format calls them
LONGEST = 255  # characters of a text; the rest is cut off
LARGEST = 5 * 2**20  # bytes of a cover; a larger one is ignored

BEGINNINGS = {b"\xff\xd8\xff": "image/jpeg", b"\x89PNG\r\n\x1a\n": "image/png"}
READERS = {"image/jpeg": "jpeg_pipe", "image/png": "png_pipe"}
PICTURED = ("mp3", "flac", "mp4")  # muxers that accept a cover as a stream
FRONT_COVER = 3  # type of a picture in FLAC and ID3


@dataclass(frozen=True, slots=True)
class Tags:
    """Tags of a song; empty if unknown. cover: bytes of an image file. cover_type: image/jpeg or image/png."""

    title: str = ""
    artist: str = ""
    album: str = ""
    date: str = ""
    track: str = ""
    genre: str = ""
    cover: bytes = field(default=b"", repr=False)
    cover_type: str = ""

    @property
    def texts(self) -> dict[str, str]:
        """The texts that are known, by name."""
        return {name: text for name in TEXTS if (text := getattr(self, name))}

    def version(self, name: str) -> "Tags":
        """Tags for a file made from the song: "Title (vocals)"."""
        return replace(self, title=f"{self.title} ({name})".strip())


def read(container: Any) -> Tags:
    """Read the tags of an open container. This may advance it: reopen it to decode its sound."""
    cover = _cover(container)
    kind = cover_type(cover)
    return Tags(**_texts(container), cover=cover if kind else b"", cover_type=kind)


def cover_type(image: bytes) -> str:
    """Media type of an image that can be a cover, determined from its content; empty for anything else."""
    kind = next((kind for beginning, kind in BEGINNINGS.items() if image.startswith(beginning)), "")
    if not kind or len(image) > LARGEST:
        return ""
    try:
        with av.open(io.BytesIO(image), "r", format=READERS[kind]) as picture:
            return kind if picture.streams.video[0].width else ""
    except av.error.FFmpegError:
        return ""


def write(container: Any, tags: Tags) -> None:
    """Tag an output whose audio streams exist and are still empty, with the cover if its format supports one."""
    container.metadata.update(tags.texts)
    if tags.cover and container.format.name in PICTURED:
        _attach(container, tags)
    elif tags.cover and container.format.name == "ogg":
        container.metadata["METADATA_BLOCK_PICTURE"] = base64.b64encode(_flac_picture(tags)).decode()


def _texts(container: Any) -> dict[str, str]:
    found = dict(container.metadata)
    if container.format.name == "ogg" and container.streams.audio:  # Ogg keeps tags in the stream
        found = dict(container.streams.audio[0].metadata) | found
    lower = {key.lower(): value for key, value in found.items()}
    return {name: _clean(lower.get(name, "")) for name in TEXTS}


def _clean(text: str) -> str:
    """Reduce a text to one line of printable characters."""
    shown = "".join(character if character.isprintable() else " " for character in text)
    return " ".join(shown.split())[:LONGEST]


def _cover(container: Any) -> bytes:
    """Bytes of the first attached picture, or none."""
    for stream in container.streams.video:
        if stream.disposition & Disposition.attached_pic:
            return bytes(next(container.demux(stream)))
    return b""


def _attach(container: Any, tags: Tags) -> None:
    """Add the cover as ffmpeg stores it: a stream of one picture."""
    with av.open(io.BytesIO(tags.cover), "r", format=READERS[tags.cover_type]) as picture:
        stream = container.add_stream_from_template(picture.streams.video[0])
        stream.disposition = Disposition.attached_pic
        stream.metadata["comment"] = "Cover (front)"  # from which ffmpeg derives its type
        packet = next(picture.demux())
        packet.stream = stream
        container.mux(packet)


def _flac_picture(tags: Tags) -> bytes:
    """The cover as in Vorbis comments: FLAC's picture block, without its size in pixels (RFC 9639, 8.8)."""
    kind = tags.cover_type.encode()
    head = struct.pack(f">II{len(kind)}sI", FRONT_COVER, len(kind), kind, 0)
    return head + struct.pack(">IIIII", 0, 0, 0, 0, len(tags.cover)) + tags.cover
