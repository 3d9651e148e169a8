"""What lists can be narrowed down to. A value that cannot be understood is refused, not ignored."""

from django.db.models import Q, QuerySet
from django_filters import rest_framework as filters

from webapp.models import Job, State, Track


class _Filters(filters.FilterSet):
    created_after = filters.IsoDateTimeFilter("created_at", "gte", help_text="Made then or later.")
    created_before = filters.IsoDateTimeFilter("created_at", "lt", help_text="Made before that moment.")
    search = filters.CharFilter(method="by_words", help_text="Words, each of which is in title, artist or file name.")

    def is_valid(self) -> bool:
        """Also that nothing is left empty, by which anything could be meant. To search for nothing is to find all."""
        for name in {*self.filters} - {"search"}:
            if name in (self.data or {}) and "" in self.data.getlist(name):  # type: ignore[union-attr]
                self.form.add_error(name, "This is empty. Leave it out instead.")
        return bool(super().is_valid())


class TrackFilters(_Filters):
    """Of tracks."""

    class Meta:
        model = Track
        fields: list[str] = []

    def by_words(self, tracks: QuerySet[Track], _: str, text: str) -> QuerySet[Track]:
        """Those in whose title, artist or file name every word is."""
        for word in text.split():
            tracks = tracks.filter(_holding(word))
        return tracks


class JobFilters(_Filters):
    """Of jobs."""

    # A job has one state: nothing is found twice, and to make sure of that would read whole tables.
    state = filters.MultipleChoiceFilter(choices=State.choices, distinct=False, help_text="In one of these states.")
    track = filters.UUIDFilter("track", help_text="Of one track.")

    class Meta:
        model = Job
        fields: list[str] = []

    def by_words(self, jobs: QuerySet[Job], _: str, text: str) -> QuerySet[Job]:
        """Those whose track is found."""
        for word in text.split():
            jobs = jobs.filter(_holding(word, "track__"))
        return jobs


def _holding(word: str, track: str = "") -> Q:
    """track: the way to the track."""
    return Q(*((f"{track}{field}__icontains", word) for field in ("title", "artist", "filename")), _connector=Q.OR)
