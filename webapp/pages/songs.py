"""Pages of songs."""

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

FIRST = 100  # songs that come with the page


@require_safe
@ensure_csrf_cookie
def home(request: HttpRequest) -> HttpResponse:
    """Upload, and the list of one's jobs, of which the page fetches those beyond the first."""
    newest = [*jobs_of(request.user)[: FIRST + 1]]
    return render(
        request,
        "webapp/home.html",
        {
            "jobs": jobs_json(newest[:FIRST]),
            "more": len(newest) > FIRST,
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
@csp_update({"script-src": ["'wasm-unsafe-eval'"]})  # type: ignore[arg-type]  # the player's stretcher
@ensure_csrf_cookie
def job(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Progress, then the mixer."""
    found = get_object_or_404(jobs_of(request.user), pk=pk)
    return render(request, "webapp/job.html", {"job": found, "data": job_json(found)})


@require_safe
def help_page(request: HttpRequest) -> HttpResponse:
    """Formats, words, keys, and whom to ask."""
    limits = {"max_bytes": settings.MAX_UPLOAD_BYTES, "max_hours": settings.MAX_SECONDS / 3600}
    return render(request, "webapp/help.html", limits | {"formats": FORMATS.values(), "bleeds": bleeds()})


def about(_: HttpRequest) -> dict[str, str]:
    """What every template knows: the version, for the footer."""
    return {"version": __version__}
