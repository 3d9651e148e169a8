"""The URLs of the whole site."""

from django.contrib import admin
from django.urls import include, path

from webapp.http import problems
from webapp.monitoring import health, prometheus

handler404 = problems.not_found
handler500 = problems.uncaught
urlpatterns = [
    path("", include("webapp.pages.urls")),
    path("api/v1/", include("webapp.api.urls")),
    path("admin/", admin.site.urls),
    path("healthz", health.healthz, name="healthz"),
    path("metrics", prometheus.metrics, name="metrics"),
]
