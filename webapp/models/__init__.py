"""Database models, one module for each part of the site. Django discovers them here."""

from webapp.models.accounts import Scope, Token, Usage, User
from webapp.models.exports import Export
from webapp.models.review import Flag
from webapp.models.songs import (
    COVER,
    DETECTION,
    DRAFTED,
    LIVE,
    LOST_AFTER,
    ORIGINAL,
    SAMPLE_RATE,
    THUMBNAIL,
    Cause,
    EventKind,
    Idempotency,
    Job,
    JobEvent,
    State,
    Stem,
    Track,
    Verdict,
    Worker,
    WorkerQuerySet,
    track_path,
)
from webapp.models.uploads import Upload
from webapp.models.webhooks import Delivery, Webhook

__all__ = [
    "COVER",
    "DETECTION",
    "DRAFTED",
    "LIVE",
    "LOST_AFTER",
    "ORIGINAL",
    "SAMPLE_RATE",
    "THUMBNAIL",
    "Cause",
    "Delivery",
    "EventKind",
    "Export",
    "Flag",
    "Idempotency",
    "Job",
    "JobEvent",
    "Scope",
    "State",
    "Stem",
    "Token",
    "Track",
    "Upload",
    "Usage",
    "User",
    "Verdict",
    "Webhook",
    "Worker",
    "WorkerQuerySet",
    "track_path",
]
