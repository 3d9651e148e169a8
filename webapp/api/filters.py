"""Filters of lists. An invalid value is an error; it is not ignored."""

from django.db.models import Q, QuerySet
from django_filters import rest_framework as filters

from webapp.models import Job, State, Track


class _Filters(filters.FilterSet):
    created_after = filters.IsoDateTimeFilter("created_at", "gte", help_text="Earliest time of creation.")
    created_before = filters.IsoDateTimeFilter(
        "created_at", "lt", help_text="Time before which the resource was created."
    )
    search = filters.CharFilter(
        method="by_words", help_text="Words to find, each in the title, the artist or the file name."
    )

    def is_valid(self) -> bool:
        """Empty values are errors, because they are ambiguous; only an empty search finds everything."""
        for name in {*self.filters} - {"search"}:
            if name in (self.data or {}) and "" in self.data.getlist(name):  # type: ignore[union-attr]
                self.form.add_error(name, "This is empty. Leave it out instead.")
        return bool(super().is_valid())


class TrackFilters(_Filters):
    """Filters of the list of tracks."""

    class Meta:
        model = Track
        fields: list[str] = []

    def by_words(self, tracks: QuerySet[Track], _: str, text: str) -> QuerySet[Track]:
        for word in text.split():
            tracks = tracks.filter(_contains(word))
        return tracks


class JobFilters(_Filters):
    """Filters of the list of jobs."""

    # A job has one state and is found once anyway; DISTINCT would read whole tables.
    state = filters.MultipleChoiceFilter(
        choices=State.choices, distinct=False, help_text="States of the job; repeat the parameter for several."
    )
    track = filters.UUIDFilter("track", help_text="UUID of the track.")

    class Meta:
        model = Job
        fields: list[str] = []

    def by_words(self, jobs: QuerySet[Job], _: str, text: str) -> QuerySet[Job]:
        for word in text.split():
            jobs = jobs.filter(_contains(word, "track__"))
        return jobs


def _contains(word: str, track: str = "") -> Q:
    """Condition on a track. track: the lookup path to it."""
    return Q(*((f"{track}{field}__icontains", word) for field in ("title", "artist", "filename")), _connector=Q.OR)
