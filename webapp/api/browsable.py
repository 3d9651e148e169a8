"""The API for people who look at it with a browser."""

import re
from typing import Any

from rest_framework.renderers import BrowsableAPIRenderer

ADDRESS = re.compile(r'"(/(?:api|jobs)/[^"{}]+)"')


class Browsable(BrowsableAPIRenderer):
    """REST framework's own pages, without what has its style in line, which our policy forbids."""

    def get_context(self, *args: Any) -> dict[str, Any]:
        """Code is not coloured."""
        context: dict[str, Any] = super().get_context(*args)
        return context | {"code_style": ""}

    def get_content(self, *args: Any) -> str:
        """With whole addresses, which the page makes links of."""
        content: str = super().get_content(*args)
        whole = args[-1]["request"].build_absolute_uri
        return ADDRESS.sub(lambda found: f'"{whole(found[1])}"', content)

    def get_filter_form(self, data: Any, view: Any, request: Any) -> None:
        """What lists can be narrowed down to stands in the documentation."""
