"""An HTTP client for addresses that users enter, which cannot be made to reach the server's own network.

A host name is resolved once, every address it resolves to is checked, and the connection goes to those very addresses,
so that a different DNS answer a moment later changes nothing (DNS rebinding). Redirects are not followed and proxy
settings of the environment are ignored. Certificates are verified against the host name as usual.
"""

import asyncio
import socket
from collections.abc import Mapping
from ipaddress import IPv6Network, ip_address
from typing import Any
from urllib.parse import urlsplit

import httpcore2
from django.conf import settings

TIMEOUT = 10.0  # seconds for the whole request, so that a receiver cannot hold it up by sending a byte now and then
UNICAST = IPv6Network("2000::/3")
SCHEMES = ("http", "https")


class Refused(Exception):
    """An address that is refused. The message gives the reason."""


async def post(url: str, headers: Mapping[str, str], body: bytes) -> int:
    """Send a POST request. Returns the status of the response, whose body is not read.

    Raises Refused, TimeoutError after TIMEOUT, and OSError or httpcore2's errors if there is no response.
    """
    async with (
        asyncio.timeout(TIMEOUT),
        httpcore2.AsyncConnectionPool(network_backend=PublicOnly()) as pool,
        pool.stream("POST", url, headers=[*headers.items()], content=body) as answer,
    ):
        return answer.status


class PublicOnly(httpcore2.AnyIOBackend):
    """A network backend that connects to public addresses only."""

    async def connect_tcp(self, host: str, port: int, *args: Any, **more: Any) -> httpcore2.AsyncNetworkStream:
        """Try each of the host's addresses in turn. Raises Refused, before connecting, if one of them is not public."""
        *others, last = await addresses(host, port)
        for address in others:
            try:
                return await super().connect_tcp(address, port, *args, **more)
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout):
                continue
        return await super().connect_tcp(last, port, *args, **more)


async def addresses(host: str, port: int) -> list[str]:
    """Resolve a host. Raises Refused if it has no address, or one that is not public."""
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise Refused(f"No host is known by the name {host}. Check the address for a typo.") from error
    known = [str(row[4][0]) for row in found]
    for address in known:
        if not (settings.WEBHOOKS_PRIVATE or is_public(address)):
            raise Refused(f"{host} leads to {address}, which is not on the public internet, so nothing is sent to it.")
    return known


def is_public(address: str) -> bool:
    """Check whether an IP address is on the public internet, also when it is embedded in an IPv6 address."""
    ip = ip_address(address.partition("%")[0])
    if ip.version == 6:
        if ip.ipv4_mapped is None:
            return ip in UNICAST and ip.is_global and ip.sixtofour is None
        ip = ip.ipv4_mapped
    return ip.is_global and not ip.is_multicast and not ip.is_reserved


def check_url(url: str) -> None:
    """Raise Refused unless the URL is valid and its host is public."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port or 80
    except ValueError as error:
        raise Refused(f"{url!r} is not an address. Give one like https://example.org/hook.") from error
    if parts.scheme not in SCHEMES or not host or not url.isascii() or not url.isprintable() or " " in url:
        raise Refused(f"{url!r} is not an address to post to. Give one like https://example.org/hook.")
    if parts.username is not None:
        raise Refused("Leave out user name and password: the signature is what proves that a message is ours.")
    asyncio.run(_resolvable(host, port))


async def _resolvable(host: str, port: int) -> None:
    try:
        async with asyncio.timeout(TIMEOUT):
            await addresses(host, port)
    except TimeoutError as error:
        raise Refused(f"The address of {host} could not be looked up in time. Please try again.") from error
