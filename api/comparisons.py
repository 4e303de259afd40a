"""Comparisons of two states of a table, kept while somebody pages through them.

Each has a DuckDB of its own, for it leaves a temporary table and, for bronze, the versions of its rows there.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field

import duckdb

from api.tables import Layer, Tables
from catalog.changes import Change
from catalog.session import open_duckdb
from catalog.table_changes import ChangeFinder, Point, TableChanges

KEPT = 4


@dataclass
class Comparison:
    """One comparison and the connection its rows wait in; one reader at a time."""

    connection: duckdb.DuckDBPyConnection
    found: TableChanges
    is_closed: bool = False
    lock: threading.Lock = field(default_factory=threading.Lock)

    def rows(self, limit: int, offset: int) -> list[Change] | None:
        """Some of its rows; None once it was freed."""
        with self.lock:
            return None if self.is_closed else list(self.found.changes.rows(limit, offset))

    def close(self) -> None:
        """Free it once nobody reads it."""
        with self.lock:
            self.is_closed = True
            self.connection.close()


@dataclass(frozen=True, slots=True)
class Question:
    """Two states of a table to compare, and a page of what lies between them."""

    layer: Layer
    table: str
    old: Point
    new: Point
    limit: int
    offset: int


@dataclass(frozen=True, slots=True)
class Key:
    """What a comparison is kept by: two states of a table, and what they mean at this moment."""

    layer: Layer
    table: str
    old: Point
    new: Point
    state: Hashable


class Comparisons:
    """The comparisons of one gateway; safe to share between threads."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables
        self._kept: OrderedDict[Key, Comparison] = OrderedDict()
        self._lock, self._work = threading.Lock(), threading.Lock()

    def answer(
        self, asked: Question, on_open: Callable[[duckdb.DuckDBPyConnection], None]
    ) -> tuple[TableChanges, list[Change]]:
        """A comparison and a page of its rows.

        Args:
            on_open: is given the connection that works on a new one, so that it can be interrupted.

        Raises:
            UnknownName: there is no such table in either state, or no such release.
            UsageError: nothing had been released by that day.
        """
        key = Key(asked.layer, asked.table, asked.old, asked.new, self._state(asked.layer, asked.table))
        while True:
            with self._lock:
                comparison = self._kept.get(key)
            comparison = comparison or self._make(key, asked, on_open)
            rows = comparison.rows(asked.limit, asked.offset)
            if rows is not None:
                return comparison.found, rows

    def _make(self, key: Key, asked: Question, on_open: Callable[[duckdb.DuckDBPyConnection], None]) -> Comparison:
        with self._work:  # one at a time: each may take all the memory DuckDB is given
            if known := self._kept.get(key):
                return known
            connection = open_duckdb(self._tables.settings)
            on_open(connection)
            try:
                finder = ChangeFinder(connection, self._tables.ledger, self._tables.lakehouse, self._tables.registry)
                found = finder.between(f"{asked.layer.zone}.{asked.table}", asked.old, asked.new)
            except BaseException:
                connection.close()
                raise
            made = Comparison(connection, found)
            with self._lock:
                self._kept[key] = made
                leaving = self._kept.popitem(last=False)[1] if len(self._kept) > KEPT else None
        if leaving:
            leaving.close()
        return made

    def let_go(self) -> None:
        """Free the comparisons of states that are no more: of an earlier release, or from before an erasure."""
        with self._lock:
            keys = list(self._kept)
        stale = [key for key in keys if key.state != self._state(key.layer, key.table)]
        with self._lock:
            leaving = [self._kept.pop(key) for key in stale if key in self._kept]
        for one in leaving:
            one.close()

    def close(self) -> None:
        """Free every comparison."""
        with self._lock:
            kept, self._kept = list(self._kept.values()), OrderedDict()
        for one in kept:
            one.close()

    def _state(self, layer: Layer, name: str) -> Hashable:
        """What a day means at this moment: the current release, and where the table stands, which an erasure moves."""
        release = None if layer is Layer.RAW else self._tables.release()
        return release and release.release_id, self._tables.lakehouse.location(layer.zone, name)
