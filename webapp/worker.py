"""The worker's pulse: a thread beside the work that says "I live" and keeps the queue moving.

One run of a worker process has one name. A restarted worker is somebody else, so that the job which its
predecessor lost is noticed and put back.
"""

import logging
import os
import secrets
import socket
import threading
from typing import Any

from celery.signals import setup_logging, worker_ready, worker_shutdown, worker_shutting_down
from django.db import connection

from webapp import jobs

log = logging.getLogger(__name__)

NAME = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(3)}"
BEAT_EVERY = 5.0  # seconds; a quarter of models.LOST_AFTER
STUCK = 70  # exit status

stopping = threading.Event()


def pulse(worker: str = NAME) -> None:
    """One beat: show life, put back what dead workers left, and look whether anything waits."""
    jobs.beat(worker)
    jobs.requeue_stale()
    if worker in jobs.fail_stalled():
        _give_up()
    jobs.wake_if_idle(worker)
    jobs.forget_workers()


def run() -> None:
    """Beat until told to stop. A database that does not answer now may do so at the next beat."""
    while not stopping.is_set():
        try:
            pulse()
        except Exception:
            log.exception("The worker could not beat; it goes on trying.")
        finally:
            connection.close()
        stopping.wait(BEAT_EVERY)


def _give_up() -> None:
    """Leave at once: Python cannot stop a thread that hangs in native code, and our only one does."""
    log.critical("The work hangs. This worker stops; start it again if nothing else does.")
    logging.shutdown()
    os._exit(STUCK)


@worker_ready.connect
def _start(**_: Any) -> None:
    threading.Thread(target=run, name="pulse", daemon=True).start()
    log.info("Worker %s is ready.", NAME)


@worker_shutting_down.connect
def _stop(**_: Any) -> None:
    """The song in work sees this at its next progress and goes back to the queue."""
    stopping.set()


@worker_shutdown.connect
def _leave(**_: Any) -> None:
    jobs.dismiss(NAME)


@setup_logging.connect
def _keep_logging(**_: Any) -> None:
    """Django has set up logging already; a receiver here keeps Celery from doing it again."""
