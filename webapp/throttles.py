"""How often somebody may ask the API. Views that send files are not counted: a mixer fetches very many of them."""

import logging
from typing import Any

from django.conf import settings
from rest_framework.request import Request
from rest_framework.throttling import SimpleRateThrottle

from webapp.models import User

log = logging.getLogger(__name__)


class PerAccount(SimpleRateThrottle):
    """So many requests a minute: of each member, of each guest, and of each address from which visitors come."""

    rate = "1/minute"  # REST framework wants a rate before it knows who asks; the number is set at each request

    def allow_request(self, request: Request, view: Any) -> bool:
        """False if there were too many. A cache that is away stops nobody."""
        member = isinstance(request.user, User) and not request.user.is_guest
        self.num_requests = settings.REQUESTS if member else settings.GUEST_REQUESTS
        try:
            return super().allow_request(request, view)
        except Exception as error:  # each kind of cache has errors of its own
            log.warning("Requests are not counted: the cache does not answer (%s).", error)
            return True

    def get_cache_key(self, request: Request, view: Any) -> str:  # noqa: ARG002
        """By whom requests are counted."""
        return f"requests-{request.user.pk or self.get_ident(request)}"
