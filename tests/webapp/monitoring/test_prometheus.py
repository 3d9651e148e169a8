"""The metrics for Prometheus, and who may read them."""

import pytest
from django.test import Client
from prometheus_client.parser import text_string_to_metric_families
from support.acting import claimed

from webapp.models import Cause, Scope, State, Token, User
from webapp.songs import queue

pytestmark = pytest.mark.django_db


def values(answer):
    families = text_string_to_metric_families(answer.body.decode())
    return {(row.name, *row.labels.values()): row.value for family in families for row in family.samples}


@pytest.fixture
def staff(db):
    return User.objects.create_user("staff", is_staff=True)


def test_the_metrics_of_the_site(make_job, fetch, staff):
    make_job(State.DONE), make_job()
    queue.fail(claimed(make_job(), "other"), "No good.", Cause.FILE)
    answer = fetch("/metrics", staff)
    assert answer.status == 200 and answer.headers["Content-Type"].startswith("text/plain")
    metrics = values(answer)
    assert metrics["soundscape_jobs", "queued"] == metrics["soundscape_jobs", "done"] == 1
    assert metrics["soundscape_jobs", "running"] == 0
    assert metrics["soundscape_failures", "file"] == 1
    assert metrics["soundscape_separated_songs", "day"] == 1
    assert metrics["soundscape_workers",] == 2
    assert metrics["soundscape_disk_bytes", "free"] > 0
    assert metrics["soundscape_queue_wait_seconds",] >= 0


def test_they_are_for_staff(fetch, owner):
    assert fetch("/metrics").status == 401
    assert fetch("/metrics", owner).status == 403


@pytest.mark.parametrize(("scope", "status"), [(Scope.READ, 200), (Scope.WRITE, 403)])
def test_a_scraper_has_a_token_to_read(staff, scope, status):
    _, secret = Token.objects.create(staff, name="Prometheus", scopes=[scope])
    assert Client(headers={"Authorization": f"Bearer {secret}"}).get("/metrics").status_code == status
