"""The title of a song: on the site, in the API, in searches, and in the tags of files made from it."""

import io
from typing import Any
from zipfile import ZipFile

import av
import numpy as np
import pytest
from django.core.files.base import ContentFile
from support.acting import fresh

from ensemble import registry
from pipeline import separate
from pipeline.audio.encode import Encoder
from pipeline.audio.recording import SAMPLE_RATE
from pipeline.audio.tags import Tags, read
from webapp.models import State
from webapp.songs import actions
from webapp.worker import tasks

pytestmark = pytest.mark.django_db
STEMS = ["vocals", "drums", "bass", "other"]
TAGGED = Tags("Code Monkey", artist="Jonathan Coulton")


class Quarters(separate.Separator):
    """Replaces the networks: every stem is a quarter of the mixture."""

    def __init__(self, *_: Any):
        self.model = registry.model("htdemucs")
        self.provider, self.missing, self.segment, self.mean = "CPU", [], self.model.segment, 0.0
        self.stems = self.sources = STEMS

    @property
    def loaded(self):
        return [self]

    def __call__(self, mixture):
        return np.stack([mixture / 4] * 4)


@pytest.fixture(autouse=True)
def quick(monkeypatch, settings):
    monkeypatch.setattr(separate, "Separator", Quarters)
    monkeypatch.setattr(registry, "TAGGER", "umxhq")  # not installed, so no instruments are detected
    settings.DRAFT = False


@pytest.fixture
def upload(owner, tmp_path):
    """Uploads a second of noise as a file of that name."""

    def add(filename, tags=None, title=""):
        path = tmp_path / "upload.flac"
        with Encoder(path, "flac", "16", tags or Tags()) as encoder:
            encoder.write(np.random.default_rng(3).uniform(-0.1, 0.1, (2, SAMPLE_RATE)).astype(np.float32))
        return actions.upload_and_enqueue(owner, ContentFile(path.read_bytes()), filename, title=title)

    return add


def separated(job):
    tasks.separate()
    assert fresh(job).error == ""
    assert fresh(job).state == State.DONE
    return fresh(job)


def names(track):
    track.refresh_from_db()
    return track.title, track.artist


def title_in(audio):
    with av.open(io.BytesIO(audio)) as container:
        return read(container).title


@pytest.mark.parametrize(
    ("filename", "title"),
    [
        ("03_-_Code_Monkey.mp3", "03 - Code Monkey"),
        ("My Song.final.wav", "My Song.final"),
        ("___.flac", "Untitled"),
    ],
)
def test_a_song_without_tags_is_named_after_its_file(upload, filename, title):
    job = upload(filename)
    assert names(job.track) == (title, "")
    separated(job)
    assert names(job.track) == (title, "")


def test_a_song_with_tags_is_named_by_them_once_it_is_decoded(upload, browser):
    job = upload("track_03.flac", TAGGED)
    assert names(job.track) == ("track 03", "")
    separated(job)
    for path in (f"/api/v1/jobs/{job.pk}/", f"/api/v1/tracks/{job.track_id}/"):
        data = browser.get(path).json()
        assert (data["title"], data["artist"]) == ("Code Monkey", "Jonathan Coulton")
    page = browser.get(job.get_absolute_url()).content.decode()
    assert "<title>Code Monkey" in page and ">Jonathan Coulton<" in page


def test_a_title_given_at_upload_stays(upload):
    job = upload("track_03.flac", TAGGED, title="track 03")
    separated(job)
    assert names(job.track) == ("track 03", "Jonathan Coulton")


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_title_given_by_renaming_stays(upload, when):
    job = upload("track_03.flac", TAGGED)
    if when == "after":
        separated(job)
    actions.rename(job.track, "Mine")
    if when == "after":
        actions.reselect_stems(fresh(job), ["vocals"])
    separated(job)
    assert names(job.track) == ("Mine", "Jonathan Coulton")


def test_other_jobs_of_the_song_report_its_new_title(upload):
    job = upload("track_03.flac", TAGGED)
    other = actions.enqueue(job.track)
    before = fresh(other).updated_at
    separated(job)
    assert fresh(other).updated_at > before


@pytest.mark.parametrize("query", ["?search=coulton", "?search=code+COULTON", "?search=monkey+track_03"])
@pytest.mark.parametrize("kind", ["jobs", "tracks"])
def test_songs_are_found_by_artist(upload, browser, kind, query):
    separated(upload("track_03.flac", TAGGED))
    upload("Another.flac")
    found = browser.get(f"/api/v1/{kind}/{query}").json()["results"]
    assert [row["title"] for row in found] == ["Code Monkey"]


@pytest.mark.django_db(transaction=True)  # files are read, and made, in other threads
@pytest.mark.parametrize(("tags", "title"), [(Tags(), "track 03"), (TAGGED, "Code Monkey")])
def test_stems_carry_the_songs_title_also_after_a_rename(upload, fetch, owner, browser, tags, title):
    job = separated(upload("track_03.flac", tags))
    stems = browser.get(f"/api/v1/jobs/{job.pk}/").json()["stems"]

    def titles():
        one = [title_in(fetch(stem["download_url"], owner).body) for stem in stems]
        other = title_in(fetch(f"{stems[0]['download_url']}?format=flac&bits=16", owner).body)
        with ZipFile(io.BytesIO(fetch(f"/api/v1/jobs/{job.pk}/stems.zip", owner).body)) as archive:
            packed = [title_in(archive.read(name)) for name in archive.namelist()]
        assert packed == one and other == one[0]
        return one

    assert titles() == [f"{title} ({stem})" for stem in STEMS]
    actions.rename(job.track, "Mine")
    assert titles() == [f"Mine ({stem})" for stem in STEMS]
    actions.reselect_stems(fresh(job), STEMS[:2])
    separated(job)
    written = {stem.name: title_in(stem.file.read()) for stem in job.stems.all()}
    assert written == {stem: f"Mine ({stem})" for stem in ("vocals", "drums", "other")}
