"""A job's page in the admin: what a reviewer hears and sees."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from browser.conftest import browser_context, shelf
from support import running

if TYPE_CHECKING:
    from playwright.sync_api import Page

SONG = {"seconds": 20, "stems": ["vocals", "drums"], "title": "Reviewed"}
IN_WORK = {"seconds": 1, "stems": ["vocals"], "title": "In work", "state": "running"}
LOGIN = {"DJANGO_SUPERUSER_PASSWORD": "wonderwall-1995"}


@pytest.fixture(scope="module")
def review(tmp_path_factory: pytest.TempPathFactory) -> "Iterator[Page]":
    """The song's page as a reviewer sees it."""
    data = tmp_path_factory.mktemp("review")
    with shelf(data, [SONG, IN_WORK]) as web, browser_context() as context:
        admin = ["createsuperuser", "--noinput", "--username=admin", "--email=a@example.org"]
        running.manage(data, *admin, **LOGIN)
        page = context.new_page()
        page.goto(f"{web.address}/admin/webapp/job/{web.songs['Reviewed'].job}/change/")
        page.fill("[name=username]", "admin")
        page.fill("[name=password]", LOGIN["DJANGO_SUPERUSER_PASSWORD"])
        page.click("[type=submit]")
        page.locator("[data-lane=drums]").wait_for()
        yield page


def place(page: "Page") -> float:
    return float(page.locator("[data-place]").input_value())


def wait_beyond(page: "Page", seconds: float) -> None:
    page.wait_for_function("seconds => document.querySelector('[data-place]').value > seconds", arg=seconds)


def test_stems_are_heard_alone_and_the_place_is_kept(review: "Page") -> None:
    review.click("[data-lane=drums]")
    wait_beyond(review, 0.5)
    assert review.get_attribute("[data-lane=drums]", "aria-pressed") == "true"
    assert review.get_attribute("[data-lane=mix]", "aria-pressed") == "false"
    before = place(review)
    review.click("[data-lane=original]")
    wait_beyond(review, before + 0.2)
    review.click("[data-play]")
    assert review.inner_text("[data-play]") == "Play"


def test_waveforms_and_timelines_are_drawn(review: "Page") -> None:
    assert review.locator(".wave svg").count() == 3  # the song and its stems
    review.wait_for_function("() => document.querySelector('[data-detected] canvas').width === 20")


def test_a_click_in_a_waveform_goes_there(review: "Page") -> None:
    box = review.locator(".wave svg").first.bounding_box()
    assert box
    review.mouse.click(box["x"] + box["width"] / 2, box["y"] + 5)
    assert place(review) == pytest.approx(10, abs=0.5)


def test_a_result_in_work_is_followed_without_a_stream(review: "Page") -> None:
    page, streams = review.context.new_page(), []
    page.on("request", lambda request: streams.append(request.url) if "/events/" in request.url else None)
    page.goto(review.url.partition("/job/")[0] + "/job/")
    page.get_by_role("link", name="In work").click()
    page.get_by_text("Separating: 37%").wait_for()
    api = page.evaluate("JSON.parse(document.querySelector('[data-result] script').textContent).api_url")
    job = page.evaluate("async (url) => (await fetch(url)).json()", api)
    page.route(f"**{api}", lambda route: route.fulfill(json=job | {"blocks_done": 5}))
    page.get_by_text("Separating: 62%").wait_for()
    page.route(f"**{api}", lambda route: route.fulfill(status=404, json={"detail": "Not found."}))
    page.get_by_text("deleted by its owner").wait_for()
    assert streams == []
    page.close()
