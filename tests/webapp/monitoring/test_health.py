"""/healthz reports each part that fails; the checks find mistakes in a deployment."""

import os
import subprocess
import sys
from dataclasses import replace
from ipaddress import ip_network

import pytest
from django.core.checks import run_checks
from django.db import connection
from django.db.utils import OperationalError
from support.acting import silence

from pipeline.options import model_cards
from webapp.monitoring import checks, health
from webapp.songs import queue

pytestmark = pytest.mark.django_db

PARTS = ("database", "broker", "storage", "worker", "model")


@pytest.fixture
def well(models_installed, settings, tmp_path):
    """A site of which every part works."""
    queue.heartbeat("w")
    settings.WAVESURFER = tmp_path
    settings.CELERY_BROKER_TRANSPORT_OPTIONS = {"data_folder_out": str(tmp_path)}


def ask(client):
    answer = client.get("/healthz")
    return answer.status_code, answer.json()


def test_all_is_well(client, well):
    assert ask(client) == (200, {"status": "ok"} | dict.fromkeys(PARTS, "ok"))
    assert "no-cache" in client.get("/healthz")["Cache-Control"]


def broken_database(monkeypatch, _settings):
    def refuse(*_):
        raise OperationalError("connection to server at 10.0.0.7 refused")

    monkeypatch.setattr(connection, "cursor", refuse)


def broken_broker(monkeypatch, _settings):
    def refuse(**_):
        raise ConnectionRefusedError("10.0.0.8")

    monkeypatch.setattr(health.app, "connection_for_write", refuse)


def missing_model(monkeypatch, _settings):
    cards = [replace(card, installed=False) for card in model_cards()]
    monkeypatch.setattr(health, "model_cards", lambda: cards)


def unwritable_messages(_monkeypatch, settings):
    settings.CELERY_BROKER_TRANSPORT_OPTIONS = {"data_folder_out": "/nowhere"}


def dead_worker(*_):
    silence("w")


@pytest.mark.parametrize(
    ("fault", "part", "words"),
    [
        (broken_database, "database", "does not answer"),
        (broken_broker, "broker", "does not answer"),
        (unwritable_messages, "broker", "cannot be written"),
        (dead_worker, "worker", "No worker is running"),
        (missing_model, "model", "manage.py setup"),
    ],
)
def test_each_fault_is_named_alone(client, well, monkeypatch, settings, fault, part, words):
    fault(monkeypatch, settings)
    status, said = ask(client)
    assert status == 503
    assert said["status"] == "unavailable"
    assert words.lower() in said[part].lower()
    wrong = {name for name in PARTS if said[name] != "ok"}
    assert wrong == ({"database", "worker"} if part == "database" else {part})
    assert "10.0.0" not in str(said)  # addresses belong in the log


def test_the_web_process_does_not_load_the_engine():
    """Runs in a new process, because that of the tests has loaded everything."""
    code = (
        "import django; django.setup(); import webapp.urls, sys; sys.exit(bool({'onnxruntime', 'av'} & {*sys.modules}))"
    )
    environment = os.environ | {"DJANGO_SETTINGS_MODULE": "webapp.settings"}
    assert subprocess.run([sys.executable, "-c", code], env=environment, check=False).returncode == 0


@pytest.mark.usefixtures("well")
class TestChecks:
    def found(self, **options):
        return {message.id for message in run_checks(**options) if message.id.startswith("webapp.")}

    def test_a_good_deployment_passes(self):
        assert self.found() == set()

    def test_faults_are_found(self, settings, monkeypatch, tmp_path):
        settings.DATA = settings.WAVESURFER = tmp_path / "missing"
        cards = [replace(card, installed=False) for card in model_cards()]
        monkeypatch.setattr(checks, "model_cards", lambda: cards)
        assert self.found() == {"webapp.E001", "webapp.W001", "webapp.W002"}

    def test_any_host_is_worth_a_warning_in_production(self, settings):
        settings.ALLOWED_HOSTS = ["*"]
        assert self.found(include_deployment_checks=True) == {"webapp.W003"}

    def test_https_behind_nobody_is_worth_a_warning(self, settings):
        settings.HTTPS = True
        assert self.found() == {"webapp.W004"}
        settings.PROXIES = [ip_network("127.0.0.1")]
        assert self.found() == set()
