"""Pages for tokens: create one, which is shown once, and revoke one."""

from datetime import timedelta
from typing import Any
from uuid import UUID

from django import forms
from django.contrib.auth.mixins import UserPassesTestMixin
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.utils import timezone
from django.views.generic import FormView, View

from webapp.accounts import tokens
from webapp.models import Token

SCOPES = (
    ("read write", "Read, upload, change and delete my songs"),
    ("read", "Only read my songs and download their stems"),
    ("write", "Only upload, change and delete"),
)
LIFETIMES = (("30", "30 days"), ("90", "90 days"), ("365", "1 year"), ("", "Until I revoke it"))


class TokenForm(forms.Form):
    """A token to create."""

    name = forms.CharField(max_length=100, label="Name", help_text="For example: script on my laptop.")
    scopes = forms.TypedChoiceField(choices=SCOPES, coerce=str.split, label="Permissions")
    days = forms.TypedChoiceField(
        choices=LIFETIMES, coerce=int, empty_value=None, required=False, initial="90", label="Expires"
    )

    def create(self, user: Any) -> tuple[Token, str]:
        """Create the token; returns it with its secret."""
        name, scopes, days = (self.cleaned_data[field] for field in ("name", "scopes", "days"))
        return tokens.make(user, name, scopes, days and timezone.now() + timedelta(days=days))


class MembersOnly(UserPassesTestMixin):
    """Redirects visitors to the login page, and refuses guests."""

    request: HttpRequest

    def test_func(self) -> bool:
        user = self.request.user
        return user.is_authenticated and not user.is_guest


class CreateTokenView(MembersOnly, FormView[TokenForm]):
    """The form, and then the new token, which is shown only once."""

    form_class = TokenForm
    template_name = "webapp/tokens.html"

    def form_valid(self, form: TokenForm) -> HttpResponse:
        """Respond without a redirect, because the secret is not stored anywhere."""
        token, secret = form.create(self.request.user)
        shown = self.render_to_response({"token": token, "secret": secret, "form": None})
        shown["Cache-Control"] = "no-store"
        return shown


class RevokeTokenView(MembersOnly, View):
    """Revoke one of the member's own tokens."""

    http_method_names = ["post"]

    def post(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        get_object_or_404(Token, user_id=request.user.pk, pk=pk).delete()
        return redirect("tokens")
