"""The pages of songs: upload and list, mixer, help."""

from uuid import UUID

from csp.decorators import csp_update
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.csrf import ensure_csrf_cookie
from django.views.decorators.http import require_safe

from pipeline.options import DEFAULT_BLEED, FORMATS, bleeds, experimental_stems, model_cards, stem_choices
from webapp import __version__
from webapp.api.representations import job_json, jobs_json
from webapp.songs.queries import jobs_of

FIRST_PAGE = 100  # songs in the page itself


@require_safe
@ensure_csrf_cookie
def home(request: HttpRequest) -> HttpResponse:
    """The upload form and the list of songs, of which the browser fetches further pages."""
    newest = [*jobs_of(request.user)[: FIRST_PAGE + 1]]
    return render(
        request,
        "webapp/home.html",
        {
            "jobs": jobs_json(newest[:FIRST_PAGE]),
            "more": len(newest) > FIRST_PAGE,
            "limits": {"max_bytes": settings.MAX_UPLOAD_BYTES, "max_seconds": settings.MAX_SECONDS},
            "guest_days": settings.GUEST_DAYS,
            "may_upload": request.user.is_authenticated or settings.GUESTS,
            "demo_available": settings.DEMO_SONG.exists(),
            "model_cards": model_cards(),
            "bleeds": bleeds(),
            "default_bleed": DEFAULT_BLEED,
            "stem_choices": stem_choices(),
            "experimental_stems": experimental_stems(),
        },
    )


@require_safe
@csp_update({"script-src": ["'wasm-unsafe-eval'"]})  # type: ignore[arg-type]  # the time stretcher of the player
@ensure_csrf_cookie
def job(request: HttpRequest, pk: UUID) -> HttpResponse:
    """The page of a song: its progress, then its mixer."""
    found = get_object_or_404(jobs_of(request.user), pk=pk)
    return render(request, "webapp/job.html", {"job": found, "data": job_json(found)})


@require_safe
def help_page(request: HttpRequest) -> HttpResponse:
    """The help page: formats, terms, keyboard shortcuts and contacts."""
    limits = {"max_megabytes": settings.MAX_UPLOAD_BYTES / 1e6, "max_hours": settings.MAX_SECONDS / 3600}
    return render(request, "webapp/help.html", limits | {"formats": FORMATS.values(), "bleeds": bleeds()})


def about(_: HttpRequest) -> dict[str, str]:
    """Context processor: the version, for the footer of every page."""
    return {"version": __version__}
