"""Registers what Django must know at start: checks of the deployment and the clean-up of files."""

from django.apps import AppConfig


class WebappConfig(AppConfig):
    """SoundScape's one Django application."""

    name = "webapp"
    verbose_name = "SoundScape"

    def ready(self) -> None:
        """Connect the receivers."""
        from webapp import checks, cleanup  # noqa: F401, PLC0415 - models are ready only now
