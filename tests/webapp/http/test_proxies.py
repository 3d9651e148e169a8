"""The client address of a request: only proxies in the settings are trusted, however the site is started."""

import urllib.error
import urllib.request
from ipaddress import ip_network

import pytest
from support.acting import run_async
from support.running import manage, serving

from webapp.http.proxies import Proxies
from webapp.management.commands.serve import WEB

VISITOR = "203.0.113.9"
OURS = [ip_network("10.0.0.0/8"), ip_network("2001:db8::/32")]


def seen(peer, trusted=OURS, scheme="http", **headers):
    """The address and scheme that the application sees."""
    found = []

    async def app(scope, _receive, _send):
        found.append(((scope["client"] or [None])[0], scope["scheme"]))

    named = [(f"x-forwarded-{name.rstrip('2')}".encode(), value.encode()) for name, value in headers.items()]
    scope = {"type": "http", "client": peer and (peer, 555), "scheme": scheme, "headers": named}
    run_async(Proxies(app, trusted)(scope, None, None))
    return found[0]


@pytest.mark.parametrize("peer", [VISITOR, "127.0.0.1", "::1"])
def test_nobody_is_believed_by_default(peer):
    claims = {"for": "192.0.2.1", "proto": "https"}
    assert seen(peer, [], **claims) == (peer, "http")


@pytest.mark.parametrize(
    ("peer", "hops", "visitor"),
    [
        ("10.0.0.2", VISITOR, VISITOR),
        ("10.0.0.2", f"192.0.2.1, {VISITOR}", VISITOR),  # what the visitor sent, and what the proxy saw
        ("10.0.0.2", f"{VISITOR}, 10.9.9.9", VISITOR),  # two proxies of ours
        ("10.0.0.2", "10.1.1.1, 10.9.9.9", "10.1.1.1"),  # a visitor from our own network
        ("10.0.0.2", "", "10.0.0.2"),
        ("10.0.0.2", "nonsense", None),
        ("::ffff:10.0.0.2", VISITOR, VISITOR),  # a socket that listens for both kinds
        ("2001:db8::1", "2001:4860::7", "2001:4860::7"),
        (None, VISITOR, None),  # a Unix socket
    ],
)
def test_a_proxy_of_ours_says_who_asks(peer, hops, visitor):
    assert seen(peer, **{"for": hops})[0] == visitor


def test_a_header_in_two_parts_is_one():
    assert seen("10.0.0.2", **{"for": "192.0.2.1", "for2": VISITOR})[0] == VISITOR


def test_a_proxy_of_ours_says_how_it_was_asked():
    assert seen("10.0.0.2", proto="https") == ("10.0.0.2", "https")
    assert seen("10.0.0.2", proto="gopher")[1] == "http"


def test_an_address_that_uvicorn_took_from_a_header_is_unknown():
    """uvicorn has replaced the real address and scheme by those of the header."""
    for claimed in ("192.0.2.1", "192.0.2.1:80"):
        assert seen("192.0.2.1", [], "https", **{"for": claimed, "proto": "https"}) == (None, "http")


@pytest.mark.slow
@pytest.mark.parametrize("command", [WEB, ("uvicorn", "webapp.asgi:application")])
def test_a_made_up_address_gives_no_more_requests(tmp_path, command):
    manage(tmp_path, "migrate", "-v0")
    with serving(tmp_path, ["-m", *command], "accounts/login/", SOUNDSCAPE_GUEST_REQUESTS="3") as site:
        codes = [ask(f"{site}/api/v1/jobs/", {"X-Forwarded-For": f"192.0.2.{index}:80"}) for index in range(4)]
    assert codes == [200, 200, 200, 429]


def ask(url, headers):
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=60) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code
