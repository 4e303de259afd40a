"""Which hosts may be asked for a resource: its URL is written by strangers and must not reach our own network."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable
from ipaddress import IPv4Address, IPv6Address, ip_address
from urllib.parse import urlsplit

from catalog.errors import Refused
from catalog.settings import is_loopback

Address = IPv4Address | IPv6Address
Resolver = Callable[[str], Iterable[str]]


def resolve_host(host: str) -> list[str]:
    """Every address of a host; none when it has none, which the request itself then reports."""
    try:
        return [str(found[4][0]) for found in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)]
    except (OSError, UnicodeError):
        return []


class AddressRule:
    """Lets public addresses through, the portal's own, and this machine when the portal runs on it.

    Link-local addresses (such as a cloud's 169.254.169.254) are refused always. The host is resolved once more to
    connect, so this does not stop a name server that changes its answer in between.
    """

    def __init__(self, portal_url: str, resolve: Resolver = resolve_host) -> None:
        self._portal = urlsplit(portal_url).netloc.lower()
        self._is_local = is_loopback(portal_url)
        self._resolve = resolve

    def check(self, url: str) -> None:
        """Accept a URL or raise.

        Raises:
            Refused: for any scheme but http and https, a URL without host, or an address that is not public.
        """
        try:
            parts = urlsplit(url)
            host = parts.hostname
        except ValueError as error:
            raise Refused(f"{url!r} is not a URL: {error}. Its publisher has to mend it.") from error
        if parts.scheme not in ("http", "https") or not host:
            raise Refused(f"{url!r} is no http or https address: not fetched. Its publisher has to mend it.")
        for text in self._resolve(host):
            if not self._may_reach(_plain(text), parts.netloc.lower()):
                raise Refused(f"{url} leads to {text}, which is not a public address: not fetched.")

    def _may_reach(self, address: Address, netloc: str) -> bool:
        if address.is_link_local:
            return False
        if netloc == self._portal or (self._is_local and address.is_loopback):
            return True
        return address.is_global and not address.is_multicast


def _plain(text: str) -> Address:
    """An address without zone, an IPv4 one out of its IPv6 clothes."""
    address = ip_address(text.partition("%")[0])
    return address.ipv4_mapped or address if isinstance(address, IPv6Address) else address
