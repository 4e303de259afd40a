"""Manners towards servers: waits, Retry-After, pace."""

from __future__ import annotations

import threading
from datetime import UTC, datetime

import pytest

from catalog.errors import BadDownload, PortalUnavailable
from catalog.settings import Settings
from ingestion.courtesy import (
    LONGEST_WAIT_SECONDS,
    USER_AGENT,
    Hosts,
    Pace,
    Patience,
    TryAgain,
    host_of,
    parse_retry_after,
)

NOW = datetime(2024, 2, 29, 12, 0, tzinfo=UTC)


def patience(waits: list[float], retries: int = 3, backoff: float = 1.0) -> Patience:
    settings = Settings(http_retries=retries, http_backoff_seconds=backoff)
    return Patience(settings, sleep=waits.append, now=lambda: NOW)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        pytest.param("7", 7.0, id="seconds"),
        pytest.param(" 0 ", 0.0, id="zero"),
        pytest.param("Thu, 29 Feb 2024 12:01:30 GMT", 90.0, id="http-date"),
        pytest.param("Thu, 29 Feb 2024 11:00:00 GMT", 0.0, id="date-already-past"),
        pytest.param("Thu, 29 Feb 2024 12:00:05 -0000", 5.0, id="date-without-zone"),
        pytest.param("soon", None, id="garbage"),
        pytest.param("-3", None, id="negative"),
        pytest.param("", None, id="empty"),
        pytest.param(None, None, id="absent"),
    ],
)
def test_retry_after_is_read(header: str | None, seconds: float | None) -> None:
    assert parse_retry_after(header, NOW) == seconds


def test_waits_double_with_jitter_and_stop() -> None:
    waits: list[float] = []

    def attempt() -> None:
        raise TryAgain("it fell over", "Stand it up.", BadDownload)

    with pytest.raises(BadDownload, match=r"it fell over \(tried 5 times\)\. Stand it up\."):
        patience(waits, retries=4).insist(attempt)
    assert len(waits) == 4
    for number, wait in enumerate(waits):
        assert 0.5 * 2**number <= wait <= 1.5 * 2**number


def test_no_wait_grows_past_the_cap() -> None:
    assert patience([]).wait_seconds(tries=60, retry_after=None) == LONGEST_WAIT_SECONDS
    assert patience([]).wait_seconds(tries=1, retry_after="86400") == LONGEST_WAIT_SECONDS


def test_server_asking_for_longer_is_obeyed() -> None:
    assert patience([], backoff=0.01).wait_seconds(tries=1, retry_after="30") == 30.0


def test_server_asking_for_less_does_not_undo_the_backoff() -> None:
    assert patience([], backoff=8.0).wait_seconds(tries=1, retry_after="0") >= 4.0


def test_success_after_failures_is_returned() -> None:
    waits: list[float] = []
    outcomes = iter([TryAgain("first", "."), TryAgain("second", "."), "done"])

    def attempt() -> str:
        outcome = next(outcomes)
        if isinstance(outcome, TryAgain):
            raise outcome
        return outcome

    assert patience(waits).insist(attempt) == "done"
    assert len(waits) == 2


def test_without_retries_the_first_failure_is_the_last() -> None:
    def attempt() -> None:
        raise TryAgain("no", "Wait.")

    with pytest.raises(PortalUnavailable, match="tried once"):
        patience([], retries=0).insist(attempt)


def test_pace_spreads_calls_evenly() -> None:
    time, waits = [100.0], list[float]()

    def sleep(seconds: float) -> None:
        waits.append(seconds)
        time[0] += seconds

    pace = Pace(2.0, clock=lambda: time[0], sleep=sleep)
    for _ in range(4):
        pace.wait()
    assert waits == [0.5, 0.5, 0.5]
    time[0] += 10  # a pause earns no burst
    pace.wait()
    pace.wait()
    assert waits == [0.5, 0.5, 0.5, 0.5]


def test_pace_gives_each_thread_its_own_turn() -> None:
    waits: list[float] = []
    pace = Pace(4.0, clock=lambda: 0.0, sleep=waits.append)
    threads = [threading.Thread(target=pace.wait) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(waits) == [0.25 * turn for turn in range(1, 8)]


def test_no_pace_never_sleeps() -> None:
    waits: list[float] = []
    pace = Pace(None, clock=lambda: 0.0, sleep=waits.append)
    for _ in range(3):
        pace.wait()
    assert waits == []


def test_progress_gives_the_tries_back() -> None:
    outcomes = iter([False, False, True, False, False, None])

    def attempt() -> str:
        if (progressed := next(outcomes)) is not None:
            raise TryAgain("cut", ".", progressed=progressed)
        return "done"

    assert patience([], retries=3).insist(attempt) == "done"


def test_server_takes_so_many_visits_at_once() -> None:
    hosts, inside, most, lock = Hosts(2), [0], [0], threading.Lock()
    both = threading.Barrier(2, timeout=5)  # at least two are in together, else this breaks

    def download() -> None:
        with hosts.visit() as enter:
            enter("https://one.example/f.csv")
            with lock:
                inside[0] += 1
                most[0] = max(most[0], inside[0])
            both.wait()
            with lock:
                inside[0] -= 1

    threads = [threading.Thread(target=download) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (inside[0], most[0], both.broken) == (0, 2, False)


def test_full_server_holds_up_no_other() -> None:
    hosts = Hosts(1)
    with hosts.visit() as enter, hosts.visit() as other:
        enter("https://one.example/f.csv")
        other("https://two.example/f.csv")
        enter("https://three.example/f.csv")  # as a redirect does: the first is free again
        other("https://one.example:8443/f.csv")  # another port is another server


def test_server_is_the_same_by_any_scheme_case_and_written_port() -> None:
    same = ("http://one.example/", "https://one.example/", "https://me@ONE.example:443/", "http://one.example:80/f")
    assert {host_of(url) for url in same} == {"one.example"}
    assert host_of("https://one.example:80/") == "one.example:80"
    assert host_of("http://[::1]:8000/") == "[::1]:8000"


def test_redirect_to_the_same_server_waits_for_nobody() -> None:
    with Hosts(1).visit() as enter:
        for _ in range(3):
            enter("https://one.example/f.csv")


def test_server_is_left_alone_for_as_long_as_it_asked() -> None:
    waits: list[float] = []
    time = [100.0]
    hosts = Hosts(2, clock=lambda: time[0], sleep=waits.append)
    hosts.leave_alone("https://me@One.example/a.csv", 30)
    hosts.leave_alone("https://one.example/b.csv", 10)  # asking for less does not shorten it
    time[0] += 5
    with hosts.visit() as enter:
        enter("https://two.example/f.csv")
        enter("https://one.example/f.csv")
    time[0] += 60
    with hosts.visit() as enter:
        enter("https://one.example/f.csv")
    assert waits == [25.0]


def test_no_server_can_hold_a_run_for_long() -> None:
    waits: list[float] = []
    hosts = Hosts(2, clock=lambda: 0.0, sleep=waits.append)
    hosts.leave_alone("https://one.example/", 86400)
    with hosts.visit() as enter:
        enter("https://one.example/")
    assert waits == [LONGEST_WAIT_SECONDS]


def test_user_agent_names_the_project_and_invents_no_address() -> None:
    assert USER_AGENT.startswith("opendatahub-sql/")
    assert "OpenDataHub SQL" in USER_AGENT
    assert "@" not in USER_AGENT
    assert "http" not in USER_AGENT
