"""/healthz: whether every part of the site works, for monitoring and for `manage.py serve`."""

import logging
import os
from collections.abc import Callable

from django.conf import settings
from django.db import connection
from django.http import HttpRequest, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from pipeline.options import model_cards
from webapp.celery import app
from webapp.models import Job, Worker
from webapp.songs.wait_status import START
from webapp.storage.base import store

log = logging.getLogger(__name__)


@never_cache
@require_safe
def healthz(_request: HttpRequest) -> JsonResponse:
    """The state of each part, "ok" or a message, with status 200 if all of them work and 503 otherwise."""
    parts = {
        name: _state_of(check)
        for name, check in {
            "database": _database,
            "broker": _broker,
            "storage": _storage,
            "worker": _worker,
            "model": _model,
        }.items()
    }
    status = "ok" if set(parts.values()) == {"ok"} else "unavailable"
    code = 200 if status == "ok" else 503
    return JsonResponse({"status": status} | parts, status=code, json_dumps_params={"ensure_ascii": False})


def _state_of(check: Callable[[], str]) -> str:
    try:
        return check()
    except Exception as error:  # any error is a result; its message may hold addresses and goes to the log only
        log.warning("healthz: %r", error)
        return f"Does not answer ({type(error).__name__}). The log of the web server says more."


def _database() -> str:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    Job.objects.exists()  # fails if the migrations have not been applied
    return "ok"


def _broker() -> str:
    folder = settings.CELERY_BROKER_TRANSPORT_OPTIONS.get("data_folder_out")
    if folder and not os.access(folder, os.W_OK | os.X_OK):
        return "The folder of messages cannot be written to."
    with app.connection_for_write(connect_timeout=settings.CELERY_BROKER_CONNECTION_TIMEOUT) as broker:
        broker.ensure_connection(max_retries=1, timeout=settings.CELERY_BROKER_CONNECTION_TIMEOUT)
    return "ok"


def _storage() -> str:
    return "ok" if store().is_writable() else "The data folder cannot be written to."


def _worker() -> str:
    return "ok" if Worker.objects.alive().exists() else f"No worker is running. {START}"


def _model() -> str:
    missing = [card.name for card in model_cards() if not card.installed]
    return "ok" if not missing else f"Not installed: {', '.join(missing)}. Run “python manage.py setup”."
