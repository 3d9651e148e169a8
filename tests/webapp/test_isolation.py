"""Other people's songs do not exist: every route of a job, requested by others."""

import re

import pytest
from django.test import Client
from support.acting import Answer, files_below, fresh

from webapp.api import openapi
from webapp.models import Export, Job, State, Stem
from webapp.songs import actions

pytestmark = pytest.mark.django_db

EXPORT = "11111111-1111-4111-8111-111111111111"
METHODS = ("get", "head", "post", "put", "patch", "delete")
RANDOM = re.compile(rb"[A-Za-z0-9]{64}")  # a CSRF token, masked anew in each response
VALUES = {"<uuid:pk>": "{pk}", "<uuid:export>": EXPORT, "<slug:name>": "vocals", "<int:index>": "0"}


def addresses() -> list[str]:
    """Every route of a job in the URL configuration, so that none is forgotten."""
    routes = [path.removeprefix("/") for path, _ in openapi.routes()]
    named = [route for route in routes if "jobs/<uuid:pk>" in route]
    for pattern, value in VALUES.items():
        named = [route.replace(pattern, value) for route in named]
    assert not any("<" in route for route in named), "a new kind of argument: give it a value above"
    return [f"/{route}" for route in named]


def with_export(job):
    """The job and an export."""
    export = Export.objects.create(pk=EXPORT, job=job, filename="Song - mix.wav", state=State.DONE)
    export.folder.mkdir(parents=True)
    export.path.write_bytes(b"mix")
    return job


def test_the_list_of_addresses_is_not_empty():
    assert len(addresses()) >= 20


@pytest.mark.parametrize("who", ["stranger", "guest", "visitor"])
@pytest.mark.parametrize("address", addresses())
@pytest.mark.parametrize("state", [State.RUNNING, State.DONE, State.FAILED, "deleted"])
def test_others_find_nothing_and_change_nothing(make_job, stranger, state, address, who):
    job = with_export(make_job(State.DONE if state == "deleted" else state))
    if state == "deleted":
        actions.delete(job)
    client = Client()
    if who == "stranger":
        client.force_login(stranger)
    elif who == "guest":
        client.post("/api/v1/jobs/", {})
    before, files = Job.objects.values().get(pk=job.pk), files_below(job.folder)
    for method in METHODS:
        answer = getattr(client, method)(address.format(pk=job.pk))
        assert answer.status_code in (404, 405), method
    assert Job.objects.values().get(pk=job.pk) == before
    assert files_below(job.folder) == files
    assert Export.objects.get().state == State.DONE
    assert Stem.objects.count() == (2 if state in (State.DONE, "deleted") else 0)


def test_an_unknown_job_and_anothers_look_the_same(make_job, stranger):
    client = Client()
    client.force_login(stranger)
    job = with_export(make_job(State.DONE))
    unknown = "00000000-0000-4000-8000-000000000000"
    for address in addresses():
        theirs, nobodys = client.get(address.format(pk=job.pk)), client.get(address.format(pk=unknown))
        assert theirs.status_code == nobodys.status_code
        said = theirs.content.replace(str(job.pk).encode(), unknown.encode())
        assert RANDOM.sub(b"", said) == RANDOM.sub(b"", nobodys.content)


def test_lists_hold_ones_own_alone(make_job, stranger, browser):
    mine, theirs = make_job(), make_job(user=stranger)
    assert [job["id"] for job in browser.get("/api/v1/jobs/").json()["results"]] == [str(mine.pk)]
    assert str(theirs.pk).encode() not in browser.get("/").content


def test_the_owner_does_find_them(make_job, owner, fetch, browser):
    job = with_export(make_job(State.DONE))
    for address in addresses():
        if "events" in address or "/draft/" in address or address.endswith(("/mix", "/spectrogram")):
            continue  # never ends; is gone by now; need real audio: they have tests of their own
        answer: Answer = fetch(address.format(pk=job.pk), owner)
        assert answer.status in (200, 405), address
    assert fresh(job).state == State.DONE
