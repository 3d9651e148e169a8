"""The help page, and the links to it from every page."""

import pytest
from django.test import Client

from pipeline.options import FORMATS, bleeds
from webapp import __version__

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("path", ["/", "/accounts/login/", "/nowhere/"])
def test_every_page_leads_to_help_and_to_the_api_and_says_its_version(path):
    footer = Client().get(path).content.decode().partition("<footer")[2]
    assert '<a href="/help/">Help</a>' in footer
    assert '<a href="/api/v1/docs/">API</a>' in footer
    assert f"SoundScape {__version__}" in footer


def test_help_says_what_can_be_uploaded_and_exported_and_what_words_mean(settings):
    settings.MAX_UPLOAD_BYTES, settings.MAX_SECONDS = 300_000_000, 5400.0
    page = " ".join(Client().get("/help/").content.decode().replace("\xa0", " ").split())
    assert "up to 300 MB and 1.5 hours per song" in page
    for text in (*FORMATS.values(), *(bleed.meaning for bleed in bleeds().values())):
        assert text in page
    for word in ("Stem", "Other", "Bleed", "Residual", "A/B"):
        assert f"<dt>{word}</dt>" in page
    assert "Contact the people who run this site." in page


def test_the_keys_are_the_same_in_help_and_in_the_mixer(browser, make_job):
    help_page, song = (browser.get(path).content.decode() for path in ("/help/", make_job().get_absolute_url()))
    keys = help_page.partition('<dl class="keys">')[2].partition("</dl>")[0]
    assert "<kbd>Space</kbd>" in keys
    assert keys in song
