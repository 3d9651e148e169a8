"""Tokens: see, make and revoke one's own. Only for members who are logged in: a token must not make others."""

from datetime import datetime
from uuid import UUID

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.generics import get_object_or_404
from rest_framework.request import Request
from rest_framework.response import Response

from webapp.accounts import tokens
from webapp.api.common import Resource
from webapp.api.permissions import LoggedIn
from webapp.api.requests import Names, Text
from webapp.http.problems import Checked
from webapp.models import Scope, Token


class TokenRequest(Checked):
    """What one says of a token to be made. expires_at: null for never."""

    name = Text(max_length=100)
    scopes = Names(choices=Scope.choices, allow_empty=False)
    expires_at = serializers.DateTimeField(allow_null=True)

    def validate_expires_at(self, value: datetime | None) -> datetime | None:
        """Not in the past."""
        if value and value <= timezone.now():
            raise serializers.ValidationError("This is in the past. Choose a later time, or null for never.")
        return value


class TokenJson(serializers.ModelSerializer[Token]):
    """What can be seen of a token. begins: by which its owner knows it again."""

    begins = serializers.CharField(source="token_key")
    created_at = serializers.DateTimeField(source="created")
    last_used_at = serializers.DateTimeField(source="last_used", allow_null=True)
    expires_at = serializers.DateTimeField(source="expiry", allow_null=True)

    class Meta:
        model = Token
        fields = ("id", "name", "scopes", "begins", "created_at", "last_used_at", "expires_at")


class MadeToken(TokenJson):
    """The answer to its making, which alone holds the token itself."""

    token = serializers.CharField()

    class Meta:
        model = Token
        fields = (*TokenJson.Meta.fields, "token")


class TokenViewSet(Resource[Token]):
    """My tokens."""

    permission_classes = [LoggedIn]
    queryset = Token.objects.none()
    sent = {"create": TokenRequest}

    @extend_schema(responses=TokenJson(many=True))
    def list(self, request: Request) -> Response:
        """All, newest first."""
        return Response(TokenJson(Token.objects.filter(user_id=request.user.pk), many=True).data)

    @extend_schema(responses={201: MadeToken})
    def create(self, request: Request) -> Response:
        """Make one. The answer alone holds the token itself."""
        token, secret = tokens.make(request.user, **self.wish())  # type: ignore[arg-type]
        headers = {"Cache-Control": "no-store"}
        return Response(TokenJson(token).data | {"token": secret}, status=status.HTTP_201_CREATED, headers=headers)

    @extend_schema(responses={204: None})
    def destroy(self, request: Request, pk: UUID) -> Response:
        """Revoke one: from now on it is worth nothing."""
        get_object_or_404(Token, user_id=request.user.pk, pk=pk).delete()
        return Response(status=status.HTTP_204_NO_CONTENT)
