"""`manage.py serve`: web server and worker together, until Ctrl-C. Either is started again when it ends.

Both are children in sessions of their own, so that Ctrl-C reaches only this process, which then ends them in
order. Should this process be killed, the kernel ends them (on Linux).
"""

import ctypes
import json
import os
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from time import monotonic, sleep
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

TICK = 0.25  # seconds
PATIENCE = 15.0  # seconds between two explanations of what is still missing
STEADY = 60.0  # seconds; a process that lived so long is replaced at once
SLOWEST_RESTART = 30.0  # seconds
GRACE = 4.0  # seconds for both to end by themselves
PR_SET_PDEATHSIG = 1

WEB = ("webapp",)
WORKER = ("celery", "--quiet", "-A", "webapp", "worker", "--loglevel", "WARNING")


class Command(BaseCommand):
    """Run SoundScape."""

    help = "Run the web server and a worker until Ctrl-C."

    def add_arguments(self, parser: CommandParser) -> None:
        """Where to listen."""
        parser.add_argument("--host", default="127.0.0.1", help="address to listen on; 0.0.0.0 for the network")
        parser.add_argument("--port", type=int, default=settings.PORT, help="default: the variable PORT, or 8000")

    def handle(self, *_args: Any, **options: Any) -> None:
        """Start both, watch both, end both."""
        self.host, self.port = options["host"], options["port"]
        _require_free(self.host, self.port)
        self._stop = False
        for sign in (signal.SIGINT, signal.SIGTERM):
            signal.signal(sign, self._on_signal)
        self._say("Starting SoundScape ...")
        web = (*WEB, "--host", self.host, "--port", str(self.port), "--log-level", "warning")
        self.web = Child("web server", web, lambda: _require_free(self.host, self.port))
        self.worker = Child("worker", WORKER)
        try:
            self._watch()
        finally:
            self._say("Stopping ... a song in work goes back to the queue.")
            end(self.web.process, self.worker.process)

    def _on_signal(self, *_: Any) -> None:
        if self._stop:  # asked twice: somebody is in a hurry
            self.web.process.kill()
            self.worker.process.kill()
        self._stop = True

    def _watch(self) -> None:
        ready, explain_at = False, monotonic() + PATIENCE
        while not self._stop:
            for child in (self.web, self.worker):
                if news := child.tend():
                    ready = False
                    self._say(news)
            if not ready:
                missing = missing_parts(self.host, self.port)
                ready = not missing
                if ready:
                    self._say(self.style.SUCCESS(f"SoundScape is ready: {_origin(self.host, self.port)}"))
                elif monotonic() > explain_at:
                    explain_at = monotonic() + PATIENCE
                    self._say(f"Not ready yet. {missing}")
            sleep(TICK)

    def _say(self, line: str) -> None:
        self.stdout.write(line)
        self.stdout.flush()


class Child:
    """A process; when it ends another is started, later each time one ends early.

    before: called before each start but the first. What it raises ends the whole site, for there is no use in going on.
    """

    def __init__(self, name: str, command: Sequence[str], before: Callable[[], None] = lambda: None) -> None:
        self.name = name
        self.command = command
        self.before = before
        self.pause = 0.0
        self.resume_at: float | None = None
        self._start()

    def tend(self) -> str:
        """Called again and again. What happened, in words, or nothing."""
        if self.resume_at is not None:
            if monotonic() >= self.resume_at:
                self.before()
                self._start()
            return ""
        if self.process.poll() is None:
            return ""
        steady = monotonic() - self.started > STEADY
        self.pause = 1.0 if steady else min(max(2 * self.pause, 1.0), SLOWEST_RESTART)
        self.resume_at = monotonic() + self.pause
        return f"The {self.name} stopped ({ending(self.process)}). Another starts in {self.pause:.0f} s."

    def _start(self) -> None:
        self.process = start(self.command)
        self.started = monotonic()
        self.resume_at = None


def start(command: Sequence[str]) -> "subprocess.Popen[bytes]":
    """Run a Python module of ours with this interpreter and these settings, as a child that ends with us."""
    path = os.pathsep.join(filter(None, [str(settings.BASE_DIR), os.environ.get("PYTHONPATH")]))
    return subprocess.Popen(
        [sys.executable, "-m", *command],
        env=os.environ | {"PYTHONPATH": path},
        stdin=subprocess.DEVNULL,
        start_new_session=True,
        preexec_fn=_end_with(os.getpid()) if sys.platform == "linux" else None,  # noqa: PLW1509 - one thread
    )


def end(*children: "subprocess.Popen[bytes]") -> None:
    """Ask all to stop, wait, and kill what is left."""
    for child in children:
        child.terminate()
    deadline = monotonic() + GRACE
    for child in children:
        try:
            child.wait(max(deadline - monotonic(), 0.1))
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def ending(process: "subprocess.Popen[bytes]") -> str:
    """How a process ended."""
    code = process.returncode
    return f"killed by signal {-code}" if code < 0 else f"exit status {code}"


def missing_parts(host: str, port: int) -> str:
    """What /healthz finds missing, in words; nothing if all is well."""
    request = urllib.request.Request(f"{_origin(host, port)}/healthz", headers={"Host": _allowed_host()})
    try:
        with urllib.request.urlopen(request, timeout=10):
            return ""
    except urllib.error.HTTPError as error:
        return _complaints(error.read())
    except OSError as error:
        return f"The web server does not answer: {error}"


def _complaints(body: bytes) -> str:
    try:
        parts: dict[str, str] = json.loads(body)
    except ValueError:
        return "The web server answers with an error; its messages are above."
    return " ".join(f"{name}: {said}" for name, said in parts.items() if name != "status" and said != "ok")


def _origin(host: str, port: int) -> str:
    """The address to open on this machine."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _allowed_host() -> str:
    first = next(iter(settings.ALLOWED_HOSTS), "localhost")
    return "localhost" if first == "*" else first.lstrip(".")


def _require_free(host: str, port: int) -> None:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        if os.name == "posix":
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the web server does
        try:
            probe.bind((host, port))
        except (OSError, OverflowError) as error:
            raise CommandError(
                f"Cannot listen on {host}, port {port}: {error}. Is SoundScape running already? "
                f"Take another port like this: PORT={8000 if port > 65000 else port + 1} make serve"
            ) from error


def _end_with(parent: int) -> Any:
    """For a child, before it becomes its program: a request to be ended when the parent is gone."""
    prctl = ctypes.CDLL(None).prctl

    def ask() -> None:
        prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:  # it was killed before we could ask
            os._exit(1)

    return ask
