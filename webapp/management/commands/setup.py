"""`manage.py setup`: prepares models, database, static files and demo song. It skips what exists already."""

import sys
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError

from pipeline.options import ModelUnavailable, install_models, model_cards


class Command(BaseCommand):
    """Prepare an installation for `serve`."""

    help = "Download the models, prepare the database and static files, and compose the demo song."
    requires_system_checks = []  # they would find what this command is about to fix

    def handle(self, *_args: Any, **_options: Any) -> None:
        """Run all steps, and print a line for each."""
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
        """Print a counter that overwrites itself, unless the output goes to a file."""
        if sys.stdout.isatty():
            self.stdout.write(f"\rModel ... {model}: {done / 1e6:.0f} of {total / 1e6:.0f} MB ", ending="")
            self.stdout.flush()

    def _demo(self) -> str:
        if settings.DEMO_SONG.exists():
            return "exists"
        from pipeline import demo  # noqa: PLC0415 - loads NumPy and an encoder, and is needed only once

        demo.write(settings.DEMO_SONG)
        return "composed"
