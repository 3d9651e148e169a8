"""The worker's pulse: a thread beside the work that says "I live" and keeps the queue moving.

One run of a worker process has one name. A restarted worker is somebody else, so that the job which its
predecessor lost is noticed and put back.
"""

import logging
import os
import secrets
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

from celery.signals import setup_logging, worker_ready, worker_shutting_down
from django.db import connection

from webapp.accounts import quotas, retention
from webapp.exports import renderer
from webapp.songs import queue
from webapp.uploads import resumable
from webapp.webhooks import delivery, outbox

log = logging.getLogger(__name__)

NAME = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(3)}"
BEAT_EVERY = 5.0  # seconds; a quarter of models.LOST_AFTER
LINGER = 1.0  # seconds; enough for Celery to end by itself when no song is in work
STUCK = 70  # exit status

stopping = threading.Event()


def pulse(worker: str = NAME) -> None:
    """One beat: show life, put back what dead workers left, look whether anything waits, and tidy up."""
    queue.heartbeat(worker)
    queue.requeue_stale()
    if queue.fail_stalled(worker):
        _give_up()
    queue.wake_if_idle(worker)
    queue.forget_workers()
    queue.purge()
    renderer.fail_lost()
    renderer.forget_old()
    outbox.forget()
    quotas.forget()
    resumable.forget()
    retention.expire()


def run() -> None:
    """Beat until told to stop."""
    while not stopping.is_set():
        _survive(pulse)
        stopping.wait(BEAT_EVERY)
    _survive(leave)
    time.sleep(LINGER)
    os._exit(0)  # still here: Celery waits for the song, which is not ours any more


def leave(worker: str = NAME) -> None:
    """Put the song in work back and sign off, rather than let people wait for the end of a block or of the song."""
    if queue.release(worker):
        log.info("The song in work goes back to the queue.")
    queue.deregister(worker)


def _survive(action: Callable[[], None]) -> None:
    """A database that does not answer now may do so at the next beat."""
    try:
        action()
    except Exception:
        log.exception("The worker could not tell the database that it lives.")
    finally:
        connection.close()


def _give_up() -> None:
    """Leave at once: Python cannot stop a thread that hangs in native code, and our only one does."""
    log.critical("The work hangs. This worker stops; start it again if nothing else does.")
    logging.shutdown()
    os._exit(STUCK)


@worker_ready.connect
def _start(**_: Any) -> None:
    threading.Thread(target=run, name="pulse", daemon=True).start()
    delivery.start(stopping)
    log.info("Worker %s is ready.", NAME)


@worker_shutting_down.connect
def _stop(**_: Any) -> None:
    stopping.set()


@setup_logging.connect
def _keep_logging(**_: Any) -> None:
    """Django has set up logging already; a receiver here keeps Celery from doing it again."""
