"""A small real lake for the gateway's tests, and the gateway over it on a loopback port.

Rows go in through the catalogue's own writers; nothing of DuckDB, Iceberg or HTTP is faked.
"""

from __future__ import annotations

import socket
import threading
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import httpx
import pyarrow as pa
import pyarrow.parquet as pq
import uvicorn
from fastapi import FastAPI

from api.app import create_app
from catalog import releases, write_back
from catalog.clock import utc_now
from catalog.iceberg import LINEAGE, Lakehouse, arrow_schema
from catalog.ledger import Ledger
from catalog.names import quote_identifier
from catalog.releases import ReleasedTable
from catalog.session import open_duckdb
from catalog.settings import Settings

# feeds whose raw data is kept from readers
PEOPLE_FEED = """
feed: people
title: People
description: People whose names are kept from readers.
owner: us
license: lov2
domain: people
restricted: true
source: {dataset: people}
tables:
  - name: t
    description: People.
    resources: people
    columns: [name]
"""


SECRETS_FEED = """\
feed: secrets
title: Secrets
description: What nobody may read as received.
owner: tests
license: lov2
domain: secrets
restricted: true
source: {dataset: secrets}
tables: [{name: lines, description: One line., resources: .}]
"""


class LakeWriter:
    """Writes a lake as the loader and the builder do."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        self.folder = folder
        self.settings = Settings(lake=folder / "lake", threads=2, **settings, _env_file=None)
        self.lakehouse, self.ledger = Lakehouse(self.settings), Ledger(self.settings)

    def load(
        self,
        name: str,
        rows: Sequence[Mapping[str, str | None]],
        day: date,
        resource: str = "r1",
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Append one file of text rows to a bronze table."""
        columns = list(rows[0])
        told = headers or {column: f"Column {column}." for column in columns}
        table = self.lakehouse.ensure_bronze(name, told)
        lineage = {"_resource_id": resource, "_extraction_date": day, "_source_file": "f.csv", "_source_member": None}
        content = [
            {**row, **lineage, "_source_line": line, "_loaded_at": datetime(2024, 1, 1, tzinfo=UTC)}
            for line, row in enumerate(rows, start=2)
        ]
        file = self._write(pa.Table.from_pylist(content, arrow_schema(table, [*columns, *LINEAGE])))
        self.lakehouse.append_files(table, [file], day.isoformat(), {})
        load = {"feed": name.split("__")[0], "table_name": name, "resource_id": resource, "extraction_date": day}
        facts = {"run_id": "test", "source_file": "f.csv", "source_sha256": "0", "status": "loaded", "reason": None}
        counts = {"rows_loaded": len(rows), "rows_rejected": 1, "snapshot_id": None, "loaded_at": utc_now()}
        self.ledger.replace_loads([{**load, **facts, **counts, "source_member": "", "facts": None}], [], [])

    def release(self, day: date, tables: Mapping[tuple[str, str], pa.Table], docs: Mapping[str, str]) -> int:
        """Stage and publish silver and gold tables as one release."""
        staged = [self._stage(layer, name, content, docs) for (layer, name), content in tables.items()]
        release = releases.stage(self.ledger, "test", day, staged, {"domain": "mark"})
        releases.publish(self.ledger, self.lakehouse, release)
        return release.release_id

    def _stage(self, layer: str, name: str, content: pa.Table, docs: Mapping[str, str]) -> ReleasedTable:
        with open_duckdb(self.settings) as connection:
            connection.register("content", content)
            relation = f"{layer}.{quote_identifier(name)}"
            connection.execute(f"create schema {layer}; create table {relation} as from content")
            told = (docs, f"What {name} holds.")
            pin = write_back.stage_table(connection, self.lakehouse, (layer, name), told, None, self.folder, {})
        return ReleasedTable(pin, "domain", content.num_rows, uuid.uuid4().hex)

    def _write(self, content: pa.Table) -> Path:
        file = self.folder / f"{uuid.uuid4().hex}.parquet"
        pq.write_table(content, file)
        return file


@contextmanager
def serving(settings: Settings) -> Iterator[httpx.Client]:
    """Run the gateway in a thread and hand out a client; requests made before it is ready wait for it."""
    with serving_app(create_app(settings)) as client:
        yield client


@contextmanager
def serving_app(app: FastAPI) -> Iterator[httpx.Client]:
    """Run a gateway whose inside a test looks at."""
    # asyncio turns off Nagle's algorithm, 40 ms a small answer, only on sockets whose protocol is named
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        config = uvicorn.Config(app, log_level="critical", ws="none")
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            host, port = listener.getsockname()
            with httpx.Client(base_url=f"http://{host}:{port}", timeout=30, trust_env=False) as client:
                yield client
        finally:
            server.should_exit = True
            thread.join()


def rows_of(client: httpx.Client, path: str, **parameters: Any) -> list[dict[str, Any]]:
    """Data of one page."""
    answer = client.get(path, params=parameters)
    assert answer.status_code == 200, answer.text
    data: list[dict[str, Any]] = answer.json()["data"]
    return data
