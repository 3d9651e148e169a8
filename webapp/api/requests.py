"""The bodies of requests: songs, job options and exports, as forms and as JSON."""

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
SELECTION = "Stems to separate; empty for those that the song has."


class Text(serializers.CharField):
    """Text that does not accept numbers in place of strings."""

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            self.fail("invalid")
        return str(super().to_internal_value(data))


class Title(Checked):
    """A new title of a song."""

    title = Text(
        max_length=255,
        help_text="New title of the song.",
        error_messages=dict.fromkeys(("required", "blank", "null", "invalid"), "Please give it a name."),
    )


class Names(serializers.MultipleChoiceField):
    """A list of names from a fixed set."""

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, Mapping):  # iterable like a list, but not one
            self.fail("not_a_list", input_type=type(data).__name__)
        return super().to_internal_value(data)


class StemSelection(Checked):
    """A new selection of stems for a finished job."""

    stems = Names(choices=STEMS, default=set[str](), help_text=SELECTION)


class Upload(Checked):
    """A song to upload."""

    file = serializers.FileField(
        validators=[validate_upload],
        max_length=255,
        help_text="Audio file.",
        allow_empty_file=True,  # the validator has a clearer message
        error_messages={"required": CHOOSE, "invalid": CHOOSE},
    )
    title = serializers.CharField(
        max_length=255,
        required=False,
        allow_blank=True,
        default="",
        help_text="Title of the song; empty for that in the tags.",
    )


class JobOptions(Checked):
    """How to separate a song."""

    stems = Names(choices=STEMS, default=set[str](), help_text=SELECTION)
    preset = serializers.ChoiceField(choices=presets(), default="default", help_text="Preset of models.")
    format = serializers.ChoiceField(choices=list(FORMATS), default="wav", help_text="Audio format of the stem files.")
    bits = serializers.ChoiceField(choices=BITS, default="float", help_text="Bit depth of WAV and FLAC files.")
    sample_rate = serializers.ChoiceField(
        choices=SAMPLE_RATES, default=SOURCE, help_text="Sample rate in Hz, or that of the upload."
    )
    bleed = serializers.ChoiceField(
        choices=[*bleeds()], default=DEFAULT_BLEED, help_text="How strongly bleed of the other stems is removed."
    )

    @property
    def options(self) -> Options:
        names = ("preset", "format", "bits", "sample_rate", "bleed")
        values = {name: self.validated_data[name] for name in names}
        return Options(**values, stems=tuple(in_order(self.validated_data["stems"])))


class SongOrder(Upload, JobOptions):
    """A song, and how to separate it."""


class TrackOrder(JobOptions):
    """A track that was uploaded before, and how to separate it."""

    track = serializers.UUIDField(help_text="UUID of the track.")

    def validate_track(self, pk: UUID) -> Track:
        """Only one's own tracks exist, and a job takes either a file or a track."""
        if "file" in self.initial_data:
            raise serializers.ValidationError("Send a song or the id of a track, not both.")
        track = tracks_of(self.context["request"].user).filter(pk=pk).first()
        if track is None:
            raise serializers.ValidationError("You have no such track. Upload it first.")
        return track


def as_query(body: Any) -> QueryDict:
    """The body of a request, a form or JSON such as {"vocals": -6, "mute": ["drums"]}, as a query.

    Raises InvalidOption for JSON that is not an object.
    """
    if isinstance(body, QueryDict):
        return body
    if not isinstance(body, Mapping):
        raise InvalidOption('The body is not understood. Send an object, such as {"what": "mix", "format": "flac"}.')
    query = QueryDict(mutable=True)
    for key, value in body.items():
        values = value if isinstance(value, list) else [value]
        query.setlist(key, [str(int(each) if isinstance(each, bool) else each) for each in values])
    return query
