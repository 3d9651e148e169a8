"""Tokens: list, create and revoke one's own. Only for members who are logged in: a token must not create others."""

from datetime import datetime
from uuid import UUID

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.generics import get_object_or_404
from rest_framework.request import Request
from rest_framework.response import Response

from webapp.accounts import tokens
from webapp.api.common import ResourceViewSet
from webapp.api.permissions import LoggedIn
from webapp.api.requests import Names, Text
from webapp.http.problems import Checked
from webapp.models import Scope, Token


class NewTokenSerializer(Checked):
    """A token to create."""

    name = Text(max_length=100, help_text="Name by which you recognise the token.")
    scopes = Names(choices=Scope.choices, allow_empty=False, help_text="What the token may be used for.")
    expires_at = serializers.DateTimeField(allow_null=True, help_text="Time of expiry; null for never.")

    def validate_expires_at(self, value: datetime | None) -> datetime | None:
        if value and value <= timezone.now():
            raise serializers.ValidationError("This is in the past. Choose a later time, or null for never.")
        return value


class TokenSerializer(serializers.ModelSerializer[Token]):
    """A token, without the secret itself."""

    begins = serializers.CharField(source="token_key", help_text="First characters of the token.")
    created_at = serializers.DateTimeField(source="created", help_text="Time of creation.")
    last_used_at = serializers.DateTimeField(source="last_used", allow_null=True, help_text="Time of last use.")
    expires_at = serializers.DateTimeField(
        source="expiry", allow_null=True, help_text="Time of expiry; null for never."
    )

    class Meta:
        model = Token
        fields: tuple[str, ...] = ("id", "name", "scopes", "begins", "created_at", "last_used_at", "expires_at")
        extra_kwargs = {
            "id": {"help_text": "UUID of the token."},
            "name": {"help_text": "Name by which you recognise the token."},
            "scopes": {"help_text": "What the token may be used for."},
        }


class CreatedTokenSerializer(TokenSerializer):
    """A new token, with the secret, which is shown only once."""

    token = serializers.CharField(help_text="Secret to send in the header `Authorization: Bearer`.")

    class Meta(TokenSerializer.Meta):
        fields = (*TokenSerializer.Meta.fields, "token")


class TokenViewSet(ResourceViewSet[Token]):
    """Tokens for programs that use the API."""

    permission_classes = [LoggedIn]
    queryset = Token.objects.none()
    request_serializers = {"create": NewTokenSerializer}

    @extend_schema(responses=TokenSerializer(many=True))
    def list(self, request: Request) -> Response:
        """List your tokens.

        Returns all tokens, newest first, without their secrets.
        """
        return Response(TokenSerializer(Token.objects.filter(user_id=request.user.pk), many=True).data)

    @extend_schema(responses={201: CreatedTokenSerializer})
    def create(self, request: Request) -> Response:
        """Create a token.

        Creates a token with the given scopes. Only this response contains its secret, so store it.
        """
        token, secret = tokens.make(request.user, **self.validated())  # type: ignore[arg-type]
        headers = {"Cache-Control": "no-store"}
        return Response(
            TokenSerializer(token).data | {"token": secret}, status=status.HTTP_201_CREATED, headers=headers
        )

    @extend_schema(responses={204: None})
    def destroy(self, request: Request, pk: UUID) -> Response:
        """Revoke a token.

        Deletes the token; requests that use it fail from now on.
        """
        get_object_or_404(Token, user_id=request.user.pk, pk=pk).delete()
        return Response(status=status.HTTP_204_NO_CONTENT)
