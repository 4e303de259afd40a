"""``odh serve`` as its users run it: answers in flight, signals, workers that die, ports that are taken."""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import date
from pathlib import Path

import httpx
import pyarrow as pa
import pytest
from api_lake import LakeWriter
from prometheus_client.parser import text_string_to_metric_families
from served import Served, command_of, fresh, served

ROWS = 250_000
BIG = "/curated/big"


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> LakeWriter:
    """A lake whose one table is far larger than what the buffers of a connection hold."""
    writer = LakeWriter(tmp_path_factory.mktemp("serve"))
    big = pa.table({"n": pa.array(range(ROWS), pa.int64()), "text": ["x" * 150] * ROWS})
    writer.release(date(2024, 1, 1), {("gold", "big"): big}, {})
    return writer


@contextmanager
def export_begun(here: Served) -> Iterator[Iterator[bytes]]:
    """An export whose first bytes have come, the rest of which the gateway cannot have sent yet."""
    with here.client.stream("GET", BIG, params={"format": "csv"}) as answer:
        assert answer.status_code == 200
        yield answer.iter_bytes()


def test_told_to_stop_it_ends_the_answers_in_flight_and_takes_no_more(lake: LakeWriter) -> None:
    with served(lake.settings) as here:
        with export_begun(here) as chunks:
            lines = next(chunks).count(b"\n")
            here.process.send_signal(signal.SIGTERM)
            lines += sum(chunk.count(b"\n") for chunk in chunks)
        assert lines == ROWS + 1
        assert here.process.wait(60) == 0
        with pytest.raises(httpx.ConnectError):
            here.client.get("/health/live")


def test_a_second_signal_ends_at_once(lake: LakeWriter) -> None:
    with served(lake.settings) as here, export_begun(here) as chunks:
        next(chunks)
        children = here.children()
        assert here.workers() < children, "what drains pushed records runs beside"
        here.process.send_signal(signal.SIGTERM)
        assert here.process.poll() is None
        here.process.send_signal(signal.SIGINT)
        assert here.process.wait(30) in (128 + signal.SIGINT, 128 + signal.SIGTERM)  # of two at once, either is first
        assert not any(Path(f"/proc/{pid}").exists() for pid in children)


def test_workers_share_the_port_are_counted_together_and_started_again_when_they_die(lake: LakeWriter) -> None:
    with served(lake.settings, "--workers", "2") as here:
        before = here.workers()
        assert len(before) == 2
        for _ in range(20):
            assert fresh(here, f"{BIG}/schema").status_code == 200
        assert requests_counted(here, f"{BIG}/schema") == 20
        killed = before.pop()
        os.kill(killed, signal.SIGKILL)
        while len(alive := here.workers() - {killed}) < 2:  # the other one answers meanwhile
            assert fresh(here, "/health/live").status_code == 200
        assert before < alive
        assert fresh(here, BIG, page_size=1).json()["data"][0]["n"] == 0
        assert requests_counted(here, f"{BIG}/schema") == 20, "what a dead worker counted stays counted"
        children = here.children()
        here.process.kill()
        for pid in children:
            wait_until_gone(pid)


def test_a_caller_has_one_rate_whatever_the_number_of_workers_also_after_one_died(lake: LakeWriter) -> None:
    limits = {"api_access": "keys", "api_rate": 0.01, "api_burst": 30}
    with served(lake.settings.model_copy(update=limits), "--workers", "2") as here:

        def ask(_: int) -> int:
            return fresh(here, f"{BIG}/schema").status_code

        with ThreadPoolExecutor(4) as pool:
            first = list(pool.map(ask, range(20)))
            killed = here.workers().pop()
            os.kill(killed, signal.SIGKILL)
            while len(here.workers() - {killed}) < 2:
                assert fresh(here, "/health/live").status_code == 200
            then = list(pool.map(ask, range(40)))
        assert first == [200] * 20
        counted = Counter(then)
        assert counted.keys() == {200, 429}
        assert 9 <= counted[200] <= 11, "what was taken stays taken; a token flows in now and then"


def test_what_was_answered_is_audited_once_though_its_worker_was_killed_at_once(lake: LakeWriter) -> None:
    asked = [f"select {number}" for number in range(3)]
    with served(lake.settings) as here:
        for number, statement in enumerate(asked):
            [worker] = here.workers()
            assert here.client.post("/sql", json={"sql": statement}).json()["rows"] == [[number]]
            assert here.client.delete(f"/nothing/{number}").status_code == 405
            os.kill(worker, signal.SIGKILL)
            wait_until_gone(worker)
            assert here.client.get("/health/live").status_code == 200, "the next one"
    rows = lake.ledger.arrow("audit").to_pylist()
    assert sorted(row["detail"] for row in rows if row["detail"]) == asked
    assert [sum(row["requests"] for row in rows if row["path"] == f"/nothing/{number}") for number in range(3)] == [
        1
    ] * 3
    assert list((lake.settings.lake / "audit").glob("*")) == []


def test_nothing_stays_on_disk_of_a_statement_whose_worker_is_killed(lake: LakeWriter) -> None:
    spills = "select * from range(1000000000) as t(i) order by hash(i)"
    small = lake.settings.model_copy(update={"sql_memory_bytes": 128 * 1024**2})
    with served(small) as here, ThreadPoolExecutor(1) as pool:
        asked = pool.submit(here.client.post, "/sql", json={"sql": spills})
        spill = lake.settings.spill
        while not [path for path in spill.rglob("*") if path.is_file()]:
            assert not asked.done(), asked.result().text
        [worker] = here.workers()
        os.kill(worker, signal.SIGKILL)
        assert isinstance(asked.exception(), httpx.TransportError)
        while worker in here.workers() or not here.workers():
            pass
        assert fresh(here, "/health/live").status_code == 200
        assert [path for path in spill.rglob("*") if path.is_file()] == []


def requests_counted(here: Served, path: str) -> float:
    template = "/{layer}/{table}/schema" if path.endswith("/schema") else path
    families = text_string_to_metric_families(fresh(here, "/metrics").text)
    samples = [one for family in families for one in family.samples if one.name == "odh_http_requests_total"]
    return sum(one.value for one in samples if one.labels["route"] in (template, path))


def wait_until_gone(pid: int) -> None:
    """Wait for the end of a process that is no child of ours."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        assert select.select([handle], [], [], 60)[0], f"process {pid} outlived its supervisor"
    finally:
        os.close(handle)


def refused(lake: LakeWriter, words: list[str], **environment: str) -> tuple[int, str]:
    given = {**os.environ, "ODH_LAKE": str(lake.settings.lake), **environment}
    done = subprocess.run(words, env=given, capture_output=True, text=True, timeout=120, check=False)
    return done.returncode, done.stderr


def test_a_port_that_is_taken_is_told_in_words(lake: LakeWriter) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, told = refused(lake, [*command_of()[:-1], str(port)])
    assert code == 1
    assert told.strip() == (
        f"error: Port {port} of 127.0.0.1 is taken, by another odh serve perhaps. Stop it, or choose another:"
        f" --port {port + 1}."
    )


def test_an_address_this_machine_does_not_have_is_told_in_words(lake: LakeWriter) -> None:
    code, told = refused(lake, command_of("--host", "no-such-host.invalid"))
    assert (code, "is no address to listen on" in told) == (2, True)


def test_production_does_not_start_with_what_is_not_set(lake: LakeWriter) -> None:
    code, told = refused(lake, command_of(), ODH_ENVIRONMENT="production", ODH_API_ACCESS="open")
    assert code == 2
    assert "ODH_API_ACCESS=open" in told
    assert "ODH_API_SECRET is not set" in told
