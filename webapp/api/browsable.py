"""The API as pages for a browser."""

import re
from typing import Any

from rest_framework.renderers import BrowsableAPIRenderer

PATH = re.compile(r'"(/(?:api|jobs)/[^"{}]+)"')


class BrowsableRenderer(BrowsableAPIRenderer):
    """REST framework's pages without inline styles, which the content security policy forbids."""

    def get_context(self, *args: Any) -> dict[str, Any]:
        """Without colours for code, which are inline styles."""
        context: dict[str, Any] = super().get_context(*args)
        return context | {"code_style": ""}

    def get_content(self, *args: Any) -> str:
        """With absolute URLs, which the page turns into links."""
        content: str = super().get_content(*args)
        absolute = args[-1]["request"].build_absolute_uri
        return PATH.sub(lambda found: f'"{absolute(found[1])}"', content)

    def get_filter_form(self, data: Any, view: Any, request: Any) -> None:
        """No form: the documentation lists the filters."""
