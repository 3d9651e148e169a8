"""The site in processes of its own, and songs in it, for tests that ask it as a person or a program does."""

import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from webapp.management.commands.serve import WEB

ROOT = Path(__file__).parents[2]
SEED = ROOT / "tests/support/seed.py"
START = 120.0  # seconds until a server must answer


def environment(data: Path) -> dict[str, str]:
    """Our own, but with the defaults of database and queue, and a data folder of its own."""
    ours = {name: value for name, value in os.environ.items() if name not in ("DATABASE_URL", "BROKER_URL")}
    return ours | {"SOUNDSCAPE_DATA": str(data)}


def manage(data: Path, *command: str, **variables: str) -> None:
    """A command of manage.py. variables: more of its environment."""
    _run(data, "manage.py", *command, **variables)


def seed(data: Path, specs: list[dict[str, Any]]) -> list[dict[str, str]]:
    """Songs as if they had been separated, each as `seed.SongSpec` says: ids of the job and of its owner's session."""
    return list(json.loads(_run(data, str(SEED), given=json.dumps(specs))))


def _run(data: Path, *command: str, given: str | None = None, **variables: str) -> str:
    """What a Python program prints; an error shows what it complained of."""
    run = subprocess.run(
        [sys.executable, *command],
        input=given,
        cwd=ROOT,
        env=environment(data) | variables,
        capture_output=True,
        check=False,
        text=True,
    )
    if run.returncode:
        raise RuntimeError(f"{' '.join(command)} failed: {run.stderr[-2000:]}")
    return run.stdout


@contextmanager
def web(data: Path, **variables: str) -> Iterator[str]:
    """The address of a web server without a worker. variables: more of its environment."""
    with serving(data, ["-m", *WEB, "--log-level", "warning"], "accounts/login/", **variables) as address:
        yield address


@contextmanager
def serving(data: Path, command: list[str], page: str, **variables: str) -> Iterator[str]:
    """The address of what a Python program serves, once that page answers. variables: more of its environment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = subprocess.Popen(
        [sys.executable, *command, "--port", str(port)], cwd=ROOT, env=environment(data) | variables
    )
    try:
        _wait(f"http://127.0.0.1:{port}/{page}")
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
