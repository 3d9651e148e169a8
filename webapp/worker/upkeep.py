"""Chores that every worker does with its heartbeat: deleting what has expired, and failing lost exports."""

from webapp.accounts import quotas, retention
from webapp.exports import renderer
from webapp.songs import queue
from webapp.uploads import resumable
from webapp.webhooks import outbox


def tidy() -> None:
    """Delete expired rows with their files, and fail exports whose process is gone."""
    queue.delete_old_workers()
    queue.purge()
    renderer.fail_lost()
    renderer.delete_old_exports()
    outbox.delete_old_deliveries()
    quotas.delete_old_usage()
    resumable.delete_expired()
    retention.delete_expired()
