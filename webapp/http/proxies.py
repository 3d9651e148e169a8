"""Where a request comes from. A header that says so counts only if a proxy sent it that SOUNDSCAPE_PROXIES names.

It is decided here rather than by the web server, so that the answer is the same however the site is started.
"""

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from webapp.http.body_limit import App, Receive, Scope, Send

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

FOR, PROTO = b"x-forwarded-for", b"x-forwarded-proto"


class Proxies:
    """An ASGI application around another, which sees the visitor's address and scheme in place of a proxy's."""

    def __init__(self, app: "App", trusted: Sequence[Network]):
        self.app = app
        self.trusted = trusted

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        """Pass the request on. Nobody's word counts about themselves."""
        if scope["type"] == "http":
            host = (scope.get("client") or [""])[0]
            hops = [hop.strip() for hop in _header(scope, FOR).split(",") if hop.strip()]
            proto = _header(scope, PROTO).rpartition(",")[2].strip()
            scope = scope | (self._forwarded if self._trusts(host) else _direct)(host, hops, proto)
        await self.app(scope, receive, send)

    def _forwarded(self, host: str, hops: list[str], proto: str) -> "Scope":
        """Each proxy adds whom it saw at the end, so the last that is no proxy of ours is the visitor."""
        strangers = [hop for hop in hops if not self._trusts(hop)]
        visitor = strangers[-1] if strangers else (hops or [host])[0]
        client = (visitor, 0) if address_of(visitor) else None
        return {"client": client} | ({"scheme": proto} if proto in ("http", "https") else {})

    def _trusts(self, host: str) -> bool:
        address = address_of(host)
        return address is not None and any(address in network for network in self.trusted)


def _direct(host: str, hops: list[str], proto: str) -> "Scope":
    """What a visitor claims is dropped.

    uvicorn, started without `--no-proxy-headers`, has put such claims in place of what it saw, which is lost then. All
    who do this count as one visitor, whose address nobody knows.
    """
    return ({"client": None} if any(host in hop for hop in hops) else {}) | ({"scheme": "http"} if proto else {})


def _header(scope: "Scope", name: bytes) -> str:
    """All of a header that may come several times."""
    return b",".join(value for key, value in scope["headers"] if key == name).decode("latin-1")


def address_of(host: str) -> Address | None:
    """The address that a host's name is, if it is one; an IPv4 address also where it comes as one of IPv6."""
    try:
        address = ip_address(host)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address
