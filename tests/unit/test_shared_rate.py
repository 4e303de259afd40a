"""Buckets that several processes share: no token is given twice, and none is held by who was killed."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.rate import Buckets, OwnMoments
from api.shared_rate import SETS, WAYS, SharedMoments, shared_file

SLOW = 0.001  # tokens a second: none flows in during a test
TAKER = f"""
import sys
from api.rate import Buckets
from api.shared_rate import SharedMoments
buckets = Buckets({SLOW}, 500, moments=SharedMoments(int(sys.argv[1])))
print(sum(buckets.take("a").is_allowed for _ in range(1000)))
"""
DYING = """
import os, signal, sys
from api.shared_rate import SharedMoments
class Deadly(float):
    def __lt__(self, other):
        os.kill(os.getpid(), signal.SIGKILL)
SharedMoments(int(sys.argv[1])).spend("a", 1.0, 1.0, Deadly(5))
"""


@pytest.fixture
def file() -> Iterator[int]:
    with shared_file() as made:
        yield made.fileno()


def process(script: str, file: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", script, str(file)], pass_fds=(file,), stdout=subprocess.PIPE, text=True
    )


def test_processes_that_take_at_once_get_one_burst_together(file: int) -> None:
    takers = [process(TAKER, file) for _ in range(3)]
    taken = [int(taker.communicate(timeout=60)[0]) for taker in takers]
    assert sum(taken) == 500, taken


def test_who_is_killed_while_it_takes_leaves_the_bucket_to_others(file: int) -> None:
    dying = process(DYING, file)
    assert dying.wait(60) == -signal.SIGKILL
    assert dying.communicate()[0] == ""
    assert SharedMoments(file).spend("a", 1.0, 1.0, 5.0) == (True, 2.0)


@given(st.lists(st.tuples(st.sampled_from("abc"), st.floats(0, 3)), max_size=40))
def test_shared_or_not_each_caller_has_the_same_turns(asked: list[tuple[str, float]]) -> None:
    now = 100.0
    with shared_file() as made:
        moments = SharedMoments(made.fileno()), OwnMoments()
        shared, own = (Buckets(0.7, 3, lambda: now, one) for one in moments)
        for name, wait in asked:
            now += wait
            assert shared.is_empty(name) == own.is_empty(name)
            assert shared.take(name) == own.take(name)


def test_the_bucket_that_is_full_first_is_forgotten_for_another(file: int) -> None:
    moments = SharedMoments(file)
    names = [str(number) for number in range(SETS * WAYS)]
    for name in names:
        moments.spend(name, 100.0, 1.0, 5.0)
    moments.spend("empty", 100.0, 5.0, 5.0)
    for name in names:
        moments.spend(name, 100.0, 1.0, 5.0)
    assert moments.get("empty") == 105.0, "those who took less went"
    kept = sum(moments.get(name) > 100.0 for name in names)
    assert 0.7 * len(names) < kept <= SETS * WAYS
