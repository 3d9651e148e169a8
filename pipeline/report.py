"""What the pipeline tells: how far it is, and in the end what came out and how."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from detector.classifier import Detection
from pipeline.audio.recording import SAMPLE_RATE, Recording
from pipeline.playback.segments import Block
from pipeline.quality import FLOOR_DB, Evidence
from pipeline.stem_selection import Merged

__all__ = [
    "FLOOR_DB",
    "Detection",
    "Merged",
    "OnBlock",
    "OnDecoded",
    "OnDetected",
    "OnDraft",
    "OnProgress",
    "Progress",
    "Report",
]


@dataclass(frozen=True, slots=True)
class Progress:
    """done of total (0: not known): blocks in "draft" and "separate", stems in "encode", else seconds of audio.

    The total of "decode" is what the file claims, which may be too little. "listen" and "confirm" are the detector's
    two turns.
    """

    stage: str
    done: int = 0
    total: int = 0
    seconds_left: float | None = None


OnProgress = Callable[[Progress], None]
OnBlock = Callable[[Block], None]
OnDecoded = Callable[[Recording], None]
"""Before anything is listened to or separated: the song itself, readable as long as the call lasts."""
OnDetected = Callable[[str, Detection], None]
"""("mixture" or "confirmed", what the detector says)"""
OnDraft = Callable[[list[str], Iterator[Block]], None]
"""(stems that will come, blocks of a draft of them), before the first of them. Blocks are made as they are taken.

What the draft's network doesn't tell apart is in its `other`, so that a block lacks some of the stems and is the song.
"""


@dataclass
class Report:
    """What came out and how.

    asked: the caller's wish, empty for "as the song has them". stems: those that came out. folded: those that were
    separated, but whose sound is in `other`; also among stems if it comes as silence. residual: whether files also
    holds what the bleed filter took out of the stems, which belongs to their sum. heard: what the detector says, by
    stage. null_db: energy of mixture minus that sum over the mixture's, before encoding. evidence: what the sound of
    the mixture and of each file tells about itself.
    """

    title: str
    samples: int
    asked: list[str]
    stems: list[str]
    residual: bool
    preset: str
    bleed: str
    models: list[dict[str, Any]]
    provider: str
    sample_rate: int = SAMPLE_RATE
    merged: list[Merged] = field(default_factory=list)
    detected: dict[str, Detection] = field(default_factory=dict)
    files: dict[str, Path] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    null_db: float = FLOOR_DB
    evidence: dict[str, Evidence] = field(default_factory=dict)
    gain_db: float = 0.0
    warnings: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return asdict(self) | {"files": {stem: str(path) for stem, path in self.files.items()}}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Report":
        """What as_dict gave, also after JSON."""
        return cls(**dict(data) | {
            "merged": [Merged(**row) for row in data["merged"]],
            "detected": {stage: Detection.from_dict(row) for stage, row in data["detected"].items()},
            "evidence": {name: Evidence(**row) for name, row in data.get("evidence", {}).items()},
            "files": {stem: Path(path) for stem, path in data["files"].items()},
        })  # fmt: skip
