"""The buckets of callers: bursts, refills, and who shares one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.rate import BUCKETS_REMEMBERED, Buckets, OwnMoments, place_of


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def allowed(buckets: Buckets, name: str = "a") -> bool:
    turn = buckets.take(name)
    assert turn is not None
    return turn.is_allowed


def test_a_burst_passes_and_then_one_for_each_token_that_flows_in() -> None:
    clock = Clock()
    buckets = Buckets(2.0, 3, clock)
    assert [allowed(buckets) for _ in range(5)] == [True, True, True, False, False]
    assert allowed(buckets, "b")
    clock.now += 0.5
    assert [allowed(buckets) for _ in range(2)] == [True, False]
    clock.now += 60
    assert [allowed(buckets) for _ in range(4)] == [True, True, True, False]


def test_the_headers_say_what_is_left_and_how_long_to_wait() -> None:
    clock = Clock()
    buckets = Buckets(0.5, 2, clock)
    turns = [buckets.take("a") for _ in range(3)]
    told = [dict(turn.headers()) for turn in turns if turn]
    assert [one[b"ratelimit-remaining"] for one in told] == [b"1", b"0", b"0"]
    assert (told[2][b"retry-after"], told[2][b"ratelimit-limit"], told[2][b"ratelimit-reset"]) == (b"2", b"2", b"4")
    clock.now += 2
    assert allowed(buckets)


def test_no_rate_is_no_limit() -> None:
    assert Buckets(None, 1).take("a") is None
    assert not Buckets(None, 1).is_empty("a")


@given(st.lists(st.floats(0, 3), max_size=60), st.floats(0.1, 50), st.integers(1, 20))
def test_never_more_pass_than_the_burst_and_what_flowed_in(waits: list[float], rate: float, burst: int) -> None:
    clock = Clock()
    buckets = Buckets(rate, burst, clock)
    passed = 0
    for wait in waits:
        clock.now += wait
        was_empty = buckets.is_empty("a")
        is_allowed = allowed(buckets)
        assert is_allowed is not was_empty
        passed += is_allowed
        assert passed <= burst + (clock.now - 100) * rate + 1e-6


def test_the_buckets_of_a_million_addresses_are_not_all_kept() -> None:
    moments = OwnMoments()
    buckets = Buckets(1.0, 1, Clock(), moments)
    for number in range(BUCKETS_REMEMBERED + 10):
        buckets.take(str(number))
    assert len(moments) == BUCKETS_REMEMBERED


@pytest.mark.parametrize(
    ("host", "place"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3::4", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        (":nonsense:", ":nonsense:"),
    ],
)
def test_an_ipv6_network_shares_a_bucket(host: str, place: str) -> None:
    assert place_of((host, 1)) == place
    assert place_of(None) == "unknown"
