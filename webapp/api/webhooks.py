"""Webhooks: make, change and try one's own, and see what was sent to them. Only for members; nobody else sees them."""

from typing import Any
from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.decorators import action
from rest_framework.generics import get_object_or_404
from rest_framework.request import Request
from rest_framework.response import Response

from webapp.api.common import Resource
from webapp.api.permissions import WithAccount
from webapp.http.problems import Checked, Conflict
from webapp.models import Delivery, User, Webhook
from webapp.webhooks import http_client, outbox

NO_STORE = {"Cache-Control": "no-store"}


class Members(WithAccount):
    """Whoever has a login, by session or token."""

    def has_permission(self, request: Request, view: Any) -> bool:
        """Not guests: whom a site writes to it should know."""
        return super().has_permission(request, view) and not (isinstance(request.user, User) and request.user.is_guest)


class WebhookRequest(Checked):
    """What one says of a webhook. events: those it hears of; none: all of them."""

    url = serializers.CharField(max_length=500)
    events = serializers.MultipleChoiceField(choices=[kind.value for kind in outbox.ANNOUNCED], default=set[str]())
    active = serializers.BooleanField(default=True)

    def validate_url(self, url: str) -> str:
        """One that we would post to. Looks up its host."""
        try:
            http_client.check_url(url)
        except http_client.Refused as error:
            raise serializers.ValidationError(str(error)) from error
        return url

    def validate_events(self, events: set[str]) -> list[str]:
        """In the order in which they happen."""
        return [kind.value for kind in outbox.ANNOUNCED if kind in events]


class WebhookChange(WebhookRequest):
    """What of it is to be another."""

    url = serializers.CharField(max_length=500, required=False)


class WebhookJson(serializers.ModelSerializer[Webhook]):
    """What can be seen of a webhook: not its secret."""

    class Meta:
        model = Webhook
        fields = ("id", "url", "events", "active", "created_at")


class WithSecret(WebhookJson):
    """The answer that tells the secret."""

    secret = serializers.CharField()

    class Meta:
        model = Webhook
        fields = (*WebhookJson.Meta.fields, "secret")


class DeliveryJson(serializers.ModelSerializer[Delivery]):
    """A message, and each try to send it. due_at: of the next one, while it is pending."""

    class Meta:
        model = Delivery
        fields = ("id", "event", "state", "body", "log", "created_at", "due_at")


class WebhookViewSet(Resource[Webhook]):
    """My webhooks."""

    permission_classes = [Members]
    queryset = Webhook.objects.none()
    sent = {"create": WebhookRequest, "partial_update": WebhookChange}

    @extend_schema(responses=WebhookJson(many=True))
    def list(self, request: Request) -> Response:
        """All, oldest first."""
        return Response(WebhookJson(_mine(request).order_by("created_at"), many=True).data)

    @extend_schema(responses={201: WithSecret})
    def create(self, request: Request) -> Response:
        """Make one. The answer holds its secret, which signs what is sent, and which is not told again."""
        wish = self.wish()
        if _mine(request).count() >= outbox.MAX_WEBHOOKS:
            raise Conflict(outbox.TOO_MANY)
        return _with_secret(outbox.create(request.user, **wish), status.HTTP_201_CREATED)  # type: ignore[arg-type]

    @extend_schema(responses=WebhookJson)
    def retrieve(self, request: Request, pk: UUID) -> Response:
        """One."""
        return Response(WebhookJson(_own(request, pk)).data)

    @extend_schema(responses=WebhookJson)
    def partial_update(self, request: Request, pk: UUID) -> Response:
        """Change where it leads, what it hears of, or whether it does."""
        hook = _own(request, pk)
        _mine(request).filter(pk=hook.pk).update(**self.wish(partial=True))
        return Response(WebhookJson(_own(request, pk)).data)

    @extend_schema(responses={204: None})
    def destroy(self, request: Request, pk: UUID) -> Response:
        """Delete it, with its deliveries."""
        _own(request, pk).delete()
        return Response(status=status.HTTP_204_NO_CONTENT)

    @extend_schema(request=None, responses=WithSecret)
    @action(detail=True, methods=["post"])
    def rotate(self, request: Request, pk: UUID) -> Response:
        """Give it another secret. For a day both sign."""
        hook = _own(request, pk)
        outbox.rotate(hook)
        return _with_secret(hook, status.HTTP_200_OK)

    @extend_schema(request=None, responses={201: DeliveryJson})
    @action(detail=True, methods=["post"])
    def ping(self, request: Request, pk: UUID) -> Response:
        """Send it a message that says nothing."""
        return Response(DeliveryJson(outbox.ping(_own(request, pk))).data, status=status.HTTP_201_CREATED)

    @extend_schema(responses=DeliveryJson(many=True))
    @action(detail=True)
    def deliveries(self, request: Request, pk: UUID) -> Response:
        """What was sent or will be, newest first. Kept for a month."""
        sent: Any = _own(request, pk).deliveries.all()
        page: Any = self.paginate_queryset(sent)
        return self.get_paginated_response(DeliveryJson(page, many=True).data)

    @extend_schema(request=None, responses=DeliveryJson)
    @action(detail=True, methods=["post"])
    def redeliver(self, request: Request, pk: UUID, delivery: UUID) -> Response:
        """Send one once more."""
        mine = get_object_or_404(_own(request, pk).deliveries, pk=delivery)
        if not outbox.redeliver(mine):
            raise Conflict("This message is about to be sent anyway.")
        mine.refresh_from_db()
        return Response(DeliveryJson(mine).data)


def _mine(request: Request) -> Any:
    return Webhook.objects.filter(owner_id=request.user.pk)


def _own(request: Request, pk: UUID) -> Webhook:
    hook: Webhook = get_object_or_404(_mine(request), pk=pk)
    return hook


def _with_secret(hook: Webhook, code: int) -> Response:
    return Response(WebhookJson(hook).data | {"secret": hook.secret}, status=code, headers=NO_STORE)
