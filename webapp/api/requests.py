"""What the API accepts: songs, options, mixes, as forms and JSON."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from django.http import QueryDict
from rest_framework import serializers

from pipeline.options import (
    BITS,
    DEFAULT_BLEED,
    FORMATS,
    SAMPLE_RATES,
    SOURCE,
    STEMS,
    InvalidOption,
    Options,
    bleeds,
    presets,
)
from webapp.api.representations import in_order
from webapp.http.problems import Checked
from webapp.models import Track
from webapp.songs.queries import tracks_of
from webapp.uploads.limits import validate_upload

CHOOSE = "Please choose a song."


class Text(serializers.CharField):
    """Text, and no number that would do as one."""

    def to_internal_value(self, data: Any) -> str:
        """As it was sent."""
        if not isinstance(data, str):
            self.fail("invalid")
        return str(super().to_internal_value(data))


class Title(Checked):
    """Another name for a song."""

    title = Text(
        max_length=255, error_messages=dict.fromkeys(("required", "blank", "null", "invalid"), "Please give it a name.")
    )


class Names(serializers.MultipleChoiceField):
    """Several of those that there are, as a list."""

    def to_internal_value(self, data: Any) -> Any:
        """An object is no list, though it can be gone through."""
        if isinstance(data, Mapping):
            self.fail("not_a_list", input_type=type(data).__name__)
        return super().to_internal_value(data)


class StemSelection(Checked):
    """Another choice of stems for a finished job; none: as the song has them."""

    stems = Names(choices=STEMS, default=set[str]())


class Upload(Checked):
    """A song to keep."""

    file = serializers.FileField(
        validators=[validate_upload],
        max_length=255,
        allow_empty_file=True,  # our validator says it in plainer words
        error_messages={"required": CHOOSE, "invalid": CHOOSE},
    )
    title = serializers.CharField(max_length=255, required=False, allow_blank=True, default="")


class JobOptions(Checked):
    """How to separate a song."""

    stems = Names(choices=STEMS, default=set[str]())
    preset = serializers.ChoiceField(choices=presets(), default="default")
    format = serializers.ChoiceField(choices=list(FORMATS), default="wav")
    bits = serializers.ChoiceField(choices=BITS, default="float")
    sample_rate = serializers.ChoiceField(choices=SAMPLE_RATES, default=SOURCE)
    bleed = serializers.ChoiceField(choices=[*bleeds()], default=DEFAULT_BLEED)

    @property
    def options(self) -> Options:
        """The same, checked."""
        wish = {name: self.validated_data[name] for name in ("preset", "format", "bits", "sample_rate", "bleed")}
        return Options(**wish, stems=tuple(in_order(self.validated_data["stems"])))


class SongOrder(Upload, JobOptions):
    """A song, and how to separate it."""


class TrackOrder(JobOptions):
    """A song that was uploaded before, and how to separate it."""

    track = serializers.UUIDField()

    def validate_track(self, pk: UUID) -> Track:
        """One of my own; others' don't exist. One song at a time."""
        if "file" in self.initial_data:
            raise serializers.ValidationError("Send a song or the id of a track, not both.")
        track = tracks_of(self.context["request"].user).filter(pk=pk).first()
        if track is None:
            raise serializers.ValidationError("You have no such track. Upload it first.")
        return track


def as_query(body: Any) -> QueryDict:
    """A request's body, a form or JSON such as {"vocals": -6, "mute": ["drums"]}, as a query. Raises InvalidOption."""
    if isinstance(body, QueryDict):
        return body
    if not isinstance(body, Mapping):
        raise InvalidOption('The body is not understood. Send an object, such as {"what": "mix", "format": "flac"}.')
    query = QueryDict(mutable=True)
    for key, value in body.items():
        query.setlist(key, [_text(each) for each in (value if isinstance(value, list) else [value])])
    return query


def _text(value: Any) -> str:
    return str(int(value)) if isinstance(value, bool) else str(value)
