"""Drained one by one as ``/ingest`` has it, or together as ``/ingest_fast`` does: the same bytes, the same rows.

Both addresses append the same entry; what differs is how many of them a drain finds. Two lakes get the same random
batches, one drained after each, the other after all; a build of each at the end compares silver and gold.
"""

from __future__ import annotations

import json
from contextlib import closing
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lakes import sql
from push_lake import FIELDS, GOOD, PushLake

from catalog.iceberg import Lakehouse
from catalog.ledger import Ledger
from catalog.registry import load_registry
from catalog.storage import raw_store
from ingestion.drain import Drain

COLUMNS = ", ".join(f'"{field["name"]}"' for field in FIELDS)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=100)
RECORDS = st.fixed_dictionaries(
    {"at": st.datetimes().map(lambda moment: f"{moment.isoformat()}Z"), "value": st.floats(-50, 50)},
    optional={
        "kind": st.sampled_from(["air", "water", None]),
        "note": TEXTS,
        "count": st.integers(0, 2**63 - 1) | st.none(),
    },
)
WRONG = st.sampled_from([{}, 3, "x", {**GOOD, "value": 99}, {**GOOD, "at": "noon"}, {**GOOD, "more": 1}, [GOOD]])
BATCHES = st.lists(st.lists(RECORDS | st.just(GOOD) | WRONG, min_size=1, max_size=5), min_size=1, max_size=4)


class Roads:
    """Two lakes with the same batches."""

    def __init__(self, one: PushLake, all_: PushLake) -> None:
        self.lakes = (one, all_)
        self.open = [(lake, Ledger(lake.settings), Lakehouse(lake.settings)) for lake in self.lakes]
        self.runs = 0

    def load(self, which: int) -> None:
        """Drain what waits in one of them into bronze."""
        self.runs += 1
        lake, ledger, lakehouse = self.open[which]
        Drain(lake.settings, load_registry(lake.settings), ledger, lakehouse).load(f"load-{self.runs}")


@pytest.fixture(scope="module")
def roads(tmp_path_factory: pytest.TempPathFactory) -> Any:
    made = Roads(PushLake(tmp_path_factory.mktemp("one")), PushLake(tmp_path_factory.mktemp("all")))
    yield made
    for _, ledger, lakehouse in made.open:
        with closing(ledger), closing(lakehouse):
            pass


def raw_bytes(lake: PushLake, name: str) -> bytes:
    """All of a lake's raw files of a name, in the order of the log."""
    store = raw_store(lake.settings)
    return b"".join(store.read_bytes(key) for key in sorted(store.keys()) if key.endswith(f"/{name}.ndjson"))


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True)
@given(batches=BATCHES)
def test_raw_and_bronze_are_equal(roads: Roads, batches: list[list[Any]]) -> None:
    one, together = roads.lakes
    for records in batches:
        one.push(records)
        roads.load(0)
        together.push(records)
    roads.load(1)
    for name in ("records", "rejected"):
        assert raw_bytes(one, name) == raw_bytes(together, name)
    bronze = f"select {COLUMNS} from bronze.capteurs__mesures order by _resource_id, _source_line"
    rejects = "select raw_text, reason, column_name, stage from ops.rejects order by resource_id, source_line"
    totals = "select sum(records), sum(rejected) from ops.push_batches"
    if raw_bytes(one, "records"):
        assert sql(one.settings, bronze) == sql(together.settings, bronze)
        sent = [json.loads(line) for line in raw_bytes(one, "records").splitlines()]
        notes = [row[3] for row in sql(one.settings, bronze)]
        assert notes == [record.get("note") or "" for record in sent]
    assert sql(one.settings, rejects) == sql(together.settings, rejects)
    assert sql(one.settings, totals) == sql(together.settings, totals)


def test_silver_and_gold_are_equal(roads: Roads) -> None:
    for lake in roads.lakes:
        lake.push([GOOD, {**GOOD, "kind": None}])
        assert lake.drain()
    for table in ("silver.stg_capteurs__mesures", "gold.fct_mesure"):
        rows = [sql(lake.settings, f"select * from {table} order by all") for lake in roads.lakes]
        assert rows[0] == rows[1] != []
