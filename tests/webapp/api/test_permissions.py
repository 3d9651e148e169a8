"""Permissions: every route of the site, requested by every role with every method.

A new route fails here until the table below has its lines, and so does a line without a route. Every request is rolled
back, so that lines do not depend on one another.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.cookies import SimpleCookie
from typing import Any

import pytest
from django.apps import apps
from django.conf import settings
from django.contrib.auth.models import Group
from django.contrib.auth.tokens import default_token_generator
from django.core.signals import request_finished
from django.db import close_old_connections, transaction
from django.db.models import Model
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver, reverse
from django.utils.encoding import force_bytes
from django.utils.http import urlsafe_base64_encode
from support.acting import drafted, noise

from pipeline.options import Options
from webapp.accounts import tokens
from webapp.models import Delivery, Export, Job, State, Token, Track, Upload, User, Webhook, Worker
from webapp.uploads import resumable
from webapp.webhooks import outbox

pytestmark = pytest.mark.django_db

ROLES = ("anonymous", "guest", "owner", "other", "reviewer", "staff")
REFUSED = (401, 403, 404, 405)
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")

# Route, method, and the status with which each of ROLES is answered; the last goes for all that follow. The things
# asked for are the owner's: `world` makes them. Bodies are empty, so that 400 is the answer to somebody who is let in.
# A method without a line must be refused to everybody; HEAD is as GET or refused.
ROUTES = """
                                anonymous guest owner other reviewer staff
home                    GET     200
job                     GET     404   404   200   404
signup                  GET     200   200   302
signup                  POST    200   200   302
login                   GET     200
login                   POST    200
logout                  POST    302
account                 GET     302   200
email                   GET     302   302   200
email                   POST    302   302   200
password                GET     302   302   200
password                POST    302   302   200
password-forgotten      GET     200
password-forgotten      POST    200
password-reset          GET     302
password-reset          POST    302
healthz                 GET     200
metrics                 GET     401   403   403   403   200
problems                GET     200
schema                  GET     200
docs                    GET     200
help                    GET     200
data-export             GET     302   200
delete-account          GET     302   200
delete-account          POST    302   302   200

tokens                  GET     302   403   200
tokens                  POST    302   403   200
revoke-token            POST    302   403   302   404
api-tokens              GET     401   403   200
api-tokens              POST    401   403   400
api-token               DELETE  401   403   204   404
webhooks                GET     302   403   200
webhooks                POST    302   403   200
webhook                 GET     302   403   200   404
webhook                 POST    302   403   302   404
webhook-redeliver       POST    302   403   302   404
api-webhooks            GET     401   403   200
api-webhooks            POST    401   403   400
api-webhook             GET     401   403   200   404
api-webhook             PATCH   401   403   200   404
api-webhook             DELETE  401   403   204   404
api-webhook-rotate      POST    401   403   200   404
api-webhook-ping        POST    401   403   201   404
api-webhook-deliveries  GET     401   403   200   404
api-webhook-redeliver   POST    401   403   409   404
api-root                GET     200
api-me                  GET     401   200
api-models              GET     200

api-tracks              GET     200
api-tracks              POST    400
api-track               GET     404   404   200   404   200
api-track               PATCH   404   404   400   404
api-track               DELETE  404   404   204   404
track-file              GET     404   404   200   404   200
api-uploads             POST    412
api-upload              GET     404   404   200   404   200
api-upload              PATCH   404   404   412   404
api-upload              DELETE  404   404   412   404
api-jobs                GET     200
api-jobs                POST    400
api-demo                POST    201
jobs-events             GET     200
api-job                 GET     404   404   200   404   200
api-job                 PATCH   404   404   400   404
api-job                 DELETE  404   404   204   404
api-job-cancel          POST    404   404   409   404
api-job-retry           POST    404   404   409   404
api-job-restore         POST    404   404   409   404
api-job-stems           GET     404   404   200   404   200
api-job-stems           POST    404   404   200   404
api-job-stem            GET     404   404   200   404   200
job-events              GET     404   404   200   404   200
job-detection           GET     404   404   200   404   200
job-stems-zip           GET     404   404   200   404   200
job-mix                 GET     404   404   200   404   200
job-thumbnail           GET     404   404   200   404   200
job-cover               GET     404   404   200   404   200
original-segment        GET     404   404   200   404   200
original-peaks          GET     404   404   200   404   200
stem-segment            GET     404   404   200   404   200
stem-draft              GET     404   404   200   404   200
stem-peaks              GET     404   404   200   404   200
stem-spectrogram        GET     404   404   200   404   200
stem-download           GET     404   404   200   404   200
api-exports             GET     404   404   200   404   200
api-exports             POST    404   404   201   404
api-export              GET     404   404   200   404   200
api-export              DELETE  404   404   204   404
export-file             GET     404   404   200   404   200

admin:index             GET     302   302   302   302   200
admin:login             GET     200   200   200   200   302
admin:login             POST    200
admin:logout            POST    302
admin:password_change   GET     302   302   302   302   200
admin:password_change   POST    302   302   302   302   200
admin:password_change_done GET  302   302   302   302   200
admin:autocomplete      GET     302   302   302   302   403
admin:jsi18n            GET     302   302   302   302   200
admin:view_on_site      GET     302   302   302   302   404
admin:app_list          GET     302   302   302   302   200
admin:webapp_job_rerun  GET     302
admin:webapp_job_rerun  POST    302
admin:auth_user_password_change GET  302 302 302 302 403 200
admin:auth_user_password_change POST 302 302 302 302 403 200
admin:(?P<url>.*)$      GET     302   302   302   302   404
"""

# Django's forms take PUT for POST.
FORMS = (
    *("signup", "login", "email", "password", "password-forgotten", "password-reset", "delete-account"),
    *("tokens", "webhooks"),
)

# The admin pages of a model: what reviewers and what staff may do. Nobody else has access.
ADMIN = {
    "auth_group": ("", "view add change delete"),
    "webapp_user": ("", "view add change delete"),
    "webapp_track": ("view", "view add change delete"),
    "webapp_token": ("", "view delete"),
    "webapp_job": ("view", "view delete"),
    "webapp_export": ("", "view delete"),
    "webapp_worker": ("", "view delete"),
}
# Pages of a model: what one may do with them by which method, and the permissions of which one is needed for that.
PAGES = (
    ("changelist", "GET", "view change"),
    ("add", "GET", "add"),
    ("add", "POST", "add"),
    ("change", "GET", "view change"),
    ("change", "POST", "change"),
    ("delete", "GET", "delete"),
    ("delete", "POST", "delete"),
    ("history", "GET", "view change"),
)


# Whose key the argument pk of a route is, by what its name holds; a job's otherwise.
OWN_KEYS: dict[str, type[Model]] = {
    "token": Token,
    "track": Track,
    "upload": Upload,
    "webhook": Webhook,
}


@dataclass
class World:
    """One row of everything, owned by the owner, and a session for each role."""

    things: dict[type[Model], Model]
    sessions: dict[str, str] = field(default_factory=dict)
    client: Client = field(default_factory=lambda: Client(raise_request_exception=False))

    def ask(self, role: str, method: str, path: str) -> Any:
        """The response, whose effects are rolled back."""
        session = self.sessions.get(role)
        self.client.cookies = SimpleCookie({settings.SESSION_COOKIE_NAME: session} if session else {})
        with transaction.atomic():
            answer = self.client.generic(method, path, "{}", content_type="application/json")
            if answer.streaming:
                release(answer)
            transaction.set_rollback(True)
        return answer

    def path(self, name: str, route: str) -> str:
        """The path of a route, with rows of the owner for its arguments."""
        if name == "admin:(?P<url>.*)$":
            return "/admin/nowhere/"
        values = self.values(name)
        return reverse(name, kwargs={key: values[key] for key in re.findall(r"<(?:\w+:)?(\w+)>", route)})

    def values(self, name: str) -> dict[str, Any]:
        """The value of each argument of a route."""
        owner = self.things[User]
        return {
            "pk": self.things[next((model for part, model in OWN_KEYS.items() if part in name), Job)].pk,
            "export": self.things[Export].pk,
            "delivery": self.things[Delivery].pk,
            "name": "vocals",
            "index": 0,
            "uidb64": urlsafe_base64_encode(force_bytes(owner.pk)),
            "token": default_token_generator.make_token(owner),
            "content_type_id": 0,
            "app_label": "webapp",
            "id": owner.pk,
            "object_id": self.things[model_of(name) or User].pk,
        }


def release(answer: Any) -> None:
    """Close a file that is not read without ending the request, which would close the connection of the test."""
    request_finished.disconnect(close_old_connections)
    answer.close()
    request_finished.connect(close_old_connections)


@pytest.fixture
def world(owner, stranger, real_job, settings, immediately, models_installed) -> World:
    """The owner has a finished song with a draft and an export."""
    settings.DEMO_SONG.touch()
    job = real_job({name: stem[:, :4410] for name, stem in noise().items()})
    drafted(job)
    export = Export.objects.create(job=job, filename="Song - mix.wav", state=State.DONE)
    export.folder.mkdir(parents=True)
    export.path.write_bytes(b"mix")
    reviewers, _ = Group.objects.get_or_create(name="Reviewers")
    reviewer = User.objects.create_user("reviewer", is_staff=True)
    reviewer.groups.add(reviewers)
    people = {
        "guest": User.objects.create_user("guest-1", is_guest=True),
        "owner": owner,
        "other": stranger,
        "reviewer": reviewer,
        "staff": User.objects.create_superuser("staff"),
    }
    worker = Worker.objects.get(pk=job.worker)
    token, _ = tokens.make(owner, "script", ["read"], None)
    upload = resumable.begin(owner, 100, "Song.wav", "Song", Options(), "")
    hook = outbox.create(owner, "https://example.org/hook", [])
    delivery = outbox.ping(hook)
    things = (owner, job.track, job, export, upload, worker, reviewers, token, hook, delivery)
    world = World({type(thing): thing for thing in things})
    for role, user in people.items():
        client = Client()
        client.force_login(user)
        world.sessions[role] = client.cookies[settings.SESSION_COOKIE_NAME].value
    return world


def routes(entries: Any = None, prefix: str = "", namespace: str = "") -> Iterator[tuple[str, str]]:
    """Name and path pattern of every route. Those without a name are named by their pattern."""
    for entry in get_resolver().url_patterns if entries is None else entries:
        path = f"{prefix}{entry.pattern}"
        if isinstance(entry, URLResolver):
            inner = f"{namespace}{entry.namespace}:" if entry.namespace else namespace
            yield from routes(entry.url_patterns, path, inner)
        else:
            assert isinstance(entry, URLPattern)
            yield f"{namespace}{entry.name or entry.pattern}", path


def lines() -> dict[str, dict[str, tuple[int, ...]]]:
    """The table ROUTES as {name: {method: a status for each role}}."""
    table: dict[str, dict[str, tuple[int, ...]]] = {}
    for line in ROUTES.strip().splitlines()[1:]:
        if words := line.split():
            name, method, *said = words
            statuses = [int(status) for status in said]
            assert method not in table.setdefault(name, {}), f"two lines for {method} {name}"
            table[name][method] = tuple(statuses + statuses[-1:] * (len(ROLES) - len(statuses)))
    for name, table_of_one in table.items():
        if "GET" in table_of_one and not name.startswith("admin:"):
            table_of_one["HEAD"] = table_of_one["GET"]
        if name in FORMS:
            table_of_one["PUT"] = table_of_one["POST"]
    return table


def model_of(name: str) -> type[Model] | None:
    """The model of an admin page, such as admin:webapp_job_change."""
    label = name.removeprefix("admin:").rpartition("_")[0]
    return apps.get_model(*label.split("_", 1)) if label in ADMIN else None


# Without names: old addresses of the administrator's pages, which only lead on to the new ones.
KNOWN = {name: route for name, route in routes() if not name.endswith(":<path:object_id>/")}
OF_MODELS = {f"admin:{label}_{page}" for label in ADMIN for page, _, _ in PAGES}


def test_every_route_is_known():
    known, listed = {*KNOWN}, {*lines()} | OF_MODELS
    assert sorted(known - listed) == [], "give these routes their lines in ROUTES, or their model one in ADMIN"
    assert sorted(listed - known) == [], "these have lines and are no routes any more"


def test_every_route_answers_each_as_the_table_says(world):
    """Differences are reported as the lines that would be right."""
    differences = []
    for name, table in lines().items():
        path = world.path(name, KNOWN[name])
        for method in table if name.startswith("admin:") else METHODS:  # Django's own know only GET and POST
            answers = tuple(world.ask(role, method, path).status_code for role in ROLES)
            nobody = {*answers} <= {*REFUSED, 302}
            if answers != table.get(method) and not (nobody and (method not in table or method == "HEAD")):
                differences.append(" ".join([name, method, *map(str, answers)]))
    assert not differences, "\n".join(differences)


def test_the_administrators_pages_open_to_whoever_is_allowed(world):
    differences = []
    for label, (reviewer, staff) in ADMIN.items():
        rights = {"reviewer": reviewer, "staff": staff}
        for page, method, needed in PAGES:
            path = world.path(f"admin:{label}_{page}", KNOWN[f"admin:{label}_{page}"])
            for role in ROLES:
                allowed = bool({*needed.split()} & {*rights.get(role, "").split()})
                answer = world.ask(role, method, path)
                if refused(answer) == allowed:
                    differences.append(f"{method} {path} by {role}: {answer.status_code}")
    assert not differences, "\n".join(differences)


def refused(answer: Any) -> bool:
    """Whether a response refuses access."""
    return answer.status_code in REFUSED or "/login/" in answer.headers.get("Location", "")
