"""Stats, health and metrics of a lake whose content is known."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pyarrow as pa
import pytest
from api_lake import LakeWriter, serving
from prometheus_client.parser import text_string_to_metric_families
from push_lake import GOOD, PushLake

from catalog.clock import utc_now
from catalog.ledger import Ledger
from catalog.stats import ZONES_REMEMBERED_SECONDS, Stats

DAY = utc_now().date()
Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> LakeWriter:
    writer = LakeWriter(tmp_path_factory.mktemp("metrics"))
    writer.load("f__t", [{"a": "1"}, {"a": "2"}], DAY)
    writer.release(DAY, {("silver", "stg_f__t"): pa.table({"a": [1]}), ("gold", "mart_day"): pa.table({"n": [1]})}, {})
    writer.ledger.record_extraction(
        feed="f", extraction_date=DAY, resource_id="r1", run_id="x", status="stored", size_bytes=7, raw_key="f/a.csv"
    )
    writer.ledger.record_extraction(
        feed="f", extraction_date=DAY, resource_id="r2", run_id="x", status="failed", reason="gone"
    )
    reject = {
        "feed": "f", "table_name": "stg_f__t", "resource_id": "r1", "extraction_date": DAY, "source_file": "a.csv",
        "source_member": "", "source_line": 3, "stage": "type", "raw_text": "2", "reason": "no number",
    }  # fmt: skip
    writer.ledger.replace_rejects("stg_f__t", ["type"], [reject])
    raw = Path(writer.settings.raw_root) / "f"
    raw.mkdir(parents=True)
    (raw / "a.csv").write_bytes(b"a\n1\n2\n\n")
    return writer


@pytest.fixture(scope="module")
def client(lake: LakeWriter) -> Iterator[httpx.Client]:
    with serving(lake.settings) as client:
        yield client


def scrape(client: httpx.Client) -> Samples:
    answer = client.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain; version=")
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def value(samples: Samples, name: str, **labels: str) -> float:
    return samples[name, frozenset(labels.items())]


def test_stats_count_tables_feeds_growth_zones_and_databases(client: httpx.Client) -> None:
    found = client.get("/stats").json()
    tables = {(table["layer"], table["table"]): table for table in found["tables"]}
    assert set(tables) == {("bronze", "f__t"), ("silver", "stg_f__t"), ("gold", "mart_day")}
    assert {"layer", "table", "feed", "rows", "files", "bytes", "rejects", "extraction_date"} == set(
        tables["bronze", "f__t"]
    )
    bronze, silver = tables["bronze", "f__t"], tables["silver", "stg_f__t"]
    assert (bronze["rows"], bronze["files"], bronze["rejects"], bronze["feed"]) == (2, 1, 1, "f")
    assert (silver["rows"], silver["rejects"], silver["feed"]) == (1, 1, "f")
    assert tables["gold", "mart_day"]["feed"] is None
    assert found["raw"]["files"] == 1
    assert found["zones"]["raw"]["objects"] == 1
    assert found["zones"]["raw"]["bytes"] == found["raw"]["bytes"] == 7
    assert found["zones"]["warehouse"]["bytes"] > bronze["bytes"] > 0
    day = DAY.isoformat()
    assert found["feeds"] == [{"feed": "f", "extraction_date": day, "resources": 2, "failed": 1}]
    assert found["growth"]["days"] == [{"extraction_date": day, "files": 1, "bytes": 7, "rows": 2, "rejects": 1}]
    assert [(one["release_id"], one["tables"], one["rows"]) for one in found["growth"]["releases"]] == [(1, 2, 2)]
    assert all(found["databases"][f"{name}_bytes"] > 0 for name in ("ledger", "catalogue"))


def test_zones_are_listed_again_after_a_while_only(lake: LakeWriter) -> None:
    now = [0.0]
    stats = Stats(lake.settings, lake.ledger, lake.lakehouse, lambda: now[0])
    before = stats.zones()["raw"].objects
    more = Path(lake.settings.raw_root) / "f" / "b.csv"
    more.write_bytes(b"b")
    assert stats.zones()["raw"].objects == before
    now[0] += ZONES_REMEMBERED_SECONDS
    assert stats.zones()["raw"].objects == before + 1
    more.unlink()


def test_metrics_follow_requests_by_their_route(client: httpx.Client) -> None:
    client.get("/curated/mart_day")
    before = scrape(client)
    route = {"method": "GET", "route": "/{layer}/{table}"}
    for _ in range(3):
        assert client.get("/curated/mart_day").status_code == 200
    client.get("/curated/nothing")
    client.get("/a/b/c/d/e")
    after = scrape(client)

    def grown(name: str, **labels: str) -> float:
        return value(after, name, **labels) - before.get((name, frozenset(labels.items())), 0)

    assert grown("odh_http_requests_total", **route, status="200") == 3
    assert grown("odh_http_requests_total", **route, status="404") == 1
    assert grown("odh_http_requests_total", method="GET", route="unmatched", status="404") == 1
    assert grown("odh_http_request_duration_seconds_count", **route) == 4
    assert value(after, "odh_http_requests_in_progress") == 1


def test_metrics_tell_of_the_lake(client: httpx.Client) -> None:
    samples = scrape(client)
    assert value(samples, "odh_table_rows", layer="bronze", table="f__t") == 2
    assert value(samples, "odh_table_rejects", layer="silver", table="stg_f__t") == 1
    assert value(samples, "odh_feed_failed_resources", feed="f") == 1
    assert 0 <= value(samples, "odh_release_age_seconds") < 600
    assert value(samples, "odh_zone_bytes", zone="raw") == 7
    assert value(samples, "odh_disk_free_bytes") > 0
    newest = value(samples, "odh_feed_last_extraction_timestamp_seconds", feed="f")
    assert datetime.fromtimestamp(newest, UTC).date() == DAY


def test_health_fails_when_a_release_is_too_old_or_the_disk_too_full(lake: LakeWriter) -> None:
    strict = lake.settings.model_copy(update={"health_release_hours": 1e-9, "health_free_bytes": 2**62})
    with serving(strict) as client:
        answer = client.get("/health")
        assert answer.status_code == 503
        services = answer.json()["services"]
        assert "ODH_HEALTH_RELEASE_HOURS" in services["release"]["detail"]
        assert "ODH_HEALTH_FREE_BYTES" in services["disk"]["detail"]
        assert services["ledger"]["status"] == "ok"
        assert client.get("/health/live").status_code == 200
    lenient = lake.settings.model_copy(update={"health_release_hours": 1000.0})
    with serving(lenient) as client:
        assert client.get("/health").json()["services"]["release"]["detail"].endswith("h ago")


def test_metrics_and_stats_are_not_for_everyone(lake: LakeWriter) -> None:
    with serving(lake.settings.model_copy(update={"api_access": "keys"})) as client:
        assert client.get("/metrics").status_code == 401


def test_stats_of_an_empty_lake_are_zeros(tmp_path: Path) -> None:
    writer = LakeWriter(tmp_path)
    found = Stats(writer.settings, writer.ledger, writer.lakehouse).collect()
    assert (found["tables"], found["feeds"], found["growth"]) == ([], [], {"days": [], "releases": []})
    assert found["zones"]["raw"].items() >= {"objects": 0, "bytes": 0}.items()
    assert found["release"] is None


def test_pushed_batches_that_wait_are_counted_and_make_health_fail_when_they_wait_too_long(tmp_path: Path) -> None:
    lake = PushLake(tmp_path, health_ingest_seconds=1e-9)
    with serving(lake.settings) as client:  # and nothing drains
        assert client.get("/health").json()["services"]["ingest"] == {"status": "ok", "detail": "no pushed batch waits"}
        assert value(scrape(client), "odh_ingest_oldest_pending_seconds") == 0
        for _ in range(3):
            assert client.post("/ingest_fast", json={"feed": "capteurs", "data": [GOOD]}).status_code == 202
        found = client.get("/stats").json()["ingest"]
        assert found["batches"] == 3
        samples = scrape(client)
        assert value(samples, "odh_ingest_pending_batches") == 3
        assert value(samples, "odh_ingest_pending_bytes") == found["bytes"] > 0
        assert value(samples, "odh_ingest_oldest_pending_seconds") > 0
        ingest = client.get("/health").json()["services"]["ingest"]
        assert (ingest["status"], "ODH_HEALTH_INGEST_SECONDS" in ingest["detail"]) == ("failed", True)
    with closing(Ledger(lake.settings)) as ledger:
        audited = [
            (row["path"], row["status"], row["requests"], row["rows"]) for row in ledger.arrow("audit").to_pylist()
        ]
    assert sum(row[2] for row in audited) == sum(row[3] for row in audited) == 3
    assert {row[:2] for row in audited} == {("/ingest_fast", 202)}
