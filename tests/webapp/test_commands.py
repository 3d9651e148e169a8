"""`manage.py setup` and the parts of `manage.py serve` that need no processes."""

import socket
from types import SimpleNamespace

import pytest
from django.core.management import CommandError, call_command

from pipeline import demo
from pipeline.options import ModelUnavailable
from webapp.management.commands import serve, setup

pytestmark = pytest.mark.django_db


class TestSetup:
    @pytest.fixture
    def composed(self, monkeypatch):
        """Counts how often the demo song is composed; nothing is downloaded."""
        times = []
        monkeypatch.setattr(setup, "install_models", lambda on_progress: on_progress("htdemucs", 5, 10))
        monkeypatch.setattr(demo, "write", lambda path: (path.touch(), times.append(path)))
        return times

    def test_makes_all_ready_and_again_only_what_is_missing(self, composed, settings, capsys):
        call_command("setup")
        call_command("setup")
        assert composed == [settings.DEMO_SONG]
        assert (settings.STATIC_ROOT / "webapp" / "pages" / "home.js").exists()
        said = capsys.readouterr().out
        for step in ("Database", "Static files", "Model", "Demo song"):
            assert said.count(f"{step} ...") == 2
        assert "MIT" in said  # the licence of the model

    @pytest.mark.usefixtures("composed")
    def test_without_model_it_says_what_to_do(self, monkeypatch):
        def fail(**_):
            raise ModelUnavailable("No network. Connect and try again.")

        monkeypatch.setattr(setup, "install_models", fail)
        with pytest.raises(CommandError, match="Connect and try again"):
            call_command("setup")


class TestServe:
    def test_a_taken_port_is_a_clear_error(self):
        with socket.socket() as other:
            other.bind(("127.0.0.1", 0))
            other.listen()
            port = other.getsockname()[1]
            with pytest.raises(CommandError, match=f"port {port}.*PORT={port + 1} make serve"):
                call_command("serve", port=port)

    @pytest.mark.parametrize(
        ("host", "address"),
        [
            ("127.0.0.1", "http://127.0.0.1:8000"),
            ("0.0.0.0", "http://127.0.0.1:8000"),
            ("::", "http://[::1]:8000"),
            ("music.lan", "http://music.lan:8000"),
        ],
    )
    def test_the_address_can_be_opened_here(self, host, address):
        assert serve._origin(host, 8000) == address

    @pytest.mark.parametrize(
        ("hosts", "name"), [(["*"], "localhost"), ([".a.example"], "a.example"), (["b"], "b"), ([], "localhost")]
    )
    def test_healthz_is_asked_under_an_allowed_name(self, settings, hosts, name):
        settings.ALLOWED_HOSTS = hosts
        assert serve._allowed_host() == name

    def test_what_is_missing_is_told_in_words(self):
        assert serve._complaints(b'{"status": "unavailable", "database": "ok", "worker": "None."}') == "worker: None."
        assert "messages are above" in serve._complaints(b"<h1>Server Error")


class TestRestarts:
    @pytest.fixture
    def clock(self, monkeypatch):
        now = SimpleNamespace(seconds=1000.0)
        monkeypatch.setattr(serve, "monotonic", lambda: now.seconds)
        return now

    @pytest.fixture
    def started(self, monkeypatch):
        """The started processes; the last one runs until it is given a return code."""
        processes = []

        def start(_command):
            process = SimpleNamespace(returncode=None)
            process.poll = lambda: process.returncode
            processes.append(process)
            return process

        monkeypatch.setattr(serve, "start", start)
        return processes

    def test_a_dead_process_is_replaced_ever_later(self, clock, started):
        worker = serve.Child("worker", serve.WORKER)
        delays = []
        for _ in range(8):
            assert worker.poll() == ""
            started[-1].returncode = -9
            assert "killed by signal 9" in worker.poll()
            delays.append(worker.delay)
            clock.seconds += worker.delay - 0.1
            assert worker.poll() == ""
            count = len(started)
            clock.seconds += 0.2
            worker.poll()
            assert len(started) == count + 1
        assert delays == [1, 2, 4, 8, 16, 30, 30, 30]

    def test_one_that_lived_long_is_replaced_at_once(self, clock, started):
        web = serve.Child("web server", serve.WEB)
        web.delay = 16.0
        clock.seconds += serve.STEADY + 1
        started[-1].returncode = 1
        assert "The web server stopped (exit status 1)" in web.poll()
        assert web.delay == 1.0

    def test_a_port_that_was_taken_meanwhile_ends_it_with_a_clear_error(self, clock, started):
        with socket.socket() as other:
            other.bind(("127.0.0.1", 0))
            other.listen()
            port = other.getsockname()[1]
            web = serve.Child("web server", serve.WEB, lambda: serve._require_free("127.0.0.1", port))
            started[-1].returncode = 1
            web.poll()
            clock.seconds += web.delay
            with pytest.raises(CommandError, match=f"port {port}.*PORT={port + 1} make serve"):
                web.poll()
