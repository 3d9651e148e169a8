"""Guests: accounts of visitors who upload without signing up.

A visitor becomes a guest at the first upload. The guest's name derives from a secret in a cookie that is set with the
first page, so that simultaneous first uploads, none of which has a session yet, share one account. Scripts cannot read
the cookie and, with HTTPS, no other site of the domain can set it. Logging out replaces the secret, so that the next
person at the same browser is another guest.
"""

from collections.abc import Awaitable, Callable
from inspect import isawaitable
from secrets import token_urlsafe
from typing import Any

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.conf import settings
from django.contrib.auth import login
from django.contrib.auth.hashers import make_password
from django.core.signing import BadSignature, Signer
from django.http import HttpRequest, HttpResponseBase
from django.utils.crypto import salted_hmac

from webapp.models import User

BACKEND = "django.contrib.auth.backends.ModelBackend"
COOKIE = "guest"
SECRET = "soundscape.guest"  # key in request.META, where Django keeps the CSRF token too
signer = Signer(salt="webapp.guest")


class GuestMiddleware:
    """Sets the cookie with the secret on every page from which people can upload."""

    sync_capable = async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], Any]):
        self.get_response = get_response
        if iscoroutinefunction(get_response):
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> "HttpResponseBase | Awaitable[HttpResponseBase]":
        response = self.get_response(request)
        return _with_secret_later(request, response) if isawaitable(response) else _with_secret(request, response)


def _with_secret(request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
    if SECRET in request.META or settings.CSRF_COOKIE_NAME in response.cookies:
        value = signer.sign(_secret(request))
        if value != cookie(request, COOKIE):
            keep(response, COOKIE, value)
    return response


async def _with_secret_later(request: HttpRequest, response: Awaitable[HttpResponseBase]) -> HttpResponseBase:
    return _with_secret(request, await response)


def _secret(request: HttpRequest) -> str:
    """The secret in the cookie, or a new one."""
    if SECRET not in request.META:
        try:
            request.META[SECRET] = signer.unsign(cookie(request, COOKIE))
        except BadSignature:
            forget_guest(request)
    return str(request.META[SECRET])


def forget_guest(request: HttpRequest) -> None:
    """Replace the secret, so that the next person at this browser is another visitor."""
    request.META[SECRET] = token_urlsafe()


def guest_name(request: HttpRequest) -> str:
    """The user name that a visitor has, or will have, as a guest."""
    return f"guest-{salted_hmac('webapp.guest', _secret(request), algorithm='sha256').hexdigest()}"


def become_guest(request: HttpRequest) -> User:
    """Log the visitor in as a guest, creating the account at the first call."""
    guest, _ = User.objects.get_or_create(
        username=guest_name(request), is_guest=True, defaults={"password": make_password(None)}
    )
    token = request.META.get("CSRF_COOKIE")
    login(request, guest, backend=BACKEND)
    if token:  # login() replaced the token of the page that is uploading
        request.META["CSRF_COOKIE"] = token
    return guest


def cookie(request: HttpRequest, name: str) -> str:
    """The value of a cookie set by `keep`; empty if there is none."""
    return request.COOKIES.get(_cookie_name(name), "")


def keep(response: HttpResponseBase, name: str, value: str) -> None:
    """Set a cookie that neither scripts nor other sites can read."""
    age = settings.SESSION_COOKIE_AGE
    response.set_cookie(_cookie_name(name), value, max_age=age, secure=settings.HTTPS, httponly=True, samesite="Lax")


def _cookie_name(name: str) -> str:
    """With a prefix that browsers accept only from this very host over HTTPS."""
    return f"__Host-{name}" if settings.HTTPS else name


def guest_of(request: HttpRequest) -> User | None:
    """The guest who owns the session, or None. A copy, because forms and logins change request.user."""
    user = request.user
    return User.objects.filter(pk=user.pk, is_guest=True).first() if user.is_authenticated else None
