"""No request causes an internal error: every route is requested with every method and hostile input."""

import base64
import json
import random
import re
import shutil
import sqlite3
import urllib.error
import urllib.request
from http.cookiejar import CookieJar
from urllib.parse import quote

import pytest
from asgiref.sync import async_to_sync
from django.core.handlers.asgi import ASGIHandler
from django.db import DataError, InterfaceError, OperationalError, connection, transaction
from django.test import Client
from django.urls import URLPattern, get_resolver
from support import running
from support.acting import upload

from webapp.http import problems
from webapp.http.body_limit import BodyLimit
from webapp.models import Upload, User, Webhook
from webapp.storage.base import DISK_FULL

pytestmark = pytest.mark.django_db

NOBODYS = "00000000-0000-4000-8000-000000000000"
DEEP = "[" * 100_000 + "]" * 100_000
DIGITS = "9" * 5000
HALF = '"\\ud800"'  # of a character, in JSON
WORDS = [
    "", "x", "\0", "a\0b", "%00", "é", "\x85", "-1", "1e999", "nan", DIGITS, "9" * 30, "../../etc/passwd", "{}", "[]",
    "'\";--", "\u202e", "\U0001f600", "a" * 10_000, "null", "true", "vocals", NOBODYS,
]  # fmt: skip
USUAL = ["GET", "POST", "PATCH"]
METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "get", "patch", "BREW"]
NAMES = [
    "format", "bits", "stems", "stem", "title", "tempo", "pitch", "start", "end", "vocals", "mute", "solo", "page_size",
    "cursor", "ordering", "search", "state", "everyone", "what", "q", "o", "p", "next", "format[]", "_popup", "e",
    "created_at__date", "action", "_selected_action", "username", "password", "email", "name", "url", "events",
    "scopes", "expires_at", "track", "file", "preset", "bleed", "id__exact", "track__owner__id__exact",
]  # fmt: skip
HEADERS = [
    {}, {"Range": f"bytes={DIGITS}-"}, {"Range": f"bytes=0-{DIGITS}"}, {"Range": f"bytes=-{DIGITS}"},
    {"Range": "bytes=5-1"}, {"Range": "bytes=٣-"}, {"If-Range": "\x80"}, {"If-None-Match": '"' * 99},
    {"If-Modified-Since": "Mon, 99 Foo 99999 99:99:99 GMT"}, {"Accept": "application/json; indent=" + DIGITS},
    {"Accept": "text/html"}, {"Accept": "\x00/\xff;q=x"}, {"Authorization": "Bearer \xff"}, {"Authorization": "Bearer"},
    {"Authorization": "Bearer scape_" + "x" * 999}, {"Cookie": "sessionid=\x80; csrftoken=\0; guest=%00:é"},
    {"Host": "a b"}, {"Host": "localhost:99999999"}, {"Idempotency-Key": "\x80" * 99}, {"Idempotency-Key": "x" * 999},
    {"X-HTTP-Method-Override": "patch"}, {"X-HTTP-Method-Override": "\x80"},
    {"Tus-Resumable": "1.0.0", "Upload-Length": DIGITS}, {"Tus-Resumable": "1.0.0", "Upload-Length": "-1"},
    {"Tus-Resumable": "1.0.0", "Upload-Length": "5", "Upload-Metadata": "filename " + base64.b64encode(b"\0").decode()},
    {"Tus-Resumable": "1.0.0", "Upload-Length": "5", "Upload-Metadata": "filename \xff, title YQ==, , x y z"},
    {"Tus-Resumable": "1.0.0", "Upload-Offset": "0", "Upload-Checksum": "sha1 \xff"},
    {"Tus-Resumable": "1.0.0", "Upload-Offset": DIGITS}, {"Referer": "\x80"}, {"User-Agent": "\x80" * 999},
    {"X-Forwarded-For": "\x80"}, {"X-CSRFToken": "\x80"}, {"Accept-Encoding": "\x80"}, {"Origin": "null"},
]  # fmt: skip
SEED = 7
MISSING = ("healthz", "api/v1/jobs/demo/")  # what they say is not there isn't


def cursor(text):
    return base64.urlsafe_b64encode(text.encode()).decode()


JSON = "application/json"
FORM = "application/x-www-form-urlencoded"
PARTS = "multipart/form-data; boundary=b"
PART = b"--b\r\nContent-Disposition: form-data; name="
BODIES = [
    ("", b""), ("text/plain", b"x"), ("\x80/\x80", b"x"), ("application/offset+octet-stream", b"x" * 100),
    (JSON, b""), (JSON, DEEP.encode()), (JSON, b"\xff\xfe"), (JSON, b"[1]"), (JSON, b'"x"'), (JSON, b"null"),
    (JSON, b'{"title": "\\ud800"}'), (JSON, b'{"title": "a\\u0000b"}'), (JSON, b'{"\\ud800": 1}'),
    (JSON, b'{"title": ' + DIGITS.encode() + b"}"), (JSON, b'{"title": NaN}'),
    (JSON, b'{"title": {"a": [1]}, "stems": 5, "track": [1], "end": 1e999}'),
    (JSON, b'{"stems": ["\\udfff"], "track": "\\ud800", "url": "http://\\ud800/", "events": ["\\ud800"]}'),
    (JSON, b'{"name": "\\ud800", "scopes": ["\\ud800"], "expires_at": "99999-99-99"}'),
    (JSON, b'{"url": "https://[::1", "events": [[]], "active": "\\ud800"}'), (f"{JSON}; charset=nonsense", b"{}"),
    (f"{FORM}; charset=utf-7", b"title=+2AA-"), (FORM, b"&".join(b"a=1" for _ in range(2000))),
    (FORM, b"title=%ED%A0%80&username=%00&password=%FF&email=%00@%00.x"),
    ("multipart/form-data", b"x"), ("multipart/form-data; boundary=\xff", b"x"),
    (PARTS, PART + b'"file"; filename="\xff\0"\r\n\r\nx'),
    (PARTS, PART + b'"file"; filename="a\0.wav"\r\nContent-Type: x\r\n\r\nx\r\n--b--\r\n'),
    (PARTS, PART + b'"title"\r\nContent-Transfer-Encoding: base64\r\n\r\n\xff=\r\n--b--\r\n'),
]  # fmt: skip
CURSORS = [cursor(text) for text in (DEEP[:2000], f'[true, {HALF}, "{NOBODYS}"]', f'[0, {DIGITS}, "x"]', "{}", "[1,2]")]
CURSORS += [cursor(f'[false, 99999999999999999999999, "{NOBODYS}"]'), cursor(f'[true, "x", "{NOBODYS}"]')]


def routes(patterns=None, prefix=""):
    """Every route of the site, with its arguments still to be filled in."""
    for found in get_resolver().url_patterns if patterns is None else patterns:
        route = prefix + str(found.pattern)
        if isinstance(found, URLPattern):
            yield route
        else:
            yield from routes(found.url_patterns, route)


def path_of(route, rng, ids):
    """A path of the route, mostly of existing rows. A route is a path of Django or a regular expression."""

    def filled(part):
        kind, name = part["kind"], part["name"]
        if kind == "int":
            return rng.choice(["0", "1", DIGITS, "9" * 25])
        if kind == "uuid":
            there = next((pk for thing, pk in ids.items() if f"{thing}s/" in route), NOBODYS)
            return there if name == "pk" and rng.random() < 0.9 else NOBODYS
        return quote(rng.choice(["vocals", "vocals", *ids.values(), *WORDS]))

    route = re.sub(r"\(\?P<(\w+)>[^)]*\)", r"<\1>", route)
    return "/" + re.sub(r"<((?P<kind>\w+):)?(?P<name>\w+)>", filled, re.sub(r"[\^$\\?]", "", route))


@pytest.fixture
def ids(real_job, browser, owner):
    """The ids of existing rows."""
    job = real_job()
    hook = Webhook.objects.create(owner=owner, url="https://example.org/", secret="x")
    piece = browser.post("/api/v1/uploads/", headers={"Tus-Resumable": "1.0.0", "Upload-Length": "50"}).json()
    return {"job": str(job.pk), "webhook": str(hook.pk), "upload": piece["id"], "track": str(job.track_id)}


@pytest.fixture
def sessions(browser):
    """The sessions of a visitor, the owner and staff."""
    staff = Client()
    staff.force_login(User.objects.create_superuser("staff", password="parklife-1994"))
    return ["", browser.cookies["sessionid"].value, staff.cookies["sessionid"].value]


def ask(rng, ids, route, session):
    """The response to a request, which is then rolled back."""
    query = [(rng.choice(NAMES), rng.choice([*WORDS, *CURSORS])) for _ in range(rng.choice([0, 1, 2]))]
    path = path_of(route, rng, ids) + "?" + "&".join(f"{name}={quote(value)}" for name, value in query)
    method, (kind, body), headers = rng.choice(rng.choice([USUAL, METHODS])), rng.choice(BODIES), rng.choice(HEADERS)
    with transaction.atomic():
        client = Client(raise_request_exception=False)
        client.cookies["sessionid"] = session
        answer = client.generic(method, path, body, content_type=kind, headers=headers)
        if answer.streaming:
            answer.close()
        transaction.set_rollback(True)
    return f"{method} {path[:200]} with {headers} and {kind} {body[:60]!r}", answer


def faults(rng, ids, sessions, times):
    """The requests that failed. Routes of Django itself are requested less often."""
    ours = [route for route in routes() if not route.startswith("admin/")]
    for route in [*routes(), *ours * times]:
        asked, answer = ask(rng, ids, route, rng.choice(sessions))
        problem = answer.get("Content-Type", "").startswith(problems.TYPE)
        if answer.status_code >= 500 and route not in MISSING:
            yield asked, answer.status_code
        elif answer.status_code >= 400 and route.startswith("api/") and not problem and "text/html" not in asked:
            yield asked, answer.get("Content-Type")


in_one_transaction = pytest.mark.skipif(
    connection.vendor == "postgresql",
    reason="walks all routes in one transaction, which on PostgreSQL ends with the first closed connection",
)


@pytest.fixture
def unlimited(settings):
    settings.REQUESTS = settings.GUEST_REQUESTS = 10**9


@in_one_transaction
@pytest.mark.usefixtures("unlimited")
def test_no_request_ends_as_a_fault_of_ours(ids, sessions):
    assert [*faults(random.Random(SEED), ids, sessions, 2)] == []


@pytest.mark.slow
@in_one_transaction
@pytest.mark.usefixtures("unlimited")
@pytest.mark.parametrize("seed", [1, 2])
def test_no_request_of_very_many_ends_as_a_fault_of_ours(ids, sessions, seed):
    assert [*faults(random.Random(seed), ids, sessions, 40)] == []


@pytest.fixture
def mine(ids, browser):
    """The browser of the owner, which gets responses instead of exceptions."""
    browser.raise_request_exception = False
    return browser


@pytest.mark.parametrize("asked", [f"bytes={DIGITS}-", f"bytes=0-{DIGITS}", f"bytes=-{DIGITS}"])
def test_a_range_of_very_many_digits_is_all_of_the_file(mine, ids, asked):
    path = f"/api/v1/jobs/{ids['job']}/stems/vocals/peaks"
    assert mine.get(path, headers={"Range": asked}).status_code == 200


@pytest.mark.parametrize(
    ("body", "words"),
    [(DEEP, "nested too deep"), ('{"title": "a\\ud800"}', r"\ud800"), ('{"title": "a\\u0000"}', "Null")],
)
def test_json_that_nobody_can_keep_is_refused_in_words(mine, ids, body, words):
    answer = mine.patch(f"/api/v1/jobs/{ids['job']}/", body, content_type="application/json")
    assert (answer.status_code, answer["Content-Type"]) == (400, problems.TYPE)
    assert words in answer.json()["detail"]


def test_characters_of_two_halves_are_kept(mine, ids):
    answer = mine.patch(f"/api/v1/jobs/{ids['job']}/", '{"title": "\\ud83d\\ude00"}', content_type="application/json")
    assert answer.json()["title"] == "\U0001f600"


def test_a_method_in_small_letters_is_the_same_method(mine, ids):
    piece = {"Tus-Resumable": "1.0.0", "Upload-Offset": "0", "X-HTTP-Method-Override": "patch"}
    answer = mine.post(
        f"/api/v1/uploads/{ids['upload']}/", b"x" * 5, content_type="application/offset+octet-stream", headers=piece
    )
    assert (answer.status_code, answer["Upload-Offset"]) == (204, "5")


@pytest.mark.parametrize("path", ["/accounts/login/", "/api/v1/jobs/"])
@pytest.mark.parametrize(
    ("error", "status", "words"),
    [
        (OperationalError("database is locked"), 503, "database is busy"),
        (InterfaceError("connection already closed"), 503, "database is busy"),
        (DataError("integer out of range"), 400, "larger than anything"),
        (OSError(28, "No space left on device", "/srv/data/x"), 507, DISK_FULL),
        (PermissionError(13, "Permission denied", "/srv/data/x"), 503, "read or write its files"),
        (RuntimeError("/srv/data/x"), 500, "on our side"),
    ],
)
def test_exceptions_become_the_right_problem(monkeypatch, path, error, status, words):
    """As a page or a problem, without any path of the server."""

    def broken(*_):
        raise error

    monkeypatch.setattr("django.contrib.sessions.middleware.SessionMiddleware.process_request", broken)
    answer = Client(raise_request_exception=False).get(path)
    assert answer.status_code == status
    assert words in answer.content.decode().replace("&#x27;", "'")
    assert "/srv" not in answer.content.decode()
    assert answer["Content-Type"] == (problems.TYPE if "api" in path else "text/html; charset=utf-8")
    assert ("Retry-After" in answer) == (status == 503)


def test_a_full_disk_is_reported_during_a_resumable_upload(mine, ids, settings):
    """/dev/full replaces the file of the upload."""
    path = settings.FILE_UPLOAD_TEMP_DIR / f"{ids['upload']}.part"
    path.unlink()
    path.symlink_to("/dev/full")
    piece = {"Tus-Resumable": "1.0.0", "Upload-Offset": "0"}
    kind = "application/offset+octet-stream"
    answer = mine.patch(f"/api/v1/uploads/{ids['upload']}/", b"x" * 5, content_type=kind, headers=piece)
    assert (answer.status_code, answer.json()["detail"]) == (507, DISK_FULL)


def test_a_missing_folder_is_told_to_whoever_uploads(mine, settings, tmp_path):
    settings.FILE_UPLOAD_TEMP_DIR = tmp_path / "missing"
    for answer in (
        upload(mine, content=b"x" * 3_000_000),
        mine.post("/api/v1/uploads/", headers={"Tus-Resumable": "1.0.0", "Upload-Length": "50"}),
    ):
        assert (answer.status_code, answer["Content-Type"]) == (503, problems.TYPE)
        assert str(tmp_path) not in answer.content.decode()
    assert Upload.objects.count() == 1


def test_a_body_that_cannot_be_stored_is_reported(monkeypatch, tmp_path):
    """Django stores the body before it calls a view."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "missing"))
    sent = []
    body = [{"type": "http.request", "body": b"x" * 3_000_000, "more_body": False}]

    async def receive():
        return body.pop(0)

    async def send(message):
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": "/api/v1/jobs/", "headers": [], "query_string": b""}
    async_to_sync(BodyLimit(ASGIHandler(), 10**9))(scope, receive, send)
    assert sent[0]["status"] == 503
    assert "read or write its files" in json.loads(sent[1]["body"])["detail"]


@pytest.mark.slow
def test_a_locked_database_is_told_within_its_patience(tmp_path, transactional_db):
    running.manage(tmp_path, "migrate", "-v0")
    file = tmp_path / "db.sqlite3"
    with running.web(tmp_path, DATABASE_URL=f"sqlite:///{file}?timeout=1") as site, sqlite3.connect(file) as other:
        jar = CookieJar()
        browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(jar))
        browser.open(f"{site}/accounts/login/").read()
        token = next(cookie.value for cookie in jar if cookie.name == "csrftoken")
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(urllib.error.HTTPError) as refused:
            browser.open(
                urllib.request.Request(
                    f"{site}/accounts/login/",
                    f"csrfmiddlewaretoken={token}&username=owner&password=wrong".encode(),
                )
            )
        assert (refused.value.code, refused.value.headers["Retry-After"]) == (503, "5")
        assert "database is busy" in refused.value.read().decode()
        other.rollback()
        shutil.rmtree(tmp_path / "uploads")
        with pytest.raises(urllib.error.HTTPError) as refused:
            browser.open(urllib.request.Request(f"{site}/api/v1/jobs/", b"x" * 5_000_000, {"X-CSRFToken": token}))
        assert refused.value.code == 503
        assert str(tmp_path) not in refused.value.read().decode()
