"""The API conforms to its OpenAPI document: schemathesis requests every operation of a running site.

Half of the generated requests are valid and half are not. Ids are those of an existing, finished job; operations that
change something get another job, so that the first one is always there to be read.
"""

import ctypes
import json
import os
import re
from uuid import UUID

import pytest
import requests
import schemathesis
from django.urls import resolve
from drf_spectacular.validation import validate_schema
from drf_spectacular.views import SpectacularAPIView
from hypothesis import HealthCheck, settings
from schemathesis.checks import CHECKS
from support import running

from webapp.api import representations, schemas
from webapp.api.openapi import component, routes
from webapp.models import State

EXAMPLES = int(os.environ.get("SCHEMA_EXAMPLES", "6"))
CSRF = "c" * 32  # any value, as long as cookie and header agree
ENDLESS = "/events/$"  # streams
UNDESCRIBED = {"schema", "docs", "problems"}  # they document the API
# These reject values that are valid by their type, such as a stem that the song does not have.
PICKY = {
    "POST /api/v1/jobs/{id}/exports/",
    "GET /api/v1/jobs/{id}/mix",
    "POST /api/v1/tokens/",
    "POST /api/v1/uploads/",
    "PATCH /api/v1/uploads/{id}/",
    "POST /api/v1/webhooks/",
    "PATCH /api/v1/webhooks/{id}/",
}

schemathesis.serializer.alias(
    "application/offset+octet-stream", "application/octet-stream"
)  # the type of chunks in tus
description = SpectacularAPIView.generator_class().get_schema(request=None, public=True)
schema = schemathesis.openapi.from_dict(description)
live = {}  # ids of existing rows
ignored_auth, positive, negative, missing = CHECKS.get_by_names(
    ["ignored_auth", "positive_data_acceptance", "negative_data_rejection", "missing_required_header"]
)


@pytest.fixture(scope="module", autouse=True)
def every_number() -> None:
    """Networks that ran in this thread left it flushing subnormal numbers to zero, which Hypothesis rejects."""
    ctypes.CDLL(None).fesetenv(ctypes.c_void_p(-1))  # the C library's FE_DFL_ENV


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The address of a running site with two finished jobs."""
    data = tmp_path_factory.mktemp("data")
    running.manage(data, "migrate", "-v0")
    (data / "demo.flac").write_bytes(b"as long as nobody looks inside")
    songs = [{"seconds": 12, "stems": ["vocals", "drums"], "title": title} for title in ("Kept", "Changed")]
    kept, changed = running.seed(data, songs)
    with running.web(data, SOUNDSCAPE_REQUESTS="1000000") as address:
        live["session"] = kept["session"]
        for name, made in (("kept", kept), ("changed", changed)):
            job = requests.get(
                f"{address}/api/v1/jobs/{made['job']}/", cookies={"sessionid": made["session"]}, timeout=30
            )
            live[name] = {"job": made["job"], "track": job.json()["track"]}
        yield address


@pytest.fixture(scope="module")
def headers(site):
    """The headers of the owner's requests."""
    return {"Cookie": f"sessionid={live['session']}; csrftoken={CSRF}", "X-CSRFToken": CSRF}


@pytest.mark.slow
@schema.exclude(path_regex=ENDLESS).parametrize()
@settings(derandomize=True, max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
def test_every_operation(case, site, headers):
    aim(case)
    case.call_and_validate(base_url=site, headers=headers, timeout=30, excluded_checks=[*unfit(case)])


def aim(case):
    """Replace generated ids by existing ones. GET has a job of its own, which nothing changes."""
    ids = live["kept" if case.method == "GET" else "changed"]
    known = {"id": ids["track" if "/tracks/" in case.path else "job"], "name": "vocals", "index": 0}
    sound = {
        "id": is_id,
        "name": re.compile(r"[-\w]+", re.ASCII).fullmatch,
        "index": lambda value: str(value).isdigit(),
    }
    asked = case.path_parameters
    case.path_parameters |= {name: known[name] for name in asked.keys() & known if sound[name](asked[name])}
    if isinstance(case.body, dict) and is_id(case.body.get("track")):
        case.body["track"] = live["kept"]["track"]


def unfit(case):
    """The checks that do not apply to the case."""
    yield ignored_auth  # every request has a session; test_permissions tests authorisation
    if case.operation.label in PICKY or "Range" in case.headers:
        yield positive
    if case.media_type == "multipart/form-data":  # in which every value is text and files are empty
        yield from (positive, negative)
    if "/uploads/" in case.path:  # tus prescribes 412 and 409
        yield from (negative, missing)


def is_id(value):
    try:
        return isinstance(value, str) and bool(UUID(value))
    except ValueError:
        return False


def test_streams_begin_as_described(site, headers):
    for path in ("/api/v1/jobs/events/", f"/api/v1/jobs/{live['kept']['job']}/events/"):
        with requests.get(site + path, headers=headers, stream=True, timeout=30) as answer:
            assert answer.headers["Content-Type"] == "text/event-stream"
            events = (line for line in answer.iter_lines(decode_unicode=True) if line.startswith("data: "))
            assert {*component(schemas.Job)["required"]} == {*json.loads(next(events).removeprefix("data: "))}


def test_the_description_is_valid_and_whole():
    validate_schema(description)
    assert description["openapi"].startswith("3.1")
    named = {route.name for path, route in routes() if path.startswith("/api/v1/")}
    described = {resolve(_filled(path)).url_name for path in description["paths"]}
    assert named - described == UNDESCRIBED
    ids = [operation["operationId"] for _, operation in operations()]
    assert len(ids) == len({*ids})


def operations():
    """Every operation of the document with its name, such as "GET /api/v1/jobs/"."""
    for path, methods in description["paths"].items():
        for method, operation in methods.items():
            yield f"{method.upper()} {path}", operation


@pytest.mark.parametrize("operation", [pytest.param(each, id=name) for name, each in operations()])
def test_every_operation_is_described(operation):
    summary, text = operation["summary"], operation["description"]
    assert len(summary.split()) >= 3 and not summary.endswith(".")
    assert re.fullmatch(r"[A-Z](\S+ ){3,}.*\.", text), text
    assert summary not in text
    for each in (*operation.get("parameters", []), *operation["responses"].values()):
        assert is_phrase(each["description"]), each


def test_operations_have_summaries_of_their_own():
    summaries = [operation["summary"] for _, operation in operations()]
    assert len(summaries) == len({*summaries})


def test_every_field_is_described():
    for name, shape in description["components"]["schemas"].items():
        if "Paginated" not in name:  # its description is that of its rows
            assert is_phrase(shape["description"]), name
        for field, data in shape["properties"].items():
            assert is_phrase(data.get("description", "")), (name, field)


def is_phrase(text):
    """Whether a description has words of its own, a capital letter and a full stop."""
    return bool(re.fullmatch(r"[A-Z].*\.", text)) and not text.startswith(("Of ", "Which."))


def _filled(path):
    """The path with a value for each parameter."""
    for name, value in (("name", "vocals"), ("index", "0")):
        path = path.replace(f"{{{name}}}", value)
    while "{" in path:
        before, _, rest = path.partition("{")
        path = f"{before}00000000-0000-4000-8000-000000000000{rest.partition('}')[2]}"
    return path


@pytest.mark.django_db
@pytest.mark.parametrize("state", State.values)
def test_jobs_are_what_their_shape_says(make_job, state):
    data = representations.job_json(make_job(state))
    assert {*data} == {*component(schemas.Job)["properties"]}


@pytest.mark.django_db
def test_the_page_that_shows_it_brings_all_it_needs(client):
    page = client.get("/api/v1/docs/")
    text = page.content.decode()
    assert page.status_code == 200 and "<style" not in text and "//" not in text.replace("<!DOCTYPE", "")
    script = client.get("/api/v1/docs/?script=")
    assert b"/api/v1/schema/" in script.content and "javascript" in script["Content-Type"]
    assert client.get("/api/v1/schema/?format=json").json()["openapi"].startswith("3.1")
