"""Every address of the site."""

from typing import Any

from django.contrib import admin
from django.urls import path
from drf_spectacular.views import SpectacularAPIView

from webapp import (
    events,
    exports,
    files,
    health,
    membership,
    metrics,
    problems,
    takeout,
    token_pages,
    views,
    webhook_pages,
)
from webapp.api.exports import ExportViewSet
from webapp.api.jobs import JobViewSet
from webapp.api.me import Me, Models
from webapp.api.pagination import Pages
from webapp.api.root import Root
from webapp.api.tokens import TokenViewSet
from webapp.api.tracks import TrackViewSet
from webapp.api.uploads import UploadViewSet, upload
from webapp.api.webhooks import WebhookViewSet

ONE: Any = {"get": "retrieve", "patch": "partial_update", "delete": "destroy"}
ORIGINAL = "api/v1/jobs/<uuid:pk>/original"
EXPORT = "api/v1/jobs/<uuid:pk>/exports/<uuid:export>"
WEBHOOK = "api/v1/webhooks/<uuid:pk>"
STEM = "api/v1/jobs/<uuid:pk>/stems/<slug:name>"

handler404 = problems.not_found
handler500 = problems.uncaught
urlpatterns = [
    path("", views.home, name="home"),
    path("jobs/<uuid:pk>/", views.job, name="job"),
    path("help/", views.help_page, name="help"),
    path("accounts/", membership.account, name="account"),
    path("accounts/signup/", membership.SignUp.as_view(), name="signup"),
    path("accounts/login/", membership.Login.as_view(), name="login"),
    path("accounts/logout/", membership.Logout.as_view(), name="logout"),
    path("accounts/email/", membership.Email.as_view(), name="email"),
    path("accounts/password/", membership.Password.as_view(), name="password"),
    path("accounts/password/forgotten/", membership.Forgotten.as_view(), name="password-forgotten"),
    path("accounts/password/<uidb64>/<token>/", membership.Reset.as_view(), name="password-reset"),
    path("accounts/data/", takeout.takeout, name="takeout"),
    path("accounts/delete/", membership.Farewell.as_view(), name="farewell"),
    path("accounts/tokens/", token_pages.MakeToken.as_view(), name="tokens"),
    path("accounts/tokens/<uuid:pk>/revoke/", token_pages.RevokeToken.as_view(), name="revoke-token"),
    path("accounts/webhooks/", webhook_pages.MakeWebhook.as_view(), name="webhooks"),
    path("accounts/webhooks/<uuid:pk>/", webhook_pages.OneWebhook.as_view(), name="webhook"),
    path(
        "accounts/webhooks/<uuid:pk>/deliveries/<uuid:delivery>/redeliver/",
        webhook_pages.Redeliver.as_view(),
        name="webhook-redeliver",
    ),
    path("admin/", admin.site.urls),
    path("healthz", health.healthz, name="healthz"),
    path("metrics", metrics.metrics, name="metrics"),
    path("api/v1/", Root.as_view(), name="api-root"),
    path("api/v1/schema/", SpectacularAPIView.as_view(), name="schema"),
    path("api/v1/docs/", views.ApiDocs.as_view(), name="docs"),
    path("api/v1/problems/", problems.page, name="problems"),
    path("api/v1/me/", Me.as_view(), name="api-me"),
    path("api/v1/models/", Models.as_view(), name="api-models"),
    path("api/v1/tokens/", TokenViewSet.as_view({"get": "list", "post": "create"}), name="api-tokens"),
    path("api/v1/tokens/<uuid:pk>/", TokenViewSet.as_view({"delete": "destroy"}), name="api-token"),
    path("api/v1/tracks/", TrackViewSet.as_view({"get": "list", "post": "create"}), name="api-tracks"),
    path("api/v1/tracks/<uuid:pk>/", TrackViewSet.as_view(ONE), name="api-track"),
    path("api/v1/tracks/<uuid:pk>/file", files.track, name="track-file"),
    path("api/v1/webhooks/", WebhookViewSet.as_view({"get": "list", "post": "create"}), name="api-webhooks"),
    path(f"{WEBHOOK}/", WebhookViewSet.as_view(ONE), name="api-webhook"),
    path(f"{WEBHOOK}/rotate/", WebhookViewSet.as_view({"post": "rotate"}), name="api-webhook-rotate"),
    path(f"{WEBHOOK}/ping/", WebhookViewSet.as_view({"post": "ping"}), name="api-webhook-ping"),
    path(
        f"{WEBHOOK}/deliveries/",
        WebhookViewSet.as_view({"get": "deliveries"}, pagination_class=Pages),
        name="api-webhook-deliveries",
    ),
    path(
        f"{WEBHOOK}/deliveries/<uuid:delivery>/redeliver/",
        WebhookViewSet.as_view({"post": "redeliver"}),
        name="api-webhook-redeliver",
    ),
    path("api/v1/uploads/", UploadViewSet.as_view({"post": "create"}), name="api-uploads"),
    path("api/v1/uploads/<uuid:pk>/", upload, name="api-upload"),
    path("api/v1/jobs/", JobViewSet.as_view({"get": "list", "post": "create"}), name="api-jobs"),
    path("api/v1/jobs/demo/", JobViewSet.as_view({"post": "demo"}), name="api-demo"),
    path("api/v1/jobs/events/", events.my_jobs, name="jobs-events"),
    path("api/v1/jobs/<uuid:pk>/", JobViewSet.as_view(ONE), name="api-job"),
    path("api/v1/jobs/<uuid:pk>/cancel/", JobViewSet.as_view({"post": "cancel"}), name="api-job-cancel"),
    path("api/v1/jobs/<uuid:pk>/retry/", JobViewSet.as_view({"post": "retry"}), name="api-job-retry"),
    path("api/v1/jobs/<uuid:pk>/restore/", JobViewSet.as_view({"post": "restore"}), name="api-job-restore"),
    path("api/v1/jobs/<uuid:pk>/stems/", JobViewSet.as_view({"get": "stems", "post": "choose"}), name="api-job-stems"),
    path(f"{STEM}/", JobViewSet.as_view({"get": "stem"}), name="api-job-stem"),
    path("api/v1/jobs/<uuid:pk>/detection/", files.detection, name="job-detection"),
    path("api/v1/jobs/<uuid:pk>/events/", events.one_job, name="job-events"),
    path(
        "api/v1/jobs/<uuid:pk>/exports/",
        ExportViewSet.as_view({"get": "list", "post": "create"}),
        name="api-exports",
    ),
    path(f"{EXPORT}/", ExportViewSet.as_view({"get": "retrieve", "delete": "destroy"}), name="api-export"),
    path(f"{EXPORT}/file", files.export, name="export-file"),
    path("api/v1/jobs/<uuid:pk>/stems.zip", exports.stems, name="job-stems-zip"),
    path("api/v1/jobs/<uuid:pk>/mix", exports.mix, name="job-mix"),
    path("api/v1/jobs/<uuid:pk>/thumbnail", files.thumbnail, name="job-thumbnail"),
    path("api/v1/jobs/<uuid:pk>/cover", files.cover, name="job-cover"),
    path(f"{ORIGINAL}/segments/<int:index>.flac", files.original_segment, name="original-segment"),
    path(f"{ORIGINAL}/peaks", files.original_peaks, name="original-peaks"),
    path(f"{STEM}/segments/<int:index>.flac", files.segment, name="stem-segment"),
    path(f"{STEM}/draft/<int:index>.flac", files.draft_segment, name="stem-draft"),
    path(f"{STEM}/peaks", files.peaks, name="stem-peaks"),
    path(f"{STEM}/spectrogram", files.spectrogram, name="stem-spectrogram"),
    path(f"{STEM}/download", exports.stem, name="stem-download"),
]
