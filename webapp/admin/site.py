"""The admin site: Django's, with SoundScape's name and statistics on the index page."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.decorators import method_decorator

from webapp.api.throttling import per_address
from webapp.monitoring.stats import current_stats
from webapp.pages.guessing import know


class AdminSite(admin.AdminSite):
    """The default admin site, as set by `webapp.apps`."""

    site_header = site_title = "SoundScape"
    index_title = "Overview"
    enable_nav_sidebar = False  # lists need the space

    @method_decorator(per_address("login", "100/hour", "Too many logins"))
    def login(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Log in, with a rate limit shared with the login page of the site."""
        response = super().login(request, extra_context)
        if request.user.is_authenticated:
            know(response, request.user.get_username())
        return response

    def index(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> TemplateResponse:
        """Show the index page with statistics."""
        return super().index(request, {"figures": current_stats()} | (extra_context or {}))
