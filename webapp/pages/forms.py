"""What people fill in about their accounts."""

from collections.abc import Iterator
from typing import Any

from django import forms
from django.contrib.auth import authenticate
from django.contrib.auth.forms import PasswordResetForm, UserCreationForm
from django.core.cache import cache
from django.http import HttpRequest

from webapp.models import User

BETWEEN_LINKS = 300  # seconds, lest somebody's mailbox be flooded
WRONG = "This is not your password. Please type it again."


class SignUpForm(UserCreationForm[User]):
    """A new account, or a guest's that gets a name and a password and keeps its jobs."""

    class Meta:
        model = User
        fields = ("username", "email")

    def save(self, commit: bool = True) -> User:
        """The member."""
        self.instance.is_guest = False
        return super().save(commit)


class ForgottenForm(PasswordResetForm):
    """Where to send a link to choose another password."""

    def get_users(self, email: str) -> Iterator[Any]:
        """Not those to whom one was sent a moment ago."""
        return (user for user in super().get_users(email) if cache.add(f"link-{user.pk}", True, BETWEEN_LINKS))


class ConfirmForm(forms.Form):
    """The password once more, before something that whoever finds an open browser must not do. Guests have none."""

    password = forms.CharField(
        label="Your password",
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "current-password"}),
    )

    def __init__(self, request: HttpRequest, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.request = request
        self.user = User.objects.get(username=request.user.get_username())
        if self.user.is_guest:
            del self.fields["password"]

    def clean_password(self) -> str:
        """Check it as at a login, where guesses are counted."""
        password: str = self.cleaned_data["password"]
        if authenticate(self.request, username=self.user.get_username(), password=password) is None:
            raise forms.ValidationError(WRONG)
        return password


class EmailForm(ConfirmForm):
    """Where to send a link if the password is forgotten: whoever can change that can take the account."""

    email = forms.EmailField(
        label="E-mail address",
        required=False,
        max_length=254,
        help_text="Only used to send you a link if you forget your password.",
        widget=forms.EmailInput(attrs={"autocomplete": "email"}),
    )
    field_order = ("email", "password")

    def save(self) -> None:
        """Note it."""
        self.user.email = User.objects.normalize_email(self.cleaned_data["email"])
        self.user.save(update_fields=["email"])
