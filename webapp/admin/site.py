"""The administrator's site: Django's, with SoundScape's name, and how it goes on the first page."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.decorators import method_decorator

from webapp.api.throttling import per_address
from webapp.monitoring.stats import current_stats
from webapp.pages.guessing import know


class Console(admin.AdminSite):
    """Made Django's default by `apps`."""

    site_header = site_title = "SoundScape"
    index_title = "How it goes"
    enable_nav_sidebar = False  # lists need the room

    @method_decorator(per_address("login", "100/hour", "Too many log-ins"))
    def login(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Counted together with the site's."""
        response = super().login(request, extra_context)
        if request.user.is_authenticated:
            know(response, request.user.get_username())
        return response

    def index(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> TemplateResponse:
        """The first page."""
        return super().index(request, {"figures": current_stats()} | (extra_context or {}))
