"""What the gateway tells those who watch over the lake: feeds, rejects, runs, releases, quality and growth."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from api_lake import LakeWriter, serving
from watched_lake import BAD_DAY, DAYS, LAST, write_watched_lake

from catalog import lineage, supervision
from catalog.api_keys import create_key
from catalog.clock import utc_now
from catalog.registry import load_registry
from catalog.scopes import Scope


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> LakeWriter:
    return write_watched_lake(tmp_path_factory.mktemp("watched"))


@pytest.fixture(scope="module")
def client(lake: LakeWriter) -> Iterator[httpx.Client]:
    with serving(lake.settings) as client:
        yield client


def told(client: httpx.Client, path: str, **parameters: Any) -> Any:
    answer = client.get(path, params=parameters)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_feeds_come_worst_first_with_their_reasons(client: httpx.Client) -> None:
    feeds = told(client, "/feeds")["data"]
    assert [feed["state"] for feed in feeds] == sorted((feed["state"] for feed in feeds), key=supervision.STATES.index)
    by_name = {feed["feed"]: feed for feed in feeds}
    accidents = by_name["accidents"]
    assert (accidents["state"], accidents["extraction_date"]) == ("warned", LAST.isoformat())
    assert {one["kind"]: one["count"] for one in accidents["reasons"]} == {"warnings": 1, "rejects": 25}
    assert by_name["irve"]["state"] == "fine"
    assert by_name["meteo"]["state"] == "never"


@pytest.mark.parametrize(
    ("is_enabled", "is_known", "failed", "warned", "state"),
    [
        (True, False, False, False, "never"),
        (False, False, False, False, "disabled"),
        (True, True, True, True, "failed"),
        (False, True, True, False, "failed"),
        (False, True, False, True, "disabled"),
        (True, True, False, True, "warned"),
        (True, True, False, False, "fine"),
    ],
)
def test_a_state_is_the_worst_that_is_known(
    lake: LakeWriter, is_enabled: bool, is_known: bool, failed: bool, warned: bool, state: str
) -> None:
    feed = load_registry(lake.settings).get("irve").model_copy(update={"enabled": is_enabled})
    assert supervision.state_of(feed, is_known, failed, warned) == state


def test_a_feed_tells_its_days_its_files_and_its_changes(client: httpx.Client) -> None:
    feed = told(client, "/feeds/accidents", days=30)
    days = {day["extraction_date"]: day for day in feed["timeline"]}
    assert set(days) == {day.isoformat() for day in DAYS}
    assert (days[BAD_DAY.isoformat()]["failed"], days[BAD_DAY.isoformat()]["rows_loaded"]) == (1, 0)
    assert days[LAST.isoformat()]["bytes"] == 6_000_000
    assert [(one["change"], one["class"]) for one in feed["schema_changes"]] == [
        ("missing", "breaking"),
        ("added", "safe"),
    ]
    assert feed["rejects"] == [{"table_name": "accidents__lieux", "stage": "decode", "column_name": None, "rows": 50}]
    assert {test["table_name"] for test in feed["test_results"]} == {"fct_accident"}
    assert feed["test_results"][0]["status"] == "warn"
    assert len(told(client, "/feeds/accidents", days=2)["timeline"]) == 2


def test_lineage_leads_from_bronze_to_the_marts(client: httpx.Client) -> None:
    edges = {(edge["source"], edge["target"]) for edge in told(client, "/feeds/irve")["lineage"]}
    assert ("irve__points_de_charge", "stg_irve__points_de_charge") in edges
    assert ("fct_charging_point", "mart_charging_point_departement") in edges
    assert not any("accident" in name for edge in edges for name in edge)


def test_lineage_steps_over_what_is_no_table() -> None:
    edges = [lineage.Edge("a__t", "base_x"), lineage.Edge("base_x", "stg_x"), lineage.Edge("stg_x", "fct_x")]
    assert lineage.between_tables(edges) == (lineage.Edge("a__t", "stg_x"), edges[2])


def test_lineage_follows_every_way_once() -> None:
    edges = [lineage.Edge("a", "b"), lineage.Edge("b", "c"), lineage.Edge("a", "c"), lineage.Edge("x", "y")]
    assert lineage.downstream([*edges, lineage.Edge("c", "a")], ["a"]) == (
        edges[0],
        edges[2],
        edges[1],
        lineage.Edge("c", "a"),
    )


def test_rejects_are_paged_with_their_lines(client: httpx.Client) -> None:
    first = told(client, "/feeds/accidents/rejects", page_size=30, table="accidents__lieux", stage="decode")
    second = told(client, "/feeds/accidents/rejects", page_size=30, page=2)
    assert (first["meta"]["total"], len(first["data"]), len(second["data"])) == (50, 30, 20)
    assert len({row["reject_id"] for row in first["data"] + second["data"]}) == 50
    row = first["data"][0]
    assert (row["extraction_date"], row["source_line"], row["raw_text"]) == (LAST.isoformat(), 2, "a;b;2")
    assert told(client, "/feeds/accidents/rejects", stage="type")["data"] == []


def test_rejects_of_a_restricted_feed_are_not_served(client: httpx.Client) -> None:
    answer = client.get("/feeds/people/rejects")
    assert (answer.status_code, answer.json()["type"]) == (403, "urn:problem-type:odh:restricted")


def test_alerts_tell_what_holds_now_and_what_to_do(client: httpx.Client) -> None:
    alerts = {(one["kind"], one["subject"]): one for one in told(client, "/alerts")["data"]}
    assert ("tests_warned", "road_safety") in alerts
    assert any(kind == "breaking_drift" for kind, _ in alerts)
    assert all(one["advice"] and one["runbook"] and one["since"] for one in alerts.values())


def test_runs_tell_how_they_ended_and_what_they_published(client: httpx.Client) -> None:
    runs = told(client, "/runs", days=30)["data"]
    assert [run["extraction_date"] for run in runs] == [day.isoformat() for day in reversed(DAYS)]
    assert (runs[0]["status"], runs[0]["seconds"], runs[0]["release_id"]) == ("succeeded", 75, 2)
    (failed,) = [run for run in runs if run["status"] == "failed"]
    assert failed["error"].startswith("The portal")
    assert len(told(client, "/runs", limit=2)["data"]) == 2
    assert [release["tables"] for release in told(client, "/releases")["data"]] == [6, 6]


def test_quality_counts_tests_by_severity_over_time(client: httpx.Client) -> None:
    found = told(client, "/quality", days=30)
    assert sum(row["tests"] for row in found["history"]) == 5 * 18
    assert {row["severity"] for row in found["history"] if row["status"] == "fail"} == {"error"}
    assert [(one["status"], one["failures"]) for one in found["attention"]] == [("warn", 3)]
    assert {row["rows"] for row in found["rejects"] if row["table_name"] == "accidents__lieux"} == {25}
    assert [row["class"] for row in found["changes"]] == ["safe", "breaking"]
    assert len(found["slowest"]) == 10


def test_growth_sums_what_came_in(client: httpx.Client) -> None:
    found = told(client, "/growth", days=30)
    assert sum(row["bytes"] for row in found["raw"] if row["feed"] == "irve") == 17_000_000
    assert sum(row["rows"] for row in found["bronze"] if row["feed"] == "irve") == 5 * 4000 + 250 * 12


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/feeds/accident", 404),
        ("/feeds/nope/rejects", 404),
        ("/feeds?x=1", 400),
        ("/runs?days=0", 400),
        ("/runs?limit=100000", 400),
        ("/feeds/accidents/rejects?page=99999999999999999999", 400),
    ],
)
def test_bad_questions_are_refused_with_a_word(client: httpx.Client, path: str, status: int) -> None:
    answer = client.get(path)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json"), answer.text
    assert answer.json()["detail"]


def test_an_empty_lake_answers_with_empty_lists(tmp_path: Any) -> None:
    with serving(LakeWriter(tmp_path).settings) as client:
        assert {feed["state"] for feed in told(client, "/feeds")["data"]} == {"never"}
        assert told(client, "/runs")["data"] == told(client, "/releases")["data"] == []
        assert told(client, "/quality")["history"] == told(client, "/growth")["raw"] == []
        feed = told(client, "/feeds/accidents")
        assert (feed["timeline"], feed["files"], feed["rejects"]) == ([], [], [])
        assert feed["lineage"]


def test_with_keys_on_supervision_asks_for_its_scope(lake: LakeWriter) -> None:
    with serving(lake.settings.model_copy(update={"api_access": "keys"})) as client:
        assert client.get("/feeds").status_code == 401
        _, watcher = create_key(lake.ledger, "watcher", [Scope.ADMIN_READ], utc_now())
        assert client.get("/feeds", headers={"X-API-Key": watcher}).status_code == 200
        assert client.get("/feeds/accidents/rejects", headers={"X-API-Key": watcher}).status_code == 403
