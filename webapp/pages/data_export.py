"""All that is kept about a person, as a ZIP file: their uploads, their stems, and a file that tells of the rest."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from asgiref.sync import sync_to_async
from django.contrib.auth.views import redirect_to_login
from django.core.serializers.json import DjangoJSONEncoder
from django.http import HttpRequest, HttpResponseBase, StreamingHttpResponse
from django.utils import timezone
from django.views.decorators.http import require_GET
from zipstream import ZIP_STORED, ZipStream

from webapp.http.ranges import as_attachment
from webapp.http.zip import packed, parts
from webapp.models import Job, Track, User
from webapp.storage.base import store
from webapp.storage.filenames import tame

FOLDER = "soundscape"


@require_GET
async def data_export(request: HttpRequest) -> HttpResponseBase:
    """One's own, packed while it is sent. Guests have theirs too."""
    user = await request.auser()
    if not isinstance(user, User):
        return redirect_to_login(request.get_full_path())
    archive = await sync_to_async(_archive)(user)
    headers = {"Content-Length": str(len(archive)), "Content-Type": "application/zip"}
    name = f"{FOLDER}-{timezone.now():%Y-%m-%d}.zip"
    return as_attachment(StreamingHttpResponse(packed(archive), headers=headers), name)


def _archive(user: User) -> ZipStream:
    archive = ZipStream(compress_type=ZIP_STORED, sized=True)
    songs = []
    tracks = user.tracks.order_by("created_at").prefetch_related("jobs__stems", "jobs__history")
    for number, track in enumerate(tracks, 1):
        files = {
            name: path for name, path in _files(track, f"{number:04d} {tame(track.title)}") if _add(archive, path, name)
        }
        songs.append(_song(track, [*files]))
    told = json.dumps(_account(user) | {"songs": songs}, cls=DjangoJSONEncoder, indent=2, ensure_ascii=False)
    archive.add(told, f"{FOLDER}/account.json")
    return archive


def _add(archive: ZipStream, path: Path, name: str) -> bool:
    """Put a file into the archive. False if it is gone."""
    try:
        size = store().stat(path).size
    except FileNotFoundError:
        return False
    archive.add(parts(path), f"{FOLDER}/{name}", size=size)
    return True


def _files(track: Track, folder: str) -> Iterator[tuple[str, Path]]:
    """Name in the archive and path of each file of a song."""
    yield f"{folder}/{tame(Path(track.filename).stem)}{track.path.suffix}", track.path
    for number, job in enumerate(track.jobs.all(), 1):
        for stem in job.stems.all():
            if stem.file:
                yield f"{folder}/stems {number}/{stem.name}{stem.path.suffix}", stem.path


def _account(user: User) -> dict[str, Any]:
    about = {name: getattr(user, name) for name in ("username", "email", "is_guest", "date_joined", "last_login")}
    tokens = user.auth_token_set.values("name", "scopes", "created", "expiry", "last_used")
    webhooks = user.webhooks.values("url", "events", "active", "created_at")
    return {"account": about, "tokens": list(tokens), "webhooks": list(webhooks)}


def _song(track: Track, files: list[str]) -> dict[str, Any]:
    about = {name: getattr(track, name) for name in ("title", "filename", "size", "created_at")}
    return about | {"files": files, "separations": [_separation(job) for job in track.jobs.all()]}


def _separation(job: Job) -> dict[str, Any]:
    names = ("state", "options", "tags", "detected", "report", "error", "created_at", "finished_at", "deleted_at")
    history = [{"at": event.at, "what": event.get_kind_display()} for event in job.history.all()]
    return {name: getattr(job, name) for name in names} | {"history": history}
