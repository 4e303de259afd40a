"""What rows are read from: a native copy whose rows have numbers, or an Iceberg table at its pinned snapshot.

A relation knows SQL, and how the columns a reader names are written in it; it does not know what is asked of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from catalog.iceberg import Pin
from catalog.names import quote_identifier
from catalog.serving import ROW
from catalog.session import STORED_ORDER, stored_order, table_function


@dataclass(frozen=True, slots=True)
class SqlColumn:
    """A column as SQL writes it, and its DuckDB type."""

    sql: str
    type: str


@dataclass(frozen=True, slots=True)
class Relation:
    """What stands after FROM.

    ``row`` is the SQL of a row's number, ascending in the order rows come in; None where rows have none, and ``order``
    then puts them in the stored order. ``place`` identifies a row to find it again; None where nothing cheap does.
    """

    sql: str
    columns: Mapping[str, SqlColumn]
    row: str | None
    order: tuple[str, ...]
    place: tuple[str, ...] | None
    shown: tuple[str, ...] | None = None
    first: int = 0  # number of the first row


def copied(relation: str, columns: Mapping[str, SqlColumn]) -> Relation:
    """The native copy of a snapshot."""
    row = quote_identifier(ROW)
    return Relation(relation, columns, row, (row,), (row,))


def planned(pin: Pin, names: Mapping[str, str], columns: Mapping[str, SqlColumn]) -> Relation:
    """An Iceberg table, its files planned by each statement.

    Args:
        names: types of the table's own columns, which may hide those that tell where a row is stored.
    """
    order = stored_order(names)
    return Relation(table_function(pin), columns, None, order, STORED_ORDER if order == _VIRTUAL else None)


def own_columns(types: Mapping[str, str]) -> dict[str, SqlColumn]:
    """A table's columns by their own names."""
    return {name: SqlColumn(quote_identifier(name), type_) for name, type_ in types.items()}


_VIRTUAL = stored_order(())
