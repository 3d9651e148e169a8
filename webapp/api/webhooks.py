"""Webhooks: create, change and test one's own, and list what was sent to them. Only for members."""

from typing import Any
from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.decorators import action
from rest_framework.generics import get_object_or_404
from rest_framework.request import Request
from rest_framework.response import Response

from webapp.api.common import ResourceViewSet
from webapp.api.permissions import WithAccount
from webapp.http.problems import Checked, Conflict
from webapp.models import Delivery, User, Webhook
from webapp.webhooks import http_client, outbox

NO_STORE = {"Cache-Control": "no-store"}


class MembersOnly(WithAccount):
    """Members, by session or token, but not guests: a site should know whom it sends messages for."""

    def has_permission(self, request: Request, view: Any) -> bool:
        return super().has_permission(request, view) and not (isinstance(request.user, User) and request.user.is_guest)


URL = "Address that events are posted to."


class NewWebhookSerializer(Checked):
    """A webhook to create."""

    url = serializers.CharField(max_length=500, help_text=URL)
    events = serializers.MultipleChoiceField(
        choices=[kind.value for kind in outbox.ANNOUNCED],
        default=set[str](),
        help_text="Events to send; empty for all of them.",
    )
    active = serializers.BooleanField(default=True, help_text="Whether events are sent.")

    def validate_url(self, url: str) -> str:
        """Looks up the host and checks that the site may post to it."""
        try:
            http_client.check_url(url)
        except http_client.Refused as error:
            raise serializers.ValidationError(str(error)) from error
        return url

    def validate_events(self, events: set[str]) -> list[str]:
        return [kind.value for kind in outbox.ANNOUNCED if kind in events]


class WebhookChangeSerializer(NewWebhookSerializer):
    """The fields of a webhook to change."""

    url = serializers.CharField(max_length=500, required=False, help_text=URL)


class WebhookSerializer(serializers.ModelSerializer[Webhook]):
    """A webhook, without its secret."""

    class Meta:
        model = Webhook
        fields: tuple[str, ...] = ("id", "url", "events", "active", "created_at")
        extra_kwargs = {
            "id": {"help_text": "UUID of the webhook."},
            "url": {"help_text": URL},
            "events": {"help_text": "Events to send; empty for all of them."},
            "active": {"help_text": "Whether events are sent."},
            "created_at": {"help_text": "Time of creation."},
        }


class WebhookWithSecretSerializer(WebhookSerializer):
    """A webhook with the secret that signs its messages."""

    secret = serializers.CharField(help_text="Secret that signs the messages; it is shown only once.")

    class Meta(WebhookSerializer.Meta):
        fields = (*WebhookSerializer.Meta.fields, "secret")


class DeliverySerializer(serializers.ModelSerializer[Delivery]):
    """A message to a webhook, with the attempts to deliver it."""

    class Meta:
        model = Delivery
        fields = ("id", "event", "state", "body", "log", "created_at", "due_at")
        extra_kwargs = {
            "id": {"help_text": "UUID of the delivery."},
            "event": {"help_text": "Event that the message reports."},
            "state": {"help_text": "State of the delivery."},
            "body": {"help_text": "Body of the message."},
            "log": {"help_text": "Attempts to deliver the message, with their results."},
            "created_at": {"help_text": "Time of creation."},
            "due_at": {"help_text": "Time of the next attempt while the delivery is pending."},
        }


class WebhookViewSet(ResourceViewSet[Webhook]):
    """Addresses to which the site posts what happens to your jobs."""

    permission_classes = [MembersOnly]
    queryset = Webhook.objects.none()
    request_serializers = {"create": NewWebhookSerializer, "partial_update": WebhookChangeSerializer}

    @extend_schema(responses=WebhookSerializer(many=True))
    def list(self, request: Request) -> Response:
        """List your webhooks.

        Returns all webhooks, oldest first, without their secrets.
        """
        return Response(WebhookSerializer(_webhooks_of(request).order_by("created_at"), many=True).data)

    @extend_schema(responses={201: WebhookWithSecretSerializer})
    def create(self, request: Request) -> Response:
        """Create a webhook.

        Creates a webhook that receives the given events. Only this response contains the secret that signs them.
        """
        data = self.validated()
        if _webhooks_of(request).count() >= outbox.MAX_WEBHOOKS:
            raise Conflict(outbox.TOO_MANY)
        return _with_secret(outbox.create(request.user, **data), status.HTTP_201_CREATED)  # type: ignore[arg-type]

    @extend_schema(responses=WebhookSerializer)
    def retrieve(self, request: Request, pk: UUID) -> Response:
        """Get a webhook.

        Returns the webhook with its address and events.
        """
        return Response(WebhookSerializer(_get_webhook(request, pk)).data)

    @extend_schema(responses=WebhookSerializer)
    def partial_update(self, request: Request, pk: UUID) -> Response:
        """Change a webhook.

        Changes the address or the events, or pauses and resumes the webhook.
        """
        hook = _get_webhook(request, pk)
        _webhooks_of(request).filter(pk=hook.pk).update(**self.validated(partial=True))
        return Response(WebhookSerializer(_get_webhook(request, pk)).data)

    @extend_schema(responses={204: None})
    def destroy(self, request: Request, pk: UUID) -> Response:
        """Delete a webhook.

        Deletes the webhook and its deliveries.
        """
        _get_webhook(request, pk).delete()
        return Response(status=status.HTTP_204_NO_CONTENT)

    @extend_schema(request=None, responses=WebhookWithSecretSerializer)
    @action(detail=True, methods=["post"])
    def rotate(self, request: Request, pk: UUID) -> Response:
        """Rotate a webhook's secret.

        Replaces the secret. For a day, messages are signed with both the old and the new one.
        """
        hook = _get_webhook(request, pk)
        outbox.rotate(hook)
        return _with_secret(hook, status.HTTP_200_OK)

    @extend_schema(request=None, responses={201: DeliverySerializer})
    @action(detail=True, methods=["post"])
    def ping(self, request: Request, pk: UUID) -> Response:
        """Ping a webhook.

        Sends an empty message to test the webhook.
        """
        return Response(DeliverySerializer(outbox.ping(_get_webhook(request, pk))).data, status=status.HTTP_201_CREATED)

    @extend_schema(responses=DeliverySerializer(many=True))
    @action(detail=True)
    def deliveries(self, request: Request, pk: UUID) -> Response:
        """List a webhook's deliveries.

        Returns a page of sent and pending messages, newest first. They are kept for a month.
        """
        sent: Any = _get_webhook(request, pk).deliveries.all()
        page: Any = self.paginate_queryset(sent)
        return self.get_paginated_response(DeliverySerializer(page, many=True).data)

    @extend_schema(request=None, responses=DeliverySerializer)
    @action(detail=True, methods=["post"])
    def redeliver(self, request: Request, pk: UUID, delivery: UUID) -> Response:
        """Redeliver a message.

        Sends a message to the webhook again.
        """
        found = get_object_or_404(_get_webhook(request, pk).deliveries, pk=delivery)
        if not outbox.redeliver(found):
            raise Conflict("This message is about to be sent anyway.")
        found.refresh_from_db()
        return Response(DeliverySerializer(found).data)


def _webhooks_of(request: Request) -> Any:
    return Webhook.objects.filter(owner_id=request.user.pk)


def _get_webhook(request: Request, pk: UUID) -> Webhook:
    hook: Webhook = get_object_or_404(_webhooks_of(request), pk=pk)
    return hook


def _with_secret(hook: Webhook, code: int) -> Response:
    return Response(WebhookSerializer(hook).data | {"secret": hook.secret}, status=code, headers=NO_STORE)
