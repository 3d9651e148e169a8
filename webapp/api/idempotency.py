"""Requests that may be sent twice: whoever gives one a key of its own gets what the first of them made.

A key is remembered as long as what was made with it.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from typing import Any

from django.db import IntegrityError, transaction

from webapp.models import Idempotency, Job, User


class KeyReused(Exception):
    """The key came before with another wish."""


def known(owner: User | None, key: str) -> bool:
    """Whether the key came before."""
    return bool(key) and owner is not None and Idempotency.objects.filter(owner=owner, key=key).exists()


def once(owner: User, key: str, wish: Mapping[str, Any], make: Callable[[], Job]) -> tuple[Job, bool]:
    """The job that this key has made, or makes now, and whether it is new. Raises KeyReused."""
    if not key:
        return make(), True
    mark = hashlib.sha256(json.dumps(wish, sort_keys=True, default=str).encode()).hexdigest()
    try:
        with transaction.atomic():
            # First of all, so that of two at once one waits here for the other.
            row = Idempotency.objects.create(owner=owner, key=key, request_digest=mark)
            row.job = make()
            row.save(update_fields=["job"])
            return row.job, True
    except IntegrityError:
        before = Idempotency.objects.select_related("job__track").filter(owner=owner, key=key).first()
        if before is None or before.job is None:
            raise
    if before.request_digest != mark:
        raise KeyReused(key)
    return before.job, False
