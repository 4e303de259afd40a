"""Locks of a ledger on PostgreSQL: held over machines, freed by a crash, and a lost one is noticed."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psycopg
import pytest
import services
from conftest import lake_settings

from catalog.errors import LakeBusy
from catalog.ledger import Ledger
from catalog.locks import Verify, exclusive
from catalog.settings import Settings

pytestmark = pytest.mark.services

HOLD = """
import sys
from catalog.settings import load_settings
from catalog.ledger import Ledger
from catalog.locks import exclusive
settings = load_settings()
with exclusive(settings, Ledger(settings), "build"):
    print("held", flush=True)
    sys.stdin.read()
"""
LOCKS = "select pid from pg_locks where locktype = 'advisory' and granted"


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    folder = tmp_path_factory.mktemp("locks")
    with services.or_skip(services.postgres(folder / "postgres")) as database:
        yield lake_settings(folder / "lake", ledger_url=database, lock_timeout_seconds=0)


def ask(lake: Settings, statement: str) -> list[tuple[object, ...]]:
    with psycopg.connect(str(lake.ledger_url), autocommit=True) as connection:
        return connection.execute(statement.encode()).fetchall()


def test_a_lock_held_elsewhere_is_refused_with_its_holder_and_freed_by_a_kill(lake: Settings) -> None:
    with closing(Ledger(lake)) as ledger:
        with subprocess.Popen(
            [sys.executable, "-c", HOLD],
            env=lake.as_environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as holder:
            assert holder.stdout
            assert holder.stdout.readline() == "held\n"
            with pytest.raises(LakeBusy, match=f"odh process {holder.pid} on "), exclusive(lake, ledger, "build"):
                pass
            with exclusive(lake, ledger, "another"):
                assert len(ask(lake, LOCKS)) == 2
            assert ledger.running_runs() == set()  # who reads waits for nobody
            holder.kill()
        patient = lake.model_copy(update={"lock_timeout_seconds": 30.0})  # the server notices at its next look
        with exclusive(patient, ledger, "build"):
            pass


def shortest_silence(port: int) -> float:
    """Seconds until the server next asks one of its clients whether it is still there."""
    connections = [line.split() for line in Path("/proc/net/tcp").read_text("ascii").splitlines()[1:]]
    mine = [fields[5] for fields in connections if int(fields[1].partition(":")[2], 16) == port]
    keepalive = [timer.partition(":")[2] for timer in mine if timer.startswith("02:")]
    return min((int(jiffies, 16) / 100 for jiffies in keepalive), default=float("inf"))


@pytest.mark.skipif(not Path("/proc/net/tcp").is_file(), reason="the kernel does not tell its timers here")
def test_the_server_soon_asks_whether_a_silent_holder_is_still_there(lake: Settings) -> None:
    port = int(str(lake.ledger_url).rpartition(":")[2].partition("/")[0])
    with closing(Ledger(lake)) as ledger, ledger.begin():
        assert shortest_silence(port) > 60  # by default after two hours
        with exclusive(lake, ledger, "build"):
            # the timer shows once the last answer was acknowledged
            services.wait_until(lambda: shortest_silence(port) <= 30, [], "the server's keepalive")


def _lose_between(lake: Settings, verify: Verify) -> None:
    verify()
    ask(lake, f"select pg_terminate_backend(pid) from ({LOCKS}) as held")
    verify()
    pytest.fail("the lost lock was not noticed")


def test_a_writer_that_lost_its_lock_is_told_before_it_publishes(lake: Settings) -> None:
    with closing(Ledger(lake)) as ledger:
        with pytest.raises(LakeBusy, match="'build' was lost"), exclusive(lake, ledger, "build") as verify:
            _lose_between(lake, verify)
        with exclusive(lake, ledger, "build") as verify:
            verify()


def test_a_lock_lost_unnoticed_is_told_at_the_end(lake: Settings) -> None:
    with (
        closing(Ledger(lake)) as ledger,
        pytest.raises(LakeBusy, match="'build' was lost"),
        exclusive(lake, ledger, "build"),
    ):
        ask(lake, f"select pg_terminate_backend(pid) from ({LOCKS}) as held")
