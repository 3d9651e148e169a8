"""Pages for webhooks: create one, list its deliveries, test it, and rotate its secret."""

from typing import Any
from uuid import UUID

from django import forms
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.generic import FormView, View

from webapp.models import Webhook
from webapp.pages.tokens import MembersOnly
from webapp.webhooks import http_client, outbox

SHOWN = 50  # deliveries on the page of a webhook


class WebhookForm(forms.Form):
    """A webhook to create."""

    url = forms.CharField(max_length=500, label="URL", help_text="For example: https://example.org/hook.")
    events = forms.MultipleChoiceField(
        choices=[(kind.value, kind.label) for kind in outbox.ANNOUNCED],
        required=False,
        label="Events",
        help_text="Select none to receive all of them.",
    )

    def clean_url(self) -> str:
        """Check that the site may post to the URL."""
        url: str = self.cleaned_data["url"]
        try:
            http_client.check_url(url)
        except http_client.Refused as error:
            raise ValidationError(str(error)) from error
        return url


class CreateWebhookView(MembersOnly, FormView[WebhookForm]):
    """The form, and then the secret of the new webhook, which is shown only once."""

    form_class = WebhookForm
    template_name = "webapp/webhooks.html"

    def form_valid(self, form: WebhookForm) -> HttpResponse:
        """Respond without a redirect, so that the secret is shown only once."""
        user: Any = self.request.user
        if user.webhooks.count() >= outbox.MAX_WEBHOOKS:
            form.add_error(None, outbox.TOO_MANY)
            return self.form_invalid(form)
        return _show_secret(self.request, outbox.create(user, **form.cleaned_data))


class WebhookView(MembersOnly, View):
    """One of the member's own webhooks, with its deliveries and actions."""

    def get(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        hook = _get_webhook(request, pk)
        deliveries = hook.deliveries.order_by("-created_at")[:SHOWN]
        return render(request, "webapp/webhook.html", {"webhook": hook, "deliveries": deliveries})

    def post(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        """Perform the action of the button."""
        hook, action = _get_webhook(request, pk), request.POST.get("do")
        if action == "rotate":
            outbox.rotate(hook)
            return _show_secret(request, hook)
        if action == "delete":
            hook.delete()
            return redirect("webhooks")
        if action == "ping":
            outbox.ping(hook)
        elif action in ("pause", "resume"):
            Webhook.objects.filter(pk=hook.pk).update(active=action == "resume")
        return redirect("webhook", pk)


class RedeliverView(MembersOnly, View):
    """Send a message to the webhook again."""

    http_method_names = ["post"]

    def post(self, request: HttpRequest, pk: UUID, delivery: UUID) -> HttpResponse:
        outbox.redeliver(get_object_or_404(_get_webhook(request, pk).deliveries, pk=delivery))
        return redirect("webhook", pk)


def _get_webhook(request: HttpRequest, pk: UUID) -> Webhook:
    return get_object_or_404(Webhook, owner_id=request.user.pk, pk=pk)


def _show_secret(request: HttpRequest, hook: Webhook) -> HttpResponse:
    shown = render(request, "webapp/webhooks.html", {"webhook": hook})
    shown["Cache-Control"] = "no-store"
    return shown
