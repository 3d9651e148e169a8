"""The life of a job: every action from every state, and who wins a race."""

from datetime import timedelta

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import IntegrityError, transaction
from django.utils import timezone
from kombu.exceptions import OperationalError
from support.acting import SONG, claimed, files_below, finish, fresh, silence

from pipeline.options import Options
from webapp.models import LOST_AFTER, Job, State, Stem, Track, Worker
from webapp.songs import actions, queue, transitions
from webapp.songs.wait_status import NO_WORKER, WORKER_GONE, WORKER_LOST, Queue

pytestmark = pytest.mark.django_db

OVER = [State.DONE, State.FAILED, State.CANCELLED]
WORKERS_VERBS = [
    lambda job: queue.progress(job, blocks_done=5),
    finish,
    lambda job: queue.fail(job, "No."),
]


def age(job, ago):
    """Move a deletion into the past."""
    Job.objects.filter(pk=job.pk).update(deleted_at=timezone.now() - ago)


class TestCreate:
    def test_keeps_the_file_and_wakes_a_worker(self, owner, sent, committing):
        with committing():
            job = actions.upload_and_enqueue(
                owner, SimpleUploadedFile("x", SONG), "My Song.FLAC", Options(format="flac", bleed="strong")
            )
        track = job.track
        assert (track.title, track.filename, track.size, track.owner) == (
            "My Song",
            "My Song.FLAC",
            len(SONG),
            owner,
        )
        assert track.file.read() == SONG
        assert track.file.name == f"tracks/{track.pk}.flac"
        coding = {"format": "flac", "bits": "float", "sample_rate": "source"}
        options = {"stems": [], "preset": "default", "bleed": "strong"} | coding
        assert (fresh(job).state, fresh(job).options) == (State.QUEUED, options)
        assert sent == ["webapp.tasks.separate"]

    def test_survives_a_queue_that_does_not_answer(self, owner, committing, monkeypatch, caplog):
        def refuse(*_, **__):
            raise OperationalError("no route")

        monkeypatch.setattr(queue.app, "send_task", refuse)
        with committing():
            job = actions.upload_and_enqueue(owner, SimpleUploadedFile("x", SONG), "a.mp3")
        assert fresh(job).state == State.QUEUED
        assert "no route" in caplog.text

    @pytest.mark.parametrize(
        ("filename", "title"),
        [
            ("plain.wav", "plain"),
            (".wav", ".wav"),
            ("a/../../b\"'<>.mp3", "b\"'<>"),
            ("🎸 – ünïcode.ogg", "🎸 – ünïcode"),
            ("x" * 300 + ".wav", "x" * 255),
            ("", "Untitled"),
        ],
    )
    def test_takes_any_name(self, owner, settings, filename, title):
        job = actions.upload_and_enqueue(owner, SimpleUploadedFile("x", SONG), filename)
        assert job.track.title == title
        (kept,) = files_below(settings.MEDIA_ROOT)
        assert kept.startswith(f"tracks/{job.track.pk}.")

    def test_demo_needs_the_demo_song(self, owner, settings):
        with pytest.raises(FileNotFoundError):
            actions.enqueue_demo(owner)
        settings.DEMO_SONG.write_bytes(SONG)
        assert actions.enqueue_demo(owner).track.file.read() == SONG
        assert settings.DEMO_SONG.exists()


class TestClaim:
    def test_one_of_two_claimants_wins(self, make_job):
        job = make_job()
        assert claimed(job, "first").attempts == 1
        assert queue.claim(job.pk, "second") is None
        assert fresh(job).worker == "first"

    def test_next_is_the_job_that_has_waited_longest(self, make_job):
        first, second = make_job(), make_job()
        assert queue.claim_next("w").pk == first.pk
        assert queue.claim_next("w").pk == second.pk
        assert queue.claim_next("w") is None

    def test_next_passes_over_a_job_that_a_rival_claimed_meanwhile(self, make_job, monkeypatch):
        first, second = make_job(), make_job()
        claim = queue.claim

        def rival_is_faster(pk, worker):
            if pk == first.pk:
                claim(pk, "rival")
            return claim(pk, worker)

        monkeypatch.setattr(queue, "claim", rival_is_faster)
        assert queue.claim_next("w").pk == second.pk
        assert fresh(first).worker == "rival"

    def test_removes_the_files_of_an_earlier_attempt(self, make_job):
        job = claimed(make_job())
        (job.directory / "vocals").mkdir(parents=True)
        (job.directory / "vocals" / "00000.flac").touch()
        queue.progress(job, ["vocals"], segments_done=1, blocks_done=1)
        assert queue.release("w") == 1
        again = claimed(job, "other")
        assert files_below(again.folder) == []
        assert (again.attempts, again.segments_done, again.stems.count()) == (2, 0, 0)
        assert again.directory != job.directory

    @pytest.mark.parametrize("state", OVER)
    def test_is_for_queued_jobs_only(self, make_job, state):
        assert queue.claim(make_job(state).pk, "w") is None

    def test_a_running_job_has_a_worker(self, make_job):
        job = make_job()
        with pytest.raises(IntegrityError), transaction.atomic():
            Job.objects.filter(pk=job.pk).update(state=State.RUNNING)


class TestClaimed:
    """What a worker may do with its job, and may no longer do once it has lost the job."""

    def test_progress_is_stored(self, make_job):
        job = claimed(make_job())
        before = fresh(job)
        queue.progress(job, ["drums", "vocals"], stage="separate", blocks_done=2, blocks_total=7, seconds_left=12.5)
        after = fresh(job)
        assert (after.stage, after.blocks_done, after.blocks_total, after.seconds_left) == (
            "separate",
            2,
            7,
            12.5,
        )
        assert {stem.name for stem in after.stems.all()} == {"drums", "vocals"}
        assert after.heartbeat_at > before.heartbeat_at
        assert after.updated_at > before.updated_at
        queue.progress(job, ["drums", "vocals"])
        assert after.stems.count() == 2

    @pytest.mark.parametrize("verb", WORKERS_VERBS)
    def test_a_cancelled_job_is_lost(self, make_job, verb):
        job = claimed(make_job())
        assert actions.cancel(job)
        with pytest.raises(queue.JobLost):
            verb(job)
        assert fresh(job).state == State.CANCELLED

    @pytest.mark.parametrize("verb", WORKERS_VERBS)
    def test_a_deleted_job_is_lost(self, make_job, verb):
        job = claimed(make_job())
        actions.delete(job)
        with pytest.raises(queue.JobLost):
            verb(job)
        assert not Stem.objects.exists()

    @pytest.mark.parametrize("verb", WORKERS_VERBS)
    def test_a_worker_that_counts_as_dead_cannot_disturb_its_successor(self, make_job, verb):
        job = claimed(make_job(), "sleeper")
        silence("sleeper")
        queue.requeue_stale()
        successor = claimed(job, "sleeper")  # even under the same name
        with pytest.raises(queue.JobLost):
            verb(job)
        assert fresh(job).state == State.RUNNING
        queue.progress(successor, blocks_done=1)

    def test_finish_keeps_report_and_files(self, make_job):
        job = claimed(make_job(), "w")
        finish(job)
        done = fresh(job)
        assert (done.state, done.report["null_db"], done.seconds_left) == (State.DONE, -120.0, None)
        assert done.finished_at is not None
        assert done.stems.get(name="drums").file.read() == b"drums" * 1000
        assert Worker.objects.get(name="w").provider == "CPU"

    def test_fail_says_why_and_removes_what_was_written(self, make_job):
        job = claimed(make_job())
        queue.progress(job, ["drums"], segments_done=1)
        job.directory.mkdir(parents=True)
        queue.fail(job, "This is no song.")
        failed = fresh(job)
        assert (failed.state, failed.error, failed.segments_done) == (State.FAILED, "This is no song.", 0)
        assert not failed.stems.exists()
        assert not job.folder.exists()

    def test_release_keeps_the_place_in_the_queue(self, make_job):
        first, second = make_job(), make_job()
        claimed(first)
        assert queue.release("w") == 1
        assert queue.claim_next("w").pk == first.pk
        assert fresh(first).losses == 0
        assert fresh(second).state == State.QUEUED

    def test_discard_output_leaves_a_later_attempt_alone(self, make_job):
        job = claimed(make_job())
        silence("w")
        queue.requeue_stale()
        later = claimed(job, "w2")
        for attempt in (job, later):
            attempt.directory.mkdir(parents=True)
        queue.discard_output(job)
        assert later.directory.exists()
        assert not job.directory.exists()


class TestCancelRetryDelete:
    @pytest.mark.parametrize("state", [State.QUEUED, State.RUNNING])
    def test_cancel_stops_a_live_job(self, make_job, state, committing):
        job = make_job(state)
        job.directory.mkdir(parents=True)
        with committing():
            assert actions.cancel(job)
        assert fresh(job).state == State.CANCELLED
        assert not job.folder.exists()

    @pytest.mark.parametrize("state", OVER)
    def test_cancel_leaves_an_ended_job(self, make_job, state, committing):
        job = make_job(state)
        kept = files_below(job.folder)
        with committing():
            assert not actions.cancel(job)
        assert fresh(job).state == state
        assert files_below(job.folder) == kept

    @pytest.mark.parametrize("state", [State.FAILED, State.CANCELLED])
    def test_retry_queues_again_at_the_end(self, make_job, state, sent, committing):
        job, other = make_job(state), make_job()
        Job.objects.filter(pk=job.pk).update(losses=2)
        with committing():
            assert actions.retry(job)
        again = fresh(job)
        assert (again.state, again.error, again.losses, again.finished_at) == (State.QUEUED, "", 0, None)
        assert sent
        assert queue.claim_next("w").pk == other.pk

    @pytest.mark.parametrize("state", [State.QUEUED, State.RUNNING, State.DONE])
    def test_retry_is_not_for_others(self, make_job, state):
        job = make_job(state)
        assert not actions.retry(job)
        assert fresh(job).state == state

    @pytest.mark.parametrize("state", State.values)
    def test_a_deleted_job_is_removed_once_it_cannot_be_restored(self, make_job, state, committing, settings):
        job, other = make_job(state), make_job(State.DONE, title="Other")
        actions.delete(job)
        actions.delete(other)
        age(job, transitions.UNDO + 2 * queue.SPARE)
        age(other, transitions.UNDO)
        with committing():
            queue.purge()
        assert list(Job.objects.all()) == [other]
        assert list(Track.objects.all()) == [other.track]
        assert all(str(other.pk) in path or str(other.track.pk) in path for path in files_below(settings.MEDIA_ROOT))

    def test_only_deleted_jobs_are_purged(self, make_job):
        job = make_job(State.DONE)
        queue.purge()
        assert fresh(job)

    def test_delete_twice_is_the_same(self, make_job):
        job = make_job()
        actions.delete(job)
        actions.delete(job)
        assert actions.restore(job)

    @pytest.mark.parametrize("state", [State.DONE, State.FAILED, State.CANCELLED])
    def test_an_ended_job_is_restored_as_it_was(self, make_job, state, committing):
        job = make_job(state)
        before, files = Job.objects.values().get(pk=job.pk), files_below(job.folder)
        with committing():
            actions.delete(job)
            assert actions.restore(job)
        assert Job.objects.values().get(pk=job.pk) == before | {"updated_at": fresh(job).updated_at}
        assert files_below(job.folder) == files

    @pytest.mark.parametrize("state", [State.QUEUED, State.RUNNING])
    def test_a_live_job_stops_and_is_restored_in_its_old_place(self, make_job, state, sent, committing):
        job, later = make_job(state), make_job()
        job.directory.mkdir(parents=True)
        with committing():
            actions.delete(job)
        assert not job.folder.exists()
        assert queue.claim(job.pk, "w") is None
        assert Queue().position(later) == 0
        sent.clear()
        with committing():
            assert actions.restore(job)
        assert sent == ["webapp.tasks.separate"]
        assert (fresh(job).state, fresh(job).segments_done) == (State.QUEUED, 0)
        assert queue.claim_next("w").pk == job.pk

    def test_a_reselection_is_restored_too(self, make_job, committing):
        job = make_job(State.DONE)
        actions.reselect_stems(job, ["drums"])
        busy = claimed(fresh(job))
        with committing():
            actions.delete(busy)
        with pytest.raises(queue.JobLost):
            queue.progress(busy)
        actions.restore(busy)
        again = fresh(job)
        assert (again.state, again.finished, again.options["stems"]) == (State.QUEUED, 1, ["drums"])
        assert "1/vocals/00000.flac" in files_below(job.folder)

    def test_a_deleted_job_is_not_in_the_queue(self, make_job, sent):
        actions.delete(make_job())
        queue.wake_if_idle("w")
        assert sent == []
        assert queue.claim_next("w") is None

    def test_deleting_an_account_removes_its_files(self, make_job, owner, committing, settings):
        make_job(State.DONE)
        with committing():
            owner.delete()
        assert files_below(settings.MEDIA_ROOT) == []

    def test_a_purge_that_is_rolled_back_removes_no_file(self, make_job, settings):
        job = make_job(State.DONE)
        before = files_below(settings.MEDIA_ROOT)
        actions.delete(job)
        age(job, 2 * transitions.UNDO)
        with pytest.raises(RuntimeError), transaction.atomic():
            queue.purge()
            raise RuntimeError
        assert files_below(settings.MEDIA_ROOT) == before
        assert fresh(job)


class TestLostWorkers:
    def test_a_dead_workers_job_goes_back_to_its_place(self, make_job):
        job, later = claimed(make_job(), "dead"), make_job()
        silence("dead")
        assert queue.requeue_stale() == 1
        assert (fresh(job).state, fresh(job).losses) == (State.QUEUED, 1)
        assert queue.claim_next("alive").pk == job.pk
        assert fresh(later).state == State.QUEUED

    def test_a_living_workers_job_stays(self, make_job):
        job = claimed(make_job(), "alive")
        silence("alive", seconds=LOST_AFTER.seconds - 5)
        assert queue.requeue_stale() == 0
        assert fresh(job).state == State.RUNNING

    def test_a_worker_that_left_no_row_is_dead(self, make_job):
        job = claimed(make_job(), "gone")
        queue.deregister("gone")
        assert queue.requeue_stale() == 1
        assert fresh(job).state == State.QUEUED

    def test_a_job_that_kills_its_workers_is_given_up(self, make_job):
        job = make_job()
        for attempt in range(queue.MAX_LOSSES):
            assert fresh(job).state == State.QUEUED, attempt
            claimed(job, f"w{attempt}")
            silence(f"w{attempt}")
            queue.requeue_stale()
        assert fresh(job).state == State.FAILED
        assert fresh(job).error == queue.LOST

    def test_a_stalled_job_is_failed_with_a_reason(self, make_job):
        stalled, busy, others = (claimed(make_job(), worker) for worker in ("stuck", "busy", "other"))
        old = timezone.now() - queue.STALLED_AFTER - timedelta(seconds=1)
        Job.objects.filter(pk__in=[stalled.pk, others.pk]).update(heartbeat_at=old)
        assert queue.fail_stalled("stuck")
        assert not queue.fail_stalled("busy")
        assert fresh(stalled).state == State.FAILED
        assert "15 minutes" in fresh(stalled).error
        assert fresh(busy).state == State.RUNNING
        assert fresh(others).state == State.RUNNING  # if alive, that worker has to notice by itself that it hangs

    def test_workers_of_yesterday_are_deleted(self):
        queue.heartbeat("old")
        queue.heartbeat("new")
        silence("old", seconds=25 * 3600)
        queue.delete_old_workers()
        assert [worker.name for worker in Worker.objects.all()] == ["new"]

    def test_an_idle_worker_sends_lost_hints_again(self, make_job, sent):
        queue.wake_if_idle("w")
        assert sent == []  # nothing waits
        make_job()
        queue.wake_if_idle("w")
        assert sent == ["webapp.tasks.separate"]
        make_job(State.RUNNING, worker="w")
        queue.wake_if_idle("w")
        assert len(sent) == 1  # a busy worker sends none, so that the queue does not fill with hints


class TestQueue:
    def test_without_worker_it_says_so(self, make_job):
        assert Queue().notice(make_job()) == NO_WORKER

    def test_position_counts_what_must_end_first(self, make_job):
        queue.heartbeat("w")
        first, second, third = make_job(), make_job(), make_job()
        assert [Queue().position(job) for job in (first, second, third)] == [0, 1, 2]
        claimed(first, "w")
        assert [Queue().position(fresh(job)) for job in (first, second, third)] == [None, 1, 2]
        assert Queue().notice(second) == "Starts after 1 other job."
        assert Queue().notice(third) == "Starts after 2 other jobs."
        queue.heartbeat("w2")
        assert [Queue().position(job) for job in (second, third)] == [0, 1]
        assert Queue().notice(second) == ""

    def test_a_running_job_whose_worker_died_says_so(self, make_job):
        job = make_job(State.RUNNING, worker="w")
        assert Queue().notice(job) == ""
        silence("w")
        assert Queue().notice(job) == WORKER_GONE
        queue.heartbeat("w2")
        assert Queue().notice(job) == WORKER_LOST

    @pytest.mark.parametrize("state", OVER)
    def test_an_ended_job_waits_for_nothing(self, make_job, state):
        job = make_job(state)
        assert (Queue().notice(job), Queue().position(job)) == ("", None)

    def test_is_read_once_for_many(self, make_job, django_assert_max_num_queries):
        several = [make_job() for _ in range(5)]
        queue = Queue()
        with django_assert_max_num_queries(3):
            for job in several:
                queue.notice(job)
                queue.position(job)


class TestReselect:
    def test_queues_a_finished_job_and_keeps_its_stems_in_sight(self, make_job, sent, committing, browser):
        job = make_job(State.DONE)
        before = browser.get(f"/api/v1/jobs/{job.pk}/").json()
        with committing():
            assert actions.reselect_stems(job, ["drums"])
        queued = fresh(job)
        assert (queued.state, queued.options["stems"], queued.finished) == (State.QUEUED, ["drums"], 1)
        assert sent[-1] == "webapp.tasks.separate"
        again = claimed(queued)
        assert (again.attempts, again.published, again.directory) == (2, job.directory, job.folder / "2")
        assert "vocals/00000.flac" in files_below(job.directory)
        after = browser.get(f"/api/v1/jobs/{job.pk}/").json()
        assert (after["audio"], after["stems"], after["detected"]) == (
            before["audio"],
            before["stems"],
            before["detected"],
        )

    def test_the_earlier_stems_are_removed_once_the_new_ones_are_complete(self, make_job):
        job = make_job(State.DONE)
        actions.reselect_stems(job, [])
        finish(claimed(fresh(job)), ("vocals", "bass"))
        assert [path.name for path in job.folder.iterdir()] == ["2"]
        assert {stem.name for stem in fresh(job).stems.all()} == {"vocals", "bass"}

    @pytest.mark.parametrize(
        ("end", "message"),
        [
            (actions.cancel, ""),
            (lambda job: queue.fail(job, "The disk is full."), "The disk is full."),
            (lambda job: queue.fail_stalled(job.worker), queue.STALLED),
        ],
    )
    def test_an_early_end_leaves_the_earlier_stems(self, make_job, end, message, committing, browser, fetch, owner):
        job = make_job(State.DONE)
        before = browser.get(f"/api/v1/jobs/{job.pk}/").json()
        actions.reselect_stems(job, ["drums"])
        again = claimed(fresh(job))
        again.directory.mkdir()
        Job.objects.filter(pk=job.pk).update(heartbeat_at=timezone.now() - 2 * queue.STALLED_AFTER)
        with committing():
            end(again)
        after = browser.get(f"/api/v1/jobs/{job.pk}/").json()
        tried = {name: after[name] for name in ("started_at", "finished_at")}  # of the last attempt
        assert tried["started_at"] > before["started_at"]
        assert after == before | tried | {"notice": message, "error": message, "blocks_done": 0, "blocks_total": 0}
        assert fetch(after["stems"][0]["download_url"], owner).status == 200

    def test_a_stale_row_deletes_nothing(self, make_job, committing):
        """One page was opened before the job was done; its stems were reselected on another."""
        early = claimed(make_job())
        finish(early)
        actions.reselect_stems(fresh(early), [])
        early.finished = None
        with committing():
            assert actions.cancel(early)
        assert "1/vocals/00000.flac" in files_below(early.folder)

    @pytest.mark.parametrize("state", [state for state in State.values if state != State.DONE])
    def test_only_of_finished_jobs(self, make_job, state):
        job = make_job(state)
        assert not actions.reselect_stems(job, ["drums"])
        assert fresh(job).options.get("stems", []) == []
