"""The API of tracks: stored, found, renamed, deleted, separated more than once; paginated lists."""

import base64
from datetime import timedelta

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.utils import timezone
from support.acting import SONG, fresh, upload

from webapp.models import Idempotency, Job, State, Track
from webapp.songs import actions, queue

pytestmark = pytest.mark.django_db

TRACKS, JOBS = "/api/v1/tracks/", "/api/v1/jobs/"
ID = "00000000-0000-4000-8000-000000000000"


@pytest.fixture
def make_track(owner):
    def make(title="Song", user=None):
        return actions.add_track(user or owner, SimpleUploadedFile("x", SONG), f"{title}.wav")

    return make


def send(client, **more):
    return client.post(TRACKS, {"file": SimpleUploadedFile("Song.mp3", SONG)} | more)


def create_job(client, key="", **options):
    return client.post(JOBS, options, content_type="application/json", headers={"Idempotency-Key": key} if key else {})


def titles(client, path):
    return [row["title"] for row in client.get(path).json()["results"]]


class TestTracks:
    def test_an_upload_is_kept_and_waits(self, browser, owner, sent):
        answer = send(browser, title="Blue Monday")
        track = Track.objects.get()
        assert answer.status_code == 201 and answer["Location"] == f"{TRACKS}{track.pk}/"
        assert answer.json() == {
            "id": str(track.pk),
            "api_url": f"{TRACKS}{track.pk}/",
            "owner": owner.username,
            "title": "Blue Monday",
            "artist": "",
            "filename": "Song.mp3",
            "size": len(SONG),
            "created_at": track.created_at.isoformat(),
            "file_url": f"{TRACKS}{track.pk}/file",
            "jobs_url": f"{JOBS}?track={track.pk}",
        }
        assert browser.get(answer["Location"]).json() == answer.json()
        assert (track.owner, sent, Job.objects.count()) == (owner, [], 0)

    def test_without_a_title_it_is_called_as_its_file(self, browser):
        assert send(browser).json()["title"] == "Song"

    def test_what_is_no_song_is_refused(self, browser, settings):
        settings.MAX_UPLOAD_BYTES = 10
        assert send(browser).status_code == 413
        assert browser.post(TRACKS, {}).status_code == 400
        assert not Track.objects.exists()

    def test_a_visitor_becomes_a_guest_by_it(self):
        visitor = Client()
        assert send(visitor).status_code == 201
        assert titles(visitor, TRACKS) == ["Song"]

    def test_the_upload_comes_back_as_it_was(self, make_track, owner, fetch):
        answer = fetch(f"{TRACKS}{make_track('A/B').pk}/file", owner, Range="bytes=4-8")
        assert (answer.status, answer.body) == (206, SONG[4:9])
        assert answer.headers["Content-Disposition"] == 'attachment; filename="B.wav"'

    def test_renamed_with_its_jobs(self, browser, make_job):
        job = make_job()
        address = f"{TRACKS}{job.track_id}/"
        answer = browser.patch(address, {"title": "New"}, content_type="application/json")
        assert (answer.status_code, answer.json()["title"]) == (200, "New")
        assert browser.get(f"{JOBS}{job.pk}/").json()["title"] == "New"
        assert browser.patch(address, {"title": " "}, content_type="application/json").status_code == 400

    def test_deleted_with_its_jobs_which_can_be_brought_back(self, browser, make_job):
        job = make_job(State.DONE)
        address = f"{TRACKS}{job.track_id}/"
        assert browser.delete(address).status_code == 204
        assert browser.get(address).status_code == browser.get(f"{JOBS}{job.pk}/").status_code == 404
        assert titles(browser, TRACKS) == []
        browser.post(f"{JOBS}{job.pk}/restore/")
        assert titles(browser, TRACKS) == ["Song"]

    def test_one_without_jobs_is_gone_at_once_with_its_file(self, browser, make_track, settings, committing):
        track = make_track()
        with committing():
            assert browser.delete(f"{TRACKS}{track.pk}/").status_code == 204
        assert not Track.objects.exists()
        assert not list(settings.MEDIA_ROOT.rglob("*.wav"))

    def test_to_strangers_it_does_not_exist(self, make_track, stranger, fetch):
        client, address = Client(), f"{TRACKS}{make_track().pk}/"
        client.force_login(stranger)
        assert titles(client, TRACKS) == []
        for method in ("get", "patch", "delete"):
            assert getattr(client, method)(address).status_code == 404
        assert fetch(f"{address}file", stranger).status == fetch(f"{address}file").status == 404
        assert Track.objects.count() == 1


class TestStart:
    def test_a_track_is_separated_as_asked(self, browser, make_track, sent, committing):
        track = make_track("Twice")
        with committing():
            answer = create_job(browser, track=str(track.pk), stems=["drums"], bits="24", format="flac", bleed="off")
        assert answer.status_code == 201 and answer["Location"] == answer.json()["api_url"]
        data = answer.json()
        assert (data["track"], data["title"], data["stems_asked"]) == (str(track.pk), "Twice", ["drums"])
        assert (data["format"], data["bits"], data["bleed"], data["preset"]) == ("flac", "24", "off", "default")
        options = queue.options_of(Job.objects.get())
        assert (options.stems, options.bits, options.preset) == (("drums",), "24", "default")
        assert sent == ["webapp.tasks.separate"]
        create_job(browser, track=str(track.pk))
        assert (
            len(browser.get(data["track_url"]).json()["jobs_url"] and titles(browser, f"{JOBS}?track={track.pk}")) == 2
        )

    def test_one_song_at_a_time(self, browser, make_track):
        both = upload(browser, track=str(make_track().pk))
        assert (both.status_code, both.json()["errors"][0]["field"]) == (400, "track")
        assert create_job(browser).status_code == 400
        assert create_job(browser, track="x").status_code == create_job(browser, track=None).status_code == 400
        assert not Job.objects.exists()

    def test_a_strangers_track_does_not_exist(self, browser, make_track, stranger):
        theirs = create_job(browser, track=str(make_track(user=stranger).pk))
        nobodys = create_job(browser, track=ID)
        assert theirs.status_code == nobodys.status_code == 400
        assert not Job.objects.exists()

    def test_an_unknown_preset_is_named(self, browser, make_track):
        answer = create_job(browser, track=str(make_track().pk), preset="magic")
        assert answer.status_code == 400 and "magic" in str(answer.json())


class TestIdempotency:
    def test_a_repeated_request_makes_nothing_twice(self, browser, make_track, committing, sent):
        track = str(make_track().pk)
        with committing():
            first, second = (create_job(browser, key="k", track=track, stems=["drums"]) for _ in range(2))
        assert (first.status_code, second.status_code) == (201, 200)
        assert first.json()["id"] == second.json()["id"]
        assert (Job.objects.count(), len(sent)) == (1, 1)
        create_job(browser, key="other", track=track)
        create_job(browser, track=track)
        assert Job.objects.count() == 3

    def test_nor_does_a_repeated_upload(self, browser):
        answers = [
            browser.post(JOBS, {"file": SimpleUploadedFile("a.mp3", SONG)}, headers={"Idempotency-Key": "k"})
            for _ in "ab"
        ]
        assert [answer.status_code for answer in answers] == [201, 200]
        assert Track.objects.count() == 1

    def test_is_told_what_it_made_when_nothing_is_left_of_a_quota(self, browser, make_track, settings):
        options = {"track": str(make_track().pk)}
        made = create_job(browser, "k", **options)
        settings.MINUTES = settings.BYTES = 0
        again = create_job(browser, "k", **options)
        assert (again.status_code, again.json()["id"]) == (200, made.json()["id"])
        assert create_job(browser, "another", **options).status_code == 403

    def test_another_request_with_the_same_key_is_refused(self, browser, make_track):
        track = str(make_track().pk)
        create_job(browser, key="k", track=track)
        answer = create_job(browser, key="k", track=track, stems=["drums"])
        assert answer.status_code == 422 and "another key" in answer.json()["detail"].lower()
        assert Job.objects.count() == 1

    def test_keys_of_two_people_have_nothing_to_do_with_each_other(self, browser, make_track, stranger):
        create_job(browser, key="k", track=str(make_track().pk))
        client = Client()
        client.force_login(stranger)
        assert create_job(client, key="k", track=str(make_track(user=stranger).pk)).status_code == 201

    def test_what_was_deleted_does_not_come_back(self, browser, make_track):
        track = str(make_track().pk)
        kept, gone = (create_job(browser, key=key, track=track).json()["id"] for key in "ab")
        browser.delete(f"{JOBS}{gone}/")
        assert create_job(browser, key="b", track=track).status_code == 409
        Job.objects.get(pk=gone).delete()
        assert create_job(browser, key="b", track=track).status_code == 201
        assert create_job(browser, key="a", track=track).json()["id"] == kept
        assert Idempotency.objects.count() == 2

    def test_a_request_that_was_refused_can_be_corrected(self, browser, make_track):
        assert create_job(browser, key="k", track="x").status_code == 400
        assert create_job(browser, key="k", track=str(make_track().pk)).status_code == 201

    def test_a_key_has_its_limits(self, browser, make_track):
        answer = create_job(browser, key="k" * 256, track=str(make_track().pk))
        assert answer.status_code == 400 and not Job.objects.exists()


@pytest.mark.usefixtures("songs")
class TestLists:
    @pytest.fixture
    def songs(self, make_job):
        """Five tracks, an hour apart."""
        made = [make_job(title=title) for title in ("Bee", "ant", "Cow & bull", "Bee", "Élan")]
        for age, job in enumerate(reversed(made)):
            then = timezone.now() - timedelta(hours=age)
            Job.objects.filter(pk=job.pk).update(created_at=then)
            Track.objects.filter(pk=job.track_id).update(created_at=then)
        return [fresh(job) for job in made]

    @pytest.mark.parametrize("path", [TRACKS, JOBS])
    @pytest.mark.parametrize("order", ["created_at", "-created_at", "title", "-title"])
    def test_pages_lead_to_all_and_back(self, browser, songs, path, order):
        pages, address = [], f"{path}?page_size=2&ordering={order}"
        while address:
            pages.append(browser.get(address).json())
            address = pages[-1]["next"]
        ids = [row["id"] for page in pages for row in page["results"]]
        assert [len(page["results"]) for page in pages] == [2, 2, 1] and len(set(ids)) == 5
        back = [pages[-1]]
        while back[-1]["previous"]:
            back.append(browser.get(back[-1]["previous"]).json())
        assert [row["id"] for page in reversed(back) for row in page["results"]] == ids
        if order == "created_at":
            assert ids == [str(job.pk if path == JOBS else job.track_id) for job in songs]
        else:
            shown = [row[order.lstrip("-")] for page in pages for row in page["results"]]
            assert shown == sorted(shown, reverse=order.startswith("-"))

    def test_a_cursor_survives_news(self, browser, songs, make_job):
        first = browser.get(f"{JOBS}?page_size=2").json()
        make_job(title="News")
        actions.delete(songs[-1])
        assert titles(browser, first["next"]) == ["Cow & bull", "ant"]

    @pytest.mark.parametrize("path", [TRACKS, JOBS])
    def test_staff_list_everyones_where_they_say_so(self, browser, make_job, stranger, path):
        upload(Client(), "Guest's.mp3")
        make_job(title="Owner's")
        make_job(title="Stranger's", user=stranger)
        stranger.is_staff = True
        stranger.save()
        staff = Client()
        staff.force_login(stranger)
        found = {row["title"]: row["owner"] for row in staff.get(f"{path}?everyone=true").json()["results"]}
        assert found.items() >= {"Owner's": "owner", "Stranger's": "stranger", "Guest's": None}.items()
        assert titles(staff, path) == titles(staff, f"{path}?everyone=false") == ["Stranger's"]
        refused = browser.get(f"{path}?everyone=true")
        assert refused.status_code == 403 and "Only staff" in refused.json()["detail"]
        assert browser.get(f"{path}?everyone=perhaps").json()["errors"][0]["field"] == "everyone"
        assert not {*titles(browser, path)} & {"Stranger's", "Guest's"}

    def test_links_stay_on_this_site(self, browser):
        link = browser.get(f"{JOBS}?page_size=2", headers={"host": "localhost"}).json()["next"]
        assert link.startswith(JOBS) and "page_size=2" in link

    @pytest.mark.parametrize(
        "query",
        [
            "page_size=0",
            "page_size=201",
            "page_size=-1",
            "page_size=²",
            "page_size=x",
            "ordering=owner",
            "ordering=track__owner__password",
            "state=asleep",
            "track=x",
            "created_after=yesterday",
            "search=%00",
        ],
    )
    def test_what_makes_no_sense_is_refused(self, browser, query):
        answer = browser.get(f"{JOBS}?{query}")
        assert answer.status_code == 400
        assert query.partition("=")[0] in str(answer.json())

    @pytest.mark.parametrize(
        "inside",
        [
            "x",
            "[]",
            "5",
            "[0, 1, 2]",
            '[0, "2026-01-01T00:00:00Z", null]',
            f'[0, "\\u0000", "{ID}"]',
            f'[0, {{}}, "{ID}"]',
        ],
    )
    def test_a_cursor_that_is_none_is_not_found(self, browser, inside):
        cursor = base64.urlsafe_b64encode(inside.encode()).decode()
        assert browser.get(JOBS, {"cursor": cursor}).status_code == 404
        assert browser.get(JOBS, {"cursor": "€"}).status_code == 404

    def test_narrowed_down_by_state_track_and_time(self, browser, songs):
        actions.cancel(songs[1])
        assert titles(browser, f"{JOBS}?state=cancelled") == ["ant"]
        assert len(titles(browser, f"{JOBS}?state=cancelled&state=queued")) == 5
        assert titles(browser, f"{JOBS}?state=done") == []
        assert titles(browser, f"{JOBS}?track={songs[2].track_id}") == ["Cow & bull"]
        middle = songs[2].created_at.isoformat().replace("+", "%2B")
        for path in (JOBS, TRACKS):
            assert titles(browser, f"{path}?created_after={middle}") == ["Élan", "Bee", "Cow & bull"]
            assert titles(browser, f"{path}?created_before={middle}") == ["ant", "Bee"]

    @pytest.mark.parametrize("path", [TRACKS, JOBS])
    def test_searched(self, browser, path):
        assert titles(browser, f"{path}?search=bee") == ["Bee", "Bee"]
        assert titles(browser, f"{path}?search=bul+COW") == ["Cow & bull"]
        assert titles(browser, f"{path}?search=cow+bee") == []

    def test_the_page_of_songs_fetches_what_it_does_not_bring(self, browser, monkeypatch):
        assert browser.get("/").context["more"] is False
        monkeypatch.setattr("webapp.pages.songs.FIRST", 4)
        answer = browser.get("/")
        assert [job["title"] for job in answer.context["jobs"]] == ["Élan", "Bee", "Cow & bull", "ant"]
        assert answer.context["more"] is True and b"data-more" in answer.content
