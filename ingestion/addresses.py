"""Which hosts may be asked for a resource: its URL is written by strangers and must not reach our own network."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from urllib.parse import SplitResult, urlsplit

from catalog.errors import Refused
from catalog.settings import is_loopback

Address = IPv4Address | IPv6Address
Resolver = Callable[[str], Iterable[str]]
Place = tuple[str, int]  # host and port
DEFAULT_PORTS = {"http": 80, "https": 443}
NAT64 = IPv6Network("64:ff9b::/96")


def resolve_host(host: str) -> list[str]:
    """Every address of a host; none when it has none, which the request itself then reports."""
    try:
        return [str(found[4][0]) for found in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)]
    except (OSError, UnicodeError):
        return []


class AddressRule:
    """Lets public addresses through, the portal's own, and this machine when the portal runs on it.

    Link-local addresses (such as a cloud's 169.254.169.254) are refused always. A name server may give another answer
    when the connection is made: ``connections`` has ``check_peer`` look at the address that was then reached.
    """

    def __init__(self, portal_url: str, resolve: Resolver = resolve_host) -> None:
        self._portal = _place(urlsplit(portal_url))
        self._is_local = is_loopback(portal_url)
        self._resolve = resolve

    def check(self, url: str) -> None:
        """Accept a URL or raise.

        Raises:
            Refused: for any scheme but http and https, a URL without host, or an address that is not public.
        """
        try:
            parts = urlsplit(url)
            host, place = parts.hostname, _place(parts)
        except ValueError as error:
            raise Refused(f"{url!r} is not a URL: {error}. Its publisher has to mend it.") from error
        if parts.scheme not in ("http", "https") or not host:
            raise Refused(f"{url!r} is no http or https address: not fetched. Its publisher has to mend it.")
        for text in self._resolve(host):
            if not self._may_reach(_plain(text), place):
                raise Refused(f"{url} leads to {text}, which is not a public address: not fetched.")

    def check_peer(self, host: str, port: int, address: str) -> None:
        """Accept the address a connection was made to, before anything is asked there, or raise.

        Raises:
            Refused: for an address that is not public.
        """
        if not self._may_reach(_plain(address), (host.lower(), port)):
            raise Refused(f"{host}:{port} led to {address}, which is not a public address: nothing was asked there.")

    def _may_reach(self, address: Address, place: Place) -> bool:
        if address.is_link_local:
            return False
        if place == self._portal or (self._is_local and address.is_loopback):
            return True
        return address.is_global and not address.is_multicast


def _place(parts: SplitResult) -> Place:
    """Host and port of a URL, the scheme's own port when none is written."""
    return parts.hostname or "", parts.port or DEFAULT_PORTS.get(parts.scheme, 0)


def _plain(text: str) -> Address:
    """An address without zone, an IPv4 one out of its IPv6 clothes: mapped, 6to4, or behind a NAT64 gateway."""
    address = ip_address(text.partition("%")[0])
    if isinstance(address, IPv4Address):
        return address
    if address in NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or address
