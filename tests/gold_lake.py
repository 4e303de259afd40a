"""A lake whose gold tables come from SELECTs, released as a build does and kept as snapshots; no dbt is started."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path
from typing import Any

import duckdb
import yaml
from conftest import lake_settings
from tiny_warehouse import feed

from catalog import releases, write_back
from catalog.iceberg import GOLD, Lakehouse
from catalog.ledger import Ledger
from catalog.quality.snapshots import Snapshot, SnapshotTaker
from catalog.registry import Registry
from catalog.releases import Release, ReleasedTable
from catalog.settings import Settings

TODAY = date(2026, 6, 1)


class GoldLake:
    """One domain, its gold tables, and the models' YAML that says which are kept as snapshots."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.settings: Settings = lake_settings(folder / "lake", dbt_project=folder / "project", threads=1)
        self.ledger, self.lakehouse = Ledger(self.settings), Lakehouse(self.settings)
        self.runs, self.stories = 0, 0
        self.begin("code")

    def begin(self, *keys: str) -> None:
        """Go on with a model of another name, kept by some keys, and with days after all those before."""
        self.stories += 1
        self.model = f"mart_{self.stories:02}"
        self.days = [date(2024, 1, 1) + timedelta(10 * self.stories + day) for day in range(10)]
        self.registry = Registry([feed("stock")])
        self.keep({self.model: {"keys": list(keys)}})

    def close(self) -> None:
        """Close what is open."""
        self.lakehouse.close()
        self.ledger.close()

    def keep(self, kept: dict[str, Any]) -> None:
        """Say which models are kept, and how."""
        folder = self.settings.dbt_project / "models"
        folder.mkdir(parents=True, exist_ok=True)
        models = [{"name": name, "config": {"meta": {"snapshot": told}}} for name, told in kept.items()]
        (folder / "kept.yml").write_text(yaml.safe_dump({"models": [*models, {"name": "dim_other"}]}), "utf-8")

    def bound(self, *bounds: dict[str, float]) -> None:
        """Give the domain one feed for each of some bounds."""
        feeds = [feed(f"stock_{number}", domain="stock", bounds=told) for number, told in enumerate(bounds)]
        self.registry = Registry(feeds)

    def release(self, day: date, **tables: str) -> Release:
        """Release tables given as SELECTs, with all that is live besides."""
        live = releases.current_release(self.ledger)
        made = [self._stage(name, select) for name, select in tables.items()]
        kept = [table for table in (live.tables if live else ()) if table.pin.name not in tables]
        release = releases.stage(self.ledger, "run", day, [*kept, *made], {"stock": "mark"})
        releases.publish(self.ledger, self.lakehouse, release)
        return release

    def put(self, day: date, select: str) -> Release:
        """Release the model of now."""
        return self.release(day, **{self.model: select})

    def take(self, day: date, *names: str) -> list[Snapshot]:
        """Take snapshots."""
        self.runs += 1
        made = SnapshotTaker(
            self.settings, self.registry, self.ledger, self.lakehouse, f"snapshot-{self.runs:02}", TODAY
        )
        return made.take(day, names)

    def take_one(self, day: date) -> Snapshot:
        """Take the snapshot of the model of now."""
        [taken] = self.take(day, self.model)
        return taken

    def _stage(self, name: str, select: str) -> ReleasedTable:
        with duckdb.connect() as connection:
            connection.execute(f"create schema gold; create table gold.{name} as {select}")
            told = ({}, f"About {name}.")
            pin = write_back.stage_table(connection, self.lakehouse, (GOLD, name), told, None, self.folder, {})
            [(rows,)] = connection.execute(f"select count(*) from gold.{name}").fetchall()
        return ReleasedTable(pin, "stock", rows, select)
