"""One resource of the portal as a table, as data.gouv.fr's tabular API serves it: its rows only, numbered by ``__id``.

Rows of the released silver table are served where they tell their resource and every column of the file is still in
it; else those of bronze, as received: numbers, days, moments and truths typed where every value of a column reads as
one, all else as written. Columns go by the headers of the published file, and by their own names as well.

A caller who may not read bronze, and all callers where a column is masked, get silver even where a model renames or
drops columns of the file: those that are left by header, the others by the model's names.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from datetime import date

from api.access import caller, demand_layer
from api.relations import Relation, SqlColumn, own_columns
from api.remembered import Remembered
from api.tables import Layer, ServedTable, Tables
from catalog.contracts.plain import plain_types
from catalog.contracts.types import LogicalType
from catalog.errors import UnknownName
from catalog.iceberg import BRONZE, SILVER
from catalog.names import quote_identifier, quote_literal
from catalog.resources import LoadedResource, find_resource
from catalog.scopes import Scope
from catalog.serving import ROW
from catalog.session import stored_order, table_function

ID = "__id"
RESOURCE, EXTRACTED = "_resource_id", "_extraction_date"
EXTENTS_REMEMBERED = 4096


@dataclass(frozen=True, slots=True)
class Extent:
    """Where the rows of a resource are in a table's stored order; ``first`` only where nothing lies between them."""

    rows: int
    first: int | None


@dataclass(frozen=True, slots=True)
class ResourceTable:
    """A resource, the table its rows are read from, and how."""

    resource: LoadedResource
    table: ServedTable
    relation: Relation


class Resources:
    """The loaded resources of one lake; safe to share between threads."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables
        self._extents: Remembered[object, Extent] = Remembered(EXTENTS_REMEMBERED)
        self._reads: Remembered[object, dict[str, LogicalType]] = Remembered(EXTENTS_REMEMBERED)

    def find(self, resource_id: str, as_of: date | None, table: str | None = None) -> ResourceTable:
        """What to read a resource from.

        Args:
            table: the bronze table wanted, where a resource fills several; by default the first by name.

        Raises:
            UnknownName: nothing of it was loaded, or not into such a table.
            AccessDenied: the caller may not read the layer its rows are in.
            Restricted: only raw data is there, and its feed keeps that from readers.
        """
        resource = find_resource(self._tables.ledger, resource_id, as_of)
        name = table or min(resource.tables)
        if name not in resource.tables:
            raise UnknownName("table of the resource", name, resource.tables)
        served = self._released(resource, name, as_of) or self._as_received(resource, name)
        return ResourceTable(resource, *self.at(resource, served))

    def at(self, resource: LoadedResource, served: ServedTable) -> tuple[ServedTable, Relation]:
        """The rows of a resource in a table at one snapshot, counted, and what to read them from."""
        types = self._tables.meaning(served.pin).types
        source, order, is_copied = self._source(served, types)
        mine = self._mine(resource, served)
        extent = self._extent(resource, served)
        if is_copied and extent.first is not None:
            number = f"{quote_identifier(ROW)} - {extent.first - 1}"
        else:
            number = f"row_number() over (order by {', '.join(order)})"
        reads = self._read_as(resource, served) if served.pin.layer == BRONZE else {}
        typed = ", ".join(f"{_read(name, type_)} as {quote_identifier(name)}" for name, type_ in reads.items())
        values = f"* replace ({typed})" if typed else "*"
        sql = f"(select {number} as {ID}, {values} from {source} where {mine})"
        types = types | {name: type_.stored.upper() for name, type_ in reads.items()}
        columns, shown = self._columns(resource, served, types)
        relation = Relation(sql, columns, quote_identifier(ID), (quote_identifier(ID),), None, shown, 1)
        return replace(served, rows=extent.rows), relation

    def _released(self, resource: LoadedResource, name: str, as_of: date | None) -> ServedTable | None:
        """The silver table, if it has rows that say they are of the resource, and no better is to be had."""
        release = self._tables.release(as_of)
        found = release.table(SILVER, f"stg_{name}") if release else None
        types = self._tables.meaning(found.pin).types if found else {}
        if found is None or RESOURCE not in types:
            return None
        if not types.keys() >= self._headers(resource, name).keys() and self._shows_bronze(name):
            return None
        served = ServedTable(
            Layer.STAGING, found.pin, found.domain, found.rows, is_current=as_of is None, part=resource.resource_id
        )
        if not self._extent(resource, served).rows:
            return None
        demand_layer(Layer.STAGING)
        return served

    def _as_received(self, resource: LoadedResource, name: str) -> ServedTable:
        demand_layer(Layer.RAW)
        served = self._tables.get(Layer.RAW, name, None)
        return replace(served, part=f"{resource.resource_id} {resource.tables[name]}")

    def _shows_bronze(self, name: str) -> bool:
        """Whether the caller may read a bronze table, and none of its columns is masked in silver."""
        declared = self._tables.registry.bronze_tables().get(name)
        is_masked = declared is not None and bool(declared.masks)
        return caller().allows(Scope.RAW_READ) and not is_masked and not self._tables.is_restricted(name)

    def _source(self, served: ServedTable, types: dict[str, str]) -> tuple[str, tuple[str, ...], bool]:
        """What stands after FROM, the order its rows are stored in, and whether it is a copy that numbers them."""
        plain = self._tables.relation(served)
        if plain.row is not None:
            return plain.sql, plain.order, True
        return table_function(served.pin), stored_order(types), False

    def _mine(self, resource: LoadedResource, served: ServedTable) -> str:
        mine = f"{RESOURCE} = {quote_literal(resource.resource_id)}"
        if served.pin.layer == BRONZE:  # it holds every extraction
            mine += f" and {EXTRACTED} = date {quote_literal(resource.tables[served.pin.name].isoformat())}"
        return mine

    def _extent(self, resource: LoadedResource, served: ServedTable) -> Extent:
        plain = self._tables.relation(served)
        key = (served.pin, served.part, plain.row)
        if known := self._extents.get(key):
            return known
        bounds = f"min({plain.row}), max({plain.row})" if plain.row else "null, null"
        with self._tables.cursor() as cursor:
            asked = f"select count(*), {bounds} from {plain.sql} where {self._mine(resource, served)}"
            rows, first, last = cursor.execute(asked).fetchone() or (0, None, None)
        is_whole = first is not None and last - first + 1 == rows
        return self._extents.put(key, Extent(rows, first if is_whole else None))

    def _read_as(self, resource: LoadedResource, served: ServedTable) -> dict[str, LogicalType]:
        """The columns of a resource in bronze that are not shown as text, by their rows; worked out once a snapshot."""
        key = (served.pin, served.part)
        if (known := self._reads.get(key)) is not None:
            return known
        rows = f"(select * from {table_function(served.pin)} where {self._mine(resource, served)})"
        with self._tables.cursor() as cursor:
            return self._reads.put(key, plain_types(cursor, rows, self._headers(resource, served.pin.name)))

    def _columns(
        self, resource: LoadedResource, served: ServedTable, types: dict[str, str]
    ) -> tuple[dict[str, SqlColumn], tuple[str, ...]]:
        """Columns by header and by name, and those shown: of bronze, the file's only."""
        own = own_columns(types)
        headers = self._headers(resource, served.pin.name.removeprefix("stg_"))
        counted = Counter(headers.values())
        names = [name for name in (headers if served.pin.layer == BRONZE else own) if name in own and name[0] != "_"]
        shown = {ID: SqlColumn(quote_identifier(ID), "BIGINT")}
        for name in names:
            header = headers.get(name)
            shown[header if header and counted[header] == 1 else name] = own[name]
        return {**shown, **{name: column for name, column in own.items() if name not in shown}}, tuple(shown)

    def _headers(self, resource: LoadedResource, name: str) -> dict[str, str]:
        """The columns of the file in a bronze table and their headers; of the whole table where none were kept."""
        if found := resource.headers.get(name):
            return dict(found)
        pin = self._tables.raw_pin(name)
        return self._tables.headers(pin) if pin else {}


def _read(name: str, type_: LogicalType) -> str:
    return type_.read.replace("{}", quote_identifier(name))
