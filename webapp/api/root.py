"""The entry point of the API."""

from django.urls import reverse
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

PLACES = {
    **{name: f"api-{name}" for name in ("tracks", "jobs", "uploads", "models", "me", "tokens", "webhooks")},
    **{name: name for name in ("docs", "schema", "problems")},
}


class Root(APIView):
    """Entry point of the API."""

    @extend_schema(responses={200: {"type": "object", "additionalProperties": {"type": "string"}}})
    def get(self, _: Request) -> Response:
        """List the API's resources.

        Returns the URLs from which all others can be reached.
        """
        return Response({name: reverse(route) for name, route in PLACES.items()})
