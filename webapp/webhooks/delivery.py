"""Webhooks: messages about jobs, written in the transaction of what they tell about, and sent by the workers.

A message is a row first, so that it is neither sent for what was rolled back nor lost with a process. It is sent at
least once: receivers know a repetition by its id. Form and signature are those of Standard Webhooks
(standardwebhooks.com), whose libraries check them in any language.
"""

import asyncio
import json
import logging
import random
import secrets
import threading
from base64 import b64encode
from collections.abc import Iterable
from datetime import datetime, timedelta
from time import monotonic
from typing import Any
from uuid import UUID

import httpcore2
from django.db import close_old_connections
from django.utils import timezone
from standardwebhooks import Webhook as Signer

from webapp import outbound
from webapp.models import Delivery, Happened, Job, User, Webhook

log = logging.getLogger(__name__)

ANNOUNCED = (
    Happened.CREATED,
    Happened.STARTED,
    Happened.REQUEUED,
    Happened.DONE,
    Happened.FAILED,
    Happened.CANCELLED,
    Happened.RETRIED,
    Happened.CHOSEN,
    Happened.DELETED,
    Happened.RESTORED,
)
PING = "ping"
MOST = 10  # webhooks of one account
TOO_MANY = f"You have {MOST} webhooks, which is as many as one may have. Delete one first."
SENDERS = 4  # threads of a worker
LOOK_EVERY = 1.0  # seconds
LEASE = timedelta(minutes=1)  # far above outbound.TIMEOUT
FIRST_PAUSE = timedelta(seconds=10)
GROWTH = 4  # of each pause over the one before
MAX_TRIES = 8  # the last is made about fifteen hours after the first
OVERLAP = timedelta(days=1)  # how long the secret before the present one still signs
KEPT = timedelta(days=30)  # of the delivery log


# -- what people do ------------------------------------------------------------------------------------------


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


# -- what events do ------------------------------------------------------------------------------------------


def announce(jobs: Iterable[UUID], kind: Happened, at: datetime) -> None:
    """Write a message to each webhook that hears of those jobs. Call it in the transaction of the event."""
    if kind not in ANNOUNCED:
        return
    hooks = Webhook.objects.filter(owner__tracks__jobs__in=jobs, active=True).distinct()
    listening = [hook for hook in hooks if not hook.events or kind in hook.events]
    if not listening:
        return
    told = Job.objects.filter(pk__in=jobs, trial_of=None).select_related("track")
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


# -- what workers do -----------------------------------------------------------------------------------------


def start(stopping: threading.Event) -> None:
    """Send messages beside the work, until told to stop."""
    for number in range(SENDERS):
        threading.Thread(target=send_on, args=(stopping,), name=f"webhooks-{number}", daemon=True).start()


def send_on(stopping: threading.Event) -> None:
    """Send what is due until told to stop. A database that is away now may be back in a moment."""
    while not stopping.is_set():
        try:
            busy = deliver_next()
        except Exception:
            log.exception("A message to a webhook could not be sent; trying again.")
            busy = False
        finally:
            close_old_connections()
        if not busy:
            stopping.wait(LOOK_EVERY)


def deliver_next() -> bool:
    """Try to send what is due first, to a webhook that nobody else sends to now. False if there is nothing to send."""
    now = timezone.now()
    due = Delivery.objects.filter(state=Delivery.State.PENDING, due_at__lte=now).order_by("due_at", "created_at")
    free = due.filter(webhook__busy_until__lte=now).values_list("webhook", flat=True)
    for pk in free[:SENDERS]:
        mine = Webhook.objects.filter(pk=pk, busy_until__lte=now)
        if not mine.update(busy_until=now + LEASE):
            continue  # another was faster
        if delivery := due.filter(webhook=pk).select_related("webhook").first():
            _deliver(delivery)
        Webhook.objects.filter(pk=pk).update(busy_until=timezone.now())
        return True
    return False


def _deliver(delivery: Delivery) -> None:
    """One try, and what came of it."""
    began, clock = timezone.now(), monotonic()
    status, error = _send(delivery, began)
    told = {"at": began.isoformat(), "seconds": round(monotonic() - clock, 3), "status": status, "error": error}
    tries = delivery.tries + 1
    if not error:
        state = Delivery.State.DELIVERED
    else:
        state = Delivery.State.PENDING if tries < MAX_TRIES else Delivery.State.FAILED
    due = timezone.now() + pause(tries) if state == Delivery.State.PENDING else delivery.due_at
    fields = {"state": state, "tries": tries, "log": [*delivery.log, told], "due_at": due}
    Delivery.objects.filter(pk=delivery.pk, state=Delivery.State.PENDING).update(**fields)


def pause(tries: int) -> timedelta:
    """How long to wait after so many tries, give or take a tenth, so that a receiver isn't met by all at once."""
    return FIRST_PAUSE * float(GROWTH ** (tries - 1)) * random.uniform(0.9, 1.1)


def _send(delivery: Delivery, at: datetime) -> tuple[int | None, str]:
    """The status of the answer, if there was one, and what went wrong, if anything did."""
    try:
        status = asyncio.run(outbound.post(delivery.webhook.url, headers(delivery, at), delivery.body.encode()))
    except outbound.Refused as error:
        return None, str(error)
    except TimeoutError:
        return None, f"No answer within {outbound.TIMEOUT:.0f} seconds."
    except (OSError, httpcore2.NetworkError, httpcore2.ProtocolError, httpcore2.TimeoutException) as error:
        return None, f"No answer: {str(error) or type(error).__name__}."
    if 300 <= status < 400:
        return status, f"It answered {status}, a redirect. These are not followed: give the final address."
    return status, "" if 200 <= status < 300 else f"It answered {status}."


def headers(delivery: Delivery, at: datetime) -> dict[str, str]:
    """Of a message sent at that time, with its signatures."""
    hook = delivery.webhook
    known = [hook.secret, hook.previous_secret] if hook.previous_until > at and hook.previous_secret else [hook.secret]
    return {
        "Content-Type": "application/json",
        "User-Agent": "SoundScape",
        "webhook-id": str(delivery.pk),
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": " ".join(Signer(secret).sign(str(delivery.pk), at, delivery.body) for secret in known),
    }


def forget() -> None:
    """Drop old entries of the delivery log."""
    old = Delivery.objects.filter(created_at__lt=timezone.now() - KEPT)
    old.exclude(state=Delivery.State.PENDING).delete()
