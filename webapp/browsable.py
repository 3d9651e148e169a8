"""The API for people who look at it with a browser."""

from typing import Any

from rest_framework.renderers import BrowsableAPIRenderer


class Browsable(BrowsableAPIRenderer):
    """REST framework's own pages, without what has its style in line, which our policy forbids."""

    def get_context(self, *args: Any) -> dict[str, Any]:
        """Code is not coloured."""
        context: dict[str, Any] = super().get_context(*args)
        return context | {"code_style": ""}

    def get_filter_form(self, data: Any, view: Any, request: Any) -> None:
        """What lists can be narrowed down to stands in the documentation."""
