"""The API's OpenAPI 3.1 document: what drf-spectacular finds in the views, plus response shapes and files.

The first line of a view's docstring is the summary of its operation, and the rest is the description. TypedDicts of
`schemas` become components of the same name. Plain views, which send files and events, are described in FILES. Tests
compare the document with the URL configuration and with the responses of a running site.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from inspect import cleandoc
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


def schema_of(hint: Any) -> Schema:  # noqa: PLR0911 - one for each kind of hint
    """The JSON schema of a type hint; TypedDicts are referred to by name."""
    origin, inner = get_origin(hint), get_args(hint)
    if origin is NotRequired:
        return schema_of(inner[0])
    if origin is Annotated:
        description, *more = hint.__metadata__
        extra = dict(zip(("examples", "enum"), ([more[0]], *more[1:]), strict=False)) if more else {}
        return schema_of(inner[0]) | {"description": description} | extra
    if origin is UnionType:
        members = [schema_of(each) for each in inner]
        if all([*member] == ["type"] for member in members):
            return {"type": [member["type"] for member in members]}
        return {"anyOf": members}
    if origin is list:
        return {"type": "array", "items": schema_of(inner[0])}
    if origin is dict:
        return {"type": "object", "additionalProperties": schema_of(inner[1])}
    return {"$ref": f"#/components/schemas/{hint.__name__}"} if is_typeddict(hint) else BASIC[hint]


def component(shape: Any) -> Schema:
    """The JSON schema of a TypedDict itself."""
    hints = get_type_hints(shape, include_extras=True)
    return {
        "type": "object",
        "description": (shape.__doc__ or "").strip(),
        "properties": {name: schema_of(hint) for name, hint in hints.items()},
        "required": sorted(shape.__required_keys__),
    }


# -- views of REST framework ---------------------------------------------------------------------------------


class OperationSchema(AutoSchema):
    """How drf-spectacular describes the operations of a view."""

    def get_summary(self) -> str:
        """The first line of the docstring, without its full stop."""
        return super().get_description().partition("\n")[0].removesuffix(".")

    def get_description(self) -> str:  # type: ignore[override]
        """The docstring from its second paragraph on."""
        paragraphs = cleandoc(super().get_description().partition("\n")[2]).split("\n\n")
        return "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)

    def get_auth(self) -> list[Schema]:
        """Visitors are admitted where nothing but the scope of a token is checked."""
        auth: list[Schema] = super().get_auth()
        return [*auth, {}] if self.view.permission_classes == [WithinScope] else auth


class SessionScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """Describe the session cookie that browsers authenticate with."""

    target_class = "webapp.api.authentication.SessionAuthentication"
    name = "session"

    def get_security_definition(self, auto_schema: AutoSchema) -> Schema:  # noqa: ARG002
        return {"type": "apiKey", "in": "cookie", "name": settings.SESSION_COOKIE_NAME}


class TokenScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """Authentication of programs, with a token from the account page."""

    target_class = "webapp.api.authentication.TokenAuthentication"
    name = "token"

    def get_security_definition(self, auto_schema: AutoSchema) -> Schema:  # noqa: ARG002
        return {"type": "http", "scheme": "bearer"}


# -- plain views ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class File:
    """The response of a plain view. query: schemas of its parameters. ranges: whether it supports Range and ETag."""

    summary: str
    description: str
    media: str = "application/octet-stream"
    query: Mapping[str, Schema] = field(default_factory=dict)
    ranges: bool = True
    headers: Mapping[str, str] = field(default_factory=dict)


def _enum(description: str, *values: str) -> Schema:
    return {"type": "string", "enum": [*values], "description": description}


def _number(description: str, **limits: float) -> Schema:
    return {"type": "number", "description": description} | limits


def _names(description: str) -> Schema:
    return {"type": "array", "items": {"type": "string"}, "description": description}


CODING = {
    "format": _enum("Audio format of the file.", *FORMATS),
    "bits": _enum("Bit depth of WAV and FLAC files.", *BITS),
    "sample_rate": _enum("Sample rate in Hz, or that of the upload.", *SAMPLE_RATES),
}
MIX = CODING | {
    "mute": _names("Stems to leave out."),
    "solo": _names("Stems to keep unless muted; all others are left out."),
    "master": _number("Gain of the whole mix in dB.", maximum=6),
    "limiter": _enum("Whether to limit peaks; without the limiter the mix is attenuated if it would clip.", "1", "0"),
    "tempo": _number("Factor by which the mix is faster.", minimum=0.5, maximum=2),
    "pitch": _number("Transposition in semitones.", minimum=-12, maximum=12),
    "start": _number("Start of the mix in seconds.", minimum=0),
    "end": _number("End of the mix in seconds.", minimum=0),
}
EXPORT_REQUEST: Schema = {
    "type": "object",
    "description": "The file to render. A mix also takes the name of any stem with its gain in dB, and `STEM.pan` "
    "with a position from -1 (left) to 1 (right).",
    "properties": {
        "what": _enum("Kind of file: a mix, one stem, a ZIP archive of all stems, or an NI Stems file.", *KINDS),
        "stem": {"type": "string", "description": "Name of the stem if `what` is `stem`."},
    }
    | MIX
    | {"limiter": {"type": "boolean", "description": MIX["limiter"]["description"]}},
    "additionalProperties": {"type": "number"},
}
EVENTS = "text/event-stream"
FLAC = "audio/flac"
JSON = "application/json"
ANY = "*/*"
FILES = {
    "track-file": File("Download a track's file", "Returns the file exactly as it was uploaded.", ANY),
    "jobs-events": File(
        "Follow all your jobs",
        "Streams server-sent events: a `job` event with each Job at once and after each change, and a `deleted` event "
        "when a job is deleted.",
        EVENTS,
        {
            "changes": {
                "type": "boolean",
                "default": False,
                "description": "Whether to omit the initial event of jobs that have ended.",
            }
        },
        ranges=False,
    ),
    "job-events": File(
        "Follow one job",
        "Streams server-sent events: a `job` event with the Job at once and after each change, and a `deleted` event "
        "when it is deleted.",
        EVENTS,
        ranges=False,
    ),
    "job-detection": File(
        "Get detected instruments over time",
        "Returns the probability of each instrument for every second of the song, once detection has finished.",
        JSON,
        ranges=False,
    ),
    "export-file": File("Download an export's file", "Returns the rendered file once the export is done.", ANY),
    "job-stems-zip": File(
        "Download all stems",
        "Returns a ZIP archive of all stems, which is packed while it is sent.",
        "application/zip",
        ranges=False,
    ),
    "job-mix": File(
        "Render and download a mix",
        "Renders the mix that the query describes and returns the file. Besides the listed parameters, `STEM=dB` sets "
        "the gain of a stem, and `STEM.pan` its position from -1 (left) to 1 (right).",
        ANY,
        MIX,
        ranges=False,
        headers={"X-Lowered-dB": "Attenuation that kept the mix from clipping, in dB."},
    ),
    "job-thumbnail": File(
        "Get a small waveform of the song",
        "Returns the waveform with few peaks, for lists: signed bytes, minimum and maximum in turn.",
    ),
    "job-cover": File("Get the cover picture", "Returns the picture embedded in the uploaded file.", "image/*"),
    "original-segment": File(
        "Get a segment of the original song",
        "Returns a few seconds of the original song, which can be played before any stem.",
        FLAC,
    ),
    "original-peaks": File(
        "Get the waveform of the original song",
        "Returns signed bytes, minimum and maximum in turn, 100 pairs per second.",
    ),
    "stem-segment": File(
        "Get a segment of a stem", "Returns a few seconds of a stem as soon as they are finished.", FLAC
    ),
    "stem-draft": File(
        "Get a draft segment of a stem",
        "Returns a few seconds of the stem's draft, which can be played until the stem is finished.",
        FLAC,
    ),
    "stem-peaks": File(
        "Get the waveform of a stem",
        "Returns signed bytes, minimum and maximum in turn, 100 pairs per second, as far as the stem is finished.",
    ),
    "stem-spectrogram": File(
        "Get the spectrogram of a stem",
        "Returns the spectrogram of a finished stem by columns: `X-Columns` columns of `X-Bands` bytes, lowest band "
        "first.",
        headers={"X-Columns": "Number of columns, over the whole song.", "X-Bands": "Number of bytes in each column."},
    ),
    "stem-download": File(
        "Download a stem's file",
        "Returns the file of a finished stem, converted if the query names a format other than the stem's own.",
        ANY,
        CODING,
    ),
}
CONVERTERS: dict[str, Schema] = {
    "uuid": {"type": "string", "format": "uuid"},
    "slug": {"type": "string", "pattern": "^[-a-zA-Z0-9_]+$"},
    "int": {"type": "integer", "minimum": 0},
    "str": {"type": "string"},
}
PARAMETERS = {
    "name": "Name of the stem.",
    "index": "Number of the segment, from 0.",
    "export": "UUID of the export.",
    "delivery": "UUID of the delivery.",
    "Range": "Range of bytes, such as `bytes=0-1023`.",
    "If-None-Match": "ETag of the client's copy.",
}
STATUSES = {
    "200": "The request succeeded.",
    "201": "The resource was created.",
    "204": "The request succeeded; there is no content.",
}
SECURITY: list[Schema] = [{"token": []}, {"session": []}, {}]
PROBLEM = {"content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}}


def routes(patterns: Any = None, before: str = "/") -> Iterator[tuple[str, URLPattern]]:
    """Every path of the site with its URL pattern."""
    for entry in get_resolver().url_patterns if patterns is None else patterns:
        path = before + str(entry.pattern)
        if isinstance(entry, URLResolver):
            yield from routes(entry.url_patterns, path)
        else:
            yield path, entry


def complete(result: Schema, **_: Any) -> Schema:
    """Add shapes, files, problems and missing descriptions to what drf-spectacular generated."""
    result["components"]["schemas"] |= {shape.__name__: component(shape) for shape in SHAPES}
    for path, route in routes():
        if route.name in FILES:
            result["paths"][_template(path, route)] = {"get": _operation(route, FILES[route.name])}
    for path, operations in result["paths"].items():
        for operation in operations.values():
            _describe(operation, resource=path.split("/")[3].removesuffix("s"))
    result["paths"] = dict(sorted(result["paths"].items()))
    return result


def _describe(operation: Schema, resource: str) -> None:
    """Describe the parameters and responses of an operation for which no view has its own words."""
    texts = PARAMETERS | {"id": f"UUID of the {resource}."}
    for parameter in operation.get("parameters", []):
        parameter["description"] = parameter.get("description", texts.get(parameter["name"], "")).strip()
    responses = operation["responses"]
    responses.setdefault("default", PROBLEM | {"description": "The request failed."})
    for status, response in responses.items():
        response["description"] = STATUSES.get(status, response["description"])


def _template(path: str, route: URLPattern) -> str:
    """The path as OpenAPI writes it: {id}, not <uuid:pk>."""
    for name, converter in route.pattern.converters.items():
        path = path.replace(f"<{_kind(converter)}:{name}>", f"{{{_public_name(name)}}}")
    return path


def _public_name(argument: str) -> str:
    return "id" if argument == "pk" else argument  # as drf-spectacular does


def _kind(converter: Any) -> str:
    return type(converter).__name__.removesuffix("Converter").lower().replace("string", "str")


def _operation(route: URLPattern, file: File) -> Schema:
    converters = route.pattern.converters.items()
    inside = [_parameter("path", _public_name(name), CONVERTERS[_kind(each)]) for name, each in converters]
    queried = [_parameter("query", name, schema) for name, schema in file.query.items()]
    partly = [_parameter("header", name, {"type": "string"}) for name in ("Range", "If-None-Match") if file.ranges]
    inner = {"type": "object"} if file.media == JSON else {"type": "string", "format": "binary"}
    body = {"content": {file.media: {"schema": inner}}}
    headers = {name: {"description": text, "schema": {"type": "string"}} for name, text in file.headers.items()}
    whole = {"200": {"description": STATUSES["200"], "headers": headers} | body}
    parts = {
        "206": {"description": "The response is the part that Range names."} | body,
        "304": {"description": "The client's copy is up to date."},
    }
    return {
        "operationId": str(route.name).replace("-", "_"),
        "summary": file.summary,
        "description": file.description,
        "tags": [_tag(str(route.pattern))],
        "parameters": inside + queried + partly,
        "security": SECURITY,
        "responses": whole | (parts if file.ranges else {}),
    }


def _parameter(where: str, name: str, schema: Schema) -> Schema:
    described = {key: schema[key] for key in ("description",) if key in schema}
    inner = {key: value for key, value in schema.items() if key != "description"}
    return {"in": where, "name": name, "schema": inner, "required": where == "path"} | described


def _tag(path: str) -> str:
    return next((tag for tag in ("stems", "mix", "exports", "tracks") if f"/{tag}" in path), "jobs")
