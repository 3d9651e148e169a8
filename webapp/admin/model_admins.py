"""The lists of the admin: jobs to review, tracks, exports, workers, accounts, tokens.

Rows change only through commands of the domain, so they are read-only here and have actions instead. The page of a job
sends the same actions as the list.
"""

from collections.abc import Callable
from datetime import timedelta
from typing import Any, cast
from uuid import UUID

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.helpers import ActionForm
from django.contrib.auth.admin import UserAdmin
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.shortcuts import get_object_or_404, redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse

from webapp.admin.job_page import RerunForm, is_possible, job_page, time_spent
from webapp.models import Export, Job, Token, Track, User, Verdict, Worker
from webapp.review import moderation, verdicts
from webapp.songs import actions

JOB_PAGE = "admin:webapp_job_change"


class ReadOnly:
    """Rows that cannot be added or edited by hand."""

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ARG002
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ARG002
        return False


@admin.register(User)
class AccountAdmin(UserAdmin[User]):
    """Accounts of members and guests."""

    list_display = ("username", "email", "is_guest", "on_hold", "is_staff", "date_joined")
    list_filter = ("is_guest", "on_hold", "is_staff", "is_superuser", "is_active")
    readonly_fields = ("is_guest", "on_hold")
    actions = ("hold", "release")

    @admin.action(description="Put their jobs on hold", permissions=["change"])
    def hold(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        """Stop starting jobs of these accounts."""
        self.message_user(request, f"{moderation.hold(queryset)} on hold: none of their jobs start.")

    @admin.action(description="Release their jobs", permissions=["change"])
    def release(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        """Start jobs of these accounts again, in their old places in the queue."""
        self.message_user(request, f"{moderation.release(queryset)} no longer on hold.")


@admin.register(Token)
class TokenAdmin(ReadOnly, admin.ModelAdmin[Token]):
    """Tokens of members, without their secrets, to inspect and revoke them."""

    list_display = ("name", "user", "scopes", "token_key", "created", "last_used", "expiry")
    list_select_related = ("user",)
    search_fields = ("name", "user__username", "token_key")
    fields = list_display


@admin.register(Track)
class TrackAdmin(admin.ModelAdmin[Track]):
    """Songs as they were uploaded."""

    list_display = ("title", "owner", "filename", "size", "created_at")
    list_select_related = ("owner",)
    search_fields = ("title", "filename", "owner__username")
    raw_id_fields = ("owner",)
    show_full_result_count = False


class FlagFilter(admin.ChoicesFieldListFilter):
    """Filters jobs by the doubts that their own reports raise."""

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self.title = "flag"


class NoteForm(ActionForm):
    """The action to perform, with a note on the reason."""

    note = forms.CharField(label="Note:", required=False, max_length=1000)


@admin.register(Job)
class JobAdmin(ReadOnly, admin.ModelAdmin[Job]):
    """Jobs, with the actions of review and moderation."""

    list_display = (
        "title", "created_at", "owner", "state", "review", "flagged", "length", "stems", "preset", "spent", "null_db",
    )  # fmt: skip
    list_select_related = ("track__owner",)
    list_filter = ("review", ("flags__kind", FlagFilter), "state", "cause", "created_at")
    search_fields = ("track__title", "track__owner__username")
    search_help_text = "Words of the title, the owner's name, or a job's id."
    sortable_by = ("created_at",)
    ordering = ("-created_at",)
    show_full_result_count = False
    action_form = NoteForm
    actions = ("approve", "needs_work", "reject", "cancel", "requeue", "hand_over", "empty")

    # -- the list -----------------------------------------------------------------------------------------------

    def get_queryset(self, request: HttpRequest) -> QuerySet[Job]:
        return super().get_queryset(request).prefetch_related("flags", "stems")

    def get_search_results(self, request: HttpRequest, queryset: QuerySet[Job], term: str) -> tuple[Any, bool]:
        """Find a job by its id too."""
        try:
            return queryset.filter(pk=UUID(term)), False
        except ValueError:
            return super().get_search_results(request, queryset, term)

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest | None = None) -> bool:
        """Allow the lookup of one owner's jobs, to which other pages link."""
        return lookup == "track__owner" or super().lookup_allowed(lookup, value, request)  # type: ignore[arg-type]

    @admin.display(ordering="track__title")
    def title(self, job: Job) -> str:
        return f"{job.track.title} (rerun)" if job.rerun_of_id else job.track.title

    @admin.display
    def owner(self, job: Job) -> str:
        """The owner's name; that of a guest is long and meaningless."""
        return "a guest" if job.track.owner.is_guest else job.track.owner.username

    @admin.display
    def flagged(self, job: Job) -> str:
        """The doubts that the job's own report raises."""
        return ", ".join(flag.get_kind_display() for flag in job.flags.all())

    @admin.display
    def length(self, job: Job) -> str:
        """The length of the song."""
        return str(timedelta(seconds=int(job.duration))) if job.duration else ""

    @admin.display
    def stems(self, job: Job) -> str:
        return ", ".join(stem.name for stem in job.stems.all())

    @admin.display
    def preset(self, job: Job) -> str:
        return str(job.options.get("preset", "default"))

    @admin.display(description="time spent")
    def spent(self, job: Job) -> str:
        return time_spent(job)

    @admin.display(description="null (dB)")
    def null_db(self, job: Job) -> str:
        """The song minus the sum of its stems, in dB."""
        value = job.report.get("null_db")
        return "" if value is None else f"{value:.0f}"

    # -- actions ------------------------------------------------------------------------------------------------

    def has_review_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("webapp.review_job")

    def has_manage_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("webapp.change_job")

    def response_action(self, request: HttpRequest, queryset: QuerySet[Any], *more: Any) -> HttpResponse | None:
        """Return to the page of the job from which the action came."""
        response = super().response_action(request, queryset, *more)
        if "page" not in request.POST or (response and response.status_code == 200):
            return response
        return redirect(JOB_PAGE, request.POST["page"])

    @admin.action(description="Approve", permissions=["review"])
    def approve(self, request: HttpRequest, queryset: QuerySet[Job]) -> None:
        self._decide(request, queryset, Verdict.APPROVED)

    @admin.action(description="Needs work", permissions=["review"])
    def needs_work(self, request: HttpRequest, queryset: QuerySet[Job]) -> None:
        self._decide(request, queryset, Verdict.NEEDS_WORK)

    @admin.action(description="Reject", permissions=["review"])
    def reject(self, request: HttpRequest, queryset: QuerySet[Job]) -> None:
        self._decide(request, queryset, Verdict.REJECTED)

    @admin.action(description="Cancel", permissions=["manage"])
    def cancel(self, request: HttpRequest, queryset: QuerySet[Job]) -> None:
        self._each(request, queryset, actions.cancel, "cancelled", "Only what waits or runs can be cancelled.")

    @admin.action(description="Put back in the queue", permissions=["manage"])
    def requeue(self, request: HttpRequest, queryset: QuerySet[Job]) -> None:
        why = "A job that is queued or done cannot be put back: rerun it instead."
        self._each(request, queryset, moderation.requeue, "put back in the queue", why)

    @admin.action(description="Hand rerun over to the owner", permissions=["manage"])
    def hand_over(self, request: HttpRequest, queryset: QuerySet[Job]) -> None:
        """Give the result of a rerun to the owner, besides the first one."""
        why = "Only a finished rerun can be handed over."
        self._each(request, queryset, moderation.hand_over, "handed over", why)

    @admin.action(description="Remove files, keep the upload", permissions=["manage"])
    def empty(self, request: HttpRequest, queryset: QuerySet[Job]) -> None:
        """Free disk space, but keep the upload."""
        self._each(request, queryset, moderation.empty, "emptied", "Cancel what waits or runs first.")

    def _decide(self, request: HttpRequest, queryset: QuerySet[Job], verdict: Verdict) -> None:
        count = verdicts.decide(queryset, verdict, request.POST.get("note", ""), cast(User, request.user))
        self.message_user(request, f"{_jobs(count)}: {verdict.label.lower()}.", messages.SUCCESS)

    def _each(
        self, request: HttpRequest, queryset: QuerySet[Job], command: Callable[[Job, User], bool], done: str, why: str
    ) -> None:
        """Perform a command on each job, and report for how many it was impossible, and why."""
        outcomes = [command(job, cast(User, request.user)) for job in queryset]
        if any(outcomes):
            self.message_user(request, f"{_jobs(sum(outcomes))} {done}.", messages.SUCCESS)
        if not all(outcomes):
            self.message_user(request, f"{_jobs(outcomes.count(False))} left alone. {why}", messages.WARNING)

    # -- the page of one job ------------------------------------------------------------------------------------

    def get_urls(self) -> list[URLPattern]:
        """Add the URL that reruns a job."""
        rerun = path("<uuid:pk>/rerun/", self.admin_site.admin_view(self.rerun), name="webapp_job_rerun")
        return [rerun, *super().get_urls()]

    def change_view(self, request: HttpRequest, object_id: str, *_: Any, **__: Any) -> HttpResponse:
        """Show everything about a job, with its actions. ?beside=<id> compares it with another job of the song."""
        if request.method not in ("GET", "HEAD"):
            return HttpResponseNotAllowed(["GET", "HEAD"])
        job = self.get_object(request, object_id)
        if not self.has_view_permission(request, job):
            raise PermissionDenied
        if job is None:
            raise Http404
        choices = self.get_action_choices(request, [])
        actions = {name: label for name, label in choices if is_possible(name, job)}
        context = self.admin_site.each_context(request) | job_page(job, request.GET.get("beside", ""))
        context |= {"opts": self.opts, "actions": actions, "form": RerunForm()}
        return TemplateResponse(request, "admin/webapp/job/page.html", context)

    def rerun(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        """Separate the song again with other options, and show both results."""
        job, form = get_object_or_404(Job, pk=pk), RerunForm(request.POST)
        if not self.has_review_permission(request):
            raise PermissionDenied
        if request.method != "POST" or not form.is_valid():
            self.message_user(request, f"These settings do not work together. {form.errors.as_text()}", messages.ERROR)
            return redirect(JOB_PAGE, pk)
        job_beside = moderation.rerun(job, form.options(), cast(User, request.user))
        self.message_user(request, "The rerun is queued. It is shown beside the first result.", messages.SUCCESS)
        return redirect(f"{reverse(JOB_PAGE, args=[pk])}?beside={job_beside.pk}")


def _jobs(count: int) -> str:
    return f"{count} job{'' if count == 1 else 's'}"


@admin.register(Export)
class ExportAdmin(ReadOnly, admin.ModelAdmin[Export]):
    """Files rendered for download. Deleting a row deletes the file."""

    list_display = ("filename", "state", "progress", "size", "created_at")
    list_filter = ("state",)
    search_fields = ("filename", "job__track__owner__username")


@admin.register(Worker)
class WorkerAdmin(ReadOnly, admin.ModelAdmin[Worker]):
    """Workers with a heartbeat in the last day."""

    list_display = ("name", "provider", "heartbeat_at")
