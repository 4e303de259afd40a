"""A lake of three releases behind the Iceberg REST catalogue: for its tests."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import httpx
import pyarrow as pa
from api_lake import SECRETS_FEED, LakeWriter, serving
from pyiceberg.catalog.rest import RestCatalog

from catalog import releases
from catalog.iceberg import BRONZE
from catalog.session import extension_file

JANUARY, FEBRUARY, MARCH = date(2024, 1, 31), date(2024, 2, 29), date(2024, 3, 31)
ROOT = "/iceberg/v1"
ACCIDENT = "namespaces/curated/tables/fct_accident"
FIRST = pa.table({"accident_id": ["a", "b"], "injured": [1, 2]})
SECOND = pa.table({"accident_id": ["a", "b", "c"], "injured": [1, 2, 3], "speed": [50.0, None, 90.5]})


@dataclass(frozen=True)
class Served:
    """The lake, the gateway over it, and where its catalogue is."""

    lake: LakeWriter
    client: httpx.Client

    @property
    def uri(self) -> str:
        return f"{str(self.client.base_url).rstrip('/')}/iceberg"

    def get(self, path: str, **parameters: Any) -> httpx.Response:
        return self.client.get(f"{ROOT}/{path}", params=parameters)

    def metadata(self, path: str, **parameters: Any) -> dict[str, Any]:
        answer = self.get(path, **parameters)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()["metadata"]
        return found


def write_lake(lake: LakeWriter) -> None:
    """Two extractions of bronze, three releases, the last of a day gone by, and one left half-way by a crash."""
    feeds = lake.settings.lake / "feeds"
    feeds.mkdir(parents=True, exist_ok=True)
    (feeds / "secrets.yml").write_text(SECRETS_FEED)
    lake.load("secrets__lines", [{"name": "x"}], JANUARY)
    lake.load("accidents__lieux", [{"numero": "1", "voie": "rue"}], JANUARY)
    release(lake, JANUARY, {("gold", "fct_accident"): FIRST})
    lake.load("accidents__lieux", [{"numero": "2", "voie": "quai"}], MARCH)
    release(lake, MARCH, {("gold", "fct_accident"): SECOND, ("silver", "stg_accidents__lieux"): FIRST})
    release(lake, FEBRUARY, {("gold", "fct_accident"): FIRST.slice(0, 1)})
    lake._stage("gold", "fct_accident", pa.table({"accident_id": ["z"], "leaked": ["unreleased"]}), {})


@contextmanager
def served_lake(folder: Path) -> Iterator[Served]:
    """Such a lake in a folder, and the gateway over it."""
    lake = LakeWriter(folder)
    write_lake(lake)
    with serving(lake.settings) as client:
        yield Served(lake, client)


def release(lake: LakeWriter, day: date, tables: dict[tuple[str, str], pa.Table]) -> None:
    """Publish tables made from the bronze there is."""
    staged = [lake._stage(layer, name, content, {}) for (layer, name), content in tables.items()]
    inputs = [pin for name in lake.lakehouse.names(BRONZE) if (pin := lake.lakehouse.pin(BRONZE, name))]
    releases.publish(
        lake.ledger, lake.lakehouse, releases.stage(lake.ledger, "test", day, staged, {"domain": "mark"}, inputs)
    )


@contextmanager
def pyiceberg(served: Served, warehouse: str | None = None, **properties: str) -> Iterator[RestCatalog]:
    chosen = {"warehouse": warehouse} if warehouse else {}
    with closing(RestCatalog("odh", uri=served.uri, **chosen, **properties)) as catalog:
        yield catalog


@contextmanager
def attached(uri: str, warehouse: str = "", options: str = "") -> Iterator[duckdb.DuckDBPyConnection]:
    """A DuckDB of its own, with nothing of the lakehouse but its address."""
    with duckdb.connect() as connection:
        for name in ("avro", "httpfs", "iceberg"):
            connection.execute(f"load '{extension_file(name)}'")
        given = f"type iceberg, endpoint '{uri}', authorization_type 'none'"
        connection.execute(f"attach '{warehouse}' as lake ({given}{options})")
        yield connection
