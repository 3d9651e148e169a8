"""The worker's heartbeat: a thread beside the work that shows that the worker lives and keeps the queue moving.

Each run of a worker process has a name of its own. A restarted worker therefore counts as another one, and the job that
its predecessor lost is noticed and put back.
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

from webapp.songs import queue
from webapp.webhooks import delivery
from webapp.worker import upkeep

log = logging.getLogger(__name__)

NAME = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(3)}"
BEAT_EVERY = 5.0  # seconds; a quarter of models.songs.LOST_AFTER
LINGER = 1.0  # seconds; enough for Celery to exit by itself when no song is being separated
STUCK = 70  # exit status

stopping = threading.Event()


def beat(worker: str = NAME) -> None:
    """Show that the worker lives, requeue what dead workers lost, wake idle workers, and tidy up."""
    queue.heartbeat(worker)
    queue.requeue_stale()
    if queue.fail_stalled(worker):
        _give_up()
    queue.wake_if_idle(worker)
    upkeep.tidy()


def run() -> None:
    """Beat until `stopping` is set, then sign off and end the process."""
    while not stopping.is_set():
        _survive(beat)
        stopping.wait(BEAT_EVERY)
    _survive(leave)
    time.sleep(LINGER)
    os._exit(0)  # still alive: Celery waits for a song that is no longer this worker's


def leave(worker: str = NAME) -> None:
    """Requeue the song in progress and sign off, so that nobody waits for the end of the song."""
    if queue.release(worker):
        log.info("The song in progress goes back to the queue.")
    queue.deregister(worker)


def _survive(action: Callable[[], None]) -> None:
    """Log errors: a database that does not answer now may do so at the next beat."""
    try:
        action()
    except Exception:
        log.exception("The worker could not write its heartbeat to the database.")
    finally:
        connection.close()


def _give_up() -> None:
    """Exit at once: Python cannot stop a thread that hangs in native code, and the only working thread does."""
    log.critical("The work hangs. This worker stops; start it again if nothing else does.")
    logging.shutdown()
    os._exit(STUCK)


@worker_ready.connect
def _start(**_: Any) -> None:
    threading.Thread(target=run, name="heartbeat", daemon=True).start()
    delivery.start(stopping)
    log.info("Worker %s is ready.", NAME)


@worker_shutting_down.connect
def _stop(**_: Any) -> None:
    stopping.set()


@setup_logging.connect
def _keep_logging(**_: Any) -> None:
    """Keep Celery from configuring logging, which Django has done already, by receiving the signal."""
