"""How fast each caller may ask: one token bucket a key, or a client address where there is no key.

A bucket is one number, the moment at which it will be full again (the generic cell rate algorithm): taking from it is
an addition, and a bucket that is full need not be kept. Each worker process counts on its own.
"""

from __future__ import annotations

import ipaddress
import math
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

BUCKETS_REMEMBERED = 65_536
IPV6_PREFIX = 64  # what one subscriber is given


@dataclass(frozen=True, slots=True)
class Turn:
    """Whether a request may pass, and what is left."""

    is_allowed: bool
    limit: int
    remaining: int
    wait_seconds: float
    full_seconds: float

    def headers(self) -> list[tuple[bytes, bytes]]:
        """What the answer says of it, refused or not."""
        told = [
            (b"ratelimit-limit", b"%d" % self.limit),
            (b"ratelimit-remaining", b"%d" % self.remaining),
            (b"ratelimit-reset", b"%d" % math.ceil(self.full_seconds)),
        ]
        return told if self.is_allowed else [*told, (b"retry-after", b"%d" % max(1, math.ceil(self.wait_seconds)))]


class Buckets:
    """The buckets of one process; for one thread.

    Args:
        rate: tokens a second that flow into each; None for no limit.
        burst: tokens a full one holds.
    """

    def __init__(self, rate: float | None, burst: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.rate, self.burst, self._clock = rate, burst, clock
        self._full_at: OrderedDict[str, float] = OrderedDict()

    def take(self, name: str) -> Turn | None:
        """Take a token from a caller's bucket; None where there is no limit."""
        if self.rate is None:
            return None
        now = self._clock()
        full_at = max(self._full_at.pop(name, now), now)
        missing = (full_at - now) * self.rate
        if is_allowed := missing + 1 <= self.burst:
            full_at += 1 / self.rate
        self._full_at[name] = full_at
        if len(self._full_at) > BUCKETS_REMEMBERED:
            self._full_at.popitem(last=False)
        missing = (full_at - now) * self.rate
        wait = 0.0 if is_allowed else (missing + 1 - self.burst) / self.rate
        return Turn(is_allowed, self.burst, max(0, int(self.burst - missing)), wait, full_at - now)

    def is_empty(self, name: str) -> bool:
        """Whether a caller's bucket has no token left, without taking one."""
        if self.rate is None or name not in self._full_at:
            return False
        return (self._full_at[name] - self._clock()) * self.rate + 1 > self.burst


def place_of(client: tuple[str, int] | None) -> str:
    """What stands for a client without a key: its IPv4 address, or the network of its IPv6 address."""
    host = client[0] if client else "unknown"
    if ":" not in host:
        return host
    try:
        return str(ipaddress.ip_network((host.partition("%")[0], IPV6_PREFIX), strict=False))
    except ValueError:
        return host
