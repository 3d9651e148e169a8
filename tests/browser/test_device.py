"""Integration with the device: lock screen and headset control the player, and the site can be installed as an app."""

import base64
import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin

import pytest
from browser.conftest import Web, chromium, shelf, visit
from browser.test_controls import opened
from support.player import STEMS, engine, wait_for_sound

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

SECONDS = 40
COVER = base64.b64encode(
    bytes.fromhex(
        "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c4890000000d49444154789c6360606060000000050001"
        "a5f645400000000049454e44ae426082"
    )
).decode()
SONGS: list[dict[str, Any]] = [
    {"title": "Covered", "seconds": SECONDS, "stems": STEMS, "cover": COVER},
    {"title": "Plain", "seconds": SECONDS, "stems": STEMS},
]
# No test can press a headset's button: what the page asks the browser to call for it is kept, as is what it says of the
# position, which no page can read.
DEVICE = """
  window.device = { actions: {}, position: null };
  const { setActionHandler, setPositionState } = MediaSession.prototype;
  MediaSession.prototype.setActionHandler = function (action, handler) {
    device.actions[action] = handler;
    setActionHandler.call(this, action, handler);
  };
  MediaSession.prototype.setPositionState = function (state) {
    device.position = state;
    setPositionState.call(this, state);
  };
"""
PRESS = "([action, details]) => device.actions[action]({ action, ...details })"
SHOWN = """() => {
  const { metadata, playbackState } = navigator.mediaSession;
  const { title, artist, artwork } = metadata;
  return { title, artist, artwork: artwork.map(({ src }) => src), playbackState };
}"""
SIZES = """async (icons) => Promise.all(icons.map(async (src) => {
  const image = new Image();
  image.src = src;
  await image.decode();
  return [image.naturalWidth, image.naturalHeight];
}))"""


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    with shelf(tmp_path_factory.mktemp("device"), SONGS) as web:
        yield web


@pytest.fixture(scope="module")
def browser(web: Web) -> Iterator["Browser"]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def page(browser: "Browser", web: Web) -> Iterator["Page"]:
    with visit(browser, storage_state=web.songs["Covered"].visitor, base_url=web.address) as context:
        page = context.new_page()
        page.add_init_script(DEVICE)
        yield page


def test_the_lock_screen_shows_what_plays(page: "Page", web: Web) -> None:
    """This needs a media element that plays, and the mixer uses none for its sound."""
    opened(page, web.songs["Covered"].path)
    assert page.evaluate(SHOWN)["playbackState"] == "paused"
    page.locator("#play").click()
    wait_for_sound(page, "master", audible=True)
    shown = page.evaluate(SHOWN)
    assert (shown["title"], shown["playbackState"]) == ("Covered", "playing")
    [artwork] = shown["artwork"]
    assert page.request.get(artwork).headers["content-type"] == "image/png"
    page.wait_for_function("() => device.position.position > 1")
    page.get_by_role("slider", name="Tempo").fill("80")
    position = page.evaluate("device.position")
    assert (position["duration"], position["playbackRate"]) == (SECONDS, 0.8)
    page.keyboard.press("Escape")
    assert page.evaluate(SHOWN)["playbackState"] == "paused"
    assert page.evaluate("device.position.position") == 0


def test_the_lock_screen_follows_a_loop(page: "Page", web: Web) -> None:
    opened(page, web.songs["Plain"].path)
    assert page.evaluate(SHOWN)["artwork"] == []
    page.evaluate("() => document.querySelector('#mixer').engine.setLoop(3, 4.5)")
    page.evaluate("() => document.querySelector('#mixer').engine.seek(4)")
    page.locator("#play").click()
    page.wait_for_function("() => device.position.position > 4.1")
    page.wait_for_function("() => device.position.position < 3.9")


def test_a_headset_and_the_lock_screen_play_pause_and_seek(page: "Page", web: Web) -> None:
    opened(page, web.songs["Plain"].path)
    page.evaluate(PRESS, ["play", {}])
    wait_for_sound(page, "master", audible=True)
    page.evaluate(PRESS, ["seekto", {"seekTime": 20}])
    assert engine(page, "position") == 20
    page.evaluate(PRESS, ["pause", {}])
    assert engine(page, "state") == "paused"
    at = engine(page, "position")
    page.evaluate(PRESS, ["seekforward", {}])
    assert engine(page, "position") == pytest.approx(at + 10)
    page.evaluate(PRESS, ["seekbackward", {"seekOffset": 5}])
    assert engine(page, "position") == pytest.approx(at + 5)
    page.evaluate(PRESS, ["stop", {}])
    assert engine(page, "position") == 0


def test_the_site_can_be_installed_as_an_app(page: "Page", web: Web) -> None:
    page.goto("/")
    found = page.context.new_cdp_session(page).send("Page.getAppManifest")
    assert found["errors"] == []
    manifest = json.loads(found["data"])
    assert (manifest["name"], urljoin(found["url"], manifest["start_url"])) == ("SoundScape", f"{web.address}/")
    assert page.request.get(found["url"]).headers["content-type"].startswith("application/manifest+json")
    pictures = [icon for icon in manifest["icons"] if icon["type"] == "image/png"]
    sizes = page.evaluate(SIZES, [urljoin(found["url"], icon["src"]) for icon in pictures])
    assert [f"{width}x{height}" for width, height in sizes] == [icon["sizes"] for icon in pictures]
    assert {"192x192", "512x512"} <= {icon["sizes"] for icon in pictures if "purpose" not in icon}
    assert "maskable" in {icon.get("purpose") for icon in pictures}
    assert page.locator("meta[name=theme-color]").count() == 2
