"""Pages of the account for its tokens: make one, which is shown once, and revoke one."""

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

MAY = (
    ("read write", "look at my songs, upload, change and delete"),
    ("read", "only look at my songs and fetch their stems"),
    ("write", "only upload, change and delete"),
)
LASTS = (("30", "30 days"), ("90", "90 days"), ("365", "a year"), ("", "until I revoke it"))


class TokenForm(forms.Form):
    """What one says of a token to be made."""

    name = forms.CharField(max_length=100, label="What is it for?", help_text="Such as: the script on my laptop.")
    scopes = forms.TypedChoiceField(choices=MAY, coerce=str.split, label="What may it do?")
    days = forms.TypedChoiceField(
        choices=LASTS, coerce=int, empty_value=None, required=False, initial="90", label="How long is it good for?"
    )

    def make(self, user: Any) -> tuple[Token, str]:
        """The token, and what it is."""
        name, scopes, days = (self.cleaned_data[field] for field in ("name", "scopes", "days"))
        return tokens.make(user, name, scopes, days and timezone.now() + timedelta(days=days))


class ForMembers(UserPassesTestMixin):
    """Others are asked to log in."""

    request: HttpRequest

    def test_func(self) -> bool:
        """Guests are not members."""
        user = self.request.user
        return user.is_authenticated and not user.is_guest


class MakeToken(ForMembers, FormView[TokenForm]):
    """A form; then the token, this once."""

    form_class = TokenForm
    template_name = "webapp/tokens.html"

    def form_valid(self, form: TokenForm) -> HttpResponse:
        """No redirect: nothing would remember the token on the way."""
        token, secret = form.make(self.request.user)
        shown = self.render_to_response({"token": token, "secret": secret, "form": None})
        shown["Cache-Control"] = "no-store"
        return shown


class RevokeToken(ForMembers, View):
    """One of one's own."""

    http_method_names = ["post"]

    def post(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        """From now on it is worth nothing."""
        get_object_or_404(Token, user_id=request.user.pk, pk=pk).delete()
        return redirect("tokens")
