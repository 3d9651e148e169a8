"""`manage.py setup`: model, database, static files, demo song. Run it at any time: it skips what is there."""

import sys
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError

from pipeline.options import ModelUnavailable, install_models, model_cards


class Command(BaseCommand):
    """Make the installation ready to serve."""

    help = "Fetch the model, prepare the database and static files, and compose the demo song."
    requires_system_checks = []  # they find what this command is about to mend

    def handle(self, *_args: Any, **_options: Any) -> None:
        """One line for each step."""
        self._step("Database", self._database)
        self._step("Static files", self._static)
        self._step("Model", self._model)
        self._step("Demo song", self._demo)

    def _step(self, name: str, action: Any) -> None:
        self.stdout.write(f"{name} ... ", ending="")
        self.stdout.flush()
        self.stdout.write(action())

    def _database(self) -> str:
        call_command("migrate", interactive=False, verbosity=0)
        return "ready"

    def _static(self) -> str:
        call_command("collectstatic", interactive=False, verbosity=0)
        return "collected"

    def _model(self) -> str:
        try:
            install_models(on_progress=self._downloaded)
        except ModelUnavailable as error:
            raise CommandError(error.message) from error
        return ", ".join(f"{card.name} ({card.licence})" for card in model_cards())

    def _downloaded(self, model: str, done: int, total: int) -> None:
        """A counter that overwrites itself; in a log file it would be noise."""
        if sys.stdout.isatty():
            self.stdout.write(f"\rModel ... {model}: {done / 1e6:.0f} of {total / 1e6:.0f} MB ", ending="")
            self.stdout.flush()

    def _demo(self) -> str:
        if settings.DEMO_SONG.exists():
            return "there"
        from pipeline import demo  # noqa: PLC0415 - NumPy and an encoder, needed once in a lifetime

        demo.write(settings.DEMO_SONG)
        return "composed"
