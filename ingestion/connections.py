"""Connections to strangers' servers: they look where they arrived, and hang up on one that drips its answer's head.

What may be reached is the address rule's to say; what is asked, and how long a body may take, the downloader's.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.client import HTTPException
from typing import Any, ClassVar

import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.response import BaseHTTPResponse

from catalog.errors import Refused
from ingestion.addresses import AddressRule
from ingestion.courtesy import new_session

HEAD_TIMEOUTS = 2  # a handshake, or an answer's head, may take so many times the longest silence
NO_TIMEOUT_SECONDS = 60.0


def guarded_session(rule: AddressRule) -> requests.Session:
    """A session whose every connection is guarded."""
    session = new_session()
    for scheme in ("http://", "https://"):
        session.mount(scheme, GuardedAdapter(rule))
    return session


class GuardedAdapter(HTTPAdapter):
    """Connects as requests does, and hangs up unheard where the rule forbids the address reached.

    Behind a proxy of the environment the proxy makes the connection, and its own rules hold.
    """

    def __init__(self, rule: AddressRule) -> None:
        self._pools = {"http": _guarded_pool(rule), "https": _guarded_tls_pool(rule)}
        super().__init__()

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        """Have every direct connection made by the guarded kind."""
        super().init_poolmanager(*args, **options)
        self.poolmanager.pool_classes_by_scheme = self._pools


def _guarded_pool(address_rule: AddressRule) -> type[HTTPConnectionPool]:
    class Connection(_Guarded, HTTPConnection):
        rule = address_rule

    class Pool(HTTPConnectionPool):
        ConnectionCls = Connection

    return Pool


def _guarded_tls_pool(address_rule: AddressRule) -> type[HTTPSConnectionPool]:
    class Connection(_Guarded, HTTPSConnection):
        rule = address_rule

    class Pool(HTTPSConnectionPool):
        ConnectionCls = Connection

    return Pool


class _Guarded(HTTPConnection):
    """A connection that knows the address rule.

    A socket's timeout bounds one silence only: a byte now and then keeps it for ever, so a watch hangs up.
    """

    rule: ClassVar[AddressRule]
    _reached: socket.socket | None = None
    _hung_up = False

    def connect(self) -> None:
        """Connect, TLS included."""
        with self._watched():
            super().connect()

    def getresponse(self) -> BaseHTTPResponse:  # type: ignore[override]
        """Read the answer's head."""
        with self._watched():
            return super().getresponse()

    def _new_conn(self) -> socket.socket:
        self._reached = reached = super()._new_conn()
        try:
            self.rule.check_peer(self.host, self.port, reached.getpeername()[0])
        except (Refused, OSError):
            reached.close()
            raise
        return reached

    @contextmanager
    def _watched(self) -> Iterator[None]:
        silence = self.timeout if isinstance(self.timeout, int | float) else NO_TIMEOUT_SECONDS
        watch = threading.Timer(HEAD_TIMEOUTS * silence, self._hang_up)
        watch.daemon = True
        self._hung_up = False
        watch.start()
        try:
            yield
        except (OSError, HTTPException):
            if not self._hung_up:
                raise
        finally:
            watch.cancel()
        if self._hung_up:  # else the head, as far as it came, would pass for all of it
            self.close()
            raise TimeoutError("the answer's head came too slowly")

    def _hang_up(self) -> None:
        """End what another thread waits for; the plain socket's own way, which leaves TLS to find out."""
        self._hung_up = True
        sock = self.sock or self._reached
        if sock is not None:
            with suppress(OSError):
                socket.socket.shutdown(sock, socket.SHUT_RDWR)
