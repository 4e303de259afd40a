"""How full the lake is: zones, tables and databases, from the ledger, the catalogue and the stores."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import pyarrow.compute as pc

from catalog import releases
from catalog.iceberg import BRONZE, Lakehouse
from catalog.ledger import Ledger
from catalog.settings import Settings
from catalog.storage import raw_store


def collect_stats(settings: Settings, ledger: Ledger, lakehouse: Lakehouse) -> dict[str, Any]:
    """Counts and sizes of everything, ready for JSON: ``raw``, ``tables``, ``databases`` and ``release``."""
    release = releases.current_release(ledger)
    keys = raw_store(settings).keys()
    stored = ledger.arrow("extractions")
    stored = stored.filter(pc.equal(stored["status"], "stored"))
    return {
        "raw": {
            "root": settings.raw_root,
            "files": stored.num_rows,
            "manifests": sum(key.endswith(".manifest.json") for key in keys),
            "bytes": pc.sum(stored["size_bytes"]).as_py() or 0,
        },
        "tables": [*_bronze_tables(ledger, lakehouse), *_released_tables(lakehouse, release)],
        "databases": {"ledger_bytes": ledger.size_bytes()},
        "release": release
        and {
            "release_id": release.release_id,
            "extraction_date": release.extraction_date,
            "tables": len(release.tables),
        },
    }


def _bronze_tables(ledger: Ledger, lakehouse: Lakehouse) -> list[dict[str, Any]]:
    rejects: dict[str, int] = defaultdict(int)
    newest: dict[str, Any] = {}
    for load in ledger.arrow("loads").to_pylist():
        name = load["table_name"]
        rejects[name] += load["rows_rejected"]
        newest[name] = max(load["extraction_date"], newest.get(name, load["extraction_date"]))
    return [
        {
            "layer": BRONZE,
            "table": name,
            "feed": name.split("__")[0],
            **lakehouse.totals(lakehouse.pin(BRONZE, name)),
            "rejects": rejects[name],
            "extraction_date": newest.get(name),
        }
        for name in lakehouse.names(BRONZE)
    ]


def _released_tables(lakehouse: Lakehouse, release: releases.Release | None) -> list[dict[str, Any]]:
    return [
        {
            "layer": table.pin.layer,
            "table": table.pin.name,
            "feed": _feed_of(table.pin.name),
            **lakehouse.totals(table.pin),
            "rejects": 0,
            "extraction_date": release.extraction_date,
        }
        for table in (release.tables if release else ())
        if release
    ]


def _feed_of(name: str) -> str | None:
    return name.removeprefix("stg_").split("__")[0] if name.startswith("stg_") else None
