"""Who somebody is: guests, how they become members, and how a request proves who sent it.

A visitor becomes a guest at the first upload. The guest's name derives from a secret in a cookie that comes with the
first page, so that several first uploads at once, none with a session yet, meet in one account. No script can read the
cookie, and, where there is https, no other site of the domain can set it. Logging out makes another secret: whoever
sits down next is somebody else.
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
GUEST = "guest"  # the cookie
SECRET = "soundscape.guest"  # in a request's META, as Django keeps the CSRF token there
signer = Signer(salt="webapp.guest")


class Guests:
    """Middleware: whoever gets a page that can upload gets the secret that will name the guest."""

    sync_capable = async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], Any]):
        self.get_response = get_response
        if iscoroutinefunction(get_response):
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> "HttpResponseBase | Awaitable[HttpResponseBase]":
        """Pass the request on."""
        response = self.get_response(request)
        return _remember_later(request, response) if isawaitable(response) else _remember(request, response)


def _remember(request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
    if SECRET in request.META or settings.CSRF_COOKIE_NAME in response.cookies:
        value = signer.sign(_secret(request))
        if value != cookie(request, GUEST):
            keep(response, GUEST, value)
    return response


async def _remember_later(request: HttpRequest, response: Awaitable[HttpResponseBase]) -> HttpResponseBase:
    return _remember(request, await response)


def _secret(request: HttpRequest) -> str:
    """The cookie's, or a new one."""
    if SECRET not in request.META:
        try:
            request.META[SECRET] = signer.unsign(cookie(request, GUEST))
        except BadSignature:
            forget_guest(request)
    return str(request.META[SECRET])


def forget_guest(request: HttpRequest) -> None:
    """Whoever sits down next is another visitor."""
    request.META[SECRET] = token_urlsafe()


def guest_name(request: HttpRequest) -> str:
    """The name that a visitor has as a guest, now or once there is an upload."""
    return f"guest-{salted_hmac('webapp.guest', _secret(request), algorithm='sha256').hexdigest()}"


def become_guest(request: HttpRequest) -> User:
    """Log the visitor in as a guest, whose account is made at the first call."""
    guest, _ = User.objects.get_or_create(
        username=guest_name(request), is_guest=True, defaults={"password": make_password(None)}
    )
    token = request.META.get("CSRF_COOKIE")
    login(request, guest, backend=BACKEND)
    if token:  # login() replaced it, and with it the token of the page that uploads
        request.META["CSRF_COOKIE"] = token
    return guest


def cookie(request: HttpRequest, name: str) -> str:
    """What `keep` gave to the browser, or nothing."""
    return request.COOKIES.get(_full(name), "")


def keep(response: HttpResponseBase, name: str, value: str) -> None:
    """Give a browser what no script, and no other site, has to know."""
    age = settings.SESSION_COOKIE_AGE
    response.set_cookie(_full(name), value, max_age=age, secure=settings.HTTPS, httponly=True, samesite="Lax")


def _full(name: str) -> str:
    """Browsers take the prefix from none but this very host, by https."""
    return f"__Host-{name}" if settings.HTTPS else name


def guest_of(request: HttpRequest) -> User | None:
    """The guest to whom the session belongs, if it is one. A copy: forms and logins change request.user."""
    user = request.user
    return User.objects.filter(pk=user.pk, is_guest=True).first() if user.is_authenticated else None
