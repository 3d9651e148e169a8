"""The real site in a real browser: server, worker and model, and one song that every test of the page shares."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from django.conf import settings
from support import running
from support.player import STEMS, wait_for_sound

from pipeline.options import model_cards

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page, StorageState

CHROMIUM = shutil.which("chromium")
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--autoplay-policy=no-user-gesture-required",
]
SEPARATION = 420.0  # seconds for half a minute of music on a slow, busy machine
REACTION = 15_000.0  # milliseconds within which the page must react


@dataclass(frozen=True)
class Separated:
    """A finished job's URL and its owner's cookies."""

    url: str
    visitor: "StorageState"


@dataclass(frozen=True)
class Seeded:
    """The id of a job that `seed.py` created, and its owner's cookies."""

    job: str
    visitor: "StorageState"

    @property
    def path(self) -> str:
        return f"/jobs/{self.job}/"


@pytest.fixture(scope="session", autouse=True)
def browsers_needs() -> None:
    """Skip with a message that says what to install."""
    pytest.importorskip("playwright.sync_api", reason="Playwright is not installed: pip install -e '.[test]'")
    if CHROMIUM is None:
        pytest.skip("Chromium is not installed: apt-get install chromium")
    if not settings.WAVESURFER.is_dir():
        pytest.skip("npm packages are not installed: npm ci")


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh installation's data folder, with the demo song in it."""
    missing = [card.name for card in model_cards() if not card.installed]
    if missing:
        pytest.skip(f"A model is not installed: python -m ensemble pull {' '.join(missing)}")
    folder = tmp_path_factory.mktemp("data")
    running.manage(folder, "setup")
    return folder


@pytest.fixture(scope="session")
def site(data: Path) -> Iterator[str]:
    """Run web server and worker; the site's URL."""
    with running.serving(data, ["manage.py", "serve"], "healthz") as address:
        yield address


@pytest.fixture(scope="session")
def separated(site: str, data: Path) -> Separated:
    """A song that was uploaded and separated through the browser."""
    with browser_context() as context:
        page = context.new_page()
        page.goto(site)
        page.set_input_files("#files", data / "demo.flac")
        page.wait_for_url("**/jobs/*/")
        page.locator("#mixer").wait_for(timeout=SEPARATION * 1000)
        page.locator(".download").first.wait_for(timeout=SEPARATION * 1000)
        return Separated(page.url, context.storage_state())


def seeded(data: Path, seconds: float, stems: list[str], **more: Any) -> Seeded:
    """Create a song as if it had been separated. more: see `seed.SongSpec`. Takes seconds."""
    return seed(data, [{"seconds": seconds, "stems": stems} | more])[0]


def seed(data: Path, specs: list[dict[str, Any]]) -> list[Seeded]:
    """Create songs as described by `seed.SongSpec`."""
    return [
        Seeded(made["job"], {"cookies": [session_cookie(made["session"])], "origins": []})
        for made in running.seed(data, specs)
    ]


@dataclass(frozen=True)
class Web:
    """The site and its songs by title."""

    address: str
    songs: dict[str, Seeded]


@contextmanager
def shelf(data: Path, specs: list[dict[str, Any]], **variables: str) -> Iterator[Web]:
    """Run a web server without a worker, with these songs in a new data folder. variables: environment variables."""
    for command in (["migrate", "-v0"], ["collectstatic", "-v0", "--noinput"]):
        running.manage(data, *command)
    songs = dict(zip([spec["title"] for spec in specs], seed(data, specs), strict=True))
    with running.web(data, **variables) as address:
        yield Web(address, songs)


def session_cookie(value: str) -> dict[str, Any]:
    """A session cookie in Playwright's format."""
    return {
        "name": settings.SESSION_COOKIE_NAME, "value": value, "domain": "127.0.0.1", "path": "/",
        "expires": -1, "httpOnly": True, "secure": False, "sameSite": "Lax",
    }  # fmt: skip


@pytest.fixture(scope="module")
def song(separated: Separated) -> Iterator["Page"]:
    """The separated song's page. Each module opens its own, because tests have no database while Playwright runs."""
    with browser_context(storage_state=separated.visitor) as context:
        page = context.new_page()
        page.goto(separated.url)
        page.locator(".download").first.wait_for()
        yield page


@pytest.fixture
def mixer(song: "Page") -> Iterator["Page"]:
    """The page, playing from the beginning with all faders at 0 dB. Resets the faders afterwards."""
    song.locator("#start").click()
    song.locator("#play").click()
    wait_for_sound(song, "master", audible=True)
    yield song
    song.keyboard.press("Escape")
    song.evaluate(
        """(names) => names.forEach((name) => {
          document.querySelector('#mixer').engine.setLane(name, { db: 0, pan: 0, mute: false, solo: false });
        })""",
        STEMS,
    )


@contextmanager
def browser_context(**options: Any) -> Iterator["BrowserContext"]:
    """A browser with one visitor, whose scripts must not fail."""
    with chromium() as browser, visit(browser, **options) as context:
        yield context


@contextmanager
def chromium() -> Iterator["Browser"]:
    """A browser that several visitors can share."""
    from playwright.sync_api import sync_playwright  # noqa: PLC0415  (a part of the test extra)

    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


@contextmanager
def visit(browser: "Browser", **options: Any) -> Iterator["BrowserContext"]:
    """A visitor's own cookies and pages, whose scripts must not fail."""
    complaints: list[str] = []
    context = browser.new_context(**options)
    context.set_default_timeout(REACTION)
    context.on("weberror", lambda error: complaints.append(str(error.error)))
    yield context
    context.close()
    assert complaints == []
