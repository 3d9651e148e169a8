"""Errors of the API as problem details (RFC 9457), in the same form from every view.

`type` identifies the kind of problem, never changes, and is the URL of its explanation. `errors` lists the invalid
values of a request: field, value, message and, where there is a choice, the allowed values.

Exceptions that no view handles become problems too: `UNCAUGHT` maps those that a request can cause to their kind,
whichever view or middleware they come from.
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
    """One kind of problem. name: the fragment of its `type`. advice: what it means and what to do."""

    name: str
    status: int
    title: str
    advice: str


KINDS = {
    kind.name: kind
    for kind in (
        Kind("invalid", 400, "Invalid request", "Correct the values listed in `errors` and send the request again."),
        Kind("parse-error", 400, "Malformed body", "The body does not match its Content-Type. Correct one of them."),
        Kind(
            "not-authenticated",
            401,
            "Not authenticated",
            "Log in, or send a token in the header `Authorization: Bearer`. Members create tokens on the account page.",
        ),
        Kind(
            "authentication-failed",
            401,
            "Token not accepted",
            "The token is unknown, revoked or expired. Create a new one on your account page.",
        ),
        Kind("permission-denied", 403, "Not allowed", "You may not do this. `detail` says who may."),
        Kind(
            "insufficient-scope",
            403,
            "Insufficient scope",
            "A token needs the scope read to read, and the scope write to change anything. Create a token that has it.",
        ),
        Kind(
            "quota-exceeded",
            403,
            "Quota used up",
            "Delete songs that you no longer need, or wait: minutes are available again 30 days after their use.",
        ),
        Kind("not-found", 404, "Not found", "This does not exist, or belongs to somebody else."),
        Kind("method-not-allowed", 405, "Method not allowed", "Use one of the methods in the header Allow."),
        Kind("not-acceptable", 406, "Not acceptable", "Ask for JSON, or omit the header Accept."),
        Kind("conflict", 409, "Not possible in this state", "Change what `detail` names first."),
        Kind(
            "precondition-failed",
            412,
            "Precondition failed",
            "Fetch the resource again: it does not match the headers of your request.",
        ),
        Kind("too-large", 413, "File too large", "Send a smaller file, such as a compressed version of the song."),
        Kind(
            "unsupported-media-type",
            415,
            "Unsupported Content-Type",
            "Send JSON, or multipart/form-data with a file.",
        ),
        Kind(
            "range-not-satisfiable",
            416,
            "Range not satisfiable",
            "Ask for a range within the length in the header Content-Range.",
        ),
        Kind(
            "key-reused", 422, "Idempotency-Key reused", "This key was used with a different request. Send another key."
        ),
        Kind("throttled", 429, "Too many requests", "Wait for the number of seconds in the header Retry-After."),
        Kind(
            "error",
            500,
            "Internal error",
            "Something failed on our side. Whoever runs this site finds the reason in the log.",
        ),
        Kind("unavailable", 503, "Unavailable", "Try again after the number of seconds in the header Retry-After."),
        Kind("storage-full", 507, "Disk full", DISK_FULL),
    )
}
# Kinds whose advice replaces the message of REST framework, which does not say what to do.
ADVICE_ONLY = ("authentication-failed", "not-found", "not-authenticated", "method-not-allowed", "throttled")


class Conflict(exceptions.APIException):
    """The request is not possible in the present state of the resource."""

    status_code = 409
    default_code = "conflict"


class QuotaExceeded(exceptions.APIException):
    """The quota of the account is used up."""

    status_code = 403
    default_code = "quota-exceeded"


class Unavailable(exceptions.APIException):
    """The request is not possible at the moment. wait: seconds, for the header Retry-After."""

    status_code = 503
    default_code = "unavailable"
    wait: int | None = None


class Busy(Unavailable):
    """The server has too much to do at the moment."""

    wait = 5


# Exceptions that no view handles, with the name of the problem and its detail.
UNCAUGHT: tuple[tuple[type[Exception] | tuple[type[Exception], ...], str, str], ...] = (
    (RecursionError, "parse-error", "The body is nested too deep."),
    (
        UnicodeError,
        "parse-error",
        "A text in this request is not valid Unicode.",
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
        "The server cannot read or write its files at the moment. Please try again. If it happens again, ask whoever "
        "runs this site, who finds the reason in the log.",
    ),
)
RETRY_AFTER = 5  # seconds, unless the exception knows better


class Checked(serializers.Serializer[Any]):
    """A serializer whose errors know the values that were sent and those that are allowed."""

    def is_valid(self, *, raise_exception: bool = False) -> bool:
        """Validate as usual, and attach the serializer to the error."""
        try:
            return super().is_valid(raise_exception=raise_exception)
        except exceptions.ValidationError as error:
            error.serializer = self  # type: ignore[attr-defined]
            raise


def handler(error: Exception, context: dict[str, Any]) -> Response | None:
    """REST framework's response to an exception, as a problem."""
    response, request = exception_handler(error, context), context["request"]
    if response is None:
        return None
    data = _problem_of(error, response, request)
    response.data, response.status_code = data, data["status"]
    if not isinstance(getattr(request, "accepted_renderer", None), BrowsableAPIRenderer):
        response.content_type = TYPE
    return response


def problem(kind: Kind, path: str, detail: str = "", **more: Any) -> dict[str, Any]:
    """The body of a response. path: that of the request."""
    about = {"type": f"{PAGE}#{kind.name}", "title": kind.title, "status": kind.status}
    return about | {"detail": detail or kind.advice, "instance": path} | more


def of_status(status: int) -> Kind:
    """The most general kind with that status."""
    matching = (kind for kind in KINDS.values() if kind.status == status)
    return next(matching, KINDS["invalid" if status < 500 else "error"])


class ProblemMiddleware:
    """Turns all other error responses below /api/ into problems, of plain views and of Django itself."""

    sync_capable = async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], Any]):
        self.get_response = get_response
        if iscoroutinefunction(get_response):
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> "HttpResponseBase | Awaitable[HttpResponseBase]":
        response = self.get_response(request)
        return _as_problem_later(request, response) if isawaitable(response) else _as_problem(request, response)

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponseBase | None:
        """Respond to exceptions of REST framework that plain views raise."""
        response = exception_handler(error, {}) if isinstance(error, exceptions.APIException) else None
        if response is None:
            return None
        if response.status_code == 401:
            response["WWW-Authenticate"] = "Bearer"
        return _replaced(_problem_of(error, response, request), response)


@require_safe
def page(request: HttpRequest) -> HttpResponseBase:
    """The page that explains every kind of problem."""
    return render(request, "webapp/problems.html", {"kinds": KINDS.values()})


def uncaught(request: HttpRequest) -> HttpResponseBase:
    """Django's handler500, for exceptions that no view handles."""
    return of_exception(sys.exc_info()[1], request.path)


def of_exception(error: BaseException | None, path: str) -> HttpResponse:
    """The response to a request for that path which raised an exception."""
    if disk_is_full(error):
        name, detail = "storage-full", ""
    else:
        found = ((name, detail) for kinds, name, detail in UNCAUGHT if isinstance(error, kinds))
        name, detail = next(found, ("error", ""))
    if name != "error":  # which the caller logs
        log.log(logging.WARNING if KINDS[name].status < 500 else logging.ERROR, "%s: %s", path, name, exc_info=error)
    return respond(name, path, detail)


def respond(name: str, path: str, detail: str = "") -> HttpResponse:
    """A problem below /api/, a page elsewhere. Neither uses the database, which may be what failed."""
    kind = KINDS[name]
    headers = {"Retry-After": str(RETRY_AFTER)} if kind.status == 503 else {}
    if path.startswith("/api/"):
        return JsonResponse(problem(kind, path, detail), status=kind.status, content_type=TYPE, headers=headers)
    if name == "error":
        return HttpResponse(render_to_string("500.html"), status=kind.status)
    shown = {"title": kind.title, "detail": detail or kind.advice}
    return HttpResponse(render_to_string("webapp/problem.html", shown), status=kind.status, headers=headers)


def not_found(request: HttpRequest, exception: Exception) -> HttpResponseBase:
    """Django's handler404. Below /api/ it renders no page, which would query the database for the user."""
    if not request.path.startswith("/api/"):
        return page_not_found(request, exception)
    return JsonResponse(problem(KINDS["not-found"], request.path), status=404, content_type=TYPE)


def _as_problem(request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
    is_described = isinstance(response, Response) or response.get("Content-Type") == TYPE
    if is_described or response.status_code < 400 or not request.path.startswith("/api/"):
        return response
    data = problem(of_status(response.status_code), request.path)
    return _replaced(data | {"status": response.status_code}, response)


def _replaced(data: dict[str, Any], response: HttpResponseBase) -> HttpResponseBase:
    """The problem, with the other headers and the cookies of the response that it replaces."""
    kept = {name: value for name, value in response.items() if name not in ("Content-Type", "Content-Length")}
    replacement = JsonResponse(data, status=data["status"], content_type=TYPE, headers=kept)
    replacement.cookies = response.cookies
    return replacement


async def _as_problem_later(request: HttpRequest, response: Awaitable[HttpResponseBase]) -> HttpResponseBase:
    return _as_problem(request, await response)


def _problem_of(error: Exception, response: Response, request: Any) -> dict[str, Any]:
    if isinstance(error, exceptions.ValidationError):
        return _invalid(error, request)
    code = getattr(getattr(error, "detail", None), "code", "").replace("_", "-")
    kind = KINDS.get(code) or of_status(response.status_code)
    detail = "" if kind.name in ADVICE_ONLY else str(response.data["detail"])
    return problem(kind, request.path, detail) | {"status": response.status_code}


def _invalid(error: exceptions.ValidationError, request: Any) -> dict[str, Any]:
    faults = [*_faults(error.detail)]
    errors = _option(error.__cause__) or [_fault(path, str(text), *_sent(error, request)) for path, text in faults]
    kind = KINDS["too-large" if any(text.code == "too_large" for _, text in faults) else "invalid"]
    return problem(kind, request.path, " ".join(each["message"] for each in errors), errors=errors)


def _option(cause: BaseException | None) -> list[dict[str, Any]]:
    """The fault, if the pipeline found it."""
    if not isinstance(cause, InvalidOption):
        return []
    value = str(cause.value) if isinstance(cause.value, float) and not isfinite(cause.value) else cause.value
    fault = {"field": cause.option, "value": value, "message": cause.message}
    return [fault | ({"allowed": cause.allowed} if cause.allowed else {})]


def _sent(error: exceptions.ValidationError, request: Any) -> tuple[Any, Mapping[str, Any]]:
    """The values that were sent, and the fields that were expected."""
    serializer = getattr(error, "serializer", None)
    return (request.GET, {}) if serializer is None else (serializer.initial_data, serializer.fields)


def _faults(detail: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], exceptions.ErrorDetail]]:
    """Each fault with the path to its field, from REST framework's nested lists and dictionaries."""
    if isinstance(detail, Mapping):
        for name, inner in detail.items():
            yield from _faults(inner, path if name == "non_field_errors" else (*path, str(name)))
    elif isinstance(detail, list):
        for index, inner in enumerate(detail):
            yield from _faults(inner, path if isinstance(inner, str) else (*path, str(index)))
    else:
        yield path, detail


def _fault(path: tuple[str, ...], message: str, sent: Any, fields: Mapping[str, Any]) -> dict[str, Any]:
    field = path[0] if path else None
    fault = {"field": ".".join(path) or None, "value": _value(sent, field), "message": message}
    choices = getattr(fields.get(field or ""), "choices", None)
    return fault | ({"allowed": list(choices)} if choices else {})


def _value(sent: Any, field: str | None) -> Any:
    """The value that was sent for a field; for a file, its name."""
    if field is None or not isinstance(sent, Mapping | QueryDict):
        return None
    values = sent.getlist(field) if isinstance(sent, QueryDict) else [sent.get(field)]
    named = [value.name if isinstance(value, File) else value for value in values]
    return named if len(named) > 1 else next(iter(named), None)
