"""The API of jobs: valid and invalid uploads, the JSON of a job, and when each command is refused."""

import json
from datetime import datetime

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from support.acting import SONG, claimed, drafted, finish, fresh, upload, write_original

from ensemble import registry
from pipeline.options import FORMATS, STEMS
from webapp.models import Cause, Job, State, Track, User
from webapp.songs import actions, queue, transitions

pytestmark = pytest.mark.django_db


class TestUpload:
    def test_makes_a_job(self, browser, owner, sent, committing):
        with committing():
            answer = upload(browser, "Blue Monday.flac", format="mp3", bleed="off", stems=["drums", "vocals"])
        assert answer.status_code == 201
        data = answer.json()
        job = Job.objects.get(pk=data["id"])
        assert (job.track.owner, job.track.file.read(), job.options["stems"]) == (owner, SONG, ["vocals", "drums"])
        assert (job.options["format"], job.options["bleed"]) == ("mp3", "off")
        assert (data["title"], data["state"], data["format"], data["bleed"]) == ("Blue Monday", "queued", "mp3", "off")
        assert (answer["Location"], data["url"]) == (f"/api/v1/jobs/{job.pk}/", f"/jobs/{job.pk}/")
        assert sent == ["webapp.tasks.separate"]

    @pytest.mark.parametrize(
        ("name", "title"),
        [
            ("He said \"hi\" <b>&amp; 'bye'.mp3", "He said \"hi\" <b>& 'bye'"),
            ("../../etc/passwd", "passwd"),
            ("C:\\Music\\song.wav", "song"),
            ("🎹🎸 naïve – 曲.ogg", "🎹🎸 naïve – 曲"),
            ("n" * 300 + ".mp3", "n" * 251),
            ("no extension", "no extension"),
            (".mp3", ".mp3"),
        ],
    )
    def test_takes_hostile_names(self, browser, name, title, settings):
        answer = upload(browser, name)
        assert answer.status_code == 201
        assert answer.json()["title"] == title
        page = browser.get(answer.json()["url"])
        assert page.status_code == 200
        kept = Job.objects.get().track.file
        assert kept.path.startswith(str(settings.MEDIA_ROOT / "tracks"))

    @pytest.mark.parametrize(
        ("content", "status", "words"), [(b"", 400, "empty"), (b"x" * 1001, 413, "larger than 0 MB")]
    )
    def test_refuses_empty_and_too_large(self, browser, content, status, words, settings):
        settings.MAX_UPLOAD_BYTES = 1000
        answer = upload(browser, content=content)
        assert answer.status_code == status
        data = answer.json()
        assert words in data["detail"] == data["errors"][0]["message"]
        assert data["errors"][0]["value"] == "Song.mp3"
        assert data["type"].endswith("#too-large" if status == 413 else "#invalid")
        assert not Track.objects.exists()

    def test_takes_a_file_just_at_the_limit(self, browser, settings):
        settings.MAX_UPLOAD_BYTES = len(SONG)
        assert upload(browser).status_code == 201

    @pytest.mark.parametrize("data", [{}, {"file": "text"}])
    def test_refuses_a_request_without_file(self, browser, data):
        answer = browser.post("/api/v1/jobs/", data)
        assert answer.status_code == 400
        assert answer["Content-Type"] == "application/problem+json"
        assert answer.json() == {
            "type": "/api/v1/problems/#invalid",
            "title": "Invalid request",
            "status": 400,
            "detail": "Please choose a song.",
            "instance": "/api/v1/jobs/",
            "errors": [{"field": "file", "value": data.get("file"), "message": "Please choose a song."}],
        }

    def test_refuses_an_unknown_format_naming_it(self, browser):
        answer = upload(browser, format="midi")
        assert answer.status_code == 400
        (fault,) = answer.json()["errors"]
        assert (fault["field"], fault["value"], fault["allowed"]) == ("format", "midi", list(FORMATS))
        assert "midi" in fault["message"]
        assert not Track.objects.exists()

    def test_needs_the_csrf_token(self, owner):
        client = Client(enforce_csrf_checks=True)
        assert upload(client).status_code == 403
        client.force_login(owner)
        assert upload(client).status_code == 403
        assert not Track.objects.exists()
        assert User.objects.count() == 1


class TestDemo:
    def test_starts_the_demo_song(self, browser, settings):
        settings.DEMO_SONG.write_bytes(SONG)
        answer = browser.post("/api/v1/jobs/demo/")
        assert answer.status_code == 201
        assert answer.json()["title"] == "Demo song"

    def test_says_when_it_is_not_installed(self, browser):
        answer = browser.post("/api/v1/jobs/demo/")
        assert answer.status_code == 503
        assert "manage.py setup" in answer.json()["detail"]
        assert not Track.objects.exists()


class TestJson:
    KEYS = (
        "id url title artist filename state actions notice stage stage_progress blocks_done blocks_total "
        "seconds_left position error warnings duration created_at format bleed null_db models provider events_url "
        "cancel_url retry_url api_url audio stems stems_asked detected detection_url merged choices experimental "
        "stems_url zip_url mix_url thumbnail_url cover_url exports_url restore_url track track_url owner progress "
        "started_at finished_at preset bits sample_rate timings quality"
    )

    def test_the_original_can_be_played_before_there_are_stems(self, browser, make_job):
        job = claimed(make_job())
        assert browser.get(f"/api/v1/jobs/{job.pk}/").json()["audio"] is None
        queue.progress(job, **write_original(job))
        data = browser.get(f"/api/v1/jobs/{job.pk}/").json()
        assert (data["audio"]["original_done"], data["audio"]["segments_done"], data["stems"]) == (2, 0, [])
        assert data["duration"] == 20.0

    @pytest.mark.parametrize(("there", "experimental"), [("unmix_split", ["guitar", "piano"]), ("htdemucs_6s", [])])
    def test_experimental_stems_are_marked_wherever_stems_are_selected(
        self, browser, make_job, monkeypatch, there, experimental
    ):
        monkeypatch.setattr(registry, "installed", lambda name: name in ("htdemucs", there))
        data = browser.get(f"/api/v1/jobs/{make_job().pk}/").json()
        assert (data["choices"], data["experimental"]) == (list(STEMS), experimental)
        page = browser.get("/").content.decode()
        assert page.count("<small>(experimental)</small>") == len(experimental)
        assert ("Experimental stems" in page) == bool(experimental)
        draft = make_job()
        Job.objects.filter(pk=draft.pk).update(options={"preset": "draft"})
        assert "guitar" not in browser.get(f"/api/v1/jobs/{draft.pk}/").json()["choices"]

    def test_a_job_made_before_originals_were_kept_has_none(self, browser, make_job):
        job = make_job(State.DONE)
        Job.objects.update(original_done=0, tags={})
        data = browser.get(f"/api/v1/jobs/{job.pk}/").json()
        assert (data["thumbnail_url"], data["cover_url"], data["audio"]["original_url"]) == (None, None, None)
        assert data["audio"]["segments_done"] == 2

    @pytest.mark.parametrize("state", State.values)
    def test_has_every_key_in_every_state(self, browser, make_job, state):
        job = make_job(state)
        data = browser.get(f"/api/v1/jobs/{job.pk}/").json()
        assert set(data) == set(self.KEYS.split())
        assert data["state"] == state
        assert datetime.fromisoformat(data["created_at"]) == job.created_at
        assert data["api_url"] == f"/api/v1/jobs/{job.pk}/"

    def test_a_done_job_tells_all(self, browser, make_job):
        job = make_job(State.DONE)
        data = browser.get(f"/api/v1/jobs/{job.pk}/").json()
        assert data["audio"] == {
            "rate": 44100,
            "samples": 882000,
            "segment": 441000,
            "segments_done": 2,
            "draft_done": 0,
            "gain": 4.0,
            "original_done": 2,
            "original_url": f"/api/v1/jobs/{job.pk}/original/segments/{{index}}.flac",
            "original_peaks_url": f"/api/v1/jobs/{job.pk}/original/peaks",
        }
        assert data["thumbnail_url"] == f"/api/v1/jobs/{job.pk}/thumbnail"
        assert data["cover_url"] == f"/api/v1/jobs/{job.pk}/cover"
        assert data["exports_url"] == f"/api/v1/jobs/{job.pk}/exports/"
        assert data["duration"] == 20.0
        assert (data["null_db"], data["provider"], data["warnings"]) == (-120.0, "CPU", ["Quiet."])
        assert data["models"][0]["licence"] == "MIT"
        assert [stem["name"] for stem in data["stems"]] == ["vocals", "drums"]
        base = f"/api/v1/jobs/{job.pk}/stems/vocals"
        assert data["stems"][0] == {
            "name": "vocals",
            "peaks_url": f"{base}/peaks",
            "segments_url": f"{base}/segments/{{index}}.flac",
            "draft_segments_url": None,
            "spectrogram_url": f"{base}/spectrogram",
            "download_url": f"{base}/download",
        }
        assert browser.get(f"/api/v1/jobs/{job.pk}/stems/").json() == data["stems"]
        assert browser.get(f"{base}/").json() == data["stems"][0]
        assert browser.get(f"/api/v1/jobs/{job.pk}/stems/kazoo/").status_code == 404

    def test_the_list_is_newest_first_at_a_fixed_cost(self, browser, make_job, django_assert_max_num_queries):
        made = [make_job(State.DONE) for _ in range(6)]
        made += [make_job(), make_job()]
        with django_assert_max_num_queries(8):
            data = browser.get("/api/v1/jobs/").json()["results"]
        assert [job["id"] for job in data] == [str(job.pk) for job in reversed(made)]


class TestVerbs:
    def test_cancel(self, browser, make_job):
        job = claimed(make_job())
        assert browser.post(f"/api/v1/jobs/{job.pk}/cancel/").json()["state"] == "cancelled"
        again = browser.post(f"/api/v1/jobs/{job.pk}/cancel/")
        assert again.status_code == 409
        assert "nothing to cancel" in again.json()["detail"]

    def test_retry(self, browser, make_job):
        job = make_job(State.FAILED)
        assert browser.post(f"/api/v1/jobs/{job.pk}/retry/").json()["state"] == "queued"
        assert browser.post(f"/api/v1/jobs/{job.pk}/retry/").status_code == 409
        assert fresh(job).state == State.QUEUED

    @pytest.mark.parametrize("cause", [cause for cause in Cause if cause != Cause.FILE])
    def test_what_may_go_well_next_time_can_be_tried_again(self, browser, make_job, cause):
        job = claimed(make_job())
        queue.fail(job, "No good.", cause)
        assert browser.get(f"/api/v1/jobs/{job.pk}/").json()["actions"] == ["retry", "delete"]
        assert browser.post(f"/api/v1/jobs/{job.pk}/retry/").json()["actions"] == ["cancel", "delete"]

    def test_a_file_that_cannot_be_separated_is_not_tried_again(self, browser, make_job):
        job = claimed(make_job())
        queue.fail(job, "This file holds no sound.", Cause.FILE)
        assert browser.get(f"/api/v1/jobs/{job.pk}/").json()["actions"] == ["delete"]
        answer = browser.post(f"/api/v1/jobs/{job.pk}/retry/")
        assert answer.status_code == 409
        assert "Upload another one" in answer.json()["detail"]
        assert fresh(job).state == State.FAILED

    def test_other_stems_of_a_finished_song_can_be_asked_for_though_the_last_time_failed(self, browser, make_job):
        job = make_job(State.DONE)
        actions.reselect_stems(job, ["vocals"])
        queue.fail(claimed(job), "This file holds no sound.", Cause.FILE)
        assert browser.get(f"/api/v1/jobs/{job.pk}/").json()["actions"] == ["reselect", "delete"]

    def test_deleted_is_gone_from_everywhere(self, browser, make_job, fetch, owner):
        job = make_job(State.DONE)
        drafted(job)
        data = browser.get(f"/api/v1/jobs/{job.pk}/").json()
        assert browser.delete(data["api_url"]).status_code == 204
        assert browser.get("/api/v1/jobs/").json()["results"] == []
        assert browser.get("/").context["jobs"] == []
        addresses = [value for key, value in (data | data["stems"][0] | data["audio"]).items() if key.endswith("url")]
        assert len(addresses) > 15
        for address in addresses:
            assert fetch(address.replace("{index}", "0"), owner).status in (404, 405), address
        assert browser.delete(data["api_url"]).status_code == 404

    def test_deleted_can_be_brought_back(self, browser, make_job):
        job = make_job(State.DONE)
        before = browser.get(f"/api/v1/jobs/{job.pk}/").json()
        browser.delete(before["api_url"])
        again = browser.post(before["restore_url"])
        assert (again.status_code, again.json()) == (200, before)
        assert browser.get("/api/v1/jobs/").json()["results"] == [before]

    def test_what_was_not_deleted_or_too_long_ago_stays_as_it_is(self, browser, make_job):
        job = make_job()
        assert browser.post(f"/api/v1/jobs/{job.pk}/restore/").status_code == 409
        browser.delete(f"/api/v1/jobs/{job.pk}/")
        Job.objects.update(deleted_at=timezone.now() - transitions.UNDO)
        answer = browser.post(f"/api/v1/jobs/{job.pk}/restore/")
        assert answer.status_code == 409 and "10 minutes" in answer.json()["detail"]
        assert fresh(job).deleted_at

    def test_rename(self, browser, real_job, make_job, fetch, owner):
        job, other = real_job(), make_job()
        stamp = job.updated_at
        answer = rename(browser, job, "  Blue Monday ")
        assert (answer.status_code, answer.json()["title"]) == (200, "Blue Monday")
        assert browser.get(f"/api/v1/jobs/{job.pk}/").json()["title"] == "Blue Monday"
        assert fresh(job).updated_at > stamp  # so that open pages are notified
        name = fetch(answer.json()["stems"][0]["download_url"], owner).headers["Content-Disposition"]
        assert name == 'attachment; filename="Blue Monday - vocals.wav"'
        assert fresh(other).track.title == "Song"

    @pytest.mark.parametrize(
        ("title", "words"), [("", "name"), ("   ", "name"), (None, "name"), ("x" * 256, "255"), ([], "name")]
    )
    def test_a_name_must_be_one(self, browser, make_job, title, words):
        answer = rename(browser, make_job(), title)
        assert answer.status_code == 400 and words in answer.json()["detail"]
        assert answer.json()["errors"][0]["value"] == title
        assert Track.objects.get().title == "Song"

    @pytest.mark.parametrize("verb", ["cancel", "retry", "restore"])
    def test_verbs_want_post(self, browser, make_job, verb):
        assert browser.get(f"/api/v1/jobs/{make_job().pk}/{verb}/").status_code == 405


def rename(browser, job, title):
    return browser.patch(f"/api/v1/jobs/{job.pk}/", {"title": title}, content_type="application/json")


class TestPages:
    def test_home_gives_its_data_as_json(self, browser, make_job, settings):
        make_job(title="<!--<b>")
        settings.DEMO_SONG.touch()
        answer = browser.get("/")
        assert answer.status_code == 200
        assert answer.context["jobs"][0]["title"] == "<!--<b>"
        assert b"<!--<b>" not in answer.content
        assert answer.context["limits"] == {"max_bytes": settings.MAX_UPLOAD_BYTES, "max_seconds": settings.MAX_SECONDS}
        assert answer.context["demo_available"] is True
        assert answer.context["model_cards"][0].licence
        assert "csrftoken" in answer.cookies

    def test_job_page(self, browser, make_job):
        job = make_job(State.DONE, title="Nice & <easy>")
        answer = browser.get(reverse("job", args=[job.pk]))
        assert answer.status_code == 200
        assert answer.context["job"] == job
        assert json.loads(json.dumps(answer.context["data"]))["id"] == str(job.pk)
        assert b"<easy>" not in answer.content

    def test_pages_have_no_inline_script_or_style(self, browser, make_job):
        for path in ("/", make_job(State.DONE).get_absolute_url(), "/accounts/login/"):
            text = browser.get(path).content.decode()
            assert "<style" not in text
            assert " style=" not in text
            assert " onclick=" not in text
            for script in text.split("<script")[1:]:
                head = script.split(">")[0]
                assert "src=" in head or "application/json" in head

    def test_headers_protect(self, browser):
        answer = browser.get("/")
        assert answer["X-Frame-Options"] == "DENY"
        assert answer["X-Content-Type-Options"] == "nosniff"


def test_admin_lists_without_asking_for_each_row(make_job, admin_client, django_assert_max_num_queries):
    for number in range(4):
        finish(claimed(make_job(title=f"Song {number}")))
    for page in ("job", "track", "export", "worker", "user"):
        with django_assert_max_num_queries(12):
            answer = admin_client.get(f"/admin/webapp/{page}/")
        assert answer.status_code == 200
    job = Job.objects.first()
    assert admin_client.get(f"/admin/webapp/job/{job.pk}/change/").status_code == 200
    assert admin_client.get("/admin/webapp/job/?q=Song").status_code == 200


def test_admin_deletes_files_too(make_job, admin_client, committing):
    job = make_job(State.DONE)
    with committing():
        admin_client.post(f"/admin/webapp/track/{job.track.pk}/delete/", {"post": "yes"})
    assert not Job.objects.exists()
    assert not job.folder.exists()


class TestStems:
    def test_another_choice_queues_the_job(self, browser, make_job):
        job = make_job(State.DONE)
        answer = browser.post(f"/api/v1/jobs/{job.pk}/stems/", {"stems": ["bass", "vocals"]})
        assert answer.status_code == 200
        assert (answer.json()["state"], answer.json()["stems_asked"]) == ("queued", ["vocals", "bass"])

    def test_none_means_as_the_song_has_them(self, browser, make_job):
        job = make_job(State.DONE)
        answer = browser.post(f"/api/v1/jobs/{job.pk}/stems/", {"stems": []}, content_type="application/json")
        assert (answer.status_code, answer.json()["stems_asked"]) == (200, [])

    def test_an_unknown_stem_is_named(self, browser, make_job):
        job = make_job(State.DONE)
        answer = browser.post(f"/api/v1/jobs/{job.pk}/stems/", {"stems": ["kazoo"]})
        assert answer.status_code == 400 and "kazoo" in str(answer.json())
        assert Job.objects.get(pk=job.pk).state == State.DONE

    def test_a_job_that_is_not_done_keeps_its_own(self, browser, make_job):
        job = make_job(State.RUNNING)
        answer = browser.post(f"/api/v1/jobs/{job.pk}/stems/", {"stems": ["bass"]})
        assert answer.status_code == 409 and "separated" in answer.json()["detail"]

    def test_what_was_heard_is_told_in_short_and_in_full(self, browser, make_job, owner, stranger, fetch):
        job = make_job(State.DONE)
        data = browser.get(f"/api/v1/jobs/{job.pk}/").json()
        assert data["detected"]["stems"]["vocals"] == {"probability": 0.9, "presence": "present"}
        assert fetch(data["detection_url"], owner).body == b'{"stage": "confirmed"}'
        assert fetch(data["detection_url"], stranger).status == 404
