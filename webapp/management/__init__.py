"""Management commands, run by manage.py."""
