"""Everything stored about a person as a ZIP archive: uploads, stems, and a JSON file with the rest."""

import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from asgiref.sync import sync_to_async
from django.contrib.auth.views import redirect_to_login
from django.core.serializers.json import DjangoJSONEncoder
from django.http import HttpRequest, HttpResponseBase
from django.utils import timezone
from django.views.decorators.http import require_GET
from zipstream import ZipStream

from webapp.http.zip import add_file, new_archive, send_archive
from webapp.models import Job, Track, User
from webapp.storage.filenames import tame

FOLDER = "soundscape"


@require_GET
async def data_export(request: HttpRequest) -> HttpResponseBase:
    """The data of the account, a guest's too, packed while it is sent."""
    user = await request.auser()
    if not isinstance(user, User):
        return redirect_to_login(request.get_full_path())
    archive = await sync_to_async(_archive)(user)
    return send_archive(archive, f"{FOLDER}-{timezone.now():%Y-%m-%d}.zip")


def _archive(user: User) -> ZipStream:
    archive = new_archive()
    songs = []
    tracks = user.tracks.order_by("created_at").prefetch_related("jobs__stems", "jobs__history")
    for number, track in enumerate(tracks, 1):
        files = []
        for name, path in _files(track, f"{number:04d} {tame(track.title)}"):
            with suppress(FileNotFoundError):  # deleted in the meantime
                add_file(archive, f"{FOLDER}/{name}", path)
                files.append(name)
        about = {name: getattr(track, name) for name in ("title", "filename", "size", "created_at")}
        songs.append(about | {"files": files, "separations": [_separation(job) for job in track.jobs.all()]})
    data = json.dumps(_account(user) | {"songs": songs}, cls=DjangoJSONEncoder, indent=2, ensure_ascii=False)
    archive.add(data, f"{FOLDER}/account.json")
    return archive


def _files(track: Track, folder: str) -> Iterator[tuple[str, Path]]:
    """The name in the archive and the path of each file of a song."""
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


def _separation(job: Job) -> dict[str, Any]:
    names = ("state", "options", "tags", "detected", "report", "error", "created_at", "finished_at", "deleted_at")
    history = [{"at": event.at, "what": event.get_kind_display()} for event in job.history.all()]
    return {name: getattr(job, name) for name in names} | {"history": history}
