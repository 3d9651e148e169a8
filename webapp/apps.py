"""The Django applications: registers the admin, deployment checks and the clean-up of files at start."""

from django.apps import AppConfig
from django.contrib.admin import apps as admin


class WebappConfig(AppConfig):
    """SoundScape's one Django application."""

    name = "webapp"
    verbose_name = "SoundScape"

    def ready(self) -> None:
        from webapp.admin import model_admins  # noqa: F401, PLC0415 - models are ready only now
        from webapp.monitoring import checks  # noqa: F401, PLC0415 - models are ready only now
        from webapp.storage import cleanup  # noqa: F401, PLC0415 - models are ready only now


class AdminSiteConfig(admin.AdminConfig):
    """Django's admin with the site of `webapp.admin.site`."""

    default = False
    default_site = "webapp.admin.site.AdminSite"
