"""Pushed records over HTTP, through their log into every layer; what the gateway says of them meanwhile."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from api_lake import serving
from conftest import lake_settings
from lakes import sql
from push_lake import FEED, FIELDS, GOOD, PushLake

from catalog.iceberg import Lakehouse
from catalog.ledger import Ledger
from catalog.policies import WITHHELD
from catalog.push import receipts
from catalog.push.backlog import backlog
from catalog.push.batch import take
from catalog.push.contract import Contract
from catalog.push.log import PushLog, segments
from catalog.registry import load_registry
from catalog.settings import Settings
from ingestion.drain import Drain
from ingestion.drain_watch import Watch

BAD = {**GOOD, "kind": "fire"}
BAD_TEXT = '{"at":"2024-05-01T08:30:00Z","value":12.5,"kind":"fire"}'


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> PushLake:
    return PushLake(tmp_path_factory.mktemp("push"), push_max_body_bytes=100_000)


@pytest.fixture(scope="module")
def client(lake: PushLake) -> Iterator[httpx.Client]:
    with serving(lake.settings) as client:
        yield client


def body(*records: Any, **more: Any) -> dict[str, Any]:
    return {"feed": "capteurs", "data": list(records), **more}


def load(lake: PushLake) -> None:
    """Take what waits into bronze; a release costs a build of dbt."""
    with closing(Ledger(lake.settings)) as ledger, closing(Lakehouse(lake.settings)) as lakehouse:
        Drain(lake.settings, load_registry(lake.settings), ledger, lakehouse).load(f"load-{time.time_ns()}")


def test_a_batch_is_followed_from_the_log_to_the_release(lake: PushLake, client: httpx.Client) -> None:
    answer = client.post("/ingest_fast", json=body(GOOD, BAD, {**GOOD, "value": -1}))
    assert answer.status_code == 202
    told = answer.json()
    assert (told["status"], told["accepted"], told["rejected"]) == ("accepted", 2, 1)
    assert told["errors"] == [{"index": 1, "field": "kind", "reason": "not one of air, water"}]
    assert answer.headers["location"] == f"/ingest/{told['receipt']}"
    waiting = client.get(answer.headers["location"]).json()
    assert (waiting["status"], waiting["records"], waiting["errors"]) == ("accepted", 2, told["errors"])

    lake.drain()

    done = client.get(answer.headers["location"]).json()
    assert (done["status"], done["records"], done["rejected"], done["errors"]) == ("curated", 2, 1, told["errors"])
    assert done["received_at"] <= done["bronze_at"] <= done["curated_at"]
    mine = f"_resource_id = '{done['resource_id']}' and _source_line >= {done['first_line']}"
    rows = sql(lake.settings, f"select value, note from bronze.capteurs__mesures where {mine} order by _source_line")
    assert rows == [("12.5", ""), ("-1", "")]
    rejects = "select source_file, source_line, stage, column_name, raw_text, reason from ops.rejects"
    assert sql(lake.settings, rejects) == [
        (
            "rejected.ndjson",
            1,
            "contract",
            "kind",
            BAD_TEXT,
            "kind: not one of air, water",
        )
    ]
    totals = client.get("/curated/fct_mesure").json()["data"]
    assert totals == [{"kind": "air", "measures": 2, "total": 11.5}]
    assert segments(lake.settings.push_log), "the gateway still has its segment"
    assert backlog(lake.settings.push_log).batches == 0


def test_a_key_gives_one_receipt_and_another_body_under_it_is_refused(lake: PushLake, client: httpx.Client) -> None:
    key = {"Idempotency-Key": "one"}
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: client.post("/ingest_fast", json=body(GOOD), headers=key), range(8)))
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.text for answer in answers}) == 1
    assert client.post("/ingest_fast", json=body(GOOD, GOOD), headers=key).status_code == 422
    inside = [client.post("/ingest_fast", json=body(GOOD, idempotency_key="two")).json()["receipt"] for _ in range(2)]
    assert inside[0] == inside[1] != answers[0].json()["receipt"]
    assert backlog(lake.settings.push_log).batches == 2


def test_a_key_whose_process_died_before_it_was_remembered_is_taken_once(lake: PushLake) -> None:
    first, again, other = (lake.push(records, key="lost") for records in ([GOOD], [GOOD], [GOOD, GOOD]))
    load(lake)
    with closing(Ledger(lake.settings)) as ledger:
        found = {name: receipts.find_receipt(ledger, lake.settings.push_log, name) for name in (first, again, other)}
    told = [(one["status"], one["records"], one.get("duplicate_of")) for one in found.values() if one]
    assert told == [("bronze", 1, None), ("duplicate", 0, first), ("bronze", 2, None)]
    later = lake.push([GOOD], key="lost")
    load(lake)
    with closing(Ledger(lake.settings)) as ledger:
        assert (receipts.find_receipt(ledger, lake.settings.push_log, later) or {})["duplicate_of"] == first


REFUSED = [
    ("/ingest_fast", b'{"feed":"capteurs","data":[', 400, "at line 1, column 28"),
    ("/ingest", b"[]", 400, "Expected 'object', got 'array'"),
    ("/ingest_fast", json.dumps(body(*[GOOD] * 2_000)).encode(), 413, "larger than the 100,000 bytes"),
    ("/ingest_fast?atomic=perhaps", b"{}", 400, "true or false"),
    ("/ingest_fast?atomc=true", b"{}", 400, "There is no parameter 'atomc'"),
    ("/ingest", json.dumps({"feed": "irve", "data": [{}]}).encode(), 422, "no push feed named 'irve'"),
    ("/ingest_fast?atomic=true", json.dumps(body(GOOD, BAD)).encode(), 422, "1 of 2 records are wrong"),
]


@pytest.mark.parametrize(("path", "content", "status", "told"), REFUSED, ids=[told for *_, told in REFUSED])
def test_what_is_refused_leaves_nothing_and_says_why(
    lake: PushLake, client: httpx.Client, path: str, content: bytes, status: int, told: str
) -> None:
    before = backlog(lake.settings.push_log).batches
    answer = client.post(path, content=content)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    assert told in answer.json()["detail"]
    assert backlog(lake.settings.push_log).batches == before


def test_a_batch_without_a_good_record_is_refused_and_kept(lake: PushLake, client: httpx.Client) -> None:
    answer = client.post("/ingest_fast", json=body(BAD))
    assert (answer.status_code, answer.json()["status"], answer.json()["accepted"]) == (422, "rejected", 0)
    load(lake)
    found = client.get(f"/ingest/{answer.json()['receipt']}").json()
    assert (found["status"], found["rejected"], len(found["errors"])) == ("rejected", 1, 1)


def test_a_receipt_nobody_gave_is_not_found(client: httpx.Client) -> None:
    for receipt in ("nothing", "20240101t000000-00000000-00000008"):
        assert client.get(f"/ingest/{receipt}").status_code == 404


def test_a_receipt_that_points_into_bytes_that_are_no_batch_is_not_found(lake: PushLake, client: httpx.Client) -> None:
    log = PushLog(lake.settings.push_log)
    made_up = log.append([b"no batch"])[0]
    assert client.get(f"/ingest/{made_up}").status_code == 404
    segment = made_up.rpartition("-")[0]
    log.close()
    (lake.settings.push_log / f"{segment}.log").unlink()


def test_records_wait_through_a_change_of_their_contract(tmp_path: Path) -> None:
    lake = PushLake(tmp_path)
    lake.push([{**GOOD, "note": "before", "count": 3}])
    fields = [field for field in FIELDS if field["name"] != "count"]
    fields.append({"name": "more", "type": "text", "description": "New."})
    table = {**FEED["tables"][0], "columns": [field["name"] for field in fields]}
    changed = {**FEED, "source": {"push": {"fields": fields}}, "tables": [table]}
    (lake.settings.lake / "feeds" / "capteurs.yml").write_text(yaml.safe_dump(changed), "utf-8")
    load(lake)
    lake.contracts["capteurs"] = Contract(load_registry(lake.settings).get("capteurs"))
    lake.push([{**GOOD, "note": "after", "more": "x"}])
    load(lake)
    told = sql(lake.settings, "select status, reason from ops.push_batches")
    assert told == [("bronze", None)] * 2, "nothing is given up"
    rows = sql(lake.settings, "select note, more from bronze.capteurs__mesures order by note")
    assert rows == [("after", "x"), ("before", "")]
    raw = "select raw_key from ops.extractions order by started_at limit 1"
    [(key,)] = sql(lake.settings, raw)
    assert b'"count": 3' in (Path(lake.settings.raw_root) / key).read_bytes(), "raw keeps what bronze has no column for"


def test_those_who_open_a_new_lake_at_once_all_find_its_catalogue(tmp_path: Path) -> None:
    for number in range(10):
        settings, ready = lake_settings(tmp_path / str(number)), threading.Barrier(4)

        def open_lake(_: int, settings: Settings = settings, ready: threading.Barrier = ready) -> list[str]:
            ready.wait()
            with closing(Lakehouse(settings)) as lakehouse:
                return lakehouse.names("bronze")

        with ThreadPoolExecutor(4) as pool:
            assert list(pool.map(open_lake, range(4))) == [[]] * 4


def test_two_drains_at_once_take_each_batch_once(tmp_path: Path) -> None:
    lake = PushLake(tmp_path)
    for number in range(20):
        lake.push([{**GOOD, "count": number}])
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda _: load(lake), range(2)))
    counted = 'select count(*), count(distinct "count") from bronze.capteurs__mesures'
    assert sql(lake.settings, counted) == [(20, 20)]
    assert sql(lake.settings, "select status, count(*) from ops.push_batches group by 1") == [("bronze", 20)]


def test_records_of_a_feed_that_was_removed_are_in_raw_and_say_so(tmp_path: Path) -> None:
    lake = PushLake(tmp_path)
    receipt = lake.push([GOOD, BAD])
    (lake.settings.lake / "feeds" / "capteurs.yml").unlink()
    load(lake)
    [told] = told_of(lake, receipt)
    assert told["status"] == "failed"
    assert told["reason"].startswith("no push feed is named 'capteurs' any more; its records are in raw, ")
    key = told["reason"].rpartition(", ")[2]
    assert json.loads((Path(lake.settings.raw_root) / key).read_bytes()) == GOOD
    assert sql(lake.settings, "select raw_text from ops.rejects") == [(WITHHELD,)]


def test_a_clock_that_goes_back_loses_and_repeats_nothing(tmp_path: Path) -> None:
    lake = PushLake(tmp_path)
    day = 86_400_000_000
    for ago in (0, 3 * day, 1 * day):
        body = json.dumps({"feed": "capteurs", "data": [GOOD], "idempotency_key": "same"}).encode()
        lake.log.append([take(body, lake.contracts, time.time_ns() // 1000 - ago)[1]])
        load(lake)
    assert lake.drain()
    told = "select status, count(*) from ops.push_batches group by 1 order by 1"
    assert sql(lake.settings, told) == [("curated", 1), ("duplicate", 2)]
    assert sql(lake.settings, "select count(*) from bronze.capteurs__mesures") == [(1,)]


def test_a_log_that_cannot_be_written_or_is_full_is_told_and_loses_nothing(tmp_path: Path) -> None:
    blocked = tmp_path / "in the way"
    blocked.write_text("a file")
    lake = PushLake(tmp_path / "lake", push_dir=blocked, push_max_pending_bytes=200)
    with serving(lake.settings) as client:
        for headers in ({}, {"Idempotency-Key": "k"}):
            answer = client.post("/ingest_fast", json=body(GOOD), headers=headers)
            assert (answer.status_code, answer.json()["type"].rpartition(":")[2]) == (503, "log-unwritable")
        blocked.unlink()
        taken = [client.post("/ingest_fast", json=body(GOOD)) for _ in range(5)]
        full = taken[-1]
        assert (taken[0].status_code, full.status_code, full.headers["retry-after"]) == (202, 503, "5")
        assert "bytes wait to be drained" in full.json()["detail"]
    assert backlog(lake.settings.push_log).batches == sum(answer.status_code == 202 for answer in taken)


def test_ingest_answers_at_the_release_or_says_what_it_waits_for(tmp_path: Path) -> None:
    lake = PushLake(tmp_path)
    with serving(lake.settings) as client:
        client.timeout = httpx.Timeout(120)
        alone = client.post("/ingest", json=body(GOOD))
        assert (alone.status_code, alone.json()["status"]) == (202, "accepted")
        assert "nobody drains" in alone.json()["waits_for"]
        watch = Watch(lake.settings)
        thread = threading.Thread(target=watch.run)
        thread.start()
        try:
            while client.get(f"/ingest/{alone.json()['receipt']}").json()["status"] != "curated":
                assert thread.is_alive()
                threading.Event().wait(0.1)
            done = client.post("/ingest", json=body(GOOD, {**GOOD, "kind": "water"}))
            assert (done.status_code, done.json()["status"], done.json()["records"]) == (200, "curated", 2)
            again = client.post("/ingest", json=body(GOOD), headers={"Idempotency-Key": "k"}).json()
            assert client.post("/ingest", json=body(GOOD), headers={"Idempotency-Key": "k"}).json() == again
            rows = client.get("/curated/fct_mesure", params={"kind__sort": "asc"}).json()["data"]
            assert [(row["kind"], row["measures"]) for row in rows] == [("air", 3), ("water", 1)]
            assert done.json()["release_id"] < again["release_id"]
        finally:
            watch.stop.set()
            thread.join()


def test_while_the_file_of_a_feed_is_wrong_its_batches_wait_in_raw_and_those_beside_them_go_on(tmp_path: Path) -> None:
    lake = PushLake(tmp_path)
    file = lake.settings.lake / "feeds" / "sondes.yml"
    sound = yaml.safe_dump({**FEED, "feed": "sondes", "domain": "sondes"})
    file.write_text(sound, "utf-8")
    lake.contracts["sondes"] = Contract(load_registry(lake.settings).get("sondes"))
    held, beside = lake.push([GOOD, BAD], feed="sondes"), lake.push([GOOD])
    file.write_text(sound.replace("mode: append", "mode: apend"), "utf-8")
    for _ in range(2):
        assert not lake.drain()
        told = told_of(lake, held, beside)
        assert [one["status"] for one in told] == ["accepted", "curated"]
        assert "mode: Input should be" in told[0]["reason"]
    [(error,)] = sql(
        lake.settings, "select error from ops.runs where command = 'drain' order by started_at desc limit 1"
    )
    assert "mode: Input should be" in error
    rejects = "select table_name, raw_text from ops.rejects"
    assert sql(lake.settings, rejects) == [("sondes", WITHHELD)], "nobody knows whether it may be read"
    later = lake.push([GOOD, GOOD])
    file.write_text(sound, "utf-8")
    load(lake)
    assert [one["status"] for one in told_of(lake, held, later)] == ["bronze", "bronze"]
    assert sql(lake.settings, "select value, _source_line from bronze.sondes__mesures") == [("12.5", 1)]
    assert sql(lake.settings, rejects) == [("sondes__mesures", WITHHELD)]
    extraction = "select table_name, status from ops.extractions where feed = 'sondes' order by title"
    assert sql(lake.settings, extraction) == [("mesures", "stored"), (None, "kept")]


def told_of(lake: PushLake, *given: str) -> list[dict[str, Any]]:
    """What the receipts tell."""
    with closing(Ledger(lake.settings)) as ledger:
        return [receipts.find_receipt(ledger, lake.settings.push_log, receipt) or {} for receipt in given]
