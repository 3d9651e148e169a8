"""The API's OpenAPI 3.1 description: what drf-spectacular finds in the views, the shapes of answers, and the files.

Shapes become schemas of the same name. What plain views answer, such as files and events, is described in FILES; a
test holds the whole against the URL conf, and another asks a running site for all of it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import NoneType, UnionType
from typing import Annotated, Any, NotRequired, get_args, get_origin, get_type_hints, is_typeddict

from django.conf import settings
from django.urls import URLPattern, URLResolver, get_resolver
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.openapi import AutoSchema

from pipeline.options import BITS, FORMATS, SAMPLE_RATES
from webapp.api import schemas
from webapp.api.permissions import WithinScope
from webapp.exports.spec import KINDS

Schema = dict[str, Any]

BASIC: dict[Any, Schema] = {
    str: {"type": "string"},
    int: {"type": "integer"},
    float: {"type": "number"},
    bool: {"type": "boolean"},
    NoneType: {"type": "null"},
    Any: {},
}
SHAPES = [shape for shape in vars(schemas).values() if is_typeddict(shape)]


# -- shapes --------------------------------------------------------------------------------------------------


def schema_of(hint: Any) -> Schema:
    """The JSON schema of a type hint: a shape by its name, anything else in full."""
    origin, inner = get_origin(hint), get_args(hint)
    if origin is NotRequired:
        return schema_of(inner[0])
    if origin is Annotated:
        return schema_of(inner[0]) | _told(*hint.__metadata__)
    if origin is UnionType:
        return _either([schema_of(each) for each in inner])
    if origin is list:
        return {"type": "array", "items": schema_of(inner[0])}
    if origin is dict:
        return {"type": "object", "additionalProperties": schema_of(inner[1])}
    return {"$ref": f"#/components/schemas/{hint.__name__}"} if is_typeddict(hint) else BASIC[hint]


def component(shape: Any) -> Schema:
    """The JSON schema of a shape itself."""
    hints = get_type_hints(shape, include_extras=True)
    return {
        "type": "object",
        "description": (shape.__doc__ or "").strip(),
        "properties": {name: schema_of(hint) for name, hint in hints.items()},
        "required": sorted(shape.__required_keys__),
    }


def _told(description: str, *example: Any) -> Schema:
    """What stands beside a type: what it means, an example, the values that it can have."""
    more = {"enum": example[1]} if len(example) > 1 else {}
    return {"description": description} | ({"examples": [example[0]]} if example else {}) | more


def _either(schemas: list[Schema]) -> Schema:
    if all([*schema] == ["type"] for schema in schemas):
        return {"type": [schema["type"] for schema in schemas]}
    return {"anyOf": schemas}


class Described(AutoSchema):
    """How views are described."""

    def get_auth(self) -> list[Schema]:
        """Visitors are let in where no more than a token's scope is asked for."""
        auth: list[Schema] = super().get_auth()
        return [*auth, {}] if self.view.permission_classes == [WithinScope] else auth


class SessionScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """How a browser says who asks."""

    target_class = "webapp.api.authentication.SessionAuthentication"
    name = "session"

    def get_security_definition(self, auto_schema: AutoSchema) -> Schema:  # noqa: ARG002
        """A cookie."""
        return {"type": "apiKey", "in": "cookie", "name": settings.SESSION_COOKIE_NAME}


class TokenScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """How a program does."""

    target_class = "webapp.api.authentication.TokenAuthentication"
    name = "token"

    def get_security_definition(self, auto_schema: AutoSchema) -> Schema:  # noqa: ARG002
        """A token of the account page."""
        return {"type": "http", "scheme": "bearer"}


# -- what is no view of REST framework's ---------------------------------------------------------------------


@dataclass(frozen=True)
class File:
    """What a plain view answers. query: its parameters by name. parts: whether Range and ETag are understood."""

    summary: str
    media: str = "application/octet-stream"
    query: Mapping[str, Schema] = field(default_factory=dict)
    parts: bool = True
    headers: Mapping[str, str] = field(default_factory=dict)


def _among(*values: str) -> Schema:
    return {"type": "string", "enum": [*values]}


def _between(least: float | None, most: float | None) -> Schema:
    limits = {"minimum": least, "maximum": most}
    return {"type": "number"} | {name: value for name, value in limits.items() if value is not None}


NAMES = {"type": "array", "items": {"type": "string"}}
CODING = {"format": _among(*FORMATS), "bits": _among(*BITS), "sample_rate": _among(*SAMPLE_RATES)}
MIX = CODING | {
    "mute": NAMES,
    "solo": NAMES,
    "master": _between(None, 6),
    "limiter": _among("1", "0"),
    "tempo": _between(0.5, 2),
    "pitch": _between(-12, 12),
    "start": _between(0, None),
    "end": _between(0, None),
}
MIX_ORDER: Schema = {
    "type": "object",
    "description": "A mix is told as to its query; beside what is listed, STEM in dB and STEM.pan from -1 to 1.",
    "properties": {"what": _among(*KINDS), "stem": {"type": "string"}} | MIX | {"limiter": {"type": "boolean"}},
    "additionalProperties": {"type": "number"},
}
EVENTS = "text/event-stream"
FLAC = "audio/flac"
JSON = "application/json"
ANY = "*/*"
FILES = {
    "track-file": File("The song as it was uploaded.", ANY),
    "jobs-events": File(
        "News of all my jobs: `job` with a Job, or `deleted`. changes=true: of jobs that are over only changes.",
        EVENTS,
        {"changes": {"type": "boolean", "default": False}},
        parts=False,
    ),
    "job-events": File("News of one job.", EVENTS, parts=False),
    "job-detection": File("What was heard, second by second.", JSON, parts=False),
    "export-file": File("The file, once the export is done.", ANY),
    "job-stems-zip": File("All stems in one archive.", "application/zip", parts=False),
    "job-mix": File(
        "The mix that the query describes: beside what is listed, STEM=dB and STEM.pan=-1..1.",
        ANY,
        MIX,
        parts=False,
        headers={"X-Lowered-dB": "By how much it was lowered so as not to clip."},
    ),
    "job-thumbnail": File("The song's waveform in few peaks: signed bytes, least and greatest by turns."),
    "job-cover": File("The picture that came with the song.", "image/*"),
    "original-segment": File("Some seconds of the song itself.", FLAC),
    "original-peaks": File("The song's waveform: signed bytes, least and greatest by turns, 100 pairs a second."),
    "stem-segment": File("Some seconds of a stem.", FLAC),
    "stem-draft": File("The same as a draft, until it is finished.", FLAC),
    "stem-peaks": File("A stem's waveform as far as it is known, as of the song."),
    "stem-spectrogram": File(
        "A stem's picture: X-Columns columns of X-Bands bytes, the lowest band first.",
        headers={"X-Columns": "From beginning to end.", "X-Bands": "Of each column."},
    ),
    "stem-download": File("The stem, in any format.", ANY, CODING),
}
CONVERTERS: dict[str, Schema] = {
    "uuid": {"type": "string", "format": "uuid"},
    "slug": {"type": "string", "pattern": "^[-a-zA-Z0-9_]+$"},
    "int": {"type": "integer", "minimum": 0},
    "str": {"type": "string"},
}
SECURITY: list[Schema] = [{"token": []}, {"session": []}, {}]
PROBLEM = {"content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}}


def routes(patterns: Any = None, before: str = "/") -> Iterator[tuple[str, URLPattern]]:
    """Every address of the site, with its pattern."""
    for entry in get_resolver().url_patterns if patterns is None else patterns:
        path = before + str(entry.pattern)
        if isinstance(entry, URLResolver):
            yield from routes(entry.url_patterns, path)
        else:
            yield path, entry


def complete(result: Schema, **_: Any) -> Schema:
    """Add to what was found in the views: shapes, files, and that whatever goes wrong is a problem."""
    result["components"]["schemas"] |= {shape.__name__: component(shape) for shape in SHAPES}
    for path, route in routes():
        if route.name in FILES:
            result["paths"][_template(path, route)] = {"get": _operation(route, FILES[route.name])}
    for operation in (each for path in result["paths"].values() for each in path.values()):
        operation["responses"].setdefault("default", PROBLEM | {"description": "What went wrong."})
        operation.setdefault("summary", operation.pop("description", ""))
    result["paths"] = dict(sorted(result["paths"].items()))
    return result


def _template(path: str, route: URLPattern) -> str:
    """As OpenAPI writes it: {id}, not <uuid:pk>."""
    for name, converter in route.pattern.converters.items():
        path = path.replace(f"<{_kind(converter)}:{name}>", f"{{{_name(name)}}}")
    return path


def _name(argument: str) -> str:
    return "id" if argument == "pk" else argument  # as for views


def _kind(converter: Any) -> str:
    return type(converter).__name__.removesuffix("Converter").lower().replace("string", "str")


def _operation(route: URLPattern, file: File) -> Schema:
    converters = route.pattern.converters.items()
    inside = [_parameter("path", _name(name), CONVERTERS[_kind(each)], required=True) for name, each in converters]
    asked = [_parameter("query", name, schema) for name, schema in file.query.items()]
    partly = [_parameter("header", name, {"type": "string"}) for name in ("Range", "If-None-Match") if file.parts]
    inner = {"type": "object"} if file.media == JSON else {"type": "string", "format": "binary"}
    body = {"content": {file.media: {"schema": inner}}}
    headers = {name: {"description": text, "schema": {"type": "string"}} for name, text in file.headers.items()}
    whole = {"200": {"description": "All of it.", "headers": headers} | body}
    parts = {
        "206": {"description": "The part that Range asks for."} | body,
        "304": {"description": "It is what If-None-Match names."},
    }
    return {
        "operationId": str(route.name).replace("-", "_"),
        "summary": file.summary,
        "tags": [_tag(str(route.pattern))],
        "parameters": inside + asked + partly,
        "security": SECURITY,
        "responses": whole | (parts if file.parts else {}),
    }


def _parameter(where: str, name: str, schema: Schema, *, required: bool = False) -> Schema:
    return {"in": where, "name": name, "schema": schema, "required": required}


def _tag(path: str) -> str:
    return next((tag for tag in ("stems", "mix", "exports", "tracks") if f"/{tag}" in path), "jobs")
