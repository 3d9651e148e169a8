"""Checks of a deployment, run by `manage.py check`."""

import os
from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register

from pipeline.options import model_cards


@register(Tags.files)
def data_is_writable(**_: Any) -> list[CheckMessage]:
    """Check that the data folder, which holds everything, is writable."""
    if os.access(settings.DATA, os.W_OK | os.X_OK):
        return []
    hint = "Change its owner, or set SOUNDSCAPE_DATA to another folder."
    return [Error(f"The data folder {settings.DATA} cannot be written to.", hint=hint, id="webapp.E001")]


@register()
def model_is_installed(**_: Any) -> Sequence[CheckMessage]:
    """Check that the models are installed, without which every job fails."""
    missing = [card.name for card in model_cards() if not card.installed]
    if not missing:
        return []
    return [Warning(f"Model not installed: {', '.join(missing)}.", hint="python manage.py setup", id="webapp.W001")]


@register(Tags.staticfiles)
def player_is_installed(**_: Any) -> list[CheckMessage]:
    """Check that the npm package that draws waveforms is installed."""
    if settings.WAVESURFER.is_dir():
        return []
    return [Warning("wavesurfer.js is not installed.", hint="npm ci --omit=dev", id="webapp.W002")]


@register(deploy=True)
def hosts_are_named(**_: Any) -> list[CheckMessage]:
    """Check for a wildcard host, with which others could point their domains at this site."""
    if "*" not in settings.ALLOWED_HOSTS:
        return []
    return [Warning("SOUNDSCAPE_HOSTS allows any name.", hint="Name your hosts.", id="webapp.W003")]


@register()
def proxy_is_named(**_: Any) -> list[CheckMessage]:
    """Check that a proxy is trusted if TLS ends there; otherwise every page would redirect to itself."""
    if settings.PROXIES or not settings.HTTPS:
        return []
    hint = "Name the proxy that ends TLS in SOUNDSCAPE_PROXIES, unless the web server itself speaks HTTPS."
    return [Warning("SOUNDSCAPE_HTTPS is on, but no proxy is trusted.", hint=hint, id="webapp.W004")]
