"""The administrator's lists: jobs to review, tracks, files to take along, workers, accounts.

Rows change by verbs only, so they are shown and not edited: what can be done with them are actions. The page of one job
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


class Shown:
    """Rows that enter and change by themselves."""

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ARG002
        """Nobody adds one by hand."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ARG002
        """Look, don't touch."""
        return False


@admin.register(User)
class AccountAdmin(UserAdmin[User]):
    """Members and guests."""

    list_display = ("username", "email", "is_guest", "on_hold", "is_staff", "date_joined")
    list_filter = ("is_guest", "on_hold", "is_staff", "is_superuser", "is_active")
    readonly_fields = ("is_guest", "on_hold")
    actions = ("hold", "let_go")

    @admin.action(description="Hold their jobs", permissions=["change"])
    def hold(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        """Nothing of theirs starts any more."""
        self.message_user(request, f"{moderation.hold(queryset)} on hold: no more of their jobs start.")

    @admin.action(description="Let their jobs go on", permissions=["change"])
    def let_go(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        """In their old places."""
        self.message_user(request, f"{moderation.release(queryset)} not on hold any more.")


@admin.register(Token)
class TokenAdmin(Shown, admin.ModelAdmin[Token]):
    """Members' tokens, without what is secret: to see who lets programs in, and to revoke."""

    list_display = ("name", "user", "scopes", "token_key", "created", "last_used", "expiry")
    list_select_related = ("user",)
    search_fields = ("name", "user__username", "token_key")
    fields = list_display


@admin.register(Track)
class TrackAdmin(admin.ModelAdmin[Track]):
    """Uploads."""

    list_display = ("title", "owner", "filename", "size", "created_at")
    list_select_related = ("owner",)
    search_fields = ("title", "filename", "owner__username")
    raw_id_fields = ("owner",)
    show_full_result_count = False


class ByFlag(admin.ChoicesFieldListFilter):
    """By what a job's own report says against it."""

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self.title = "flag"


class WithNote(ActionForm):
    """What to do with jobs, and why."""

    note = forms.CharField(label="Note:", required=False, max_length=1000)


@admin.register(Job)
class JobAdmin(Shown, admin.ModelAdmin[Job]):
    """Jobs: their review, and what else can be done with them."""

    list_display = (
        "title", "created_at", "owner", "state", "review", "flagged", "length", "stems", "preset", "spent", "null_db",
    )  # fmt: skip
    list_select_related = ("track__owner",)
    list_filter = ("review", ("flags__kind", ByFlag), "state", "cause", "created_at")
    search_fields = ("track__title", "track__owner__username")
    search_help_text = "Words of the title, the owner's name, or a job's id."
    sortable_by = ("created_at",)
    ordering = ("-created_at",)
    show_full_result_count = False
    action_form = WithNote
    actions = ("approve", "needs_work", "reject", "cancel", "requeue", "hand_over", "empty")

    # -- the list -----------------------------------------------------------------------------------------------

    def get_queryset(self, request: HttpRequest) -> QuerySet[Job]:
        """With all that a row shows."""
        return super().get_queryset(request).prefetch_related("flags", "stems")

    def get_search_results(self, request: HttpRequest, queryset: QuerySet[Job], term: str) -> tuple[Any, bool]:
        """An id finds its job at once."""
        try:
            return queryset.filter(pk=UUID(term)), False
        except ValueError:
            return super().get_search_results(request, queryset, term)

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest | None = None) -> bool:
        """Also the jobs of one owner, to which other pages lead."""
        return lookup == "track__owner" or super().lookup_allowed(lookup, value, request)  # type: ignore[arg-type]

    @admin.display(ordering="track__title")
    def title(self, job: Job) -> str:
        """The song's."""
        return f"{job.track.title} (second try)" if job.rerun_of_id else job.track.title

    @admin.display
    def owner(self, job: Job) -> str:
        """Whose it is; a guest's name is long and says nothing."""
        return "a guest" if job.track.owner.is_guest else job.track.owner.username

    @admin.display
    def flagged(self, job: Job) -> str:
        """What its own report says against it."""
        return ", ".join(flag.get_kind_display() for flag in job.flags.all())

    @admin.display
    def length(self, job: Job) -> str:
        """Of the song."""
        return str(timedelta(seconds=int(job.duration))) if job.duration else ""

    @admin.display
    def stems(self, job: Job) -> str:
        """What came out."""
        return ", ".join(stem.name for stem in job.stems.all())

    @admin.display
    def preset(self, job: Job) -> str:
        """Of models."""
        return str(job.options.get("preset", "default"))

    @admin.display(description="time spent")
    def spent(self, job: Job) -> str:
        """By the worker."""
        return time_spent(job)

    @admin.display(description="null (dB)")
    def null_db(self, job: Job) -> str:
        """What the stems miss of the song."""
        missed = job.report.get("null_db")
        return "" if missed is None else f"{missed:.0f}"

    # -- what can be done ---------------------------------------------------------------------------------------

    def has_review_permission(self, request: HttpRequest) -> bool:
        """Reviewers, and who may do anything."""
        return request.user.has_perm("webapp.review_job")

    def has_manage_permission(self, request: HttpRequest) -> bool:
        """Who may change jobs, by verbs."""
        return request.user.has_perm("webapp.change_job")

    def response_action(self, request: HttpRequest, queryset: QuerySet[Any], *more: Any) -> HttpResponse | None:
        """After an action from a job's page, back there."""
        response = super().response_action(request, queryset, *more)
        if "page" not in request.POST or (response and response.status_code == 200):
            return response
        return redirect(JOB_PAGE, request.POST["page"])

    @admin.action(description="Approve", permissions=["review"])
    def approve(self, request: HttpRequest, queryset: QuerySet[Job]) -> None:
        """The result is good."""
        self._decide(request, queryset, Verdict.APPROVED)

    @admin.action(description="Needs work", permissions=["review"])
    def needs_work(self, request: HttpRequest, queryset: QuerySet[Job]) -> None:
        """It could be better."""
        self._decide(request, queryset, Verdict.NEEDS_WORK)

    @admin.action(description="Reject", permissions=["review"])
    def reject(self, request: HttpRequest, queryset: QuerySet[Job]) -> None:
        """It is of no use."""
        self._decide(request, queryset, Verdict.REJECTED)

    @admin.action(description="Cancel", permissions=["manage"])
    def cancel(self, request: HttpRequest, queryset: QuerySet[Job]) -> None:
        """Stop what waits or runs."""
        self._each(request, queryset, actions.cancel, "cancelled", "Only what waits or runs can be cancelled.")

    @admin.action(description="Put back in the queue", permissions=["manage"])
    def requeue(self, request: HttpRequest, queryset: QuerySet[Job]) -> None:
        """Begin anew."""
        why = "What waits already, or is done, can't be put back: run it again instead."
        self._each(request, queryset, moderation.requeue, "put back in the queue", why)

    @admin.action(description="Hand a second try over to the owner", permissions=["manage"])
    def hand_over(self, request: HttpRequest, queryset: QuerySet[Job]) -> None:
        """The owner has it beside the first."""
        why = "Only a finished second try can be handed over."
        self._each(request, queryset, moderation.hand_over, "handed over", why)

    @admin.action(description="Remove files, keep the upload", permissions=["manage"])
    def empty(self, request: HttpRequest, queryset: QuerySet[Job]) -> None:
        """Make room."""
        self._each(request, queryset, moderation.empty, "emptied", "Cancel what waits or runs first.")

    def _decide(self, request: HttpRequest, queryset: QuerySet[Job], verdict: Verdict) -> None:
        count = verdicts.decide(queryset, verdict, request.POST.get("note", ""), cast(User, request.user))
        self.message_user(request, f"{_jobs(count)}: {verdict.label.lower()}.", messages.SUCCESS)

    def _each(
        self, request: HttpRequest, queryset: QuerySet[Job], verb: Callable[[Job, User], bool], done: str, why: str
    ) -> None:
        """Do it to each, and say of how many it couldn't be done, and why."""
        answers = [verb(job, cast(User, request.user)) for job in queryset]
        if any(answers):
            self.message_user(request, f"{_jobs(sum(answers))} {done}.", messages.SUCCESS)
        if not all(answers):
            self.message_user(request, f"{_jobs(answers.count(False))} left alone. {why}", messages.WARNING)

    # -- the page of one job ------------------------------------------------------------------------------------

    def get_urls(self) -> list[URLPattern]:
        """One more: to run a job again."""
        again = path("<uuid:pk>/again/", self.admin_site.admin_view(self.again), name="webapp_job_again")
        return [again, *super().get_urls()]

    def change_view(self, request: HttpRequest, object_id: str, *_: Any, **__: Any) -> HttpResponse:
        """All that is known of a job, and what can be said of it. ?beside=<id>: next to another result of the song."""
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

    def again(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        """Separate the song once more with other settings, and show both."""
        job, form = get_object_or_404(Job, pk=pk), RerunForm(request.POST)
        if not self.has_review_permission(request):
            raise PermissionDenied
        if request.method != "POST" or not form.is_valid():
            self.message_user(request, f"These settings don't go together. {form.errors.as_text()}", messages.ERROR)
            return redirect(JOB_PAGE, pk)
        rerun = moderation.rerun(job, form.options(), cast(User, request.user))
        self.message_user(request, "It is separated again, as you see beside the first result.", messages.SUCCESS)
        return redirect(f"{reverse(JOB_PAGE, args=[pk])}?beside={rerun.pk}")


def _jobs(count: int) -> str:
    return f"{count} job{'' if count == 1 else 's'}"


@admin.register(Export)
class ExportAdmin(Shown, admin.ModelAdmin[Export]):
    """Files made to be taken along. Deleting a row deletes the file."""

    list_display = ("filename", "state", "progress", "size", "created_at")
    list_filter = ("state",)
    search_fields = ("filename", "job__track__owner__username")


@admin.register(Worker)
class WorkerAdmin(Shown, admin.ModelAdmin[Worker]):
    """Workers seen in the last day; they enter themselves."""

    list_display = ("name", "provider", "heartbeat_at")
