"""Everything stored about a person, in one archive, for that person alone."""

import io
import json
from zipfile import ZipFile

import pytest
from django.test import Client

from webapp.accounts import tokens
from webapp.models import State, User
from webapp.webhooks import outbox

pytestmark = pytest.mark.django_db

PATH = "/accounts/data/"


@pytest.fixture
def exported(fetch):
    """The files of an export, {name: bytes}, and the content of account.json."""

    def export(user):
        answer = fetch(PATH, user)
        assert answer.status == 200
        assert int(answer.headers["Content-Length"]) == len(answer.body)
        assert "attachment" in answer.headers["Content-Disposition"]
        with ZipFile(io.BytesIO(answer.body)) as archive:
            assert archive.testzip() is None
            files = {name.removeprefix("soundscape/"): archive.read(name) for name in archive.namelist()}
        return files, json.loads(files.pop("account.json"))

    return export


def test_uploads_and_stems_are_in_it(exported, make_job, owner):
    make_job(State.DONE, title="Étude: 9")
    make_job(State.FAILED, title="Broken")
    files, account = exported(owner)
    assert files["0001 Étude_ 9/stems 1/vocals.wav"] == b"vocals" * 1000
    assert [*files] == [
        "0001 Étude_ 9/Étude_ 9.wav",
        "0001 Étude_ 9/stems 1/vocals.wav",
        "0001 Étude_ 9/stems 1/drums.wav",
        "0002 Broken/Broken.wav",
    ]
    assert [song["files"] for song in account["songs"]] == [[*files][:3], [*files][3:]]


def test_the_rest_is_in_account_json(exported, make_job, owner):
    make_job(State.DONE)
    tokens.make(owner, "script", ["read"], None)
    hook = outbox.create(owner, "https://example.org/hook", [])
    _, account = exported(owner)
    assert account["account"]["username"] == "owner"
    assert account["tokens"][0]["name"] == "script"
    assert account["webhooks"][0]["url"] == "https://example.org/hook"
    separation = account["songs"][0]["separations"][0]
    assert separation["report"]["null_db"] == -120.0
    assert [event["what"] for event in separation["history"]] == ["Created", "Started", "Done"]
    assert hook.secret not in json.dumps(account)
    assert owner.password not in json.dumps(account)


def test_nothing_of_others_is_in_it(exported, make_job, owner, stranger):
    make_job(State.DONE, user=stranger, title="Theirs")
    files, account = exported(owner)
    assert files == {}
    assert "Theirs" not in json.dumps(account)


def test_a_file_that_is_gone_is_left_out(exported, make_job, owner):
    job = make_job(State.DONE)
    job.track.path.unlink()
    files, account = exported(owner)
    assert [*files] == account["songs"][0]["files"] == ["0001 Song/stems 1/vocals.wav", "0001 Song/stems 1/drums.wav"]


def test_guests_have_theirs(exported, guest):
    files, account = exported(User.objects.get())
    assert account["account"]["is_guest"] is True
    assert [*files] == ["0001 Mine/Mine.mp3"]


def test_visitors_are_asked_to_log_in(fetch):
    assert fetch(PATH).headers["Location"] == "/accounts/login/?next=/accounts/data/"
    assert Client().post(PATH).status_code == 405
