"""What an Iceberg REST catalogue tells of each table: the metadata of its file, cut down to what was released.

A table's own metadata names staging branches, snapshots no release ever had and columns made for them. Readers get the
snapshots of published releases, a tag ``release-<number>`` for each, and ``main`` at the release they read; of bronze,
the present rows and those each release was made from. It writes nothing and knows nothing of HTTP.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from typing import Any

import sqlalchemy as sa

from catalog import schema
from catalog.errors import PermanentError, UnknownName, UsageError
from catalog.iceberg import BRONZE, GOLD, SILVER, Lakehouse, Pin
from catalog.ledger import Ledger
from catalog.releases import Release, current_release, find_release

NAMESPACES = {"raw": BRONZE, "staging": SILVER, "curated": GOLD}  # the gateway's names of the layers
CURRENT = ("", "lake", "current")  # warehouses that go on with every new release
RELEASE_PREFIX = "release-"
METADATA_REMEMBERED = 256
NO_SNAPSHOT = -1
Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Warehouse:
    """The lake as a client sees it: as it is now, or for ever as one release left it."""

    release: Release | None
    is_pinned: bool


@dataclass(frozen=True, slots=True)
class LoadedTable:
    """One table's metadata, and the file it was cut from."""

    metadata_location: str
    metadata: Json


@dataclass(frozen=True, slots=True)
class _Past:
    """One release's snapshot of a table."""

    release_id: int
    extraction_date: date
    published_ms: int
    snapshot_id: int
    metadata_location: str


class RestCatalogue:
    """The namespaces and tables of a lake; safe to share between threads."""

    def __init__(self, ledger: Ledger, lakehouse: Lakehouse) -> None:
        self.ledger, self.lakehouse = ledger, lakehouse
        self._file = lru_cache(METADATA_REMEMBERED)(self._read)  # a metadata file never changes

    def warehouse(self, name: str) -> Warehouse:
        """The lake by the name of a warehouse: nothing or ``lake`` for the present, a day, or ``release-<number>``.

        Raises:
            UnknownName: there is no such release.
            UsageError: the name is none of these.
        """
        if name in CURRENT:
            return Warehouse(current_release(self.ledger), is_pinned=False)
        number = name.removeprefix(RELEASE_PREFIX)
        if number != name and number.isascii() and number.isdigit() and len(number) < 18:
            return Warehouse(find_release(self.ledger, int(number)), is_pinned=True)
        try:
            return Warehouse(current_release(self.ledger, date.fromisoformat(name)), is_pinned=True)
        except ValueError as error:
            raise UsageError(
                f"There is no warehouse named {name!r}; give none for the present, a day as 2024-06-01,"
                f" or a release as {RELEASE_PREFIX}7."
            ) from error

    def names(self, warehouse: Warehouse, layer: str) -> list[str]:
        """Names of a layer's tables, sorted."""
        if layer == BRONZE and not warehouse.is_pinned:
            return self.lakehouse.names(BRONZE)
        return sorted(pin.name for pin in _pins(warehouse, layer))

    def load(self, warehouse: Warehouse, layer: str, name: str) -> LoadedTable:
        """One table as the warehouse has it.

        Raises:
            UnknownName: with the nearest table of the layer.
        """
        pin = self._pin(warehouse, layer, name)
        if pin is None:
            raise UnknownName("table", name, self.names(warehouse, layer))
        past = self._past(warehouse.release, layer, name)
        # a release of a day gone by may have been made after the one read: only newer metadata has its snapshot
        location = max([pin.metadata_location, *(one.metadata_location for one in past)], key=_version)
        metadata = self._file(location)
        tags = {f"{RELEASE_PREFIX}{one.release_id}": one.snapshot_id for one in past}
        log = _own_log(metadata, pin.snapshot_id) if layer == BRONZE else _moves(past)
        return LoadedTable(location, cut_metadata(metadata, pin.snapshot_id, tags, log))

    def _pin(self, warehouse: Warehouse, layer: str, name: str) -> Pin | None:
        if layer == BRONZE and not warehouse.is_pinned:
            return self.lakehouse.pin(BRONZE, name)
        return next((pin for pin in _pins(warehouse, layer) if pin.name == name), None)

    def _past(self, release: Release | None, layer: str, name: str) -> list[_Past]:
        """The snapshots of a table that a release and those before it had, oldest release first."""
        if release is None:
            return []
        r, t = schema.releases.c, schema.release_inputs if layer == BRONZE else schema.release_tables
        columns = (r.release_id, r.extraction_date, r.published_at, t.c.snapshot_id, t.c.metadata_location)
        query = sa.select(*columns).join_from(schema.releases, t, t.c.release_id == r.release_id)
        query = query.where(r.status == "published", t.c.table_name == name, t.c.snapshot_id.is_not(None))
        if layer != BRONZE:
            query = query.where(t.c.layer == layer)
        with self.ledger.begin() as connection:
            rows = connection.execute(query.order_by(r.release_id)).all()
        until = (release.extraction_date, release.release_id)
        return [
            _Past(
                row.release_id,
                row.extraction_date,
                int(row.published_at.timestamp() * 1000),
                row.snapshot_id,
                row.metadata_location,
            )
            for row in rows
            if (row.extraction_date, row.release_id) <= until
        ]

    def _read(self, location: str) -> Json:
        store = self.lakehouse.store
        key = location.removeprefix("file://").removeprefix(f"{store.root}/")
        found: Json = json.loads(store.read_bytes(key))
        if found.get("format-version") != 2:
            raise PermanentError(f"{location} is Iceberg of version {found.get('format-version')}; 2 is served.")
        return found


def cut_metadata(
    metadata: Mapping[str, Any], main: int | None, tags: Mapping[str, int], log: Sequence[tuple[int, int]]
) -> Json:
    """The metadata of a table with nothing but ``main``, some tags, and the snapshots that these and a log name.

    Args:
        metadata: the content of a metadata file; it stays as it is.
        log: when ``main`` moved, in milliseconds since 1970, and to which snapshot; oldest first.
    """
    held = {one["snapshot-id"]: one for one in metadata.get("snapshots", ())}
    if main is not None and main not in held:
        raise PermanentError(f"Snapshot {main} is not in the metadata of table {metadata['location']}.")
    tags = {name: snapshot for name, snapshot in tags.items() if snapshot in held}
    log = [(at, snapshot) for at, snapshot in log if snapshot in held]
    shown = {*tags.values(), *(snapshot for _, snapshot in log), *([] if main is None else [main])}
    snapshots = [one for one in metadata.get("snapshots", ()) if one["snapshot-id"] in shown]
    refs = {name: {"snapshot-id": snapshot, "type": "tag"} for name, snapshot in tags.items()}
    present = metadata["current-schema-id"]
    if main is not None:
        refs["main"] = {"snapshot-id": main, "type": "branch"}
        present = held[main].get("schema-id", present)
    schemas = {one.get("schema-id", present) for one in snapshots} | {present}
    return {
        **metadata,
        "current-snapshot-id": NO_SNAPSHOT if main is None else main,
        "current-schema-id": present,
        "schemas": [one for one in metadata["schemas"] if one["schema-id"] in schemas],
        "snapshots": snapshots,
        "refs": refs,
        "snapshot-log": [{"timestamp-ms": at, "snapshot-id": snapshot} for at, snapshot in log],
        "metadata-log": [],
        "last-updated-ms": max([metadata["last-updated-ms"], *(at for at, _ in log)]),
        **{part: _of_snapshots(metadata, part, shown) for part in ("statistics", "partition-statistics")},
    }


def only_referenced(metadata: Json) -> Json:
    """The metadata without the snapshots that no branch and no tag points to."""
    named = {ref["snapshot-id"] for ref in metadata["refs"].values()}
    return {**metadata, "snapshots": [one for one in metadata["snapshots"] if one["snapshot-id"] in named]}


def _pins(warehouse: Warehouse, layer: str) -> Sequence[Pin]:
    if warehouse.release is None:
        return ()
    if layer == BRONZE:
        return warehouse.release.inputs
    return [table.pin for table in warehouse.release.tables if table.pin.layer == layer]


def _version(location: str) -> int:
    """The number that a metadata file's name begins with, one more at each commit of its table."""
    number = location.rpartition("/")[2].partition("-")[0]
    return int(number) if number.isdigit() else -1


def _moves(past: Sequence[_Past]) -> list[tuple[int, int]]:
    """When readers' present snapshot of a released table changed; a release of a day gone by moves nothing."""
    moves: list[tuple[int, int]] = []
    newest = date.min
    for one in past:
        if one.extraction_date < newest:
            continue
        newest = one.extraction_date
        if not moves or moves[-1][1] != one.snapshot_id:
            moves.append((max([one.published_ms, *(at for at, _ in moves[-1:])]), one.snapshot_id))
    return moves


def _own_log(metadata: Mapping[str, Any], main: int | None) -> list[tuple[int, int]]:
    """The moves of ``main`` that a table's file tells, as far as they lead to a snapshot."""
    parents = {one["snapshot-id"]: one.get("parent-snapshot-id") for one in metadata.get("snapshots", ())}
    ancestors, at = set(), main
    while at is not None and at not in ancestors:
        ancestors.add(at)
        at = parents.get(at)
    log = [(one["timestamp-ms"], one["snapshot-id"]) for one in metadata.get("snapshot-log", ())]
    last = max((number for number, (_, snapshot) in enumerate(log) if snapshot == main), default=-1)
    return [move for move in log[: last + 1] if move[1] in ancestors]


def _of_snapshots(metadata: Mapping[str, Any], part: str, shown: Collection[int]) -> list[Json]:
    return [one for one in metadata.get(part) or () if one["snapshot-id"] in shown]
