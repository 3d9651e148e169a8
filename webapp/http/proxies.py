"""The client address of a request. Forwarding headers count only if a proxy in SOUNDSCAPE_PROXIES sent them.

This is decided here rather than by the web server, so that the result does not depend on how the site is started.
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
    """ASGI middleware: replaces the address and scheme of a trusted proxy by those of the visitor."""

    def __init__(self, app: "App", trusted: Sequence[Network]):
        self.app = app
        self.trusted = trusted

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        if scope["type"] == "http":
            host = (scope.get("client") or [""])[0]
            hops = [hop.strip() for hop in _header(scope, FOR).split(",") if hop.strip()]
            proto = _header(scope, PROTO).rpartition(",")[2].strip()
            scope = scope | (self._forwarded if self._trusts(host) else _direct)(host, hops, proto)
        await self.app(scope, receive, send)

    def _forwarded(self, host: str, hops: list[str], proto: str) -> "Scope":
        """Each proxy appends the address it sees, so the last one that is not a trusted proxy is the visitor."""
        strangers = [hop for hop in hops if not self._trusts(hop)]
        visitor = strangers[-1] if strangers else (hops or [host])[0]
        client = (visitor, 0) if address_of(visitor) else None
        return {"client": client} | ({"scheme": proto} if proto in ("http", "https") else {})

    def _trusts(self, host: str) -> bool:
        address = address_of(host)
        return address is not None and any(address in network for network in self.trusted)


def _direct(host: str, hops: list[str], proto: str) -> "Scope":
    """Headers that visitors send themselves are ignored.

    uvicorn, if started without `--no-proxy-headers`, has already replaced the real address by such a header. Then the
    address is unknown, and all such requests count as one visitor.
    """
    return ({"client": None} if any(host in hop for hop in hops) else {}) | ({"scheme": "http"} if proto else {})


def _header(scope: "Scope", name: bytes) -> str:
    """All values of a header that may be repeated."""
    return b",".join(value for key, value in scope["headers"] if key == name).decode("latin-1")


def address_of(host: str) -> Address | None:
    """The host as an address, or None if it is a name. IPv4 addresses mapped to IPv6 are unwrapped."""
    try:
        address = ip_address(host)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address
