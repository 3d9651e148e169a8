"""Who somebody is: guests, how they become members, and how a request proves who sent it."""

import uuid
from typing import Any

from django.contrib.auth import login
from django.contrib.auth.forms import UserCreationForm
from django.db import transaction
from django.http import HttpRequest
from rest_framework import authentication
from rest_framework.request import Request

from webapp.models import Track, User

BACKEND = "django.contrib.auth.backends.ModelBackend"


class SessionAuthentication(authentication.SessionAuthentication):
    """Sessions, with the CSRF check for visitors too: their first upload makes an account."""

    def authenticate(self, request: Request) -> tuple[Any, None] | None:
        """The session's user, or None. Raises PermissionDenied without a CSRF token."""
        self.enforce_csrf(request)
        user = getattr(request._request, "user", None)
        return (user, None) if user and user.is_active else None


class SignUpForm(UserCreationForm[User]):
    """A new account, or a guest's that gets a name and a password and keeps its jobs."""

    class Meta:
        model = User
        fields = ("username", "email")

    def save(self, commit: bool = True) -> User:
        """The member."""
        self.instance.is_guest = False
        return super().save(commit)


def become_guest(request: HttpRequest) -> User:
    """Make a guest account and log it in to the visitor's session."""
    guest = User(username=f"guest-{uuid.uuid4()}", is_guest=True)
    guest.set_unusable_password()
    guest.save()
    login(request, guest, backend=BACKEND)
    return guest


def guest_of(request: HttpRequest) -> User | None:
    """The guest whom the session belongs to, if it is one."""
    user = request.user
    return user if isinstance(user, User) and user.is_guest else None


def adopt(guest: User, member: User) -> None:
    """Give everything of a guest's to the member it turned out to be."""
    with transaction.atomic():
        Track.objects.filter(owner=guest).update(owner=member)
        guest.delete()
