"""Manners towards servers: waits, Retry-After, pace."""

from __future__ import annotations

import threading
from datetime import UTC, datetime

import pytest

from catalog.errors import BadDownload, PortalUnavailable
from catalog.settings import Settings
from ingestion.courtesy import LONGEST_WAIT_SECONDS, USER_AGENT, Pace, Patience, TryAgain, parse_retry_after

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


def test_user_agent_names_the_project_and_invents_no_address() -> None:
    assert USER_AGENT.startswith("opendatahub-sql/")
    assert "OpenDataHub SQL" in USER_AGENT
    assert "@" not in USER_AGENT
    assert "http" not in USER_AGENT
