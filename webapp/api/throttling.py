"""How often somebody may ask. Views that send files are not counted: a mixer fetches very many of them."""

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

HOME = {4: 32, 6: 64}  # bits of an address by which a home is known


def visitor(request: HttpRequest | Request) -> str | None:
    """What visitors are told apart by. A home has one IPv4 address, but 2^64 of IPv6: their network stands for them.

    None where nobody knows: all of those are one visitor.
    """
    address = address_of(request.META.get("REMOTE_ADDR", ""))
    return None if address is None else str(ip_network((address, HOME[address.version]), strict=False)[0])


class Throttle(SimpleRateThrottle):
    """REST framework's, which lets everybody pass while the cache is away."""

    rate = "1/minute"  # REST framework wants a rate before it knows who asks

    def allow_request(self, request: Any, view: Any) -> bool:
        """False if there were too many."""
        try:
            return super().allow_request(request, view)
        except Exception as error:  # each kind of cache has errors of its own
            log.warning("Requests are not counted: the cache does not answer (%s).", error)
            return True


class PerAccount(Throttle):
    """So many requests a minute: of each member, of each guest, and of each address from which visitors come."""

    def allow_request(self, request: Request, view: Any) -> bool:
        """False if there were too many."""
        member = isinstance(request.user, User) and not request.user.is_guest
        self.num_requests = settings.REQUESTS if member else settings.GUEST_REQUESTS
        return super().allow_request(request, view)

    def get_cache_key(self, request: Request, view: Any) -> str:  # noqa: ARG002
        """By whom requests are counted."""
        return f"requests-{request.user.pk or visitor(request)}"


class PerAddress(Throttle):
    """So many forms of a kind from one address."""

    def __init__(self, form: str, rate: str) -> None:
        self.form, self.rate = form, rate
        super().__init__()

    def get_cache_key(self, request: HttpRequest, view: Any) -> str:  # noqa: ARG002
        """By what forms are counted."""
        return f"{self.form}-{visitor(request)}"


def per_address(form: str, rate: str, title: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """For a view that takes a form: beyond the rate, such as 30/hour, a page of that title says when to come back."""

    def decorate(view: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(view)
        def limited(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            throttle = PerAddress(form, rate)
            if request.method != "POST" or throttle.allow_request(request, view):
                answer: HttpResponseBase = view(request, *args, **kwargs)
                return answer
            return too_many(request, throttle.wait() or 1.0, title, "So many came from your network.")

        return limited

    return decorate


def too_many(request: HttpRequest, wait: float, title: str, why: str, *, forgotten: bool = False) -> HttpResponse:
    """A page in place of a form. wait: seconds until it can be sent again. forgotten: a new password helps too."""
    told = {"title": title, "why": why, "minutes": ceil(wait / 60), "forgotten": forgotten}
    answer = render(request, "webapp/locked.html", told, status=429)
    answer["Retry-After"] = str(ceil(wait))
    return answer
