"""The URLs of the API, below /api/v1/."""

from typing import Any

from django.urls import path
from drf_spectacular.views import SpectacularAPIView

from webapp.api import docs, downloads, events, media
from webapp.api.exports import ExportViewSet
from webapp.api.jobs import JobViewSet
from webapp.api.me import Me, Models
from webapp.api.pagination import Pages
from webapp.api.root import Root
from webapp.api.tokens import TokenViewSet
from webapp.api.tracks import TrackViewSet
from webapp.api.tus import UploadViewSet, upload
from webapp.api.webhooks import WebhookViewSet
from webapp.http import problems

ONE: Any = {"get": "retrieve", "patch": "partial_update", "delete": "destroy"}
ORIGINAL = "jobs/<uuid:pk>/original"
EXPORT = "jobs/<uuid:pk>/exports/<uuid:export>"
WEBHOOK = "webhooks/<uuid:pk>"
STEM = "jobs/<uuid:pk>/stems/<slug:name>"
urlpatterns = [
    path("", Root.as_view(), name="api-root"),
    path("schema/", SpectacularAPIView.as_view(), name="schema"),
    path("docs/", docs.ApiDocs.as_view(), name="docs"),
    path("problems/", problems.page, name="problems"),
    path("me/", Me.as_view(), name="api-me"),
    path("models/", Models.as_view(), name="api-models"),
    path("tokens/", TokenViewSet.as_view({"get": "list", "post": "create"}), name="api-tokens"),
    path("tokens/<uuid:pk>/", TokenViewSet.as_view({"delete": "destroy"}), name="api-token"),
    path("tracks/", TrackViewSet.as_view({"get": "list", "post": "create"}), name="api-tracks"),
    path("tracks/<uuid:pk>/", TrackViewSet.as_view(ONE), name="api-track"),
    path("tracks/<uuid:pk>/file", media.track, name="track-file"),
    path("webhooks/", WebhookViewSet.as_view({"get": "list", "post": "create"}), name="api-webhooks"),
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
    path("uploads/", UploadViewSet.as_view({"post": "create"}), name="api-uploads"),
    path("uploads/<uuid:pk>/", upload, name="api-upload"),
    path("jobs/", JobViewSet.as_view({"get": "list", "post": "create"}), name="api-jobs"),
    path("jobs/demo/", JobViewSet.as_view({"post": "demo"}), name="api-demo"),
    path("jobs/events/", events.my_jobs, name="jobs-events"),
    path("jobs/<uuid:pk>/", JobViewSet.as_view(ONE), name="api-job"),
    path("jobs/<uuid:pk>/cancel/", JobViewSet.as_view({"post": "cancel"}), name="api-job-cancel"),
    path("jobs/<uuid:pk>/retry/", JobViewSet.as_view({"post": "retry"}), name="api-job-retry"),
    path("jobs/<uuid:pk>/restore/", JobViewSet.as_view({"post": "restore"}), name="api-job-restore"),
    path("jobs/<uuid:pk>/stems/", JobViewSet.as_view({"get": "stems", "post": "reselect"}), name="api-job-stems"),
    path(f"{STEM}/", JobViewSet.as_view({"get": "stem"}), name="api-job-stem"),
    path("jobs/<uuid:pk>/detection/", media.detection, name="job-detection"),
    path("jobs/<uuid:pk>/events/", events.one_job, name="job-events"),
    path(
        "jobs/<uuid:pk>/exports/",
        ExportViewSet.as_view({"get": "list", "post": "create"}),
        name="api-exports",
    ),
    path(f"{EXPORT}/", ExportViewSet.as_view({"get": "retrieve", "delete": "destroy"}), name="api-export"),
    path(f"{EXPORT}/file", media.export, name="export-file"),
    path("jobs/<uuid:pk>/stems.zip", downloads.stems, name="job-stems-zip"),
    path("jobs/<uuid:pk>/mix", downloads.mix, name="job-mix"),
    path("jobs/<uuid:pk>/thumbnail", media.thumbnail, name="job-thumbnail"),
    path("jobs/<uuid:pk>/cover", media.cover, name="job-cover"),
    path(f"{ORIGINAL}/segments/<int:index>.flac", media.original_segment, name="original-segment"),
    path(f"{ORIGINAL}/peaks", media.original_peaks, name="original-peaks"),
    path(f"{STEM}/segments/<int:index>.flac", media.segment, name="stem-segment"),
    path(f"{STEM}/draft/<int:index>.flac", media.draft_segment, name="stem-draft"),
    path(f"{STEM}/peaks", media.peaks, name="stem-peaks"),
    path(f"{STEM}/spectrogram", media.spectrogram, name="stem-spectrogram"),
    path(f"{STEM}/download", downloads.stem, name="stem-download"),
]
