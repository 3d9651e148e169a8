"""A web server of the site in a process of its own, for tests that ask it as a program does."""

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from webapp.management.commands.serve import WEB

ROOT = Path(__file__).parents[2]
START = 120.0  # seconds until it must answer


def environment(data: Path) -> dict[str, str]:
    """Our own, but with the defaults of database and queue, and a data folder of its own."""
    ours = {name: value for name, value in os.environ.items() if name not in ("DATABASE_URL", "BROKER_URL")}
    return ours | {"SOUNDSCAPE_DATA": str(data)}


@contextmanager
def serving(data: Path, **variables: str) -> Iterator[str]:
    """The site's address while it runs. variables: more of its environment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", *WEB, "--port", str(port), "--log-level", "warning"]
    server = subprocess.Popen(command, cwd=ROOT, env=environment(data) | variables)
    try:
        _wait(f"http://127.0.0.1:{port}/accounts/login/")
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(60)


def _wait(url: str) -> None:
    deadline = time.monotonic() + START
    while True:
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)
