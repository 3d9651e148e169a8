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
    """A finished job's address, and the cookies of the visitor whose it is."""

    url: str
    visitor: "StorageState"


@dataclass(frozen=True)
class Seeded:
    """The id of a job made by `seed.py`, and the cookies of its owner."""

    job: str
    visitor: "StorageState"

    @property
    def path(self) -> str:
        """Of its page."""
        return f"/jobs/{self.job}/"


@pytest.fixture(scope="session", autouse=True)
def browsers_needs() -> None:
    """Skips say what to do."""
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
    """Its address while it runs: web server and worker."""
    with running.serving(data, ["manage.py", "serve"], "healthz") as address:
        yield address


@pytest.fixture(scope="session")
def separated(site: str, data: Path) -> Separated:
    """A song that was uploaded, and separated, before our eyes."""
    with browser_context() as context:
        page = context.new_page()
        page.goto(site)
        page.set_input_files("#files", data / "demo.flac")
        page.wait_for_url("**/jobs/*/")
        page.locator("#mixer").wait_for(timeout=SEPARATION * 1000)
        page.locator(".download").first.wait_for(timeout=SEPARATION * 1000)
        return Separated(page.url, context.storage_state())


def seeded(data: Path, seconds: float, stems: list[str], **more: Any) -> Seeded:
    """A song as if it had been separated, in the site of that data folder. more: see `seed.SongSpec`. Takes seconds."""
    return seed(data, [{"seconds": seconds, "stems": stems} | more])[0]


def seed(data: Path, specs: list[dict[str, Any]]) -> list[Seeded]:
    """Several songs, each as `seed.SongSpec` says."""
    return [
        Seeded(made["job"], {"cookies": [session_cookie(made["session"])], "origins": []})
        for made in running.seed(data, specs)
    ]


@dataclass(frozen=True)
class Web:
    """The site and what is in it, by title."""

    address: str
    songs: dict[str, Seeded]


@contextmanager
def shelf(data: Path, specs: list[dict[str, Any]], **variables: str) -> Iterator[Web]:
    """A web server alone, without a worker, in a new data folder that holds these songs. variables: of `serving`."""
    for command in (["migrate", "-v0"], ["collectstatic", "-v0", "--noinput"]):
        running.manage(data, *command)
    songs = dict(zip([spec["title"] for spec in specs], seed(data, specs), strict=True))
    with running.web(data, **variables) as address:
        yield Web(address, songs)


def session_cookie(value: str) -> dict[str, Any]:
    """As Playwright takes it."""
    return {
        "name": settings.SESSION_COOKIE_NAME, "value": value, "domain": "127.0.0.1", "path": "/",
        "expires": -1, "httpOnly": True, "secure": False, "sameSite": "Lax",
    }  # fmt: skip


@pytest.fixture(scope="module")
def song(separated: Separated) -> Iterator["Page"]:
    """The page of the separated song. Each module has its own: while Playwright runs, other tests have no database."""
    with browser_context(storage_state=separated.visitor) as context:
        page = context.new_page()
        page.goto(separated.url)
        page.locator(".download").first.wait_for()
        yield page


@pytest.fixture
def mixer(song: "Page") -> Iterator["Page"]:
    """The page, playing from the beginning, all faders at 0 dB; as it was afterwards."""
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
    """A visitor's browser, which must meet no error in any script."""
    with chromium() as browser, visit(browser, **options) as context:
        yield context


@contextmanager
def chromium() -> Iterator["Browser"]:
    """A browser that visitors can share."""
    from playwright.sync_api import sync_playwright  # noqa: PLC0415  (a part of the test extra)

    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


@contextmanager
def visit(browser: "Browser", **options: Any) -> Iterator["BrowserContext"]:
    """A visitor's cookies and pages, in which no script must fail."""
    complaints: list[str] = []
    context = browser.new_context(**options)
    context.set_default_timeout(REACTION)
    context.on("weberror", lambda error: complaints.append(str(error.error)))
    yield context
    context.close()
    assert complaints == []
