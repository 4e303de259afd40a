"""How the schema of an Iceberg table becomes that of the content it is about to hold."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

import pyarrow as pa
from pyiceberg.table import Table


def evolve(table: Table, schema: pa.Schema, docs: Mapping[str, str]) -> None:
    """Give a table that is about to be rewritten whole the columns of a schema; a changed type is a new column."""
    present = {field.name: field for field in table.schema().as_arrow()}
    wanted = {field.name: field for field in schema}
    changed = {name for name in present.keys() & wanted.keys() if not _same_type(present[name].type, wanted[name].type)}
    if gone := (present.keys() - wanted.keys()) | changed:
        with table.update_schema(allow_incompatible_changes=True) as update:
            for name in sorted(gone):
                update.delete_column(name)
    new = [name for name in wanted if name not in present or name in changed]
    if new:
        with table.update_schema() as update:
            update.union_by_name(pa.schema([wanted[name] for name in new]))
    if [field.name for field in table.schema().fields] != list(wanted):
        with table.update_schema() as update:
            for before, name in pairwise(wanted):
                update.move_after(name, before)
    described = {field.name: field.doc for field in table.schema().fields}
    if stale := [name for name, doc in docs.items() if name in wanted and described.get(name) != doc]:
        with table.update_schema() as update:
            for name in stale:
                update.update_column(name, doc=docs[name])


def _same_type(left: pa.DataType, right: pa.DataType) -> bool:
    """Whether two types are one to Iceberg, which knows no large and small text, bytes and lists."""

    def plain(type_: pa.DataType) -> pa.DataType:
        if pa.types.is_string(type_):
            return pa.large_string()
        if pa.types.is_binary(type_):
            return pa.large_binary()
        if pa.types.is_list(type_) or pa.types.is_large_list(type_):
            return pa.large_list(plain(type_.value_type))
        if pa.types.is_map(type_):
            return pa.map_(plain(type_.key_type), plain(type_.item_type))
        if pa.types.is_struct(type_):
            return pa.struct([(part.name, plain(part.type)) for part in type_])
        return type_

    return bool(plain(left) == plain(right))
