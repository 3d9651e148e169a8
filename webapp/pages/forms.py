"""Forms for signing up and managing an account."""

from collections.abc import Iterator
from typing import Any

from django import forms
from django.contrib.auth import authenticate
from django.contrib.auth.forms import PasswordResetForm, UserCreationForm
from django.core.cache import cache
from django.http import HttpRequest

from webapp.models import User

LINK_INTERVAL = 300  # seconds between two links, so that nobody's mailbox is flooded
WRONG_PASSWORD = "This is not your password. Please enter it again."


class SignUpForm(UserCreationForm[User]):
    """A new account, or that of a guest, which gets a name and a password and keeps its songs."""

    class Meta:
        model = User
        fields = ("username", "email")

    def save(self, commit: bool = True) -> User:
        self.instance.is_guest = False
        return super().save(commit)


class ForgottenPasswordForm(PasswordResetForm):
    """The address to which a link to choose a new password is sent."""

    def get_users(self, email: str) -> Iterator[Any]:
        """The accounts with the address, except those that got a link a moment ago."""
        return (user for user in super().get_users(email) if cache.add(f"link-{user.pk}", True, LINK_INTERVAL))


class ConfirmForm(forms.Form):
    """Asks for the password before an action that must not be open to whoever finds an unlocked browser."""

    password = forms.CharField(
        label="Your password",
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "current-password"}),
    )

    def __init__(self, request: HttpRequest, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.request = request
        self.user = User.objects.get(username=request.user.get_username())
        if self.user.is_guest:  # guests have no password
            del self.fields["password"]

    def clean_password(self) -> str:
        """Check the password like a login does, so that wrong guesses are counted."""
        password: str = self.cleaned_data["password"]
        if authenticate(self.request, username=self.user.get_username(), password=password) is None:
            raise forms.ValidationError(WRONG_PASSWORD)
        return password


class EmailForm(ConfirmForm):
    """The address for a forgotten password. It needs the password, since whoever changes it can take the account."""

    email = forms.EmailField(
        label="E-mail address",
        required=False,
        max_length=254,
        help_text="Only used to send you a link if you forget your password.",
        widget=forms.EmailInput(attrs={"autocomplete": "email"}),
    )
    field_order = ("email", "password")

    def save(self) -> None:
        self.user.email = User.objects.normalize_email(self.cleaned_data["email"])
        self.user.save(update_fields=["email"])
