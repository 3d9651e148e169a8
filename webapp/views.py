"""Pages."""

from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib.auth import login
from django.contrib.auth.forms import AuthenticationForm
from django.contrib.auth.views import LoginView, LogoutView
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.middleware.csrf import rotate_token
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse_lazy
from django.views.decorators.csrf import ensure_csrf_cookie
from django.views.generic import CreateView

from pipeline.options import DEFAULT_BLEED, FORMATS, bleeds, model_cards, stem_choices
from webapp.accounts import BACKEND, SignUpForm, adopt, guest_of
from webapp.models import User
from webapp.serializers import job_json, jobs_json, jobs_of

FIRST = 100  # songs that come with the page


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
            "may_upload": request.user.is_authenticated or settings.GUESTS,
            "demo_available": settings.DEMO_SONG.exists(),
            "model_cards": model_cards(),
            "bleeds": bleeds(),
            "default_bleed": DEFAULT_BLEED,
            "formats": FORMATS.items(),
            "stem_choices": stem_choices(),
        },
    )


@ensure_csrf_cookie
def job(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Progress, then the mixer."""
    found = get_object_or_404(jobs_of(request.user), pk=pk)
    return render(request, "webapp/job.html", {"job": found, "data": job_json(found)})


class Login(LoginView):
    """Log in; what one did as a guest before comes along."""

    def form_valid(self, form: AuthenticationForm) -> HttpResponse:
        """The guest is noted before the login replaces it in the session."""
        guest, member = guest_of(self.request), form.get_user()
        response = super().form_valid(form)
        if guest and guest.pk != member.pk:
            adopt(guest, member)
        return response


class Logout(LogoutView):
    """Log out, and end what a guest is known by."""

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """The CSRF secret names the guest, so it goes too."""
        response = super().post(request, *args, **kwargs)
        rotate_token(request)
        return response


class SignUp(CreateView[User, SignUpForm]):
    """Make an account; a guest's own becomes it, with its jobs."""

    form_class = SignUpForm
    template_name = "webapp/signup.html"
    success_url = reverse_lazy("home")
    initial = {"username": ""}  # not a guest's made-up name

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """Members have an account already."""
        if request.user.is_authenticated and not guest_of(request):
            return redirect("home")
        return super().dispatch(request, *args, **kwargs)

    def get_form_kwargs(self) -> dict[str, Any]:
        """Fill in the guest's row rather than a new one."""
        return super().get_form_kwargs() | {"instance": guest_of(self.request)}

    def form_valid(self, form: SignUpForm) -> HttpResponse:
        """Log in: the session gets a new key, so that one known from before is worth nothing."""
        response = super().form_valid(form)
        login(self.request, form.instance, backend=BACKEND)
        return response
