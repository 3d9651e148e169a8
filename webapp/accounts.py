"""Who somebody is: guests, how they become members, and how a request proves who sent it.

A visitor becomes a guest at the first upload. The guest's name derives from the secret in the visitor's CSRF
cookie, so that several first uploads at once, none with a session yet, meet in one account. Logging out makes
another secret: whoever sits down next is somebody else.
"""

from typing import Any

from django.contrib.auth import login
from django.contrib.auth.hashers import make_password
from django.db import transaction
from django.http import HttpRequest
from django.middleware.csrf import get_token
from django.utils.crypto import salted_hmac
from rest_framework import authentication
from rest_framework.exceptions import PermissionDenied
from rest_framework.request import Request

from webapp.models import Track, Upload, Usage, User

STALE = "This page is out of date, or your browser keeps no cookies for this site. Reload it and try again."
BACKEND = "django.contrib.auth.backends.ModelBackend"


class SessionAuthentication(authentication.SessionAuthentication):
    """Sessions, with the CSRF check for visitors too: their first upload makes an account."""

    def authenticate(self, request: Request) -> tuple[Any, None] | None:
        """The session's user, or None. Raises PermissionDenied without a CSRF token."""
        self.enforce_csrf(request)
        user = request._request.user
        return (user, None) if user.is_active else None

    def enforce_csrf(self, request: Request) -> None:
        """Say it so that people know what to do."""
        try:
            super().enforce_csrf(request)
        except PermissionDenied as error:
            raise PermissionDenied(STALE) from error


def guest_name(request: HttpRequest) -> str:
    """The name that a visitor has as a guest, now or once there is an upload."""
    get_token(request)  # makes a secret where there is none yet
    return f"guest-{salted_hmac('webapp.guest', request.META['CSRF_COOKIE'], algorithm='sha256').hexdigest()}"


def become_guest(request: HttpRequest) -> User:
    """Log the visitor in as a guest, whose account is made at the first call."""
    guest, _ = User.objects.get_or_create(
        username=guest_name(request), is_guest=True, defaults={"password": make_password(None)}
    )
    secret = request.META["CSRF_COOKIE"]
    login(request, guest, backend=BACKEND)
    request.META["CSRF_COOKIE"] = secret  # login() replaced it, and with it the token of the page that uploads
    return guest


def guest_of(request: HttpRequest) -> User | None:
    """The guest to whom the session belongs, if it is one. A copy: forms and logins change request.user."""
    user = request.user
    return User.objects.filter(pk=user.pk, is_guest=True).first() if user.is_authenticated else None


def adopt(guest: User, member: User) -> None:
    """Give everything of a guest's to the member it turned out to be."""
    with transaction.atomic():
        Track.objects.filter(owner=guest).update(owner=member)
        Usage.objects.filter(user=guest).update(user=member)
        Upload.objects.filter(owner=guest).update(owner=member)
        guest.delete()
