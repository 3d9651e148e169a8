"""The browsable pages of the API: everything that is available as JSON, and working forms."""

import re
from uuid import uuid4

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse
from support.acting import SONG

from webapp.models import State, Track
from webapp.webhooks import outbox

pytestmark = pytest.mark.django_db

HTML = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"  # as browsers ask
LISTS = ("root", "jobs", "tracks", "me", "models", "tokens", "webhooks")


def look(client: Client, path: str, status: int = 200) -> str:
    answer = client.get(path, headers={"accept": HTML})
    assert (answer.status_code, answer["Content-Type"]) == (status, "text/html; charset=utf-8")
    return answer.content.decode()


def test_whatever_can_be_looked_at_has_a_page_without_anything_in_line(browser, make_job, owner):
    job = make_job(State.DONE)
    hook = outbox.create(owner, "https://example.org/hook", [])
    paths = [reverse(f"api-{name}") for name in LISTS]
    paths += [reverse(f"api-{name}", args=[job.pk]) for name in ("job", "job-stems", "exports")]
    paths += [reverse("api-track", args=[job.track_id]), reverse("api-webhook", args=[hook.pk])]
    paths += [reverse("api-webhook-deliveries", args=[hook.pk])]
    for path in paths:
        page = look(browser, path)
        assert "<style" not in page and " style=" not in page, path
        assert not re.search(r"<script(?![^>]*(src=|application/json))", page), path


def test_addresses_are_links(browser, make_job):
    job = make_job(State.DONE)
    page = look(browser, reverse("api-job", args=[job.pk]))
    for path in (reverse("api-track", args=[job.track_id]), job.get_absolute_url()):
        assert f'href="http://testserver{path}"' in page
    assert "{index}" in page


def test_a_form_uploads_a_song(owner):
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(owner)
    path = reverse("api-tracks")
    token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', look(browser, path))
    form = {"file": SimpleUploadedFile("Song.wav", SONG), "title": "From a form", "csrfmiddlewaretoken": token[1]}
    assert browser.post(path, form, headers={"accept": HTML}).status_code == 201
    assert [*Track.objects.values_list("owner", "title")] == [(owner.pk, "From a form")]


def test_problems_are_told_on_a_page_too(browser, client):
    assert "/api/v1/problems/#not-found" in look(browser, reverse("api-track", args=[uuid4()]), 404)
    assert "/api/v1/problems/#not-authenticated" in look(client, reverse("api-me"), 401)


def test_programs_get_json(browser):
    for accept in ("*/*", "application/json", ""):
        answer = browser.get(reverse("api-root"), headers={"accept": accept} if accept else {})
        assert answer["Content-Type"] == "application/json"
        assert answer.json()["jobs"] == "/api/v1/jobs/"
