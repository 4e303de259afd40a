"""How many processes of a lake treat one server: as one would, over files and over a ledger on PostgreSQL."""

from __future__ import annotations

import os
import queue
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import psycopg
import pytest
import services
from conftest import lake_settings
from odd_servers import HEAD, resource_at, saying, server

from catalog.errors import LedgerAway, PortalUnavailable
from catalog.iceberg import Lakehouse
from catalog.ledger import Ledger
from catalog.settings import Settings
from catalog.slots import Slots
from ingestion import jobs
from ingestion.courtesy import LONGEST_WAIT_SECONDS, Hosts
from ingestion.sync import Syncer

LOCKS = "select pid from pg_locks where locktype = 'advisory' and granted"
BODY = b"code;nom\n01001;L'Abergement\n"
ANSWER = HEAD + b"Content-Length: %d\r\n\r\n" % len(BODY) + BODY
FETCH = """
import sys
from concurrent.futures import ThreadPoolExecutor
from catalog.iceberg import Lakehouse
from catalog.ledger import Ledger
from catalog.logs import configure_logs
from catalog.settings import load_settings
from ingestion.courtesy import shared_hosts
from ingestion.download import Downloader
from odd_servers import resource_at

place, *names = sys.argv[1:]
settings = load_settings()
configure_logs(settings)
downloader = Downloader(settings, hosts=shared_hosts(settings, Ledger(settings)))
with ThreadPoolExecutor(len(names)) as pool:
    found = list(pool.map(lambda name: downloader.fetch(resource_at(place, name), settings.scratch), names))
print("fetched", len(found), flush=True)
"""


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with services.or_skip(services.postgres(tmp_path_factory.mktemp("postgres"))) as url:
        yield url


@pytest.fixture(params=["files", pytest.param("postgresql", marks=pytest.mark.services)])
def lake(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    more = {"ledger_url": request.getfixturevalue("database")} if request.param == "postgresql" else {}
    return lake_settings(tmp_path / "lake", log_level="info", **more)


class Counting:
    """A server that counts who is in at once, and keeps those who ask for ``held…`` until it is told to let go."""

    def __init__(self) -> None:
        self.arrived: queue.Queue[str] = queue.Queue()
        self.let_go = threading.Event()
        self.inside = self.most = 0
        self._lock = threading.Lock()

    def talk(self, connection: socket.socket, asked: bytes) -> None:
        with self._lock:
            self.inside += 1
            self.most = max(self.most, self.inside)
        self.arrived.put(asked.split()[1].decode())
        if b"/held" in asked:
            assert self.let_go.wait(60)
        with self._lock:
            self.inside -= 1
        connection.sendall(ANSWER)


@contextmanager
def counting() -> Iterator[tuple[Counting, str]]:
    counted = Counting()
    with server(counted.talk) as place:
        try:
            yield counted, place
        finally:
            counted.let_go.set()


@contextmanager
def fetching(lake: Settings, place: str, *names: str) -> Iterator[subprocess.Popen[str]]:
    """A process that syncs, at its downloads."""
    here = Path(__file__).parent.parent
    environment = {**os.environ, **lake.as_environment(), "ODH_PORTAL_URL": f"http://{place}"}
    with subprocess.Popen(
        [sys.executable, "-c", FETCH, place, *names],
        env=environment | {"PYTHONPATH": os.pathsep.join((str(here), str(here.parent)))},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def next_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout
    return process.stdout.readline()


def test_two_processes_ask_a_server_no_more_at_once_than_one(lake: Settings) -> None:
    with counting() as (counted, place), fetching(lake, place, "held-1", "held-2") as first:
        assert {counted.arrived.get(timeout=60) for _ in range(2)} == {"/held-1", "/held-2"}
        with fetching(lake, place, "quick-1", "quick-2", "quick-3") as second:
            assert "slot_awaited" in next_line(second)
            assert counted.inside == 2
            counted.let_go.set()
            ended = [process.communicate(timeout=60)[0] for process in (first, second)]
    assert [output.splitlines()[-1] for output in ended] == ["fetched 2", "fetched 3"]
    assert (counted.most, counted.arrived.qsize()) == (2, 3)


def test_the_slots_of_a_killed_process_are_free(lake: Settings) -> None:
    with counting() as (counted, place), fetching(lake, place, "held-1", "held-2") as first:
        assert {counted.arrived.get(timeout=60) for _ in range(2)} == {"/held-1", "/held-2"}
        with fetching(lake, place, "quick-1") as second:
            assert "slot_awaited" in next_line(second)
            first.kill()
            assert second.communicate(timeout=60)[0].splitlines()[-1] == "fetched 1"
        assert counted.inside == 2  # what the first asked for was never answered


@contextmanager
def other_process(lake: Settings, sleep: Callable[[float], None] = lambda _: None) -> Iterator[Hosts]:
    """The servers as another process of the lake sees them: nothing is shared but files and ledger."""
    with closing(Ledger(lake)) as ledger:
        yield Hosts(1, Slots(lake, ledger), sleep=sleep)


def test_a_server_that_asked_one_process_for_rest_is_left_alone_by_all(lake: Settings) -> None:
    waits: list[float] = []
    with other_process(lake) as one, other_process(lake, waits.append) as another:
        one.leave_alone("http://one.example/a.csv", 86400)
        one.leave_alone("http://one.example/b.csv", 10)  # asking for less does not shorten it
        with another.visit() as enter:
            enter("https://two.example/f.csv")
            assert waits == []
            enter("https://ONE.example:443/f.csv")  # as a redirect does: by any way, it is the same server
    assert waits == [pytest.approx(LONGEST_WAIT_SECONDS, abs=20)]


BUSY = b"HTTP/1.1 429 Slow down\r\nRetry-After: 90\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
ASKS: dict[str, Callable[[Syncer, str], object]] = {
    "api": lambda syncer, place: syncer.portal.dataset("communes"),
    "download": lambda syncer, place: syncer.downloader.fetch(resource_at(place), syncer.settings.scratch),
    "schema": lambda syncer, place: (
        syncer.loader.schemas.downloader.fetch(resource_at(place, "schema.json"), syncer.settings.scratch)
        if syncer.loader.schemas
        else None
    ),
}


@pytest.mark.parametrize("ask", ASKS.values(), ids=ASKS.keys())
def test_the_rest_a_sync_is_asked_for_is_kept_by_all(tmp_path: Path, ask: Callable[[Syncer, str], object]) -> None:
    waits: list[float] = []
    with server(saying(BUSY)) as place, ExitStack() as opened:
        lake = lake_settings(tmp_path / "lake", portal_url=f"http://{place}", http_retries=0)
        ledger, lakehouse = opened.enter_context(closing(Ledger(lake))), opened.enter_context(closing(Lakehouse(lake)))
        another = opened.enter_context(other_process(lake, waits.append))
        with pytest.raises(PortalUnavailable, match="HTTP 429"):
            ask(Syncer(lake, ledger, lakehouse, "run"), place)
        another.wait_for(f"http://{place}/resources/f.csv")
    assert waits == [pytest.approx(90, abs=20)]


def test_the_rest_a_discovery_is_asked_for_is_kept_by_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    with server(saying(BUSY)) as place:
        lake = lake_settings(tmp_path / "lake", portal_url=f"http://{place}", http_retries=0)
        for name, value in lake.as_environment().items():
            monkeypatch.setenv(name, value)
        with pytest.raises(PortalUnavailable, match="HTTP 429"):
            jobs.discover_datasets()
        with other_process(lake, waits.append) as another:
            another.wait_for(f"http://{place}/")
    assert waits == [pytest.approx(90, abs=20)]


def test_redirects_that_cross_block_nobody(lake: Settings) -> None:
    """Each leaves its server before it waits for that of the other: holding on would be for ever."""
    both_are_in = threading.Barrier(2, timeout=60)
    arrived: list[str] = []

    def follow(hosts: Hosts, start: str, end: str) -> None:
        with hosts.visit() as enter:
            enter(start)
            both_are_in.wait()
            enter(end)
            arrived.append(end)

    one, two = "https://one.example/f.csv", "https://two.example/f.csv"
    with other_process(lake) as here, other_process(lake) as there:
        ways = [(here, one, two), (there, two, one)]
        threads = [threading.Thread(target=follow, args=way, daemon=True) for way in ways]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
    assert sorted(arrived) == [one, two]


def sessions(database: str) -> list[int]:
    """The sessions that hold locks, once for each lock."""
    with psycopg.connect(database) as connection:
        return [row[0] for row in connection.execute(LOCKS).fetchall()]


@pytest.mark.services
def test_the_slots_of_a_process_are_held_in_one_session(database: str, tmp_path: Path) -> None:
    lake = lake_settings(tmp_path, ledger_url=database)
    with closing(Ledger(lake)) as ledger:
        slots = Slots(lake, ledger)
        with ExitStack() as held:
            for name in ("host-a", "host-a", "host-b", "host-c"):
                held.enter_context(slots.hold(name, 2))
            found = sessions(database)
            assert (len(found), len(set(found))) == (4, 1)
        assert sessions(database) == []
        assert re.search("Connections in pool: 1 .*Current Checked out connections: 0", ledger.engine.pool.status())


@pytest.mark.services
def test_a_session_that_ends_ends_no_download(database: str, tmp_path: Path) -> None:
    lake = lake_settings(tmp_path, ledger_url=database)
    with closing(Ledger(lake)) as ledger, psycopg.connect(database, autocommit=True) as other:
        slots = Slots(lake, ledger)
        with slots.hold("host-a", 1):
            other.execute(f"select pg_terminate_backend(pid, 60000) from ({LOCKS}) as held")
        with slots.hold("host-a", 1):
            assert len(sessions(database)) == 1


@pytest.mark.services
def test_a_ledger_that_is_away_is_worth_another_try(tmp_path: Path) -> None:
    with ExitStack() as opened:
        with services.or_skip(services.postgres(tmp_path / "postgres")) as url:
            lake = lake_settings(tmp_path / "lake", ledger_url=url)
            slots = Slots(lake, opened.enter_context(closing(Ledger(lake))))
        with pytest.raises(LedgerAway, match=r"asked for a turn at host-a: .*Is its server up\?"):
            opened.enter_context(slots.hold("host-a", 1))
