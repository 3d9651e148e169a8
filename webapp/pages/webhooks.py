"""Pages of the account for its webhooks: make one, see what was sent to it, try it, and give it another secret."""

from typing import Any
from uuid import UUID

from django import forms
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.generic import FormView, View

from webapp.models import Webhook
from webapp.pages.tokens import ForMembers
from webapp.webhooks import http_client, outbox

SHOWN = 50  # deliveries on the page of a webhook


class WebhookForm(forms.Form):
    """What one says of a webhook to be made."""

    url = forms.CharField(max_length=500, label="Address", help_text="Such as: https://example.org/hook.")
    events = forms.MultipleChoiceField(
        choices=[(kind.value, kind.label) for kind in outbox.ANNOUNCED],
        required=False,
        label="Of what does it hear?",
        help_text="Choose nothing to have it hear of everything.",
    )

    def clean_url(self) -> str:
        """One that we would post to."""
        url: str = self.cleaned_data["url"]
        try:
            http_client.check_url(url)
        except http_client.Refused as error:
            raise ValidationError(str(error)) from error
        return url


class MakeWebhook(ForMembers, FormView[WebhookForm]):
    """A form; then the secret, this once."""

    form_class = WebhookForm
    template_name = "webapp/webhooks.html"

    def form_valid(self, form: WebhookForm) -> HttpResponse:
        """No redirect: nothing would remember the secret on the way."""
        user: Any = self.request.user
        if user.webhooks.count() >= outbox.MAX_WEBHOOKS:
            form.add_error(None, outbox.TOO_MANY)
            return self.form_invalid(form)
        return _secret(self.request, outbox.create(user, **form.cleaned_data))


class OneWebhook(ForMembers, View):
    """One of one's own, with what was sent to it, and buttons."""

    def get(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        """All about it."""
        hook = _own(request, pk)
        deliveries = hook.deliveries.order_by("-created_at")[:SHOWN]
        return render(request, "webapp/webhook.html", {"webhook": hook, "deliveries": deliveries})

    def post(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        """Do what the button says."""
        hook, wish = _own(request, pk), request.POST.get("do")
        if wish == "rotate":
            outbox.rotate(hook)
            return _secret(request, hook)
        if wish == "delete":
            hook.delete()
            return redirect("webhooks")
        if wish == "ping":
            outbox.ping(hook)
        elif wish in ("pause", "resume"):
            Webhook.objects.filter(pk=hook.pk).update(active=wish == "resume")
        return redirect("webhook", pk)


class Redeliver(ForMembers, View):
    """The button beside a message."""

    http_method_names = ["post"]

    def post(self, request: HttpRequest, pk: UUID, delivery: UUID) -> HttpResponse:
        """Send it once more."""
        outbox.redeliver(get_object_or_404(_own(request, pk).deliveries, pk=delivery))
        return redirect("webhook", pk)


def _own(request: HttpRequest, pk: UUID) -> Webhook:
    return get_object_or_404(Webhook, owner_id=request.user.pk, pk=pk)


def _secret(request: HttpRequest, hook: Webhook) -> HttpResponse:
    shown = render(request, "webapp/webhooks.html", {"webhook": hook})
    shown["Cache-Control"] = "no-store"
    return shown
