"""Erasure of a person whose records were pushed: what waits in the log, what broke the contract, what comes later."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb
import kill_at
import pytest
from api_lake import serving
from lakes import environment, odh, sql
from push_lake import GOOD, PushLake

HER = "Jeanne Quatrebarbes"
HERS = {**GOOD, "note": HER}
ERASE = ("erase", "capteurs.mesures", "--where", f"note={HER}", "--reason", "request 12", "--json")
KILLS = (
    ("ingestion.drain:Drain.take_in", "after"),  # in bronze, the log not wiped
    ("catalog.erasure:remember", "after"),
    ("catalog.erasure:Eraser.erase", "after"),
    ("ingestion.erase_pushed:PushedRefusals.erase", "before"),
    ("ingestion.raw:RawZone.replace_erased", "after"),
)


@dataclass
class Erasure:
    """A lake whose gateway still has its log open, and the erasure of a person in it."""

    lake: PushLake
    receipts: list[str]
    told: dict[str, Any] = field(default_factory=dict)

    def status(self) -> list[tuple[Any, ...]]:
        known = "select receipt, status, records, rejected from ops.push_batches"
        found = {row[0]: row[1:] for row in sql(self.lake.settings, known)}
        return [found[receipt] for receipt in self.receipts]


@pytest.fixture(scope="module")
def erasure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Erasure]:
    lake = PushLake(tmp_path_factory.mktemp("erased"), personal_data_key="a secret of enough characters")
    with serving(lake.settings) as client:

        def push(text: str, **headers: str) -> str:
            answer = client.post("/ingest_fast", content=text.encode(), headers=headers)
            assert answer.status_code == 202, answer.text
            return str(answer.json()["receipt"])

        def body(*records: Any) -> str:
            return json.dumps({"feed": "capteurs", "data": records}, ensure_ascii=False)

        escaped = body({**HERS, "kind": "fire"}, GOOD).replace("Q", "\\u0051")
        released = push(body(GOOD, HERS, {**GOOD, "value": 7}))
        assert lake.drain()
        waiting = [push(body(HERS, {**GOOD, "value": 8})), push(escaped)]
        keyed = push(body({**GOOD, HER: 1}, {**GOOD, "value": 9}), **{"Idempotency-Key": "k"})
        made = Erasure(lake, [released, *waiting, keyed])
        for target, moment in KILLS:
            command = [sys.executable, kill_at.__file__, target, moment, "1", *ERASE]
            ended = subprocess.run(command, env=environment(lake.settings), capture_output=True, text=True, check=False)
            assert ended.returncode == -signal.SIGKILL, f"{target} was not reached:\n{ended.stderr}"
        made.told = odh(lake.settings, *ERASE).json
        yield made


def test_what_waited_in_the_log_is_erased_and_nothing_is_left(erasure: Erasure) -> None:
    assert erasure.told["is_proven"] is True
    assert set(erasure.told["left"].values()) == {0}
    assert sql(erasure.lake.settings, "select note, value from bronze.capteurs__mesures order by value") == [
        ("", "12.5"),
        ("", "12.5"),
        ("", "7"),
        ("", "8"),
        ("", "9"),
    ]


def test_no_file_of_the_lake_holds_the_person_while_the_gateway_writes_its_log(erasure: Erasure) -> None:
    found = []
    for path in erasure.lake.settings.lake.rglob("*"):
        if path.is_file() and "build" not in path.parts:
            content = path.read_bytes()
            if path.suffix == ".parquet":
                content = str(duckdb.execute("from read_parquet(?)", [str(path)]).fetchall()).encode()
            found += [path for name in (b"Quatrebarbes", b"\\u0051uatrebarbes") if name in content]
    assert found == []
    assert list(erasure.lake.settings.push_log.glob("*.log")), "or the log was not looked at"


def test_the_records_pushed_beside_hers_keep_their_lines_and_receipts(erasure: Erasure) -> None:
    lake = erasure.lake
    assert lake.drain()
    assert erasure.status() == [("curated", 3, 0), ("curated", 2, 0), ("curated", 1, 1), ("curated", 1, 1)]
    places = "select value, _source_line from bronze.capteurs__mesures order by _resource_id, _source_line"
    assert sql(lake.settings, places) == [("12.5", 1), ("7", 3), ("8", 2), ("12.5", 3), ("9", 4)]
    [(file,)] = sql(
        lake.settings, "select raw_key from ops.extractions where raw_key like '%records%' order by 1 limit 1"
    )
    lines = (Path(lake.settings.raw_root) / file).read_bytes().split(b"\n")
    assert [len(line) > 0 for line in lines] == [True, False, True, False]
    assert sql(lake.settings, "select sum(measures) from gold.fct_mesure") == [(5,)]


def test_a_later_push_does_not_bring_her_back(erasure: Erasure) -> None:
    lake = erasure.lake
    lake.push([HERS, {**GOOD, "value": 10}])
    assert lake.drain()
    assert sql(lake.settings, f"select count(*) from bronze.capteurs__mesures where note = '{HER}'") == [(0,)]
    assert sql(lake.settings, f"select count(*) from silver.stg_capteurs__mesures where note = '{HER}'") == [(0,)]
    assert sql(lake.settings, "select sum(measures) from gold.fct_mesure") == [(6,)]
    again = odh(lake.settings, *ERASE).json
    assert again["is_proven"] is True
    assert not any(b"Quatrebarbes" in path.read_bytes() for path in lake.settings.lake.rglob("*.ndjson"))
