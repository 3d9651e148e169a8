"""The administrator's site: Django's, with SoundScape's name, and how it goes on the first page."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.template.response import TemplateResponse

from webapp.figures import figures


class Console(admin.AdminSite):
    """Made Django's default by `apps`."""

    site_header = site_title = "SoundScape"
    index_title = "How it goes"
    enable_nav_sidebar = False  # lists need the room

    def index(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> TemplateResponse:
        """The first page."""
        return super().index(request, {"figures": figures()} | (extra_context or {}))
