"""The account that sends a request, and the models of this site."""

from dataclasses import asdict

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from pipeline.options import all_models, presets_of
from webapp.accounts import quotas
from webapp.api import schemas
from webapp.api.openapi import schema_of
from webapp.api.permissions import WithAccount
from webapp.models import Scope, Token


class Me(APIView):
    """Your own account, its limits and what it has used."""

    permission_classes = [WithAccount]

    @extend_schema(responses={200: schema_of(schemas.Account)})
    def get(self, request: Request) -> Response:
        """Get your account.

        Returns your name, the scopes of your session or token, your quota and what you use of it.
        """
        user, token = request.user, request.auth
        scopes = token.scopes if isinstance(token, Token) else [scope.value for scope in Scope]
        name = None if user.is_guest else user.get_username()  # type: ignore[union-attr]
        quota = quotas.quota_of(user)  # type: ignore[arg-type]
        about = {"name": name, "guest": name is None, "staff": user.is_staff, "scopes": scopes}
        uses = {"quota": quota and asdict(quota), "usage": asdict(quotas.used_by(user))}  # type: ignore[arg-type]
        return Response(about | uses)


class Models(APIView):
    """The models that this site knows."""

    @extend_schema(responses={200: {"type": "array", "items": schema_of(schemas.Model)}})
    def get(self, _: Request) -> Response:
        """List the models.

        Returns the models that this site can separate with, their licence and origin, and whether they are installed.
        """
        return Response([asdict(card) | {"presets": presets_of(card.name)} for card in all_models()])
