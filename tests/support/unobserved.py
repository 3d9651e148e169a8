"""A page that is asked a few questions and otherwise left alone: what its memory can be measured on.

Playwright, as any open developer tools, has the browser keep what a page fetches, up to 200 MB of it in the page's own
process. Here nothing listens to the network, and what is spoken is the DevTools protocol itself.
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

# One process for all pages, so that there is no doubt about whose memory is measured.
ALONE = ["--headless=new", "--remote-debugging-port=0", "--renderer-process-limit=1", "--disable-extensions"]
START = 60.0  # seconds
LOOK_EVERY = 0.1


class Talk:
    """Commands to a target of the browser, and its answers."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._numbers = itertools.count()

    def __call__(self, method: str, **parameters: Any) -> dict[str, Any]:
        """The result. Raises RuntimeError where the browser refuses."""
        number = next(self._numbers)
        self._socket.send(json.dumps({"id": number, "method": method, "params": parameters}))
        while (answer := json.loads(self._socket.recv())).get("id") != number:
            pass
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']['message']}")
        return dict(answer["result"])


class Page:
    """The only page of a browser."""

    def __init__(self, browser: Talk, page: Talk) -> None:
        self._browser = browser
        self._page = page

    def go_to(self, url: str) -> None:
        self._page("Page.navigate", url=url)
        self.wait_for(f"document.readyState === 'complete' && location.href === {json.dumps(url)}")

    def evaluate(self, expression: str) -> Any:
        """The value of an expression, awaited if it is a promise, as after a click. Raises RuntimeError if it fails."""
        answer = self._page(
            "Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True, userGesture=True
        )
        if "exceptionDetails" in answer:
            raise RuntimeError(f"{expression}: {answer['exceptionDetails']}")
        return answer["result"].get("value")

    def wait_for(self, condition: str, seconds: float = REACTION / 1000) -> None:
        """Until an expression is true. Raises TimeoutError."""
        deadline = time.monotonic() + seconds
        while not self.evaluate(f"Boolean({condition})"):  # an element has no value of its own
            if time.monotonic() > deadline:
                raise TimeoutError(condition)
            time.sleep(LOOK_EVERY)

    def memory(self) -> float:
        """Megabytes of the page's process that are its own, after a collection of garbage."""
        self._page("HeapProfiler.collectGarbage")
        processes = self._browser("SystemInfo.getProcessInfo")["processInfo"]
        return max(resident(process["id"]) for process in processes if process["type"] == "renderer")


@contextmanager
def unobserved(cookies: list[dict[str, Any]]) -> Iterator[Page]:
    """A browser with these cookies and one empty page."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        command = [str(CHROMIUM), *ARGUMENTS, *ALONE, f"--user-data-dir={profile}", "about:blank"]
        browser = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        try:
            port, path = address(Path(profile) / "DevToolsActivePort")
            with connect(f"ws://127.0.0.1:{port}{path}", max_size=None) as socket:
                talk = Talk(socket)
                talk("Storage.setCookies", cookies=cookies)
                [page] = [each for each in talk("Target.getTargets")["targetInfos"] if each["type"] == "page"]
                with connect(f"ws://127.0.0.1:{port}/devtools/page/{page['targetId']}", max_size=None) as own:
                    yield Page(talk, Talk(own))
        finally:
            browser.terminate()
            browser.wait(START)


def address(file: Path) -> list[str]:
    """Port and path at which a browser that has just been started listens. Raises TimeoutError."""
    deadline = time.monotonic() + START
    while not (file.exists() and len(lines := file.read_text().splitlines()) == 2):
        if time.monotonic() > deadline:
            raise TimeoutError("Chromium did not start.")
        time.sleep(LOOK_EVERY)
    return lines


def resident(pid: int) -> float:
    """Megabytes of a process that are its own."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    fields = dict(line.split(":", 1) for line in lines)
    return int(fields["RssAnon"].split()[0]) / 1024
