"""Registers what Django must know at start: checks of the deployment and the clean-up of files."""

from django.apps import AppConfig
from django.contrib.admin import apps as admin


class WebappConfig(AppConfig):
    """SoundScape's one Django application."""

    name = "webapp"
    verbose_name = "SoundScape"

    def ready(self) -> None:
        """Connect the receivers."""
        from webapp.admin import model_admins  # noqa: F401, PLC0415 - models are ready only now
        from webapp.monitoring import checks  # noqa: F401, PLC0415 - models are ready only now
        from webapp.storage import cleanup  # noqa: F401, PLC0415 - models are ready only now


class ConsoleConfig(admin.AdminConfig):
    """Django's admin, as `admin.site` has it."""

    default = False
    default_site = "webapp.admin.site.Console"
