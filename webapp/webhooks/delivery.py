"""Delivers the messages of the outbox in threads of the workers.

A message is sent at least once; receivers recognise a repetition by its id. Headers and signature follow Standard
Webhooks (standardwebhooks.com), which has libraries to verify them in many languages.
"""

import asyncio
import logging
import random
import threading
from datetime import datetime, timedelta
from time import monotonic

import httpcore2
from django.db import close_old_connections
from django.utils import timezone
from standardwebhooks import Webhook as Signer

from webapp.models import Delivery, Webhook
from webapp.webhooks import http_client

log = logging.getLogger(__name__)
SENDERS = 4  # threads in each worker
POLL_EVERY = 1.0  # seconds
LEASE = timedelta(minutes=1)  # far longer than a request may take
FIRST_PAUSE = timedelta(seconds=10)
GROWTH = 4  # factor from one pause to the next
MAX_TRIES = 8  # the last one is about fifteen hours after the first


def start(stopping: threading.Event) -> None:
    """Start the threads that send messages until `stopping` is set."""
    for number in range(SENDERS):
        threading.Thread(target=send_on, args=(stopping,), name=f"webhooks-{number}", daemon=True).start()


def send_on(stopping: threading.Event) -> None:
    """Send messages as they fall due, until `stopping` is set. Errors of the database are logged and survived."""
    while not stopping.is_set():
        try:
            busy = deliver_next()
        except Exception:  # whatever it is, the thread has to go on
            log.exception("A message to a webhook could not be sent; trying again.")
            busy = False
        finally:
            close_old_connections()
        if not busy:
            stopping.wait(POLL_EVERY)


def deliver_next() -> bool:
    """Lease the webhook with the oldest due message and send it. Returns False if there is nothing to send."""
    now = timezone.now()
    due = Delivery.objects.filter(state=Delivery.State.PENDING, due_at__lte=now).order_by("due_at", "created_at")
    free = due.filter(webhook__busy_until__lte=now).values_list("webhook", flat=True)
    for pk in free[:SENDERS]:
        mine = Webhook.objects.filter(pk=pk, busy_until__lte=now)
        if not mine.update(busy_until=now + LEASE):
            continue  # another sender was faster
        if delivery := due.filter(webhook=pk).select_related("webhook").first():
            _deliver(delivery)
        Webhook.objects.filter(pk=pk).update(busy_until=timezone.now())
        return True
    return False


def _deliver(delivery: Delivery) -> None:
    """Make one attempt and store its result."""
    began, clock = timezone.now(), monotonic()
    status, error = _send(delivery, began)
    entry = {"at": began.isoformat(), "seconds": round(monotonic() - clock, 3), "status": status, "error": error}
    tries = delivery.tries + 1
    if not error:
        state = Delivery.State.DELIVERED
    else:
        state = Delivery.State.PENDING if tries < MAX_TRIES else Delivery.State.FAILED
    due = timezone.now() + pause(tries) if state == Delivery.State.PENDING else delivery.due_at
    fields = {"state": state, "tries": tries, "log": [*delivery.log, entry], "due_at": due}
    Delivery.objects.filter(pk=delivery.pk, state=Delivery.State.PENDING).update(**fields)


def pause(tries: int) -> timedelta:
    """Return the time to wait after that many attempts, varied by a tenth so that retries spread out."""
    return FIRST_PAUSE * float(GROWTH ** (tries - 1)) * random.uniform(0.9, 1.1)


def _send(delivery: Delivery, at: datetime) -> tuple[int | None, str]:
    """Send a message. Returns the HTTP status, if there was a response, and an error message, "" on success."""
    try:
        status = asyncio.run(http_client.post(delivery.webhook.url, headers(delivery, at), delivery.body.encode()))
    except http_client.Refused as error:
        return None, str(error)
    except TimeoutError:
        return None, f"No answer within {http_client.TIMEOUT:.0f} seconds."
    except (OSError, httpcore2.NetworkError, httpcore2.ProtocolError, httpcore2.TimeoutException) as error:
        return None, f"No answer: {str(error) or type(error).__name__}."
    if 300 <= status < 400:
        return status, f"It answered {status}, a redirect. These are not followed: give the final address."
    return status, "" if 200 <= status < 300 else f"It answered {status}."


def headers(delivery: Delivery, at: datetime) -> dict[str, str]:
    """Return the headers of a message sent at that time, including its signatures."""
    hook = delivery.webhook
    valid = [hook.secret, hook.previous_secret] if hook.previous_until > at and hook.previous_secret else [hook.secret]
    return {
        "Content-Type": "application/json",
        "User-Agent": "SoundScape",
        "webhook-id": str(delivery.pk),
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": " ".join(Signer(secret).sign(str(delivery.pk), at, delivery.body) for secret in valid),
    }
