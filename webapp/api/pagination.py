"""Cursor pagination of lists in an order of the client's choice. A cursor stays valid while rows come and go."""

import binascii
import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Any, ClassVar, NamedTuple
from uuid import UUID

from django.core.exceptions import ValidationError as Invalid
from django.db.models import F, Q, QuerySet
from rest_framework.exceptions import NotFound, ValidationError
from rest_framework.pagination import BasePagination
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.urls import replace_query_param

DEFAULT_SIZE, MAX_SIZE = 50, 200
NO_PAGE = "This page does not exist. Start again without a cursor."
LINK = {"type": ["string", "null"], "format": "uri-reference"}


class Cursor(NamedTuple):
    """The row next to which a page begins, and whether the page precedes it. Equal rows are ordered by id."""

    backwards: bool
    position: Any
    pk: UUID


class Pages(BasePagination):
    """Pages linked by `next` and `previous`, as paths on this site; newest first by default.

    orders: the names by which a list can be ordered, with their columns.
    """

    orders: ClassVar[dict[str, str]] = {"created_at": "created_at"}

    def paginate_queryset(self, queryset: QuerySet[Any], request: Request, view: Any = None) -> list[Any]:  # type: ignore[override] # noqa: ARG002
        """The rows of the requested page. Raises NotFound for an invalid cursor."""
        size, cursor = _size(request), _cursor(request)
        column, descending = self._order(request)
        if cursor and cursor.backwards:
            descending = not descending
        try:
            rows = [*_from(queryset.annotate(position=F(column)), cursor, descending)[: size + 1]]
        except (Invalid, ValueError, TypeError) as error:  # no row can have such a position
            raise NotFound(NO_PAGE) from error
        self._link(request, rows[:size], cursor, more=len(rows) > size)
        return rows[:size][::-1] if cursor and cursor.backwards else rows[:size]

    def get_paginated_response(self, data: Any) -> Response:
        return Response({"next": self.next, "previous": self.previous, "results": data})

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        properties = {
            "next": LINK | {"description": "Path of the next page; null on the last one."},
            "previous": LINK | {"description": "Path of the previous page; null on the first one."},
            "results": schema | {"description": "Rows of this page."},
        }
        return {"type": "object", "required": [*properties], "properties": properties}

    def get_schema_operation_parameters(self, view: Any) -> list[dict[str, Any]]:  # noqa: ARG002
        size = {"type": "integer", "minimum": 1, "maximum": MAX_SIZE, "default": DEFAULT_SIZE}
        order = {"type": "string", "enum": self._names(), "default": "-created_at"}
        return [
            _parameter(
                "cursor", {"type": "string"}, "Position of the page, as in `next` and `previous` of another page."
            ),
            _parameter("page_size", size, "Maximum number of results."),
            _parameter("ordering", order, "Order of the results; a minus sign reverses it."),
        ]

    def _names(self) -> list[str]:
        return [f"{sign}{name}" for name in self.orders for sign in ("", "-")]

    def _order(self, request: Request) -> tuple[str, bool]:
        """The column, and whether the order is descending."""
        ordering = request.query_params.get("ordering", "-created_at")
        if ordering not in self._names():
            message = f"{ordering!r} is not an order. Choose one of: {', '.join(self._names())}."
            raise ValidationError({"ordering": message})
        return self.orders[ordering.lstrip("-")], ordering.startswith("-")

    def _link(self, request: Request, rows: list[Any], cursor: Cursor | None, *, more: bool) -> None:
        """Set `previous` and `next`. rows: in the order in which they were read."""
        backwards = cursor is not None and cursor.backwards
        ahead = _link_to(request, rows[-1], backwards=backwards) if more else None
        behind = _link_to(request, rows[0], backwards=not backwards) if cursor and rows else None
        self.previous, self.next = (ahead, behind) if backwards else (behind, ahead)


class TrackPages(Pages):
    """Pages of tracks, in one of three orders."""

    orders = {"created_at": "created_at", "title": "title", "size": "size"}


class JobPages(Pages):
    """Pages of jobs, whose title is their track's."""

    orders = {"created_at": "created_at", "title": "track__title"}


def _from(rows: QuerySet[Any], cursor: Cursor | None, descending: bool) -> QuerySet[Any]:
    """The rows in order, starting at the cursor."""
    if cursor:
        beyond = "lt" if descending else "gt"
        equal = Q(position=cursor.position, **{f"pk__{beyond}": cursor.pk})
        # Implied by the second condition, but unlike that one it can use an index.
        rows = rows.filter(**{f"position__{beyond}e": cursor.position})
        rows = rows.filter(equal | Q(**{f"position__{beyond}": cursor.position}))
    return rows.order_by("-position", "-pk") if descending else rows.order_by("position", "pk")


def _size(request: Request) -> int:
    size = request.query_params.get("page_size", str(DEFAULT_SIZE))
    if not (size.isascii() and size.isdigit() and len(size) < 9 and 1 <= int(size) <= MAX_SIZE):
        raise ValidationError({"page_size": f"{size!r} is not a page size. Choose a number from 1 to {MAX_SIZE}."})
    return int(size)


def _cursor(request: Request) -> Cursor | None:
    text = request.query_params.get("cursor")
    if not text:
        return None
    try:
        backwards, position, pk = json.loads(urlsafe_b64decode(text))
        cursor = Cursor(bool(backwards), position, UUID(str(pk)))
    except (binascii.Error, ValueError, TypeError) as error:
        raise NotFound(NO_PAGE) from error
    if "\0" in str(position):
        raise NotFound(NO_PAGE)
    return cursor


def _link_to(request: Request, row: Any, *, backwards: bool) -> str:
    cursor = json.dumps(Cursor(backwards, row.position, row.pk), default=str)
    path: str = request.get_full_path()  # without host and scheme, which proxies change
    return str(replace_query_param(path, "cursor", urlsafe_b64encode(cursor.encode()).decode()))


def _parameter(name: str, schema: dict[str, Any], description: str) -> dict[str, Any]:
    return {"name": name, "in": "query", "required": False, "schema": schema, "description": description}
