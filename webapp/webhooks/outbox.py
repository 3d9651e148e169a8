"""Webhooks and their messages, written in the transaction of the event that they report.

A message is a row first, so that it is neither sent for what was rolled back nor lost with a process.
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
MOST = 10  # webhooks of one account
TOO_MANY = f"You have {MOST} webhooks, which is as many as one may have. Delete one first."
OVERLAP = timedelta(days=1)  # how long the secret before the present one still signs
KEPT = timedelta(days=30)  # of the delivery log


def create(owner: User, url: str, events: list[str], active: bool = True) -> Webhook:
    """A new webhook, with a secret."""
    return Webhook.objects.create(owner=owner, url=url, events=events, active=active, secret=new_secret())


def rotate(webhook: Webhook) -> None:
    """Give it another secret. For OVERLAP messages are signed with both, so that receivers can change over."""
    webhook.previous_secret, webhook.secret = webhook.secret, new_secret()
    webhook.previous_until = timezone.now() + OVERLAP
    webhook.save(update_fields=["secret", "previous_secret", "previous_until"])


def ping(webhook: Webhook) -> Delivery:
    """Send a message that says nothing, to try whether it arrives."""
    return Delivery.objects.create(webhook=webhook, event=PING, body=_body(PING, timezone.now(), {}))


def redeliver(delivery: Delivery) -> bool:
    """Send it once more, and again as after an event. False if it is about to be sent anyway."""
    over = Delivery.objects.filter(pk=delivery.pk).exclude(state=Delivery.State.PENDING)
    return bool(over.update(state=Delivery.State.PENDING, tries=0, due_at=timezone.now()))


def new_secret() -> str:
    """Enough chance for nobody to guess it."""
    return f"whsec_{b64encode(secrets.token_bytes(32)).decode()}"


def announce(jobs: Iterable[UUID], kind: EventKind, at: datetime) -> None:
    """Write a message to each webhook that hears of those jobs. Call it in the transaction of the event."""
    if kind not in ANNOUNCED:
        return
    hooks = Webhook.objects.filter(owner__tracks__jobs__in=jobs, active=True).distinct()
    listening = [hook for hook in hooks if not hook.events or kind in hook.events]
    if not listening:
        return
    told = Job.objects.filter(pk__in=jobs, rerun_of=None).select_related("track")
    Delivery.objects.bulk_create(
        Delivery(webhook=hook, event=kind, body=_body(f"job.{kind}", at, _told(job)))
        for job in told
        for hook in listening
        if hook.owner_id == job.track.owner_id
    )


def _told(job: Job) -> dict[str, Any]:
    """Enough to know whether to ask for more."""
    return {
        "id": str(job.pk),
        "url": job.get_absolute_url(),
        "title": job.track.title,
        "state": job.state,
        "error": job.error,
    }


def _body(kind: str, at: datetime, data: dict[str, Any]) -> str:
    return json.dumps({"type": kind, "timestamp": at.isoformat(), "data": data})


def forget() -> None:
    """Drop old entries of the delivery log."""
    old = Delivery.objects.filter(created_at__lt=timezone.now() - KEPT)
    old.exclude(state=Delivery.State.PENDING).delete()
