"""How other people's servers are treated: we say who we are, keep a pace, and try again with patience.

Owns the manners of every outward request; what is asked and what the answer means belong to ``portal`` and
``download``.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from importlib.metadata import version
from typing import TypeVar
from urllib.parse import urljoin, urlsplit

import requests
import structlog
from requests.exceptions import InvalidSchema, InvalidURL, MissingSchema

from catalog.clock import utc_now
from catalog.errors import OdhError, PortalUnavailable, Refused, TransientError
from catalog.ledger import Ledger
from catalog.settings import Settings
from catalog.slots import Slots

MAX_REDIRECTS = 5
LONGEST_WAIT_SECONDS = 120.0  # neither our doubling nor a server's Retry-After may hold a run for longer
USER_AGENT = f"opendatahub-sql/{version('opendatahub-sql')} (+OpenDataHub SQL; contact via the project's page)"
WORTH_ANOTHER_TRY = frozenset({408, 425, 429})  # and every 5xx

T = TypeVar("T")
log = structlog.get_logger(__name__)


class TryAgain(Exception):
    """One try failed in a way that another may not; never leaves ``Patience.insist``.

    Args:
        reason: what happened, to which URL; no full stop.
        advice: what the reader can do once no try is left.
        kind: the error raised then.
        retry_after: the server's own header, as received.
        progressed: whether the next try goes on where this one stopped, so that it does not count.
    """

    def __init__(
        self,
        reason: str,
        advice: str,
        kind: type[TransientError] = PortalUnavailable,
        retry_after: str | None = None,
        progressed: bool = False,
    ) -> None:
        super().__init__(reason)
        self.reason, self.advice, self.kind, self.retry_after = reason, advice, kind, retry_after
        self.progressed = progressed

    def final(self, tries: int) -> OdhError:
        """The error to raise when this was the last try."""
        times = "once" if tries == 1 else f"{tries} times"
        return self.kind(f"{self.reason} (tried {times}). {self.advice}")


class Patience:
    """Bounded tries with growing, jittered waits."""

    def __init__(
        self,
        settings: Settings,
        sleep: Callable[[float], None] = time.sleep,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        self._retries, self._first_wait = settings.http_retries, settings.http_backoff_seconds
        self._sleep, self._now, self._random = sleep, now, random.SystemRandom()

    def insist(self, attempt: Callable[[], T]) -> T:
        """Call ``attempt`` until it answers.

        Raises:
            TransientError: of the kind of the last failure, after ``http_retries`` further tries.
        """
        tries = 1
        while True:
            try:
                return attempt()
            except TryAgain as failure:
                tries = 0 if failure.progressed and self._retries else tries
                if tries > self._retries:
                    raise failure.final(tries) from failure
                wait = self.wait_seconds(max(tries, 1), failure.retry_after)
                log.warning("try_failed", reason=failure.reason, tries=tries, wait_seconds=round(wait, 3))
                self._sleep(wait)
                tries += 1

    def wait_seconds(self, tries: int, retry_after: str | None) -> float:
        """Wait after the nth failed try: doubling, ±50 % so that workers do not return together."""
        own = self._first_wait * 2.0 ** (tries - 1) * self._random.uniform(0.5, 1.5)
        asked = parse_retry_after(retry_after, self._now()) or 0.0
        return min(max(own, asked), LONGEST_WAIT_SECONDS)


class Pace:
    """At most so many calls a second, over all threads; ``None`` for no limit."""

    def __init__(
        self,
        per_second: float | None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._interval = 1 / per_second if per_second else 0.0
        self._clock, self._sleep, self._lock, self._next = clock, sleep, threading.Lock(), 0.0

    def wait(self) -> None:
        """Return when this caller's turn has come."""
        if not self._interval:
            return
        with self._lock:
            now = self._clock()
            turn = max(now, self._next)
            self._next = turn + self._interval
        if turn > now:
            self._sleep(turn - now)


class Hosts:
    """At most so many visits at once to one server, and none while it asked to be left alone.

    For all threads of this process, and for all processes that share ``slots``.
    """

    def __init__(
        self,
        at_once: int,
        slots: Slots | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._at_once, self._slots, self._clock, self._sleep = at_once, slots, clock, sleep
        self._lock = threading.Lock()
        self._gates: dict[str, threading.Semaphore] = {}
        self._quiet_until: dict[str, float] = {}

    @contextmanager
    def visit(self) -> Iterator[Callable[[str], None]]:
        """Give a function to call before each address asked: it returns when that server may be asked.

        One visit is at one server at a time, and leaves it before it waits for another: redirects block nobody.
        """
        with ExitStack() as here:
            visited = ""

            def enter(url: str) -> None:
                nonlocal visited
                host = host_of(url)
                if host != visited:
                    here.close()
                    here.enter_context(self._turn(host))
                    visited = host
                self.wait_for(url)

            yield enter

    def wait_for(self, url: str) -> None:
        """Return when a server does not want to be left alone any more."""
        host = host_of(url)
        with self._lock:
            wait = self._quiet_until.get(host, 0.0) - self._clock()
        if self._slots:
            wait = max(wait, self._slots.rest_seconds(host))
        if wait > 0:
            self._sleep(min(wait, LONGEST_WAIT_SECONDS))

    def leave_alone(self, url: str, seconds: float) -> None:
        """Ask nothing more of a server for so long, ``LONGEST_WAIT_SECONDS`` at most."""
        host, seconds = host_of(url), min(seconds, LONGEST_WAIT_SECONDS)
        until = self._clock() + seconds
        with self._lock:
            self._quiet_until[host] = max(until, self._quiet_until.get(host, until))
        if self._slots:
            self._slots.leave_alone(host, seconds)

    def spare(self, response: requests.Response, now: Callable[[], datetime], own_seconds: float) -> None:
        """Leave a server alone that says it has had enough: for as long as it says, else, after 429, for our own."""
        if response.status_code not in (429, 503):
            return
        seconds = parse_retry_after(response.headers.get("Retry-After"), now())
        if seconds is None and response.status_code == 429:
            seconds = own_seconds
        if seconds:
            self.leave_alone(response.url, seconds)
            log.warning("server_spared", url=response.url, seconds=seconds)

    @contextmanager
    def _turn(self, host: str) -> Iterator[None]:
        with self._lock:
            gate = self._gates.setdefault(host, threading.Semaphore(self._at_once))
        with gate, self._slots.hold(f"host-{host}", self._at_once) if self._slots else nullcontext():
            yield


def shared_hosts(settings: Settings, ledger: Ledger) -> Hosts:
    """The servers as all processes of a lake treat them."""
    return Hosts(settings.downloads_per_host, Slots(settings, ledger))


def host_of(url: str) -> str:
    """The server a URL names, with its port where that is not the scheme's own."""
    parts = urlsplit(url)
    host, standard = parts.netloc.rpartition("@")[2].lower(), {"http": ":80", "https": ":443"}
    return host.removesuffix(standard.get(parts.scheme.lower(), ":"))


def parse_retry_after(text: str | None, now: datetime) -> float | None:
    """Seconds to wait from a ``Retry-After`` header, a number or an HTTP date (RFC 9110, 10.2.3); else None."""
    if text is None:
        return None
    if text.strip().isdecimal():
        return float(text)
    moment = parse_http_date(text)
    return max(0.0, (moment - now).total_seconds()) if moment else None


def parse_http_date(text: str | None) -> datetime | None:
    """Read an HTTP date as an aware moment; None for anything else."""
    try:
        moment = parsedate_to_datetime(text or "")
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def new_session() -> requests.Session:
    """A session that says who is calling."""
    session = requests.Session()
    session.headers["User-Agent"] = USER_AGENT
    return session


def open_url(
    session: requests.Session,
    url: str,
    *,
    check: Callable[[str], None],
    timeout_seconds: float,
    headers: dict[str, str],
) -> requests.Response:
    """GET a URL as a stream, following redirects one by one; ``check`` sees, and may refuse, each address first.

    Raises:
        Refused: for a malformed URL, or more than ``MAX_REDIRECTS`` redirects.
        requests.RequestException: when no answer comes.
    """
    asked = url
    for _ in range(MAX_REDIRECTS + 1):
        check(url)
        try:
            response = session.get(url, headers=headers, timeout=timeout_seconds, stream=True, allow_redirects=False)
        except (InvalidURL, InvalidSchema, MissingSchema) as error:
            raise Refused(f"{url!r} is not a URL that can be asked: {error}. Correct it at its source.") from error
        target = session.get_redirect_target(response)
        if target is None:
            return response
        response.close()
        url = urljoin(url, target)
    raise Refused(
        f"{asked} redirects more than {MAX_REDIRECTS} times, lastly to {url}: a circle. Its publisher has to mend it."
    )


def sort_failure(response: requests.Response, advice: str) -> None:
    """Raise for an answer that is no success and may become one.

    Raises:
        TryAgain: for 408, 425, 429 and every 5xx.
    """
    status = response.status_code
    if status >= 500 or status in WORTH_ANOTHER_TRY:
        reason = f"{response.url} answered HTTP {status} {response.reason or ''}".rstrip()
        raise TryAgain(reason, advice, retry_after=response.headers.get("Retry-After"))
