#!/usr/bin/env python
"""Django's command line: `python manage.py setup`, `python manage.py serve`, and the rest."""

import os
import sys


def main() -> None:
    """Run one command."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "webapp.settings")
    from django.core.management import execute_from_command_line  # noqa: PLC0415 - after the line above

    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
