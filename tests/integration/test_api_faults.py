"""The gateway while things change or break under it: new releases, new files, services gone, faults of its own."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path
from typing import Any

import httpx
import pyarrow as pa
import pytest
from api_lake import LakeWriter, rows_of, serving
from structlog.testing import capture_logs

from catalog import schema

MART = "/curated/mart_day"


def mart(release: int, rows: int = 60) -> pa.Table:
    """A table whose every row says which release it is of."""
    return pa.table({"release": [release] * rows, "n": list(range(rows))})


@pytest.fixture
def lake(tmp_path: Path) -> LakeWriter:
    writer = LakeWriter(tmp_path)
    writer.load("f__t", [{"a": "1"}], date(2024, 1, 1))
    writer.release(date(2024, 1, 1), {("gold", "mart_day"): mart(1)}, {})
    return writer


@pytest.fixture
def client(lake: LakeWriter) -> Iterator[httpx.Client]:
    with serving(lake.settings) as client:
        yield client


def services(client: httpx.Client, status: int) -> dict[str, str]:
    answer = client.get("/health")
    assert answer.status_code == status
    assert answer.json()["status"] == ("ok" if status == 200 else "failed")
    return {name: state["status"] for name, state in answer.json()["services"].items()}


def problem_of(answer: httpx.Response, status: int) -> dict[str, Any]:
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json"), answer.text
    problem: dict[str, Any] = answer.json()
    return problem


def test_a_published_release_is_served_at_once_and_each_page_is_of_one_release(
    client: httpx.Client, lake: LakeWriter
) -> None:
    def releases_seen(_: int) -> set[int]:
        page = client.get(MART, params={"page_size": 200, "n__greater": 0}).json()
        assert len(page["data"]) == page["meta"]["total"] == 60
        return {row["release"] for row in page["data"]}

    with ThreadPoolExecutor(4) as readers:
        seen = readers.map(releases_seen, range(40))
        lake.release(date(2024, 1, 2), {("gold", "mart_day"): mart(2)}, {})
        assert all(found in ({1}, {2}) for found in seen)
    assert releases_seen(0) == {2}
    assert rows_of(client, MART, as_of="2024-01-01")[0]["release"] == 1


def test_a_changed_column_is_seen_in_the_new_release_and_not_in_the_old(client: httpx.Client, lake: LakeWriter) -> None:
    assert rows_of(client, MART, page_size=1) == [{"release": 1, "n": 0}]
    changed = pa.table({"release": ["second"], "note": ["new"]})
    lake.release(date(2024, 1, 2), {("gold", "mart_day"): changed}, {})
    assert rows_of(client, MART, page_size=1) == [{"release": "second", "note": "new"}]
    assert rows_of(client, MART, page_size=1, as_of="2024-01-01", n__exact=5) == [{"release": 1, "n": 5}]
    types = {
        column["name"]: column["type"] for column in client.get(f"{MART}/schema?as_of=2024-01-01").json()["columns"]
    }
    assert types == {"release": "BIGINT", "n": "BIGINT"}


def test_a_raw_table_shows_rows_and_columns_as_they_are_loaded(client: httpx.Client, lake: LakeWriter) -> None:
    assert rows_of(client, "/raw/f__t", columns="a") == [{"a": "1"}]
    lake.load("f__t", [{"a": "2", "b": "x"}], date(2024, 1, 2))
    found = rows_of(client, "/raw/f__t", columns="a,b", a__sort="asc")
    assert found == [{"a": "1", "b": None}, {"a": "2", "b": "x"}]
    assert client.get("/raw").json()["data"][0]["rows"] == 2


def test_a_raw_table_never_loaded_has_no_rows(client: httpx.Client, lake: LakeWriter) -> None:
    lake.lakehouse.ensure_bronze("f__empty", {"a": ""})
    page = client.get("/raw/f__empty", params={"a__isnotnull": ""}).json()
    assert (page["data"], page["meta"]["total"]) == ([], 0)
    assert client.get("/raw/f__empty").json()["meta"]["total"] == 0


def test_a_lake_without_a_release_is_served_and_healthy(tmp_path: Path) -> None:
    with serving(LakeWriter(tmp_path).settings) as client:
        assert services(client, 200)["release"] == "ok"
        assert client.get("/curated").json()["data"] == []
        assert client.get("/stats").json()["release"] is None
        assert problem_of(client.get(MART), 404)["detail"].endswith("Known: none.")


def test_health_says_that_the_storage_is_gone_and_when_it_is_back(client: httpx.Client, lake: LakeWriter) -> None:
    warehouse = Path(lake.settings.warehouse_root)
    warehouse.rename(warehouse.with_name("away"))
    assert services(client, 503) == {
        "catalogue": "ok",
        "ledger": "ok",
        "storage": "failed",
        "release": "ok",
        "ingest": "ok",
        "disk": "ok",
    }
    detail = client.get("/health").json()["services"]["storage"]["detail"]
    assert detail.startswith("The files of gold.mart_day are not in the warehouse.")
    problem = problem_of(client.get(MART), 503)
    assert "GET /health" in problem["detail"]
    assert str(lake.folder) not in str(problem)
    assert client.get("/health/live").status_code == 200
    warehouse.with_name("away").rename(warehouse)
    assert services(client, 200)["storage"] == "ok"
    assert len(rows_of(client, MART)) == 20


def test_data_files_gone_are_a_503_too(client: httpx.Client, lake: LakeWriter) -> None:
    for file in Path(lake.settings.warehouse_root).rglob("*.parquet"):
        file.unlink()
    problem = problem_of(client.get(MART), 503)
    assert str(lake.folder) not in str(problem)


def test_a_fault_of_the_ledger_shows_in_health_and_tells_nothing_of_the_inside(
    client: httpx.Client, lake: LakeWriter
) -> None:
    schema.release_tables.drop(lake.ledger.engine)
    with capture_logs() as logged:
        assert services(client, 503) == {
            "catalogue": "ok",
            "ledger": "failed",
            "storage": "failed",
            "release": "failed",
            "ingest": "ok",
            "disk": "ok",
        }
        answers = [problem_of(client.get(MART), 500), client.get("/health").json(), problem_of(client.get(MART), 500)]
    told = str(answers).lower()
    assert not any(word in told for word in ("select", "sqlite3", "no such table", "traceback", str(lake.folder)))
    failures = [entry for entry in logged if entry["event"] == "request_failed"]
    assert [(entry["path"], "no such table" in str(entry["exc_info"])) for entry in failures] == [(MART, True)] * 2


def test_serve_answers_on_the_address_it_prints_until_it_is_told_to_stop(lake: LakeWriter) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    environment = {**os.environ, "ODH_LAKE": str(lake.settings.lake)}
    command = [sys.executable, "-m", "odh", "serve", "--port", str(port)]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            told = " ".join(process.stdout.readline() for _ in range(2))
            assert f"http://127.0.0.1:{port}" in told
            with httpx.Client(timeout=60, trust_env=False) as client:
                answer = client.get(f"http://127.0.0.1:{port}{MART}")
            assert answer.json()["meta"]["total"] == 60
        finally:
            process.send_signal(signal.SIGINT)
        assert process.wait(30) in (0, -signal.SIGINT, 130)
