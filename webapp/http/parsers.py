"""Parsers of request bodies."""

import json
from typing import Any

from rest_framework.exceptions import ParseError
from rest_framework.parsers import JSONParser


class StrictJSONParser(JSONParser):
    """Rejects lone surrogates too, which can neither be stored nor sent back."""

    def parse(self, *args: Any, **named: Any) -> Any:
        data = super().parse(*args, **named)
        try:
            json.dumps(data, ensure_ascii=False).encode()
        except UnicodeEncodeError as error:
            half = error.object[error.start].encode("unicode-escape").decode()
            raise ParseError(f"A text in the body holds {half}, which is half a character.") from error
        return data
