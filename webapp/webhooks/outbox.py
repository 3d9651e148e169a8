"""Webhooks and their messages, which are stored in the transaction of the event that they announce.

A message is a row before it is sent, so that it is neither sent for a change that was rolled back nor lost with a
process.
"""

import json
import secrets
from base64 import b64encode
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.utils import timezone

from webapp.models import Delivery, EventKind, Job, User, Webhook

ANNOUNCED = (
    EventKind.CREATED,
    EventKind.STARTED,
    EventKind.REQUEUED,
    EventKind.DONE,
    EventKind.FAILED,
    EventKind.CANCELLED,
    EventKind.RETRIED,
    EventKind.RESELECTED,
    EventKind.DELETED,
    EventKind.RESTORED,
)
PING = "ping"
MAX_WEBHOOKS = 10  # of one account
TOO_MANY = f"You have {MAX_WEBHOOKS} webhooks, the most an account may have. Delete one first."
OVERLAP = timedelta(days=1)  # how long a replaced secret still signs
LOG_RETENTION = timedelta(days=30)


def create(owner: User, url: str, events: list[str], active: bool = True) -> Webhook:
    """Create a webhook with a secret of its own."""
    return Webhook.objects.create(owner=owner, url=url, events=events, active=active, secret=_new_secret())


def rotate(webhook: Webhook) -> None:
    """Replace the secret. For OVERLAP both secrets sign messages, so that receivers can change over."""
    webhook.previous_secret, webhook.secret = webhook.secret, _new_secret()
    webhook.previous_until = timezone.now() + OVERLAP
    webhook.save(update_fields=["secret", "previous_secret", "previous_until"])


def ping(webhook: Webhook) -> Delivery:
    """Send a message without content to test the webhook."""
    return Delivery.objects.create(webhook=webhook, event=PING, body=_body(PING, timezone.now(), {}))


def redeliver(delivery: Delivery) -> bool:
    """Send a message again, with all its retries. Returns False if it is pending already."""
    over = Delivery.objects.filter(pk=delivery.pk).exclude(state=Delivery.State.PENDING)
    return bool(over.update(state=Delivery.State.PENDING, tries=0, due_at=timezone.now()))


def announce(jobs: Iterable[UUID], kind: EventKind, at: datetime) -> None:
    """Store a message about these jobs for each webhook that wants it. Call this in the transaction of the event."""
    if kind not in ANNOUNCED:
        return
    hooks = Webhook.objects.filter(owner__tracks__jobs__in=jobs, active=True).distinct()
    subscribed = [hook for hook in hooks if not hook.events or kind in hook.events]
    if not subscribed:
        return
    public = Job.objects.filter(pk__in=jobs, rerun_of=None).select_related("track")
    Delivery.objects.bulk_create(
        Delivery(webhook=hook, event=kind, body=_body(f"job.{kind}", at, _summary(job)))
        for job in public
        for hook in subscribed
        if hook.owner_id == job.track.owner_id
    )


def delete_old_deliveries() -> None:
    """Delete entries of the delivery log after LOG_RETENTION, except pending ones."""
    old = Delivery.objects.filter(created_at__lt=timezone.now() - LOG_RETENTION)
    old.exclude(state=Delivery.State.PENDING).delete()


def _new_secret() -> str:
    return f"whsec_{b64encode(secrets.token_bytes(32)).decode()}"


def _summary(job: Job) -> dict[str, Any]:
    """Describe a job briefly; receivers fetch its URL for more."""
    return {
        "id": str(job.pk),
        "url": job.get_absolute_url(),
        "title": job.track.title,
        "state": job.state,
        "error": job.error,
    }


def _body(kind: str, at: datetime, data: dict[str, Any]) -> str:
    return json.dumps({"type": kind, "timestamp": at.isoformat(), "data": data})
