"""Clients that leave before their answer is out: what was at work for them ends, and nothing of it stays."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import httpx
import pytest
from api_lake import LakeWriter, serving_app
from fastapi import FastAPI
from prometheus_client import REGISTRY
from structlog.testing import capture_logs

import api
from api.app import create_app

ROWS = 600_000
BIG = "/curated/big"
HASHES = " || ".join(f"md5((range * {number})::varchar)" for number in (1, 3, 7, 11))  # hardly to be compressed
# takes 7 to 15 s on two processors, and no row meets it
NEVER = ",".join(f"text__contains.zq{number}" for number in range(99))
SLOW_SECONDS, SOON_SECONDS = 15, 3
FORMATS = ("csv", "ndjson", "parquet", "arrow")


@dataclass
class Watched:
    """A gateway and its inside."""

    app: FastAPI
    client: httpx.Client

    def leave(self, seconds: float = 1, **parameters: Any) -> None:
        """Ask, and leave without having got a byte."""
        with (
            httpx.Client(base_url=self.client.base_url, timeout=seconds, trust_env=False) as client,
            pytest.raises(httpx.ReadTimeout),
        ):
            client.get(BIG, params=parameters)

    def leave_begun(self, **parameters: Any) -> None:
        """Ask, and leave after the first bytes."""
        with (
            httpx.Client(base_url=self.client.base_url, timeout=60, trust_env=False) as client,
            client.stream("GET", BIG, params=parameters) as answer,
        ):
            assert next(answer.iter_raw())

    def leave_waiting(self, **parameters: Any) -> None:
        """Ask, read what comes, and leave once nothing does."""
        with (
            pytest.raises(httpx.ReadTimeout),
            httpx.Client(base_url=self.client.base_url, timeout=0.2, trust_env=False) as client,
            client.stream("GET", BIG, params=parameters) as answer,
        ):
            assert sum(len(chunk) for chunk in answer.iter_raw()) == 0, "the export ended"

    def seconds_until_idle(self) -> float:
        """How long requests are still worked on; the gateway answers others meanwhile."""
        began = time.monotonic()
        while at_work() and time.monotonic() - began < SLOW_SECONDS:
            assert self.client.get("/health/live").status_code == 200
        return time.monotonic() - began

    def memory_bytes(self) -> int:
        """What DuckDB holds besides what it read of files."""
        with self.app.state.tables.cursor() as cursor:
            asked = "select sum(memory_usage_bytes) from duckdb_memory() where tag not in ('BASE_TABLE', 'METADATA')"
            return int(cursor.execute(asked).fetchone()[0])


def at_work() -> list[str]:
    """Threads that do or await something for a request."""
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    inside = str(Path(api.__file__).parent)
    found = []
    for ident, frame in sys._current_frames().items():
        if ident == threading.get_ident() or not names.get(ident, "").startswith(("AnyIO", "export")):
            continue
        one = frame
        while one and not one.f_code.co_filename.startswith(inside):
            one = one.f_back
        found += [names[ident]] if one else []
    return found


def failures() -> float:
    samples = (one for family in REGISTRY.collect() for one in family.samples if one.name == "odh_http_requests_total")
    return sum(one.value for one in samples if one.labels["status"].startswith("5"))


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    writer = LakeWriter(tmp_path_factory.mktemp("leaving"))
    with duckdb.connect() as connection:
        big = connection.sql(f"select range as n, {HASHES} as text from range({ROWS})").to_arrow_table()
    writer.release(date(2024, 1, 1), {("gold", "big"): big}, {})
    app = create_app(writer.settings)
    with serving_app(app) as client:
        assert client.get(BIG).status_code == 200  # has it copied
        app.state.tables.copies.wait()
        yield Watched(app, client)


@pytest.fixture(autouse=True)
def _nothing_failed(gateway: Watched) -> Iterator[None]:
    before = failures()
    with capture_logs() as told:
        yield
        assert gateway.seconds_until_idle() < SOON_SECONDS, at_work()
        assert gateway.client.get(BIG, params={"n__exact": 7}).json()["meta"]["total"] == 1
    assert [one for one in told if one["log_level"] in ("error", "critical")] == []
    assert failures() == before


@pytest.mark.parametrize("form", FORMATS)
def test_an_export_in_the_middle_ends_and_gives_its_memory_back(gateway: Watched, form: str) -> None:
    before = gateway.memory_bytes()
    gateway.leave_begun(format=form, text__sort="asc")  # sorted, so that DuckDB holds all of it
    assert gateway.seconds_until_idle() < SOON_SECONDS
    assert gateway.memory_bytes() <= before + 10_000_000


@pytest.mark.parametrize("form", ["csv", "ndjson", "arrow"])  # of parquet nothing comes before a group of rows is whole
def test_an_export_that_waits_for_its_rows_ends(gateway: Watched, form: str) -> None:
    gateway.leave_waiting(format=form, **{"or": f"(n__less.200000,{NEVER})"})
    assert gateway.seconds_until_idle() < SOON_SECONDS


@pytest.mark.parametrize(
    "asked",
    [
        {"format": "csv", "text__sort": "asc"},
        {"format": "parquet"},
        {"format": "arrow", "text__groupby": "", "n__count": ""},
        {"text__sort": "asc"},
        {"text__groupby": "", "n__count": ""},
    ],
    ids=["export sorted", "export of groups of rows", "export grouped", "page sorted", "page grouped"],
)
def test_what_is_computed_before_the_first_byte_ends(gateway: Watched, asked: dict[str, str]) -> None:
    gateway.leave(**asked, **{"or": f"({NEVER})"})
    assert gateway.seconds_until_idle() < SOON_SECONDS


def test_more_who_leave_than_there_are_threads_leave_room_for_the_next(gateway: Watched) -> None:
    with ExitStack() as stack:
        clients = [
            stack.enter_context(httpx.Client(base_url=gateway.client.base_url, timeout=60, trust_env=False))
            for _ in range(45)
        ]
        for client in clients:
            with client.stream("GET", BIG, params={"format": "csv"}) as answer:
                next(answer.iter_raw())
    assert gateway.client.get("/curated").status_code == 200
    assert len(gateway.client.get(BIG).json()["data"]) == 20
