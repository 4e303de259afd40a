"""The tables readers see: the three layers, what each holds at a release or a date, and the columns of a table.

Released tables are those of one release; raw tables are read at their present snapshot. Everything about one snapshot
is remembered, for a snapshot never changes; which release is the current one is asked each time, in microseconds.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from enum import StrEnum
from functools import lru_cache
from typing import Self

import duckdb

from api.access import caller
from api.filters import Condition, Filter
from api.grammar import RowQuery
from api.relations import Relation, copied, own_columns, planned
from api.remembered import Remembered
from api.rows import count_rows
from catalog import releases
from catalog.errors import Restricted, UnknownName, UsageError
from catalog.iceberg import BRONZE, GOLD, SILVER, Lakehouse, Pin
from catalog.ledger import Ledger
from catalog.registry import Registry
from catalog.releases import Release, ReleasedTable
from catalog.rest_catalogue import RestCatalogue
from catalog.scopes import Scope
from catalog.serving import ServingCopies
from catalog.session import open_duckdb, scan_sql
from catalog.settings import Settings

SNAPSHOTS_REMEMBERED = 1024
COUNTS_REMEMBERED = 4096
RELEASES_REMEMBERED = 32
# Upkeep may let a release read rewritten files; the ones before stay readable for days (ODH_FILE_DELAY_DAYS).
RELEASE_STAYS_SECONDS = 2.0


class Layer(StrEnum):
    """A layer as the gateway calls it."""

    RAW = "raw"
    STAGING = "staging"
    CURATED = "curated"

    @property
    def zone(self) -> str:
        """The layer as the catalogue calls it."""
        return {Layer.RAW: BRONZE, Layer.STAGING: SILVER, Layer.CURATED: GOLD}[self]


@dataclass(frozen=True, slots=True)
class Column:
    """One column: its DuckDB type and what it means."""

    name: str
    type: str
    description: str | None


@dataclass(frozen=True, slots=True)
class TableMeaning:
    """All that is fixed about a table at one snapshot, besides its rows."""

    description: str | None
    columns: tuple[Column, ...]

    @property
    def types(self) -> dict[str, str]:
        """DuckDB type by column."""
        return {column.name: column.type for column in self.columns}


@dataclass(frozen=True, slots=True)
class ServedTable:
    """One table at the snapshot a reader gets.

    ``conditions`` tell which of the snapshot's rows are served; ``rows`` counts all of them. ``is_current`` tells that
    every reader gets this snapshot now and for a while, so that it is worth a copy.
    """

    layer: Layer
    pin: Pin
    domain: str | None
    rows: int
    conditions: tuple[Condition, ...] = ()
    is_current: bool = True
    part: str | None = None  # which of its rows ``rows`` counts, where a resource's are served rather than all


class Tables:
    """What the lakehouse serves; safe to share between threads."""

    def __init__(self, settings: Settings, registry: Registry) -> None:
        self.settings, self.registry = settings, registry
        self.ledger, self.lakehouse = Ledger(settings), Lakehouse(settings)
        self.rest_catalogue = RestCatalogue(self.ledger, self.lakehouse)
        self._engine = open_duckdb(settings)
        self.copies = ServingCopies(settings, self.lakehouse, self._engine)
        self.meaning = lru_cache(SNAPSHOTS_REMEMBERED)(self._read_meaning)
        self._raw_rows = lru_cache(SNAPSHOTS_REMEMBERED)(lambda pin: self.lakehouse.totals(pin)["rows"])
        self.headers = lru_cache(SNAPSHOTS_REMEMBERED)(self.lakehouse.headers)
        self._raw_pins = lru_cache(SNAPSHOTS_REMEMBERED)(self._read_raw_pin)
        self._counts: Remembered[object, int] = Remembered(COUNTS_REMEMBERED)
        self._releases: Remembered[int, tuple[float, Release]] = Remembered(RELEASES_REMEMBERED)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.copies.close()
        self._engine.close()
        self.lakehouse.close()
        self.ledger.close()

    def cursor(self) -> duckdb.DuckDBPyConnection:
        """A DuckDB connection for one request; close it after use."""
        return self._engine.cursor()

    def release(self, as_of: date | None = None) -> Release | None:
        """The release readers see."""
        number = releases.current_release_id(self.ledger, as_of)
        if number is None:
            return None
        known = self._releases.get(number)
        if known and time.monotonic() - known[0] <= RELEASE_STAYS_SECONDS:
            return known[1]
        found = releases.find_release(self.ledger, number)
        self._releases.put(number, (time.monotonic(), found))
        if as_of is None:
            self.copies.follow(table.pin for table in found.tables)
        return found

    def relation(self, table: ServedTable) -> Relation:
        """What to read a table's rows from: its native copy if there is one, else its Iceberg files."""
        types = self.meaning(table.pin).types
        columns = own_columns(types)
        if copy := self.copies.relation(table.pin):
            return copied(copy, columns)
        if table.is_current:
            self.copies.ask(table.pin)
        return planned(table.pin, types, columns)

    def count(
        self,
        cursor: duckdb.DuckDBPyConnection,
        table: ServedTable,
        relation: Relation,
        query: RowQuery,
        conditions: Sequence[Filter],
    ) -> int:
        """How many rows, or groups of them, meet every condition; counted once a snapshot."""
        if not conditions and not query.is_aggregated:
            return table.rows
        key = (table.pin, table.part, tuple(conditions), query.groups, query.aggregates)
        if (known := self._counts.get(key)) is not None:
            return known
        return self._counts.put(key, count_rows(cursor, relation, query, conditions))

    def at_snapshot(self, table: ServedTable, snapshot_id: int) -> ServedTable:
        """The same table at the snapshot somebody is paging through.

        Raises:
            UsageError: no release that readers may have holds it any more.
        """
        if table.pin.snapshot_id == snapshot_id:
            return table
        if table.layer is Layer.RAW:
            pin = replace(table.pin, snapshot_id=snapshot_id)
            rows = self._raw_rows(pin) if self.lakehouse.has_snapshot(pin) else None
        else:
            pinned = releases.released_table(self.ledger, table.pin.layer, table.pin.name, snapshot_id)
            pin, rows = (pinned.pin, pinned.rows) if pinned else (table.pin, None)
        if rows is None:
            raise UsageError("This cursor is of a state of the table that is no longer kept; begin again without it.")
        return replace(table, pin=pin, rows=rows, is_current=False)

    def let_go(self) -> None:
        """Close the copies an erasure removed; the snapshots they were of are no more either."""
        if self.copies.let_go():
            self.forget()

    def forget(self) -> None:
        """Read everything about releases and raw tables anew: upkeep may have moved their files."""
        self._releases.clear()
        self._raw_pins.cache_clear()

    def of_layer(self, layer: Layer, as_of: date | None) -> list[ServedTable]:
        """Every table of a layer, by name."""
        if layer is Layer.RAW:
            pins = (self.raw_pin(name) for name in self.raw_names())
            return [self._raw_table(pin, as_of) for pin in pins if pin]
        release = self.release(as_of)
        return [
            _released(layer, table, is_current=as_of is None)
            for table in (release.tables if release else ())
            if table.pin.layer == layer.zone
        ]

    def get(self, layer: Layer, name: str, as_of: date | None) -> ServedTable:
        """One table.

        Raises:
            UnknownName: with the nearest table of the layer.
            Restricted: its feed keeps raw tables from readers.
        """
        if layer is Layer.RAW:
            self.refuse_restricted(name)
            if pin := self.raw_pin(name):
                return self._raw_table(pin, as_of)
            raise UnknownName("raw table", name, self.raw_names())
        release = self.release(as_of)
        if release and (found := release.table(layer.zone, name)):
            return _released(layer, found, is_current=as_of is None)
        served = self.of_layer(layer, as_of)
        when = f" released by {as_of}" if as_of else ""
        raise UnknownName(f"{layer} table{when}", name, [table.pin.name for table in served])

    def refuse_restricted(self, name: str) -> None:
        """Refuse what shows raw data of a restricted feed.

        Args:
            name: of a bronze table, or of a feed.

        Raises:
            Restricted: the feed keeps its raw files and tables from readers.
        """
        if self.is_restricted(name):
            raise Restricted(
                f"{name} is raw data of a restricted feed and is not served without the scope"
                f" {Scope.RESTRICTED_READ}. What anyone may read of it is in /staging and /curated."
            )

    def is_restricted(self, name: str) -> bool:
        """Whether the caller at hand may not see raw data of a feed, by its name or that of a bronze table."""
        feed = self.registry.feed_of(name)
        is_allowed = self.settings.serve_restricted or caller().allows(Scope.RESTRICTED_READ)
        return feed is not None and feed.is_restricted and not is_allowed

    def raw_names(self) -> list[str]:
        """The bronze tables the caller at hand may read, by name."""
        return [name for name in self.lakehouse.names(BRONZE) if not self.is_restricted(name)]

    def raw_pin(self, name: str) -> Pin | None:
        """The present snapshot of a bronze table; its metadata is read again only where it has moved."""
        location = self.lakehouse.location(BRONZE, name)
        return self._raw_pins(name, location) if location else None

    def _read_raw_pin(self, name: str, _location: str) -> Pin | None:
        pin = self.lakehouse.pin(BRONZE, name)
        self.copies.follow([pin] if pin else [], raw=name)
        return pin

    def _raw_table(self, pin: Pin, as_of: date | None) -> ServedTable:
        """A bronze table keeps every extraction, so its past is a filter and needs no older snapshot.

        One that records are pushed into changes from second to second, and is not worth a copy.
        """
        feed = self.registry.feed_of(pin.name)
        domain = feed.domain if feed else None
        conditions = (Condition("_extraction_date", "less", (as_of.isoformat(),)),) if as_of else ()
        is_pushed = feed is not None and feed.source.push is not None
        return ServedTable(Layer.RAW, pin, domain, self._raw_rows(pin), conditions, is_current=not is_pushed)

    def _read_meaning(self, pin: Pin) -> TableMeaning:
        description, docs = self.lakehouse.describe(pin)
        declared = self.registry.bronze_tables().get(pin.name) if pin.layer == BRONZE else None
        with self.cursor() as cursor:
            described = cursor.execute(f"describe {scan_sql(pin)}").fetchall()
        columns = tuple(Column(name, type_, docs.get(name)) for name, type_, *_ in described)
        return TableMeaning(declared.description if declared else description, columns)


def _released(layer: Layer, table: ReleasedTable, *, is_current: bool) -> ServedTable:
    return ServedTable(layer, table.pin, table.domain, table.rows, is_current=is_current)
