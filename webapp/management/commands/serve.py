"""`manage.py serve`: runs web server and worker until Ctrl-C, and restarts either when it ends.

Both are children in sessions of their own, so that Ctrl-C reaches only this process, which then ends them in order.
If this process is killed, the kernel ends them (on Linux).
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

POLL_INTERVAL = 0.25  # seconds
REPORT_INTERVAL = 15.0  # seconds between two messages about what is still missing
STEADY = 60.0  # seconds after which a process that ends is restarted without back-off
MAX_BACKOFF = 30.0  # seconds
GRACE_PERIOD = 4.0  # seconds for both to end by themselves
PR_SET_PDEATHSIG = 1

WEB = ("webapp",)
WORKER = ("celery", "--quiet", "-A", "webapp", "worker", "--loglevel", "WARNING")


class Command(BaseCommand):
    """Run the web server and a worker."""

    help = "Run the web server and a worker until Ctrl-C."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--host", default="127.0.0.1", help="address to listen on; 0.0.0.0 for the network")
        parser.add_argument("--port", type=int, default=settings.PORT, help="default: the variable PORT, or 8000")

    def handle(self, *_args: Any, **options: Any) -> None:
        """Start both processes, watch them, and end them."""
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
            self._say("Stopping ... a song in progress goes back to the queue.")
            end(self.web.process, self.worker.process)

    def _on_signal(self, *_: Any) -> None:
        if self._stop:  # the second signal: do not wait
            self.web.process.kill()
            self.worker.process.kill()
        self._stop = True

    def _watch(self) -> None:
        ready, explain_at = False, monotonic() + REPORT_INTERVAL
        while not self._stop:
            for child in (self.web, self.worker):
                if event := child.poll():
                    ready = False
                    self._say(event)
            if not ready:
                missing = missing_parts(self.host, self.port)
                ready = not missing
                if ready:
                    self._say(self.style.SUCCESS(f"SoundScape is ready: {_origin(self.host, self.port)}"))
                elif monotonic() > explain_at:
                    explain_at = monotonic() + REPORT_INTERVAL
                    self._say(f"Not ready yet. {missing}")
            sleep(POLL_INTERVAL)

    def _say(self, line: str) -> None:
        self.stdout.write(line)
        self.stdout.flush()


class Child:
    """A process that is restarted when it ends, with an increasing delay if it ends early.

    before: called before each restart; an exception that it raises ends the whole site.
    """

    def __init__(self, name: str, command: Sequence[str], before: Callable[[], None] = lambda: None) -> None:
        self.name = name
        self.command = command
        self.before = before
        self.delay = 0.0
        self.restart_at: float | None = None
        self._start()

    def poll(self) -> str:
        """Restart the process if necessary. Returns a message if it has ended, or an empty string."""
        if self.restart_at is not None:
            if monotonic() >= self.restart_at:
                self.before()
                self._start()
            return ""
        if self.process.poll() is None:
            return ""
        steady = monotonic() - self.started > STEADY
        self.delay = 1.0 if steady else min(max(2 * self.delay, 1.0), MAX_BACKOFF)
        self.restart_at = monotonic() + self.delay
        return f"The {self.name} stopped ({ending(self.process)}). It restarts in {self.delay:.0f} s."

    def _start(self) -> None:
        self.process = start(self.command)
        self.started = monotonic()
        self.restart_at = None


def start(command: Sequence[str]) -> "subprocess.Popen[bytes]":
    """Run a Python module with this interpreter and these settings, as a child that ends with this process."""
    path = os.pathsep.join(filter(None, [str(settings.BASE_DIR), os.environ.get("PYTHONPATH")]))
    return subprocess.Popen(
        [sys.executable, "-m", *command],
        env=os.environ | {"PYTHONPATH": path},
        stdin=subprocess.DEVNULL,
        start_new_session=True,
        preexec_fn=_end_with(os.getpid()) if sys.platform == "linux" else None,  # noqa: PLW1509 - one thread
    )


def end(*children: "subprocess.Popen[bytes]") -> None:
    """Ask all children to stop, wait, and kill those that are left."""
    for child in children:
        child.terminate()
    deadline = monotonic() + GRACE_PERIOD
    for child in children:
        try:
            child.wait(max(deadline - monotonic(), 0.1))
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def ending(process: "subprocess.Popen[bytes]") -> str:
    """How a process has ended, as text."""
    code = process.returncode
    return f"killed by signal {-code}" if code < 0 else f"exit status {code}"


def missing_parts(host: str, port: int) -> str:
    """The parts that /healthz reports as missing, as text; empty if there are none."""
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
    return " ".join(f"{name}: {state}" for name, state in parts.items() if name != "status" and state != "ok")


def _origin(host: str, port: int) -> str:
    """The URL to open on this machine."""
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
    """A function for the child to call before exec: it asks the kernel to end the child with its parent."""
    prctl = ctypes.CDLL(None).prctl

    def request() -> None:
        prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:  # the parent was killed before the request
            os._exit(1)

    return request
