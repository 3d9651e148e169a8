"""Progress during a separation, and the report at its end."""

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
    """Progress of a stage: `done` of `total` (0: unknown).

    The unit is blocks in "draft" and "separate", stems in "encode", and seconds of audio otherwise. The total of
    "decode" is the length that the file claims, which may be too short. "listen" and "confirm" are the detector's two
    stages.
    """

    stage: str
    done: int = 0
    total: int = 0
    seconds_left: float | None = None


OnProgress = Callable[[Progress], None]
OnBlock = Callable[[Block], None]
OnDecoded = Callable[[Recording], None]
"""on_decoded(recording), before detection and separation. The recording is readable during the call only."""
OnDetected = Callable[[str, Detection], None]
"""on_detected("mixture" or "confirmed", detection)"""
OnDraft = Callable[[list[str], Iterator[Block]], None]
"""on_draft(stems to come, blocks of a draft), before the separation. Blocks are computed as they are consumed.

Stems that the draft's network doesn't separate are part of its `other`: a block may lack stems, but sums to the song.
"""


@dataclass
class Report:
    """The result of a separation.

    asked: the requested stems, empty if the detector decided. stems: the delivered ones. merged: separated stems whose
    sound is part of `other`; such a stem is also among `stems` if it is delivered as silence. residual: whether `files`
    also contains what the bleed filter removed from the stems; it is part of their sum. detected: the detector's
    results by stage. null_db: energy of the mixture minus that sum, relative to the mixture's, before encoding.
    evidence: measurements of the mixture and of each file. gain_db: the gain applied to all files to avoid clipping.
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
        """The report as JSON-ready data."""
        return asdict(self) | {"files": {stem: str(path) for stem, path in self.files.items()}}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Report":
        """Rebuild a report from as_dict, also after JSON."""
        return cls(**dict(data) | {
            "merged": [Merged(**row) for row in data["merged"]],
            "detected": {stage: Detection.from_dict(row) for stage, row in data["detected"].items()},
            "evidence": {name: Evidence(**row) for name, row in data.get("evidence", {}).items()},
            "files": {stem: Path(path) for stem, path in data["files"].items()},
        })  # fmt: skip
