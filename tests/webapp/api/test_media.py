"""Audio files: whole, by ranges, and not again if they have not changed."""

import pytest
from django.utils.http import http_date
from support.acting import PICTURE, RATE, SECONDS, claimed, drafted, finish, write_original

from pipeline.playback.spectrogram import cached, columns
from webapp.http import ranges
from webapp.models import Job, State, Stem, Track
from webapp.songs import actions, queue

pytestmark = pytest.mark.django_db

BODY = b"vocals" * 1000


@pytest.fixture
def stem(make_job):
    return f"/api/v1/jobs/{make_job(State.DONE).pk}/stems/vocals"


@pytest.fixture
def get(fetch, owner):
    return lambda path, **headers: fetch(path, owner, **headers)


class TestWhole:
    def test_a_stem_comes_whole_and_in_pieces_from_the_disk(self, get, stem, monkeypatch):
        monkeypatch.setattr(ranges, "CHUNK", 1000)
        answer = get(f"{stem}/download")
        assert (answer.status, answer.body) == (200, BODY)
        assert answer.headers["Content-Length"] == "6000"
        assert answer.headers["Content-Type"] == "audio/wav"
        assert answer.headers["Accept-Ranges"] == "bytes"
        assert "private" in answer.headers["Cache-Control"]

    def test_head_tells_the_length_without_the_body(self, fetch, owner, stem):
        answer = fetch(f"{stem}/download", owner, method="head")
        assert (answer.status, answer.headers["Content-Length"], answer.body) == (200, "6000", b"")

    def test_segments_and_peaks(self, get, stem):
        assert get(f"{stem}/segments/1.flac").body == b"vocals 1"
        assert get(f"{stem}/segments/1.flac").headers["Content-Type"] == "audio/flac"
        assert get(f"{stem}/peaks").body == bytes(range(200))
        assert get(f"{stem}/peaks").headers["Content-Type"] == "application/octet-stream"

    @pytest.mark.parametrize("tail", ["segments/2.flac", "segments/99999999999999999999.flac"])
    def test_segments_that_are_not_there(self, get, stem, tail):
        assert get(f"{stem}/{tail}").status == 404

    def test_unknown_stems(self, get, stem):
        assert get(f"{stem.replace('vocals', 'kazoo')}/peaks").status == 404

    def test_a_segment_in_the_making_is_not_given_out(self, get, make_job):
        job = claimed(make_job())
        folder = job.directory / "vocals"
        folder.mkdir(parents=True)
        for index in range(2):
            (folder / f"{index:05d}.flac").write_bytes(b"half a")
        queue.progress(job, ["vocals"], segments_done=1)
        assert get(f"/api/v1/jobs/{job.pk}/stems/vocals/segments/0.flac").status == 200
        assert get(f"/api/v1/jobs/{job.pk}/stems/vocals/segments/1.flac").status == 404
        assert get(f"/api/v1/jobs/{job.pk}/stems/vocals/download").status == 404

    def test_a_file_that_vanished_is_not_found(self, get, stem):
        Stem.objects.get(name="vocals").file.storage.delete(Stem.objects.get(name="vocals").file.name)
        assert get(f"{stem}/download").status == 404


class TestDraft:
    @pytest.fixture
    def job(self, make_job):
        job = claimed(make_job())
        drafted(job)
        queue.progress(job, ["vocals", "guitar"])
        return job

    def test_is_there_before_the_stem(self, get, job):
        stem = f"/api/v1/jobs/{job.pk}/stems/vocals"
        assert get(f"{stem}/draft/0.flac").body == b"draft of vocals 0"
        assert get(f"{stem}/draft/0.flac").headers["Content-Type"] == "audio/flac"
        assert get(f"{stem}/draft/1.flac").status == 404
        assert get(f"{stem}/segments/0.flac").status == 404

    def test_lacks_what_its_network_does_not_tell_apart(self, browser, get, job):
        vocals, guitar = browser.get(f"/api/v1/jobs/{job.pk}/").json()["stems"]
        assert vocals["draft_segments_url"] == f"/api/v1/jobs/{job.pk}/stems/vocals/draft/{{index}}.flac"
        assert guitar["draft_segments_url"] is None
        assert get(f"/api/v1/jobs/{job.pk}/stems/guitar/draft/0.flac").status == 404
        assert get(guitar["peaks_url"]).body == b""

    def test_is_drawn_where_the_stem_is_not_known(self, get, job):
        peaks = f"/api/v1/jobs/{job.pk}/stems/vocals/peaks"
        assert get(peaks).body == bytes(range(100, 250))
        (job.directory / "vocals").mkdir()
        (job.directory / "vocals" / "peaks.i8").write_bytes(bytes(100))
        assert get(peaks).body == bytes(100) + bytes(range(200, 250))
        assert "private" in get(peaks).headers["Cache-Control"]


class TestOriginal:
    def test_the_song_itself_its_thumbnail_and_cover(self, get, stem):
        job = stem.removesuffix("/stems/vocals")
        assert get(f"{job}/original/segments/1.flac").body == b"original 1"
        assert get(f"{job}/original/segments/1.flac").headers["Content-Type"] == "audio/flac"
        assert get(f"{job}/original/peaks").body == bytes(range(100))
        assert get(f"{job}/thumbnail").body == bytes(range(10))
        assert get(f"{job}/cover").body == PICTURE
        assert get(f"{job}/cover").headers["Content-Type"] == "image/png"
        assert get(f"{job}/original/segments/2.flac").status == 404

    @pytest.mark.parametrize("tail", ["original/segments/0.flac", "original/peaks", "thumbnail", "cover"])
    def test_is_there_before_the_first_stem_but_not_before_it_is_whole(self, get, make_job, tail):
        job = claimed(make_job())
        address = f"/api/v1/jobs/{job.pk}/{tail}"
        assert get(address).status == 404
        queue.progress(job, **write_original(job))
        assert get(address).status == 200


class TestSpectrogram:
    def test_is_what_is_computed_made_once_and_sent_with_its_shape(self, get, real_job):
        job = real_job()
        answer = get(f"/api/v1/jobs/{job.pk}/stems/drums/spectrogram")
        path = cached(job.directory, "drums")
        assert (answer.status, answer.body) == (200, path.read_bytes())
        shape = int(answer.headers["X-Columns"]), int(answer.headers["X-Bands"])
        assert shape == (columns(RATE * SECONDS), 128)
        assert len(answer.body) == shape[0] * shape[1]
        again = get(f"/api/v1/jobs/{job.pk}/stems/drums/spectrogram", If_None_Match=answer.headers["ETag"])
        assert again.status == 304

    def test_of_what_is_not_finished_there_is_none(self, get, make_job):
        job = claimed(make_job())
        queue.progress(job, ["vocals"], segments_done=1)
        assert get(f"/api/v1/jobs/{job.pk}/stems/vocals/spectrogram").status == 404

    def test_strangers_and_unknown_stems_find_nothing(self, get, fetch, stranger, real_job):
        base = f"/api/v1/jobs/{real_job().pk}/stems"
        assert fetch(f"{base}/drums/spectrogram", stranger).status == 404
        assert fetch(f"{base}/drums/spectrogram").status == 404
        assert get(f"{base}/kazoo/spectrogram").status == 404

    def test_files_that_are_gone_are_not_found(self, get, stem):
        assert get(f"{stem}/spectrogram").status == 404


class TestNames:
    @pytest.mark.parametrize(
        ("title", "header"),
        [
            ("Plain", 'attachment; filename="Plain - vocals.wav"'),
            ('Say "hi"', 'attachment; filename="Say _hi_ - vocals.wav"'),
            ("a/b\\c:d\r\nX: y", 'attachment; filename="a_b_c_d_X_ y - vocals.wav"'),
            ("Motörhead 🤘", "attachment; filename*=utf-8''Mot%C3%B6rhead%20%F0%9F%A4%98%20-%20vocals.wav"),
            ("...", 'attachment; filename="song - vocals.wav"'),
            ("x" * 255, f'attachment; filename="{"x" * 200} - vocals.wav"'),
        ],
    )
    def test_downloads_are_named_for_the_song(self, get, stem, title, header):
        Track.objects.update(title=title)
        Job.objects.update(report={"title": title})
        assert get(f"{stem}/download").headers["Content-Disposition"] == header


@pytest.fixture(params=["folder", "bucket"])
def anywhere(request):
    """Runs a test with each storage. Request it before a job is created."""
    return request.param == "folder" or request.getfixturevalue("bucket")


class TestRange:
    @pytest.mark.usefixtures("anywhere")
    @pytest.mark.parametrize(
        ("asked", "first", "last"),
        [
            ("bytes=0-0", 0, 0),
            ("bytes=10-19", 10, 19),
            ("bytes=5990-", 5990, 5999),
            ("bytes=5990-99999", 5990, 5999),
            ("bytes=-10", 5990, 5999),
            ("bytes=-99999", 0, 5999),
            ("bytes=0-", 0, 5999),  # how browsers probe whether ranges are supported
        ],
    )
    def test_a_part(self, get, stem, asked, first, last):
        answer = get(f"{stem}/download", Range=asked)
        assert answer.body == BODY[first : last + 1]
        assert answer.headers["Content-Length"] == str(last - first + 1)
        assert answer.status == 206
        assert answer.headers["Content-Range"] == f"bytes {first}-{last}/6000"

    @pytest.mark.usefixtures("anywhere")
    @pytest.mark.parametrize("asked", ["bytes=6000-", "bytes=7000-8000", "bytes=-0"])
    def test_a_part_that_is_not_there(self, get, stem, asked):
        answer = get(f"{stem}/download", Range=asked)
        assert (answer.status, answer.headers["Content-Range"]) == (416, "bytes */6000")

    @pytest.mark.parametrize("asked", ["bytes=", "bytes=-", "bytes=5-2", "items=0-1", "bytes=0-1,5-6", "nonsense"])
    def test_what_can_not_be_read_means_all(self, get, stem, asked):
        answer = get(f"{stem}/download", Range=asked)
        assert (answer.status, answer.body) == (200, BODY)

    def test_growing_peaks_can_be_fetched_from_where_one_is(self, get, stem):
        assert get(f"{stem}/peaks", Range="bytes=150-").body == bytes(range(150, 200))


class TestCaching:
    @pytest.mark.usefixtures("anywhere")
    def test_unchanged_is_not_sent_again(self, get, stem):
        first = get(f"{stem}/download")
        again = get(f"{stem}/download", If_None_Match=first.headers["ETag"])
        assert (again.status, again.body) == (304, b"")
        assert again.headers["ETag"] == first.headers["ETag"]
        assert get(f"{stem}/download", If_Modified_Since=http_date()).status == 304

    @pytest.mark.usefixtures("anywhere")
    def test_a_part_of_another_version_is_not_given(self, get, stem):
        etag = get(f"{stem}/download").headers["ETag"]
        assert get(f"{stem}/download", Range="bytes=0-9", If_Range=etag).status == 206
        assert get(f"{stem}/download", Range="bytes=0-9", If_Range='"old"').body == BODY
        assert get(f"{stem}/download", If_Match='"old"').status == 412

    def test_a_new_attempt_is_a_new_version(self, get, make_job):
        job = make_job(State.DONE)
        path = f"/api/v1/jobs/{job.pk}/stems/vocals/segments/0.flac"
        first = get(path)
        Job.objects.filter(pk=job.pk).update(state=State.FAILED)
        actions.retry(job)
        assert get(path).status == 404
        finish(claimed(job))
        assert get(path, If_None_Match=first.headers["ETag"]).status == 200
