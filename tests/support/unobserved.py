"""A page without network instrumentation, on which memory can be measured.

Playwright, like any open developer tools, makes the browser keep what a page fetches, up to 200 MB in the page's own
process. This speaks the DevTools protocol directly and leaves the network alone.
"""

import itertools
import json
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from browser.conftest import ARGUMENTS, CHROMIUM, REACTION
from websockets.sync.client import ClientConnection, connect

# A single process for all pages, so that it is clear whose memory is measured.
ALONE = ["--headless=new", "--remote-debugging-port=0", "--renderer-process-limit=1", "--disable-extensions"]
START = 60.0  # seconds
POLL_INTERVAL = 0.1


class Connection:
    """Sends commands to a target of the browser and returns its results."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._numbers = itertools.count()

    def __call__(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send a command. Raises RuntimeError if the browser reports an error."""
        number = next(self._numbers)
        self._socket.send(json.dumps({"id": number, "method": method, "params": parameters}))
        while (answer := json.loads(self._socket.recv())).get("id") != number:
            pass
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']['message']}")
        return dict(answer["result"])


class Page:
    """The only page of a browser."""

    def __init__(self, browser: Connection, page: Connection) -> None:
        self._browser = browser
        self._page = page

    def go_to(self, url: str) -> None:
        self._page("Page.navigate", url=url)
        self.wait_for(f"document.readyState === 'complete' && location.href === {json.dumps(url)}")

    def evaluate(self, expression: str) -> Any:
        """Evaluate an expression with user activation and await its promise. Raises RuntimeError if it throws."""
        answer = self._page(
            "Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True, userGesture=True
        )
        if "exceptionDetails" in answer:
            raise RuntimeError(f"{expression}: {answer['exceptionDetails']}")
        return answer["result"].get("value")

    def wait_for(self, condition: str, seconds: float = REACTION / 1000) -> None:
        """Wait until an expression is true. Raises TimeoutError."""
        deadline = time.monotonic() + seconds
        while not self.evaluate(f"Boolean({condition})"):  # elements cannot be returned by value
            if time.monotonic() > deadline:
                raise TimeoutError(condition)
            time.sleep(POLL_INTERVAL)

    def memory(self) -> float:
        """Private memory of the page's process after garbage collection, megabytes."""
        self._page("HeapProfiler.collectGarbage")
        processes = self._browser("SystemInfo.getProcessInfo")["processInfo"]
        return max(resident(process["id"]) for process in processes if process["type"] == "renderer")


@contextmanager
def unobserved(cookies: list[dict[str, Any]]) -> Iterator[Page]:
    """Start a browser with these cookies and one empty page."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        command = [str(CHROMIUM), *ARGUMENTS, *ALONE, f"--user-data-dir={profile}", "about:blank"]
        browser = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        try:
            port, path = address(Path(profile) / "DevToolsActivePort")
            with connect(f"ws://127.0.0.1:{port}{path}", max_size=None) as socket:
                connection = Connection(socket)
                connection("Storage.setCookies", cookies=cookies)
                [page] = [each for each in connection("Target.getTargets")["targetInfos"] if each["type"] == "page"]
                with connect(f"ws://127.0.0.1:{port}/devtools/page/{page['targetId']}", max_size=None) as own:
                    yield Page(connection, Connection(own))
        finally:
            browser.terminate()
            browser.wait(START)


def address(file: Path) -> list[str]:
    """Port and path of a browser that has just been started. Raises TimeoutError."""
    deadline = time.monotonic() + START
    while not (file.exists() and len(lines := file.read_text().splitlines()) == 2):
        if time.monotonic() > deadline:
            raise TimeoutError("Chromium did not start.")
        time.sleep(POLL_INTERVAL)
    return lines


def resident(pid: int) -> float:
    """Private memory of a process, megabytes."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    fields = dict(line.split(":", 1) for line in lines)
    return int(fields["RssAnon"].split()[0]) / 1024
