"""How full the lake is: zones, tables, growth and databases, from the ledger, the catalogue and the stores."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from catalog import releases, schema
from catalog.clock import utc_now
from catalog.iceberg import BRONZE, Lakehouse
from catalog.iceberg_totals import TableTotals
from catalog.ledger import Ledger
from catalog.names import feed_of_table
from catalog.push.backlog import backlog
from catalog.settings import Settings
from catalog.storage import Store, raw_store

ZONES_REMEMBERED_SECONDS = 60.0  # a zone is counted by listing it, which takes a while on S3
GROWTH_DAYS = 90
Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Zone:
    """Objects under one root, those nothing names any more too."""

    root: str
    objects: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Disk:
    """A disk's bytes."""

    total: int
    free: int


class Stats:
    """Counts one lake, again and again; safe to share between threads."""

    def __init__(
        self,
        settings: Settings,
        ledger: Ledger,
        lakehouse: Lakehouse,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.settings, self.ledger, self.lakehouse = settings, ledger, lakehouse
        self._totals, self._clock = TableTotals(lakehouse), clock
        self._zones: dict[str, Zone] = {}
        self._zones_until = 0.0
        self._counting = threading.Lock()

    def collect(self) -> Row:
        """All there is to count, ready for JSON."""
        release = releases.current_release(self.ledger)
        zones = self.zones()
        return {
            "raw": {"root": self.settings.raw_root, **self._raw_files()},
            "zones": {name: {"root": z.root, "objects": z.objects, "bytes": z.bytes} for name, z in zones.items()},
            "tables": self.tables(release),
            "feeds": self._feeds(),
            "growth": self._growth(utc_now().date()),
            "databases": self.databases(),
            "ingest": self._waiting(),
            "disk": self.disk(),
            "release": release
            and {
                "release_id": release.release_id,
                "extraction_date": release.extraction_date,
                "tables": len(release.tables),
            },
        }

    def tables(self, release: releases.Release | None) -> list[Row]:
        """Rows, files, bytes and rejects of every table of bronze, and of the release's."""
        rejects, newest = self._rejects(), self._newest_loads()
        bronze = [
            {
                "layer": BRONZE,
                "table": name,
                "feed": feed_of_table(name),
                **self._totals.of(location),
                "rejects": rejects.get(name, 0),
                "extraction_date": newest.get(name),
            }
            for name, location in self._totals.locations(BRONZE).items()
        ]
        return [*bronze, *(self._released(table, release, rejects) for table in (release.tables if release else ()))]

    def zones(self) -> dict[str, Zone]:
        """Objects and bytes of raw and of the warehouse; listed at most once a minute."""
        with self._counting:
            if self._clock() >= self._zones_until:
                stores = {"raw": raw_store(self.settings), "warehouse": self.lakehouse.store}
                self._zones = {name: _zone(store) for name, store in stores.items()}
                self._zones_until = self._clock() + ZONES_REMEMBERED_SECONDS
            return self._zones

    def databases(self) -> Row:
        """Sizes of the ledger, of the catalogue, and of the native copies the gateway serves."""
        serving = (path.stat() for path in self.settings.serving.rglob("*") if path.is_file())
        return {
            "ledger_bytes": self.ledger.size_bytes(),
            "catalogue_bytes": self._totals.database_bytes(),
            "serving_bytes": sum(facts.st_size for facts in serving),
        }

    def disk(self) -> Row:
        """Room on the disk of the lake's folder."""
        usage = disk_usage(self.settings)
        return {"total_bytes": usage.total, "free_bytes": usage.free}

    def _waiting(self) -> Row:
        """Pushed batches that are durable and not yet in bronze."""
        waiting = backlog(self.settings.push_log)
        return {"batches": waiting.batches, "bytes": waiting.bytes, "oldest_at": waiting.oldest_at}

    def _released(self, table: releases.ReleasedTable, release: Any, rejects: dict[str, int]) -> Row:
        pin = table.pin
        totals = self._totals.of(pin.metadata_location, pin.snapshot_id)
        return {
            "layer": pin.layer,
            "table": pin.name,
            "feed": feed_of_table(pin.name),
            **totals,
            "rejects": rejects.get(pin.name, 0),
            "extraction_date": release.extraction_date,
        }

    def _raw_files(self) -> Row:
        """Files taken in and still kept, each once however many extractions found it unchanged."""
        e = schema.extractions.c
        stored = sa.select(sa.func.count(), sa.func.coalesce(sa.func.sum(e.size_bytes), 0)).where(e.status == "stored")
        taken = sa.select(sa.func.count()).where(e.status.in_(("stored", "unchanged")))
        with self.ledger.begin() as connection:
            files, size = _rows(connection, stored)[0]
            return {"files": files, "manifests": connection.scalar(taken) or 0, "bytes": int(size)}

    def _rejects(self) -> dict[str, int]:
        """Rows that could not be read into each bronze table, values and keys that do not fit each silver one."""
        loads, r = schema.loads.c, schema.rejects.c
        unread = sa.select(loads.table_name, sa.func.sum(loads.rows_rejected)).group_by(loads.table_name)
        unfit = sa.select(r.table_name, sa.func.count()).where(r.stage.in_(("type", "key"))).group_by(r.table_name)
        with self.ledger.begin() as connection:
            counts = [pair for query in (unread, unfit) for pair in _rows(connection, query)]
        return {str(name): int(count) for name, count in counts}

    def _newest_loads(self) -> dict[str, date]:
        loads = schema.loads.c
        query = sa.select(loads.table_name, sa.func.max(loads.extraction_date)).group_by(loads.table_name)
        with self.ledger.begin() as connection:
            return {str(name): day for name, day in _rows(connection, query)}

    def _feeds(self) -> list[Row]:
        """The newest day each feed was extracted on, and the resources that could not be fetched on it."""
        e = schema.extractions.c
        newest = sa.select(e.feed, sa.func.max(e.extraction_date).label("day")).group_by(e.feed).subquery()
        is_failed = sa.case((e.status == "failed", 1), else_=0)
        query = (
            sa.select(e.feed, e.extraction_date, sa.func.count().label("resources"), sa.func.sum(is_failed))
            .join(newest, sa.and_(newest.c.feed == e.feed, newest.c.day == e.extraction_date))
            .group_by(e.feed, e.extraction_date)
            .order_by(e.feed)
        )
        with self.ledger.begin() as connection:
            found = _rows(connection, query)
        return [
            {"feed": feed, "extraction_date": day, "resources": resources, "failed": int(failed)}
            for feed, day, resources, failed in found
        ]

    def _growth(self, today: date) -> Row:
        """What came each day, and each release, of the last 90 days."""
        since = today - timedelta(days=GROWTH_DAYS)
        e, loads = schema.extractions.c, schema.loads.c
        came = (
            sa.select(e.extraction_date, sa.func.count(), sa.func.coalesce(sa.func.sum(e.size_bytes), 0))
            .where(e.status == "stored", e.extraction_date >= since)
            .group_by(e.extraction_date)
        )
        loaded = (
            sa.select(loads.extraction_date, sa.func.sum(loads.rows_loaded), sa.func.sum(loads.rows_rejected))
            .where(loads.status == "loaded", loads.extraction_date >= since)
            .group_by(loads.extraction_date)
        )
        with self.ledger.begin() as connection:
            files = {day: {"files": n, "bytes": int(size)} for day, n, size in _rows(connection, came)}
            rows = {day: {"rows": int(n), "rejects": int(bad)} for day, n, bad in _rows(connection, loaded)}
            released = connection.execute(_releases_since(since)).mappings().all()
        nothing = {"files": 0, "bytes": 0, "rows": 0, "rejects": 0}
        days = [
            {"extraction_date": day, **nothing, **files.get(day, {}), **rows.get(day, {})} for day in _days(files, rows)
        ]
        return {"days": days, "releases": [dict(row) for row in released]}


def collect_stats(settings: Settings, ledger: Ledger, lakehouse: Lakehouse) -> Row:
    """Counts and sizes of everything, once."""
    return Stats(settings, ledger, lakehouse).collect()


def last_release_at(ledger: Ledger) -> datetime | None:
    """When a release was last published."""
    r = schema.releases.c
    query = sa.select(r.published_at).where(r.status == "published").order_by(r.published_at.desc()).limit(1)
    with ledger.begin() as connection:
        moment: datetime | None = connection.scalar(query)
    return moment


def disk_usage(settings: Settings) -> Disk:
    """Room on the disk of the lake's folder, in bytes."""
    usage = shutil.disk_usage(_there(settings.lake))
    return Disk(usage.total, usage.free)


def _releases_since(since: date) -> sa.Select[Any]:
    r, t = schema.releases.c, schema.release_tables.c
    rows = sa.cast(sa.func.coalesce(sa.func.sum(t.rows), 0), sa.BigInteger).label("rows")
    tables = sa.func.count(t.table_name).label("tables")
    told = (r.release_id, r.extraction_date, r.published_at)
    joined = schema.releases.outerjoin(schema.release_tables, t.release_id == r.release_id)
    published = (r.status == "published", r.extraction_date >= since)
    query = sa.select(*told, tables, rows).select_from(joined).where(*published)
    return query.group_by(*told).order_by(r.release_id)


def _rows(connection: sa.Connection, query: sa.Select[Any]) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in connection.execute(query)]


def _days(*counts: Iterable[date]) -> list[date]:
    return sorted({day for one in counts for day in one})


def _zone(store: Store) -> Zone:
    sizes = store.sizes("")
    return Zone(store.root, len(sizes), sum(sizes.values()))


def _there(folder: Path) -> Path:
    """A folder, or the nearest above it that exists."""
    return next(path for path in (folder.resolve(), *folder.resolve().parents) if path.exists())
