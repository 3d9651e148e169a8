"""Pages of long lists, in an order of the caller's choice. A cursor stays right while rows come and go."""

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

SIZE, LARGEST = 50, 200
NO_PAGE = "There is no such page. Begin again without a cursor."
LINK = {"type": ["string", "null"], "format": "uri-reference"}


class Cursor(NamedTuple):
    """The row beside which a page begins, and whether the page comes before it. Rows that are alike go by id."""

    back: bool
    position: Any
    pk: UUID


class Pages(BasePagination):
    """A page at a time; `next` and `previous` lead to the others, as addresses on this very site.

    A subclass names in `orders` by what one may order, and its column; the newest come first if nobody asks.
    """

    orders: ClassVar[dict[str, str]] = {"created_at": "created_at"}

    def paginate_queryset(self, queryset: QuerySet[Any], request: Request, view: Any = None) -> list[Any]:  # type: ignore[override] # noqa: ARG002
        """The page that was asked for. Raises NotFound for a cursor that we never gave out."""
        size, cursor = _size(request), _cursor(request)
        column, falling = self._order(request)
        if cursor and cursor.back:
            falling = not falling
        try:
            rows = [*_from(queryset.annotate(position=F(column)), cursor, falling)[: size + 1]]
        except (Invalid, ValueError, TypeError) as error:  # such a position no row can have
            raise NotFound(NO_PAGE) from error
        self._link(request, rows[:size], cursor, more=len(rows) > size)
        return rows[:size][::-1] if cursor and cursor.back else rows[:size]

    def get_paginated_response(self, data: Any) -> Response:
        """The page with its neighbours."""
        return Response({"next": self.next, "previous": self.previous, "results": data})

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        """What a page looks like."""
        properties = {"next": LINK, "previous": LINK, "results": schema}
        return {"type": "object", "required": [*properties], "properties": properties}

    def get_schema_operation_parameters(self, view: Any) -> list[dict[str, Any]]:  # noqa: ARG002
        """What one may ask for."""
        size = {"type": "integer", "minimum": 1, "maximum": LARGEST, "default": SIZE}
        order = {"type": "string", "enum": self._names(), "default": "-created_at"}
        return [
            _parameter("cursor", {"type": "string"}, "Where the page begins: see `next` and `previous` of another."),
            _parameter("page_size", size, "How many at most."),
            _parameter("ordering", order, "In which order; a minus turns it round."),
        ]

    def _names(self) -> list[str]:
        return [f"{sign}{name}" for name in self.orders for sign in ("", "-")]

    def _order(self, request: Request) -> tuple[str, bool]:
        """The column, and whether it falls."""
        asked = request.query_params.get("ordering", "-created_at")
        if asked not in self._names():
            message = f"{asked!r} is no order. Choose one of: {', '.join(self._names())}."
            raise ValidationError({"ordering": message})
        return self.orders[asked.lstrip("-")], asked.startswith("-")

    def _link(self, request: Request, rows: list[Any], cursor: Cursor | None, *, more: bool) -> None:
        """Find the neighbours. rows: in the order in which they were read."""
        back = cursor is not None and cursor.back
        onwards = _address(request, rows[-1], back=back) if more else None
        whence = _address(request, rows[0], back=not back) if cursor and rows else None
        self.previous, self.next = (onwards, whence) if back else (whence, onwards)


class TrackPages(Pages):
    """Of tracks."""

    orders = {"created_at": "created_at", "title": "title", "size": "size"}


class JobPages(Pages):
    """Of jobs, which have their title from the track."""

    orders = {"created_at": "created_at", "title": "track__title"}


def _from(rows: QuerySet[Any], cursor: Cursor | None, falling: bool) -> QuerySet[Any]:
    """The rows in order, from the cursor on."""
    if cursor:
        beyond = "lt" if falling else "gt"
        alike = Q(position=cursor.position, **{f"pk__{beyond}": cursor.pk})
        # The first condition says nothing new, but is one that an index can answer.
        rows = rows.filter(**{f"position__{beyond}e": cursor.position})
        rows = rows.filter(alike | Q(**{f"position__{beyond}": cursor.position}))
    return rows.order_by("-position", "-pk") if falling else rows.order_by("position", "pk")


def _size(request: Request) -> int:
    asked = request.query_params.get("page_size", str(SIZE))
    if not (asked.isascii() and asked.isdigit() and len(asked) < 9 and 1 <= int(asked) <= LARGEST):
        raise ValidationError({"page_size": f"{asked!r} is no size of a page. Choose a number from 1 to {LARGEST}."})
    return int(asked)


def _cursor(request: Request) -> Cursor | None:
    asked = request.query_params.get("cursor")
    if not asked:
        return None
    try:
        back, position, pk = json.loads(urlsafe_b64decode(asked))
        cursor = Cursor(bool(back), position, UUID(str(pk)))
    except (binascii.Error, ValueError, TypeError) as error:
        raise NotFound(NO_PAGE) from error
    if "\0" in str(position):
        raise NotFound(NO_PAGE)
    return cursor


def _address(request: Request, row: Any, *, back: bool) -> str:
    cursor = json.dumps(Cursor(back, row.position, row.pk), default=str)
    path: str = request.get_full_path()  # without host and scheme, which proxies change
    return str(replace_query_param(path, "cursor", urlsafe_b64encode(cursor.encode()).decode()))


def _parameter(name: str, schema: dict[str, Any], description: str) -> dict[str, Any]:
    return {"name": name, "in": "query", "required": False, "schema": schema, "description": description}
