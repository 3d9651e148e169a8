"""Rate limits. Views that send files are not limited, since the mixer fetches very many of them."""

import logging
from collections.abc import Callable
from functools import wraps
from ipaddress import ip_network
from math import ceil
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from rest_framework.request import Request
from rest_framework.throttling import SimpleRateThrottle

from webapp.http.proxies import address_of
from webapp.models import User

log = logging.getLogger(__name__)

PREFIX_LENGTHS = {4: 32, 6: 64}  # bits of an address that identify a household


def visitor(request: HttpRequest | Request) -> str | None:
    """The key of a visitor: the IPv4 address, or the /64 network of an IPv6 address, since a household has all of it.

    None if the address is unknown; all such requests count as one visitor.
    """
    address = address_of(request.META.get("REMOTE_ADDR", ""))
    return None if address is None else str(ip_network((address, PREFIX_LENGTHS[address.version]), strict=False)[0])


class Throttle(SimpleRateThrottle):
    """REST framework's throttle, which allows every request while the cache does not answer."""

    rate = "1/minute"  # REST framework requires a rate before it knows the user

    def allow_request(self, request: Any, view: Any) -> bool:
        try:
            return super().allow_request(request, view)
        except Exception as error:  # each cache backend has its own errors
            log.warning("Requests are not counted: the cache does not answer (%s).", error)
            return True


class PerAccount(Throttle):
    """Limits the requests per minute of each member, of each guest, and of each visitor's address."""

    def allow_request(self, request: Request, view: Any) -> bool:
        member = isinstance(request.user, User) and not request.user.is_guest
        self.num_requests = settings.REQUESTS if member else settings.GUEST_REQUESTS
        return super().allow_request(request, view)

    def get_cache_key(self, request: Request, view: Any) -> str:  # noqa: ARG002
        return f"requests-{request.user.pk or visitor(request)}"


class PerAddress(Throttle):
    """Limits how often a form is sent from one address."""

    def __init__(self, form: str, rate: str) -> None:
        self.form, self.rate = form, rate
        super().__init__()

    def get_cache_key(self, request: HttpRequest, view: Any) -> str:  # noqa: ARG002
        return f"{self.form}-{visitor(request)}"


def per_address(form: str, rate: str, title: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Decorator for a view with a form. Beyond the rate, such as 30/hour, a page with that title says when to retry."""

    def decorate(view: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(view)
        def limited(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            throttle = PerAddress(form, rate)
            if request.method != "POST" or throttle.allow_request(request, view):
                response: HttpResponseBase = view(request, *args, **kwargs)
                return response
            return too_many(request, throttle.wait() or 1.0, title, "Too many came from your network.")

        return limited

    return decorate


def too_many(request: HttpRequest, wait: float, title: str, why: str, *, forgotten: bool = False) -> HttpResponse:
    """A page in place of a form.

    wait: seconds until the form can be sent again. forgotten: whether resetting the password helps too.
    """
    context = {"title": title, "why": why, "minutes": ceil(wait / 60), "forgotten": forgotten}
    response = render(request, "webapp/locked.html", context, status=429)
    response["Retry-After"] = str(ceil(wait))
    return response
