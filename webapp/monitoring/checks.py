"""Faults of a deployment that `manage.py check` finds before people do."""

import os
from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register

from pipeline.options import model_cards


@register(Tags.files)
def data_is_writable(**_: Any) -> list[CheckMessage]:
    """Everything is kept in the data folder."""
    if os.access(settings.DATA, os.W_OK | os.X_OK):
        return []
    hint = "Change its owner, or set SOUNDSCAPE_DATA to another folder."
    return [Error(f"The data folder {settings.DATA} cannot be written to.", hint=hint, id="webapp.E001")]


@register()
def model_is_installed(**_: Any) -> Sequence[CheckMessage]:
    """Without it every job fails."""
    missing = [card.name for card in model_cards() if not card.installed]
    if not missing:
        return []
    return [Warning(f"Model not installed: {', '.join(missing)}.", hint="python manage.py setup", id="webapp.W001")]


@register(Tags.staticfiles)
def player_is_installed(**_: Any) -> list[CheckMessage]:
    """The page takes its waveforms from an npm package."""
    if settings.WAVESURFER.is_dir():
        return []
    return [Warning("wavesurfer.js is not installed.", hint="npm ci --omit=dev", id="webapp.W002")]


@register(deploy=True)
def hosts_are_named(**_: Any) -> list[CheckMessage]:
    """A wildcard lets others point their names at this site."""
    if "*" not in settings.ALLOWED_HOSTS:
        return []
    return [Warning("SOUNDSCAPE_HOSTS allows any name.", hint="Name your hosts.", id="webapp.W003")]


@register()
def proxy_is_named(**_: Any) -> list[CheckMessage]:
    """Where a proxy ends TLS that is not believed, every page leads to itself."""
    if settings.PROXIES or not settings.HTTPS:
        return []
    hint = "Name it in SOUNDSCAPE_PROXIES, unless the web server itself speaks https."
    return [Warning("SOUNDSCAPE_HTTPS is on, and no proxy is believed that ends TLS.", hint=hint, id="webapp.W004")]
