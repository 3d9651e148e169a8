"""Idempotency keys: a request that is repeated with the same key returns the job that the first one created.

A key is remembered as long as its job exists.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from typing import Any

from django.db import IntegrityError, transaction

from webapp.models import Idempotency, Job, User


class KeyReused(Exception):
    """The key was used before with a different request."""


def known(owner: User | None, key: str) -> bool:
    """Whether the key was used before."""
    return bool(key) and owner is not None and Idempotency.objects.filter(owner=owner, key=key).exists()


def once(owner: User, key: str, request: Mapping[str, Any], make: Callable[[], Job]) -> tuple[Job, bool]:
    """The job created with this key, now or earlier, and whether it is new. Raises KeyReused.

    request: what is asked for, to tell a repeated request from a different one. make: creates the job.
    """
    if not key:
        return make(), True
    digest = hashlib.sha256(json.dumps(request, sort_keys=True, default=str).encode()).hexdigest()
    try:
        with transaction.atomic():
            # Created first, so that one of two simultaneous requests waits here for the other.
            row = Idempotency.objects.create(owner=owner, key=key, request_digest=digest)
            row.job = make()
            row.save(update_fields=["job"])
            return row.job, True
    except IntegrityError:
        before = Idempotency.objects.select_related("job__track").filter(owner=owner, key=key).first()
        if before is None or before.job is None:
            raise
    if before.request_digest != digest:
        raise KeyReused(key)
    return before.job, False
