"""The administrator's lists of tracks, jobs, workers and accounts."""

from django.contrib import admin
from django.contrib.auth.admin import UserAdmin
from django.db.models import QuerySet
from django.http import HttpRequest

from webapp.models import Export, Job, Stem, Track, User, Worker


@admin.register(User)
class AccountAdmin(UserAdmin[User]):
    """Members and guests."""

    list_display = ("username", "email", "is_guest", "is_staff", "date_joined")
    list_filter = ("is_guest", "is_staff", "is_superuser", "is_active")


@admin.register(Track)
class TrackAdmin(admin.ModelAdmin[Track]):
    """Uploads."""

    list_display = ("title", "owner", "filename", "size", "created_at")
    list_select_related = ("owner",)
    search_fields = ("title", "filename", "owner__username")
    raw_id_fields = ("owner",)
    date_hierarchy = "created_at"


class StemInline(admin.TabularInline[Stem, Job]):
    """What came out."""

    model = Stem
    extra = 0
    can_delete = False
    readonly_fields = ("name", "file")


@admin.register(Job)
class JobAdmin(admin.ModelAdmin[Job]):
    """Jobs. States change by the site's own verbs only, so they are shown and not edited."""

    list_display = (
        "track", "owner", "state", "stage", "blocks_done", "blocks_total", "worker", "created_at", "deleted_at",
    )  # fmt: skip
    list_select_related = ("track__owner",)
    list_filter = ("state",)
    search_fields = ("track__title", "track__owner__username", "id")
    date_hierarchy = "created_at"
    inlines = [StemInline]

    @admin.display(ordering="track__owner__username")
    def owner(self, job: Job) -> User:
        """Whose it is."""
        return job.track.owner

    def has_add_permission(self, request: HttpRequest) -> bool:  # noqa: ARG002
        """A job begins with an upload."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Job | None = None) -> bool:  # noqa: ARG002
        """Look, don't touch."""
        return False

    def get_queryset(self, request: HttpRequest) -> QuerySet[Job]:
        """Newest first."""
        return super().get_queryset(request).order_by("-created_at")


@admin.register(Export)
class ExportAdmin(admin.ModelAdmin[Export]):
    """Files made to be taken along. Deleting a row deletes the file."""

    list_display = ("filename", "state", "progress", "size", "created_at")
    list_filter = ("state",)
    search_fields = ("filename", "job__track__owner__username")

    def has_add_permission(self, request: HttpRequest) -> bool:  # noqa: ARG002
        """They are asked for in the mixer."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Export | None = None) -> bool:  # noqa: ARG002
        """Look, don't touch."""
        return False


@admin.register(Worker)
class WorkerAdmin(admin.ModelAdmin[Worker]):
    """Workers seen in the last day."""

    list_display = ("name", "provider", "beat_at")

    def has_add_permission(self, request: HttpRequest) -> bool:  # noqa: ARG002
        """Workers enter themselves."""
        return False
