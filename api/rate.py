"""How fast each caller may ask: one token bucket a key, or a client address where there is no key.

A bucket is one number, the moment at which it will be full again (the generic cell rate algorithm): taking from it is
an addition, and a bucket that is full need not be kept. One process keeps them in a dict, several in a file they share.
"""

from __future__ import annotations

import ipaddress
import math
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

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


class Moments(Protocol):
    """When each bucket is full."""

    def get(self, name: str) -> float:
        """When a bucket is full; some moment that has passed, for one that is not kept."""

    def spend(self, name: str, now: float, cost: float, most: float) -> tuple[bool, float]:
        """Move the moment of a bucket by the cost of a token, unless it would lie too far ahead, and return it.

        Args:
            now: seconds of the machine's clock.
            cost: seconds in which a token flows in.
            most: seconds in which an empty bucket is full.
        """


class OwnMoments:
    """The moments of one process that shares them with no other."""

    def __init__(self) -> None:
        self._full_at: OrderedDict[str, float] = OrderedDict()

    def get(self, name: str) -> float:
        """When a bucket is full; 0 for one that is not kept."""
        return self._full_at.get(name, 0.0)

    def spend(self, name: str, now: float, cost: float, most: float) -> tuple[bool, float]:
        """Take a token, and forget the bucket that was used longest ago if there are too many."""
        full_at = max(self._full_at.get(name, now), now)
        if full_at - now + cost > most:
            return False, full_at
        self._full_at[name] = full_at + cost
        self._full_at.move_to_end(name)
        if len(self._full_at) > BUCKETS_REMEMBERED:
            self._full_at.popitem(last=False)
        return True, full_at + cost

    def __len__(self) -> int:
        return len(self._full_at)


class Buckets:
    """The buckets of callers; for one thread.

    Args:
        rate: tokens a second that flow into each; None for no limit.
        burst: tokens a full one holds.
        moments: when each is full; of this process alone, unless several share them.
    """

    def __init__(
        self,
        rate: float | None,
        burst: int,
        clock: Callable[[], float] = time.monotonic,  # of the machine: the same for all its processes
        moments: Moments | None = None,
    ) -> None:
        self.burst, self._clock = burst, clock
        self._cost = 1 / rate if rate else 0.0
        self._most = burst * self._cost * (1 + 1e-9)  # what rounding may add to so many tokens
        self._moments = OwnMoments() if moments is None else moments

    def take(self, name: str) -> Turn | None:
        """Take a token from a caller's bucket; None where there is no limit."""
        if not self._cost:
            return None
        now = self._clock()
        is_allowed, full_at = self._moments.spend(name, now, self._cost, self._most)
        missing_seconds = full_at - now
        remaining = max(0, int(self.burst - missing_seconds / self._cost + 1e-6))
        wait = 0.0 if is_allowed else missing_seconds + self._cost - self.burst * self._cost
        return Turn(is_allowed, self.burst, remaining, wait, missing_seconds)

    def is_empty(self, name: str) -> bool:
        """Whether a caller's bucket has no token left, without taking one."""
        if not self._cost:
            return False
        now = self._clock()
        return max(self._moments.get(name), now) - now + self._cost > self._most


def place_of(client: tuple[str, int] | None) -> str:
    """What stands for a client without a key: its IPv4 address, or the network of its IPv6 address."""
    host = client[0] if client else "unknown"
    if ":" not in host:
        return host
    try:
        return str(ipaddress.ip_network((host.partition("%")[0], IPV6_PREFIX), strict=False))
    except ValueError:
        return host
