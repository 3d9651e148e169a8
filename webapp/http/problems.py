"""What the API says when it cannot do something: problem details (RFC 9457), the same from every view.

`type` names the kind of problem and never changes; it leads to a page that explains it. Faults of what was sent are
listed in `errors`: field, value, message and, where there is a choice, what is allowed.

No exception that a request can bring about ends as a fault of ours: `UNCAUGHT` says what each kind of them means,
whichever view or middleware it comes from.
"""

import logging
import sys
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from inspect import isawaitable
from math import isfinite
from typing import Any

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.core.files import File
from django.db import DataError, InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse, QueryDict
from django.shortcuts import render
from django.template.loader import render_to_string
from django.views.decorators.http import require_safe
from django.views.defaults import page_not_found
from rest_framework import exceptions, serializers
from rest_framework.renderers import BrowsableAPIRenderer
from rest_framework.response import Response
from rest_framework.views import exception_handler

from pipeline.options import InvalidOption, disk_is_full
from webapp.storage.base import DISK_FULL

log = logging.getLogger(__name__)

TYPE = "application/problem+json"
PAGE = "/api/v1/problems/"


@dataclass(frozen=True)
class Kind:
    """One kind of problem. name: the end of its `type`. advice: what it means and what to do."""

    name: str
    status: int
    title: str
    advice: str


KINDS = {
    kind.name: kind
    for kind in (
        Kind("invalid", 400, "Not understood", "Correct what `errors` lists and send it again."),
        Kind("parse-error", 400, "Unreadable body", "The body is not what its Content-Type says. Correct it."),
        Kind(
            "not-authenticated",
            401,
            "Who are you?",
            "Log in, or send the header `Authorization: Bearer` with a token; members make them on their account page.",
        ),
        Kind(
            "authentication-failed",
            401,
            "Token not accepted",
            "The token is unknown, revoked or expired. Make another on your account page.",
        ),
        Kind("permission-denied", 403, "Not allowed", "This is not for you to do. `detail` says who may."),
        Kind(
            "insufficient-scope",
            403,
            "The token does not reach so far",
            "To look at things a token needs the scope read, to change them the scope write. Make one that has it.",
        ),
        Kind(
            "quota-exceeded",
            403,
            "Quota used up",
            "Delete songs you no longer need, or wait: minutes come back 30 days after they were used.",
        ),
        Kind("not-found", 404, "Not here", "There is no such thing here, or it is somebody else's."),
        Kind("method-not-allowed", 405, "Not possible here", "See the header Allow for what this address takes."),
        Kind("not-acceptable", 406, "No such form of answer", "Ask for JSON, or leave the header Accept out."),
        Kind("conflict", 409, "Not in this state", "What `detail` says must change first."),
        Kind("precondition-failed", 412, "Changed meanwhile", "Fetch it anew: it is not what your headers name."),
        Kind("too-large", 413, "Too large", "Send a smaller file, such as a compressed form of the song."),
        Kind(
            "unsupported-media-type",
            415,
            "Content-Type not taken",
            "Send JSON, or multipart/form-data where there is a file.",
        ),
        Kind("range-not-satisfiable", 416, "No such range", "See the header Content-Range for the file's length."),
        Kind("key-reused", 422, "Another request", "This Idempotency-Key came with another request. Send another key."),
        Kind("throttled", 429, "Too many requests", "Wait as many seconds as the header Retry-After says."),
        Kind("error", 500, "Our fault", "Something broke on our side. Whoever runs this site finds it in the log."),
        Kind("unavailable", 503, "Not now", "Try again in a moment: after as many seconds as Retry-After says."),
        Kind("storage-full", 507, "Disk full", DISK_FULL),
    )
}
# REST framework has words of its own for these; ours say what to do.
SAID_BETTER = ("authentication-failed", "not-found", "not-authenticated", "method-not-allowed", "throttled")


class Conflict(exceptions.APIException):
    """The thing is in a state in which this cannot be done."""

    status_code = 409
    default_code = "conflict"


class QuotaExceeded(exceptions.APIException):
    """Nothing is left of what an account may use."""

    status_code = 403
    default_code = "quota-exceeded"


class Unavailable(exceptions.APIException):
    """Not at the moment. wait: seconds, in the header Retry-After."""

    status_code = 503
    default_code = "unavailable"
    wait: int | None = None


class Busy(Unavailable):
    """Too much is being done at the moment."""

    wait = 5


# What exceptions mean that no view knows of, and the kind of problem that they are.
UNCAUGHT: tuple[tuple[type[Exception] | tuple[type[Exception], ...], str, str], ...] = (
    (RecursionError, "parse-error", "The body is nested too deep."),
    (
        UnicodeError,
        "parse-error",
        "Some text in this request is no text: half a character, or one of another encoding.",
    ),
    ((OverflowError, DataError), "invalid", "A number or a text in this request is larger than anything here."),
    (
        (OperationalError, InterfaceError),
        "unavailable",
        "The database is busy or does not answer. Please try again in a few seconds.",
    ),
    (
        OSError,
        "unavailable",
        "The server can't read or write its files at the moment. Please try again; if it happens again, tell whoever "
        "runs this site, who finds the reason in the log.",
    ),
)
WAIT = 5  # seconds, where nobody knows better


class Checked(serializers.Serializer[Any]):
    """A serializer whose refusal knows what was sent and what would have been allowed."""

    def is_valid(self, *, raise_exception: bool = False) -> bool:
        """As ever; the error takes the serializer along."""
        try:
            return super().is_valid(raise_exception=raise_exception)
        except exceptions.ValidationError as error:
            error.serializer = self  # type: ignore[attr-defined]
            raise


def handler(error: Exception, context: dict[str, Any]) -> Response | None:
    """REST framework's answer to an exception, as a problem."""
    response, request = exception_handler(error, context), context["request"]
    if response is None:
        return None
    data = _of(error, response, request)
    response.data, response.status_code = data, data["status"]
    if not isinstance(getattr(request, "accepted_renderer", None), BrowsableAPIRenderer):
        response.content_type = TYPE
    return response


def problem(kind: Kind, path: str, detail: str = "", **more: Any) -> dict[str, Any]:
    """The body of an answer. path: of the request that it answers."""
    about = {"type": f"{PAGE}#{kind.name}", "title": kind.title, "status": kind.status}
    return about | {"detail": detail or kind.advice, "instance": path} | more


def of_status(status: int) -> Kind:
    """The plainest kind with that status."""
    found = (kind for kind in KINDS.values() if kind.status == status)
    return next(found, KINDS["invalid" if status < 500 else "error"])


class Problems:
    """Makes problems of what else is answered below /api/: by views that are none of REST framework's, by Django."""

    sync_capable = async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], Any]):
        self.get_response = get_response
        if iscoroutinefunction(get_response):
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> "HttpResponseBase | Awaitable[HttpResponseBase]":
        """Pass the request on."""
        response = self.get_response(request)
        return _retold_later(request, response) if isawaitable(response) else _retold(request, response)

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponseBase | None:
        """Answer REST framework's exceptions that other views raise."""
        response = exception_handler(error, {}) if isinstance(error, exceptions.APIException) else None
        if response is None:
            return None
        if response.status_code == 401:
            response["WWW-Authenticate"] = "Bearer"
        return _answer(_of(error, response, request), response)


@require_safe
def page(request: HttpRequest) -> HttpResponseBase:
    """Every kind of problem, explained."""
    return render(request, "webapp/problems.html", {"kinds": KINDS.values()})


def uncaught(request: HttpRequest) -> HttpResponseBase:
    """Django's answer to what no view has caught."""
    return of_exception(sys.exc_info()[1], request.path)


def of_exception(error: BaseException | None, path: str) -> HttpResponse:
    """The answer to a request for that path which ended in an exception."""
    if disk_is_full(error):
        name, detail = "storage-full", ""
    else:
        found = ((name, detail) for kinds, name, detail in UNCAUGHT if isinstance(error, kinds))
        name, detail = next(found, ("error", ""))
    if name != "error":  # of which the caller tells the log
        log.log(logging.WARNING if KINDS[name].status < 500 else logging.ERROR, "%s: %s", path, name, exc_info=error)
    return answer(name, path, detail)


def answer(name: str, path: str, detail: str = "") -> HttpResponse:
    """A problem below /api/, elsewhere a page. Neither asks anything of the database, which may be what broke."""
    kind = KINDS[name]
    headers = {"Retry-After": str(WAIT)} if kind.status == 503 else {}
    if path.startswith("/api/"):
        return JsonResponse(problem(kind, path, detail), status=kind.status, content_type=TYPE, headers=headers)
    if name == "error":
        return HttpResponse(render_to_string("500.html"), status=kind.status)
    shown = {"title": kind.title, "detail": detail or kind.advice}
    return HttpResponse(render_to_string("webapp/problem.html", shown), status=kind.status, headers=headers)


def not_found(request: HttpRequest, exception: Exception) -> HttpResponseBase:
    """Django's answer where nothing is. Below /api/ no page is drawn: it would ask the database who looks at it."""
    if not request.path.startswith("/api/"):
        return page_not_found(request, exception)
    return JsonResponse(problem(KINDS["not-found"], request.path), status=404, content_type=TYPE)


def _retold(request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
    told = isinstance(response, Response) or response.get("Content-Type") == TYPE
    if told or response.status_code < 400 or not request.path.startswith("/api/"):
        return response
    data = problem(of_status(response.status_code), request.path)
    return _answer(data | {"status": response.status_code}, response)


def _answer(data: dict[str, Any], response: HttpResponseBase) -> HttpResponseBase:
    """The problem with the headers of the response in whose place it is sent."""
    kept = {name: value for name, value in response.items() if name not in ("Content-Type", "Content-Length")}
    answer = JsonResponse(data, status=data["status"], content_type=TYPE, headers=kept)
    answer.cookies = response.cookies
    return answer


async def _retold_later(request: HttpRequest, response: Awaitable[HttpResponseBase]) -> HttpResponseBase:
    return _retold(request, await response)


def _of(error: Exception, response: Response, request: Any) -> dict[str, Any]:
    if isinstance(error, exceptions.ValidationError):
        return _invalid(error, request)
    code = getattr(getattr(error, "detail", None), "code", "").replace("_", "-")
    kind = KINDS.get(code) or of_status(response.status_code)
    detail = "" if kind.name in SAID_BETTER else str(response.data["detail"])
    return problem(kind, request.path, detail) | {"status": response.status_code}


def _invalid(error: exceptions.ValidationError, request: Any) -> dict[str, Any]:
    faults = [*_faults(error.detail)]
    errors = _option(error.__cause__) or [_told(path, str(text), *_sent(error, request)) for path, text in faults]
    kind = KINDS["too-large" if any(text.code == "too_large" for _, text in faults) else "invalid"]
    return problem(kind, request.path, " ".join(each["message"] for each in errors), errors=errors)


def _option(cause: BaseException | None) -> list[dict[str, Any]]:
    """The fault that the pipeline found, if it was it."""
    if not isinstance(cause, InvalidOption):
        return []
    value = str(cause.value) if isinstance(cause.value, float) and not isfinite(cause.value) else cause.value
    told = {"field": cause.option, "value": value, "message": cause.message}
    return [told | ({"allowed": cause.allowed} if cause.allowed else {})]


def _sent(error: exceptions.ValidationError, request: Any) -> tuple[Any, Mapping[str, Any]]:
    """What was sent, and the fields that were expected."""
    serializer = getattr(error, "serializer", None)
    return (request.GET, {}) if serializer is None else (serializer.initial_data, serializer.fields)


def _faults(detail: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], exceptions.ErrorDetail]]:
    """Each fault with the way to its field, out of REST framework's lists and dictionaries."""
    if isinstance(detail, Mapping):
        for name, inner in detail.items():
            yield from _faults(inner, path if name == "non_field_errors" else (*path, str(name)))
    elif isinstance(detail, list):
        for index, inner in enumerate(detail):
            yield from _faults(inner, path if isinstance(inner, str) else (*path, str(index)))
    else:
        yield path, detail


def _told(path: tuple[str, ...], message: str, sent: Any, fields: Mapping[str, Any]) -> dict[str, Any]:
    field = path[0] if path else None
    told = {"field": ".".join(path) or None, "value": _value(sent, field), "message": message}
    choices = getattr(fields.get(field or ""), "choices", None)
    return told | ({"allowed": list(choices)} if choices else {})


def _value(sent: Any, field: str | None) -> Any:
    """What was sent for a field; of a file its name."""
    if field is None or not isinstance(sent, Mapping | QueryDict):
        return None
    values = sent.getlist(field) if isinstance(sent, QueryDict) else [sent.get(field)]
    named = [value.name if isinstance(value, File) else value for value in values]
    return named if len(named) > 1 else next(iter(named), None)
