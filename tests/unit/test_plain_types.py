"""Which columns of received rows are shown as more than text."""

from __future__ import annotations

from collections.abc import Sequence

import duckdb
import pyarrow as pa
import pytest

from catalog.contracts.plain import plain_types


@pytest.mark.parametrize(
    ("header", "texts", "type_"),
    [
        ("lat", ["48,5", "9.25", None, ""], "decimal"),
        ("lat", ["48,5", "9.25", "nord"] + ["1,5"] * 1000, None),  # nearly all read, but one would be lost
        ("places", ["3", "12", "nc"], "integer"),  # that there is no value is no value
        ("com", ["01004", "59350", "75056"], None),
        ("dep", ["1", "59", "75"], None),
        ("depuis", ["2023-05-01", "12/06/2023"], "date"),
        ("vu", ["2023-05-01T10:00:00", "2023-05-02T11:30:00"], "timestamp"),
        ("ouvert", ["oui", "non"], "boolean"),
        ("heure", ["21:30", "07:05"], None),
        ("vide", [None, ""], None),
    ],
)
def test_a_column_is_typed_where_all_its_values_read(
    connection: duckdb.DuckDBPyConnection, header: str, texts: Sequence[str | None], type_: str | None
) -> None:
    connection.register("incoming", pa.table({"c": pa.array(list(texts), pa.string())}))
    found = plain_types(connection, '"incoming"', {"c": header})
    connection.unregister("incoming")
    assert {name: one.name for name, one in found.items()} == ({"c": type_} if type_ else {})
