"""The columns that identify a row of a released table, kept as a property of its Iceberg table.

They come from the dbt project when a table is built. Releases older than the property are read with the same key: it
belongs to what the table means, not to one state of it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable

from catalog.dbt import Model
from catalog.iceberg import Lakehouse

PROPERTY = "odh.keys"  # JSON list


def key_of(lakehouse: Lakehouse, layer: str, name: str) -> tuple[str, ...]:
    """The key of a table; empty where none is known."""
    return tuple(json.loads(lakehouse.table(layer, name).properties.get(PROPERTY, "[]")))


def note_keys(lakehouse: Lakehouse, models: Iterable[Model]) -> None:
    """Let the tables of some models know their keys; nothing to do where they do."""
    for model in models:
        table = lakehouse.table(model.layer, model.name)
        if tuple(json.loads(table.properties.get(PROPERTY, "[]"))) != model.keys:
            with table.transaction() as transaction:
                transaction.set_properties({PROPERTY: json.dumps(model.keys)})
