"""Problem details, whether REST framework, a plain view or Django responds."""

import json
import re

import pytest
from django.test import Client

from pipeline.options import FORMATS
from webapp.api import downloads
from webapp.api.jobs import JobViewSet
from webapp.http import problems
from webapp.models import State

pytestmark = pytest.mark.django_db
NOBODYS = "00000000-0000-4000-8000-000000000000"


def problem_in(answer) -> dict:
    """The problem in a response, whose fields agree with the response."""
    assert answer["Content-Type"] == "application/problem+json"
    data = answer.json()
    assert data["status"] == answer.status_code
    assert data["title"] and data["detail"]
    kind = problems.KINDS[data["type"].removeprefix("/api/v1/problems/#")]
    assert kind.title == data["title"]
    return data


@pytest.mark.parametrize(
    "path", [f"jobs/{NOBODYS}/", f"jobs/{NOBODYS}/mix", f"jobs/{NOBODYS}/stems/vocals/peaks", "nowhere", "jobs/x/"]
)
def test_what_is_not_there(browser, path):
    data = problem_in(browser.get(f"/api/v1/{path}"))
    assert (data["type"], data["instance"]) == ("/api/v1/problems/#not-found", f"/api/v1/{path}")


@pytest.mark.parametrize("path", ["jobs/events/", f"jobs/{NOBODYS}/cancel/"])
def test_a_method_that_is_not_taken(browser, path):
    answer = browser.put(f"/api/v1/{path}")
    assert problem_in(answer)["type"].endswith("#method-not-allowed")
    assert answer["Allow"]


def test_errors_of_pages_are_pages(browser):
    answer = browser.get(f"/jobs/{NOBODYS}/")
    assert answer.status_code == 404
    assert answer["Content-Type"].startswith("text/html")


def test_a_body_that_is_no_json(browser, make_job):
    answer = browser.patch(f"/api/v1/jobs/{make_job().pk}/", "{", content_type="application/json")
    assert problem_in(answer)["type"].endswith("#parse-error")
    answer = browser.patch(f"/api/v1/jobs/{make_job().pk}/", "{", content_type="text/plain")
    assert problem_in(answer)["type"].endswith("#unsupported-media-type")


def test_a_body_that_is_no_object(browser, make_job):
    answer = browser.patch(f"/api/v1/jobs/{make_job().pk}/", "[1]", content_type="application/json")
    (fault,) = problem_in(answer)["errors"]
    assert (fault["field"], fault["value"]) == (None, None)


def test_every_fault_is_listed(browser):
    data = problem_in(browser.post("/api/v1/jobs/", {"file": "text", "format": "midi", "stems": ["kazoo", "drums"]}))
    faults = {fault["field"]: fault for fault in data["errors"]}
    assert (faults["format"]["value"], "flac" in faults["format"]["allowed"]) == ("midi", True)
    assert (faults["stems"]["value"], "drums" in faults["stems"]["allowed"]) == (["kazoo", "drums"], True)
    assert "allowed" not in faults["file"]
    assert all(fault["message"] in data["detail"] for fault in data["errors"])


@pytest.mark.parametrize(
    ("query", "fault"),
    [
        ("format=midi", {"field": "format", "value": "midi", "allowed": list(FORMATS)}),
        ("mute=kazoo", {"field": "mute", "value": "kazoo", "allowed": ["vocals", "drums"]}),
        ("tempo=9", {"field": "tempo", "value": 9.0, "allowed": {"minimum": 0.5, "maximum": 2.0}}),
        ("vocals=nan", {"field": "vocals", "value": "nan", "allowed": {"maximum": 6.0}}),
        ("vocals=loud", {"field": "vocals", "value": "loud"}),
        ("colour=blue", {"field": "colour", "value": "blue"}),
        ("start=2&end=1", {"field": None, "value": None}),
    ],
)
def test_what_makes_no_mix_is_named_by_both_ways_to_one(browser, real_job, query, fault):
    job = real_job()
    for answer in (
        browser.get(f"/api/v1/jobs/{job.pk}/mix?{query}"),
        browser.post(f"/api/v1/jobs/{job.pk}/exports/", query, content_type="application/x-www-form-urlencoded"),
    ):
        (named,) = problem_in(answer)["errors"]
        assert named == fault | {"message": named["message"]}


def test_a_range_that_is_not_there_keeps_its_headers(browser, make_job):
    job = make_job(State.DONE)
    answer = browser.get(f"/api/v1/jobs/{job.pk}/stems/vocals/peaks", headers={"Range": "bytes=9999-"})
    assert problem_in(answer)["type"].endswith("#range-not-satisfiable")
    assert answer["Content-Range"] == "bytes */200"


def test_a_refusal_says_when_to_retry(browser, real_job, monkeypatch):
    def refuse(*_):
        raise downloads.renderer.Busy("Later.")

    monkeypatch.setattr(downloads.renderer, "admit", refuse)
    answer = browser.get(f"/api/v1/jobs/{real_job().pk}/mix")
    assert (problem_in(answer)["detail"], answer["Retry-After"]) == ("Later.", "5")


def test_an_internal_error_reveals_nothing(owner, monkeypatch):
    def broken(*_):
        raise RuntimeError("secret")

    monkeypatch.setattr(JobViewSet, "list", broken)
    client = Client(raise_request_exception=False)
    client.force_login(owner)
    answer = client.get("/api/v1/jobs/")
    assert problem_in(answer)["type"].endswith("#error")
    assert b"secret" not in answer.content


def test_the_same_under_asgi(fetch, owner):
    for user in (None, owner):
        answer = fetch(f"/api/v1/jobs/{NOBODYS}/mix", user)
        assert (answer.status, answer.headers["Content-Type"]) == (404, problems.TYPE)
        assert json.loads(answer.body)["status"] == 404


def test_the_page_explains_each_kind():
    text = Client().get(problems.PAGE).content.decode()
    assert set(re.findall(r'<dt id="([^"]+)"', text)) == {*problems.KINDS}
