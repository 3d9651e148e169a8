"""The heartbeat, which a worker keeps up beside its work."""

from datetime import timedelta

import pytest
from django.db.utils import OperationalError
from django.utils import timezone
from support.acting import claimed, fresh, silence

from webapp.models import Export, Job, State, Worker
from webapp.songs import actions, queue
from webapp.worker import heartbeat

pytestmark = pytest.mark.django_db


def test_a_beat_shows_life_and_rescues_the_jobs_of_the_dead(make_job, sent):
    job = claimed(make_job(), "dead")
    silence("dead")
    heartbeat.beat("alive")
    assert [row.name for row in Worker.objects.alive()] == ["alive"]
    assert fresh(job).state == State.QUEUED
    assert sent == ["webapp.tasks.separate"]


def test_a_worker_that_wakes_from_a_long_sleep_keeps_its_job(make_job):
    job = claimed(make_job(), "laptop")
    silence("laptop")
    heartbeat.beat("laptop")
    assert fresh(job).state == State.RUNNING


def test_the_heartbeat_tidies_up(make_job, committing):
    """It removes songs deleted long ago and old exports, and fails exports whose process is gone."""
    deleted, job = make_job(), make_job(State.DONE)
    actions.delete(deleted)
    long_ago = timezone.now() - timedelta(days=2)
    Job.objects.filter(pk=deleted.pk).update(deleted_at=long_ago)
    lost = Export.objects.create(job=job, filename="a.wav", heartbeat_at=long_ago)
    Export.objects.create(job=job, filename="b.wav", state=State.DONE, created_at=long_ago)
    with committing():
        heartbeat.beat("w")
    assert list(Job.objects.all()) == [job]
    assert [(export.pk, export.state) for export in Export.objects.all()] == [(lost.pk, State.FAILED)]


def test_an_unreachable_database_does_not_end_the_heartbeat(monkeypatch, caplog):
    beats = []

    def beat(name):
        beats.append(name)
        if len(beats) == 1:
            raise OperationalError("server closed the connection")

    ends = iter([False, False, True])
    monkeypatch.setattr(queue, "heartbeat", beat)
    monkeypatch.setattr(heartbeat.stopping, "is_set", lambda: next(ends))
    monkeypatch.setattr(heartbeat.stopping, "wait", lambda _: None)
    monkeypatch.setattr(heartbeat.connection, "close", lambda: None)
    monkeypatch.setattr(heartbeat, "LINGER", 0.0)
    exits = []
    monkeypatch.setattr(heartbeat.os, "_exit", exits.append)
    heartbeat.run()
    assert len(beats) == 2
    assert "server closed the connection" in caplog.text
    assert exits == [0]


def test_a_worker_whose_work_hangs_gives_up(make_job, monkeypatch):
    job = claimed(make_job(), "hung")
    Job.objects.filter(pk=job.pk).update(heartbeat_at=timezone.now() - queue.STALLED_AFTER - timedelta(minutes=1))
    queue.heartbeat("hung")
    exits = []
    monkeypatch.setattr(heartbeat.os, "_exit", exits.append)
    heartbeat.beat("another")
    assert exits == []
    heartbeat.beat("hung")
    assert exits == [heartbeat.STUCK]
    assert fresh(job).state == State.FAILED


def test_leaving_signs_off(make_job):
    job = claimed(make_job(), "w")
    heartbeat.leave("w")
    assert not Worker.objects.exists()
    assert fresh(job).state == State.QUEUED
