"""Exports: every kind of file is what was requested, and reports its progress truthfully."""

import io
import threading
import zipfile
from datetime import timedelta
from threading import Event

import numpy as np
import pytest
import soundfile
from django.db.utils import OperationalError
from django.utils import timezone
from support.acting import RATE, claimed, decoded, files_below, finish, fresh, noise

from pipeline.exports import stem_files
from webapp.exports import renderer
from webapp.models import Export, State
from webapp.songs import actions
from webapp.storage import base
from webapp.storage.base import store

pytestmark = pytest.mark.django_db

FOUR = ("drums", "bass", "other", "vocals")


@pytest.fixture
def job(real_job):
    return real_job(title="Blue: Monday?")


@pytest.fixture
def ask(browser):
    """POST to a job's exports."""
    return lambda job, **spec: browser.post(f"/api/v1/jobs/{job.pk}/exports/", spec, content_type="application/json")


@pytest.fixture
def on_update(monkeypatch):
    """Stores every progress, and the installed function is called after each update."""
    monkeypatch.setattr(renderer, "WRITE_EVERY", 0.0)

    def install(call):
        note = renderer._update

        def noting(export, **fields):
            note(export, **fields)
            call(fields)

        monkeypatch.setattr(renderer, "_update", noting)

    return install


def waiting(job, **fields):
    """An export that no thread renders."""
    return Export.objects.create(job=job, filename="Song - mix.wav", process="p", **fields)


@pytest.mark.usefixtures("immediately")
class TestKinds:
    def test_a_mix(self, job, ask, fetch, owner):
        made = ask(job, what="mix", vocals=-6, mute=["drums"], start=9.5, end=11, master=-2).json()
        assert (made["state"], made["progress"], made["error"]) == ("done", 1.0, "")
        answer = fetch(made["file_url"], owner)
        assert answer.headers["Content-Disposition"] == 'attachment; filename="Blue_ Monday_ - mix.wav"'
        assert answer.headers["Content-Type"] == "audio/wav"
        assert made["size"] == len(answer.body)
        expected = 10 ** (-8 / 20) * noise()["vocals"][:, round(9.5 * RATE) : 11 * RATE]
        np.testing.assert_allclose(decoded(answer), expected, atol=2e-6)

    def test_one_stem(self, job, ask, fetch, owner):
        made = ask(job, what="stem", stem="drums", format="flac").json()
        assert made["filename"] == "Blue_ Monday_ - drums.flac"
        np.testing.assert_allclose(decoded(fetch(made["file_url"], owner)), noise()["drums"], atol=2e-6)

    def test_all_stems_in_one_archive(self, job, ask, fetch, owner):
        made = ask(job, what="stems", format="flac").json()
        assert made["filename"] == "Blue_ Monday_.zip"
        answer = fetch(made["file_url"], owner)
        assert answer.headers["Content-Type"] == "application/zip"
        with zipfile.ZipFile(io.BytesIO(answer.body)) as archive:
            assert archive.testzip() is None
            names = [f"Blue_ Monday_/Blue_ Monday_ - {stem}.flac" for stem in ("drums", "vocals")]
            assert sorted(archive.namelist()) == names
            audio, _ = soundfile.read(io.BytesIO(archive.read(names[1])), dtype="float32")
        np.testing.assert_allclose(audio.T, noise()["vocals"], atol=2e-6)

    def test_ni_stems(self, real_job, ask, fetch, owner):
        rng = np.random.default_rng(1)
        four = {stem: rng.uniform(-0.2, 0.2, (2, RATE)).astype(np.float32) for stem in FOUR}
        made = ask(real_job(four), what="ni").json()
        assert (made["state"], made["filename"], made["error"]) == ("done", "Song.stem.mp4", "")
        body = fetch(made["file_url"], owner).body
        assert body[4:8] == b"ftyp" and len(body) == made["size"]

    def test_the_format_names_the_file(self, job, ask, fetch, owner):
        made = ask(job, what="stem", stem="drums", format="mp3-v0").json()
        assert made["filename"] == "Blue_ Monday_ - drums.mp3"
        assert fetch(made["file_url"], owner).headers["Content-Type"] == "audio/mpeg"

    def test_what_would_clip_is_lowered_and_reported(self, job, ask):
        assert ask(job, what="mix", vocals=6, drums=6, format="flac").json()["lowered_db"] > 6
        assert ask(job, what="mix", vocals=6, drums=6, bits="float").json()["lowered_db"] == 0

    def test_a_form_works_like_json(self, job, browser):
        answer = browser.post(f"/api/v1/jobs/{job.pk}/exports/", {"what": "mix", "mute": ["vocals", "drums"]})
        assert (answer.status_code, answer.json()["state"]) == (201, "done")

    def test_a_part_of_a_file_can_be_requested(self, job, ask, fetch, owner):
        made = ask(job, what="stem", stem="drums").json()
        assert fetch(made["file_url"], owner, Range="bytes=0-3").body == b"RIFF"


class TestRefusals:
    @pytest.mark.parametrize(
        ("spec", "words"),
        [
            ({"what": "video"}, "mix, stem, stems, ni"),
            ({"what": "stem"}, "vocals"),
            ({"what": "stem", "stem": "kazoo"}, "kazoo"),
            ({"what": "stems", "format": "midi"}, "midi"),
            ({"what": "mix", "vocals": 7}, "vocals"),
            ({"what": "mix", "vocals": {}}, "not a number"),
            ({"what": "mix", "limiter": "maybe"}, "limiter"),
            ({"what": "mix", "mute": ["kazoo"]}, "kazoo"),
            ({"what": "mix", "start": 99}, "12.0 seconds"),
            ({"what": "mix", "colour": "blue"}, "colour"),
            ({"what": "ni"}, "no bass and no other"),
        ],
    )
    def test_invalid_values_are_explained(self, job, ask, spec, words):
        answer = ask(job, **spec)
        assert answer.status_code == 400 and words in answer.json()["detail"]
        assert not Export.objects.exists()

    @pytest.mark.parametrize("body", ["[]", "3", '"mix"'])
    def test_an_invalid_body(self, job, browser, body):
        answer = browser.post(f"/api/v1/jobs/{job.pk}/exports/", body, content_type="application/json")
        assert answer.status_code == 400 and not Export.objects.exists()

    @pytest.mark.parametrize("state", [State.QUEUED, State.RUNNING, State.FAILED])
    def test_before_it_is_separated_there_is_nothing(self, make_job, ask, state):
        answer = ask(make_job(state), what="mix")
        assert answer.status_code == 409 and "separated" in answer.json()["detail"]

    def test_a_busy_site_says_so_and_creates_no_export(self, job, ask):
        taken = [renderer.admission.acquire(blocking=False) for _ in range(renderer.AT_ONCE + renderer.WAITING)]
        answer = ask(job, what="mix")
        for _ in taken:
            renderer.admission.release()
        assert (answer.status_code, answer["Retry-After"]) == (503, "5")
        assert not Export.objects.exists()


@pytest.mark.usefixtures("immediately")
class TestFailing:
    @pytest.mark.parametrize(
        ("error", "message"),
        [
            (RuntimeError("index 7 out of range"), renderer.BROKEN),
            (OSError(28, "No space left on device"), base.DISK_FULL),
            (FileNotFoundError(), renderer.GONE),
        ],
    )
    def test_our_errors_are_explained_and_leave_no_file(self, job, ask, monkeypatch, error, message):
        def fail(*_):
            raise error

        monkeypatch.setattr(stem_files, "write", fail)
        made = ask(job, what="stem", stem="drums").json()
        assert (made["state"], made["error"], made["file_url"]) == ("failed", message, None)
        assert not [path for path in files_below(job.folder) if "exports" in path]

    def test_stems_that_are_gone(self, job, ask):
        store().discard(job.published)
        answer = ask(job, what="stems")
        assert (answer.status_code, answer.json()["detail"]) == (409, renderer.GONE)
        assert not Export.objects.exists()

    def test_a_disk_without_room_to_spare(self, job, ask, monkeypatch):
        monkeypatch.setattr(renderer, "SPARE", 2**70)
        assert ask(job, what="mix").json()["error"] == base.DISK_FULL

    def test_an_error_is_logged_with_its_traceback(self, job, ask, monkeypatch, caplog):
        monkeypatch.delattr(stem_files, "write")
        ask(job, what="stem", stem="drums")
        assert "AttributeError" in caplog.text


@pytest.mark.usefixtures("immediately")
class TestProgress:
    def test_progress_goes_up(self, job, ask, on_update):
        seen = []
        on_update(lambda fields: seen.append(fields.get("progress")))
        ask(job, what="stems")
        steps = [progress for progress in seen if progress is not None]
        assert len(steps) > 3 and steps == sorted(steps) and steps[-1] == 1.0 and steps[0] > 0

    def test_progress_is_stored_sparingly(self, job, ask, monkeypatch):
        clock = iter(range(1000))
        monkeypatch.setattr(renderer, "monotonic", lambda: next(clock) / 1e6)
        notes = []
        note = renderer._update
        monkeypatch.setattr(
            renderer, "_update", lambda export, **fields: notes.append(fields) or note(export, **fields)
        )
        ask(job, what="stems")
        assert [fields["state"] for fields in notes] == [State.RUNNING, State.DONE]

    def test_cancelling_stops_it_and_leaves_nothing(self, job, ask, browser, on_update, committing):
        noted = []

        def cancel(_fields):
            noted.append(_fields)
            if len(noted) == 2:
                with committing():
                    browser.delete(f"/api/v1/jobs/{job.pk}/exports/{Export.objects.get().pk}/")

        on_update(cancel)
        ask(job, what="stems")
        assert len(noted) == 2
        assert not Export.objects.exists()
        assert not [path for path in files_below(job.folder) if "exports" in path]

    def test_deleting_the_song_stops_it(self, job, ask, on_update):
        on_update(lambda fields: actions.delete(job) if fields.get("progress") else None)
        ask(job, what="stems")
        assert not Export.objects.exists()

    def test_a_database_outage_costs_no_work(self, job, ask, monkeypatch):
        monkeypatch.setattr(renderer, "WRITE_EVERY", 0.0)
        note, faults = renderer._update, [1, 1]

        def flaky(export, **fields):
            if "state" not in fields and faults:
                faults.pop()
                raise OperationalError("database is locked")
            note(export, **fields)

        monkeypatch.setattr(renderer, "_update", flaky)
        assert ask(job, what="stems").json()["state"] == "done"
        assert not faults

    def test_one_cancelled_while_it_waits_is_not_started(self, job):
        export = waiting(job)
        export_row = Export.objects.get(pk=export.pk)
        export.delete()
        renderer._render(export_row, None)
        assert not export_row.folder.exists()


@pytest.mark.usefixtures("immediately")
class TestList:
    def test_lists_all_newest_first(self, job, browser):
        old, new = waiting(job), waiting(job, state=State.FAILED, error="No.")
        data = browser.get(f"/api/v1/jobs/{job.pk}/exports/").json()
        assert [row["id"] for row in data] == [str(new.pk), str(old.pk)]
        assert data[0] == browser.get(data[0]["url"]).json()
        assert (data[0]["error"], data[1]["state"], data[1]["file_url"]) == ("No.", "queued", None)

    def test_removing_one_removes_its_file(self, job, browser, ask, committing):
        made = ask(job, what="mix").json()
        path = Export.objects.get().path
        assert path.exists()
        with committing():
            assert browser.delete(made["url"]).status_code == 204
        assert not path.exists()
        assert browser.get(made["url"]).status_code == 404

    def test_an_unfinished_file_is_not_served(self, job, fetch, owner):
        export = waiting(job, state=State.RUNNING)
        export.folder.mkdir(parents=True)
        export.path.write_bytes(b"half a")
        assert fetch(f"/api/v1/jobs/{job.pk}/exports/{export.pk}/file", owner).status == 404

    def test_only_the_newest_files_of_a_song_stay(self, job, ask, committing, monkeypatch):
        monkeypatch.setattr(renderer, "MAX_PER_SONG", 2)
        with committing():
            made = [ask(job, what="mix", end=1).json()["id"] for _ in range(4)]
        assert {str(export.pk) for export in Export.objects.all()} == set(made[2:])
        assert len([path for path in files_below(job.folder) if "exports" in path]) == 2

    def test_files_outlive_a_reselection_of_stems(self, job, ask, fetch, owner):
        made = ask(job, what="mix").json()
        actions.reselect_stems(job, ["drums"])
        finish(claimed(fresh(job)))
        assert fetch(made["file_url"], owner).status == 200

    def test_they_are_deleted_with_the_song(self, job, ask, committing):
        ask(job, what="mix")
        path = Export.objects.get().path
        with committing():
            job.track.delete()
        assert not path.exists() and not Export.objects.exists()


@pytest.mark.usefixtures("immediately")
class TestUpkeep:
    @pytest.mark.parametrize("state", [State.QUEUED, State.RUNNING])
    def test_exports_of_a_dead_process_fail_with_a_reason(self, job, state):
        lost, alive = (waiting(job, state=state) for _ in range(2))
        Export.objects.filter(pk=lost.pk).update(heartbeat_at=timezone.now() - renderer.LOST_AFTER)
        lost.folder.mkdir(parents=True)
        renderer.fail_lost()
        assert Export.objects.get(pk=lost.pk).error == renderer.LOST
        assert Export.objects.get(pk=lost.pk).state == State.FAILED
        assert Export.objects.get(pk=alive.pk).state == state
        assert not lost.folder.exists()

    def test_a_process_beats_for_its_own_exports_only(self, job):
        old = timezone.now() - timedelta(minutes=5)
        mine, done, another = (waiting(job, heartbeat_at=old) for _ in range(3))
        Export.objects.exclude(pk=another.pk).update(process=renderer.PROCESS)
        Export.objects.filter(pk=done.pk).update(state=State.DONE)
        renderer._beat()
        assert {export.pk for export in Export.objects.filter(heartbeat_at__gt=old)} == {mine.pk}

    def test_it_beats_as_long_as_a_file_is_made_however_slowly(self, job, ask, monkeypatch):
        beaten = Event()
        monkeypatch.setattr(renderer, "BEAT_EVERY", 0.001)
        monkeypatch.setattr(renderer, "_beat", beaten.set)
        monkeypatch.setattr(stem_files, "write", lambda *_: beaten.wait(10) or pytest.fail("no beat"))
        ask(job, what="stem", stem="drums")
        assert beaten.is_set()
        assert not [thread for thread in threading.enumerate() if thread.name == "render-heartbeat"]

    def test_files_of_yesterday_are_removed(self, job, settings, committing):
        settings.EXPORT_HOURS = 2.0
        old, new = waiting(job), waiting(job)
        old.folder.mkdir(parents=True)
        Export.objects.filter(pk=old.pk).update(created_at=timezone.now() - timedelta(hours=2, minutes=1))
        Export.objects.filter(pk=new.pk).update(created_at=timezone.now() - timedelta(hours=1, minutes=59))
        with committing():
            renderer.delete_old_exports()
        assert [export.pk for export in Export.objects.all()] == [new.pk]
        assert not old.folder.exists()


def test_the_number_of_simultaneous_renderings_is_limited():
    """The real threads, with work that ends on a signal."""
    begun, go = [Event() for _ in range(renderer.AT_ONCE + renderer.WAITING)], Event()

    def work(number):
        begun[number].set()
        assert go.wait(10)
        return number

    works = [renderer.admit(work, number) for number in range(len(begun))]
    try:
        assert all(event.wait(10) for event in begun[: renderer.AT_ONCE])
        assert not any(event.is_set() for event in begun[renderer.AT_ONCE :])
        with pytest.raises(renderer.Busy):
            renderer.admit(work, 0)
    finally:
        go.set()
    assert [future.result(10) for future in works] == list(range(len(begun)))
