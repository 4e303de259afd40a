"""How a French text is read: every function of catalog/functions.sql, on values, near misses and hostile texts."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import duckdb
import pytest
from french_texts import CASES, HOSTILE

from catalog.contracts.types import TYPES
from catalog.functions import functions_sql, install_functions
from catalog.session import extension_file

PAGE = Path(__file__).resolve().parents[2] / "docs" / "types.md"


def names() -> list[str]:
    return re.findall(r"^create or replace macro (\w+)\(", functions_sql(), re.MULTILINE)


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [(name, text, value) for name, cases in CASES.items() for text, value in cases.items()],
    ids=lambda part: ascii(part)[1:-1] if isinstance(part, str) else None,
)
def test_text_reads_as_its_value_or_not_at_all(
    connection: duckdb.DuckDBPyConnection, name: str, text: str, value: str | None
) -> None:
    read = f"select {name}(t)::varchar from (values (?), (null)) as texts(t) order by t nulls last"
    assert connection.execute(read, [text]).fetchall() == [(value,), (None,)]


def test_no_text_is_an_error_and_what_reads_is_read_the_same_twice(connection: duckdb.DuckDBPyConnection) -> None:
    connection.execute("create or replace temp table hostile as select unnest(?) as t", [HOSTILE])
    skipped = {"fr_match", "fr_compact", "fr_number", "fr_is_in_france", "fr_conformal_latitude"}
    for name in sorted(set(names()) - skipped):
        if not name.startswith("fr_lambert93_l"):
            read = f"select t, {name}(t)::varchar from hostile order by t"
            assert connection.execute(read).fetchall() == connection.execute(read).fetchall()


@pytest.mark.parametrize("name", TYPES)
def test_type_gives_what_it_is_said_to_be_stored_as(connection: duckdb.DuckDBPyConnection, name: str) -> None:
    type_ = TYPES[name]
    columns = [type_.read, *type_.parts.values()]
    select = ", ".join(f"{sql.replace('{}', 't')} as c{place}" for place, sql in enumerate(columns))
    found = connection.sql(f"select {select} from (select null::varchar as t)")
    expected = [type_.stored, *("double" for _ in type_.parts)]
    assert [str(kind).lower().replace(" ", "") for kind in found.types] == [kind.replace(" ", "") for kind in expected]


def test_parts_of_a_point_are_its_degrees(connection: duckdb.DuckDBPyConnection) -> None:
    for name, text in (
        ("point_lat_lon", "48.85, 2.35"),
        ("point_lon_lat", "[2.35, 48.85]"),
        ("point_wkt", "POINT(2.35 48.85)"),
    ):
        parts = TYPES[name].parts
        select = ", ".join(parts[part].replace("{}", "t") for part in ("longitude", "latitude"))
        asked = f"select {select} from (values (?), ('999, 2.5'), (null)) as texts(t)"
        assert connection.execute(asked, [text]).fetchall() == [(2.35, 48.85), (None, None), (None, None)]


def test_lambert93_becomes_the_degrees_of_an_independent_projection(connection: duckdb.DuckDBPyConnection) -> None:
    connection.execute(f"load '{extension_file('spatial')}'")
    off = connection.execute(
        """
        select max(abs(fr_lambert93_longitude(x, y) - st_x(p))), max(abs(fr_lambert93_latitude(x, y) - st_y(p)))
        from (
            select x, y, st_transform(st_point(x, y), 'EPSG:2154', 'EPSG:4326', always_xy := true) as p
            from (select 100000 + 40000 * a as x, 6050000 + 35000 * b as y from range(29) as r(a), range(31) as s(b))
        )
        """
    ).fetchone()
    assert off is not None
    assert max(off) < 1e-7


def test_geometry_is_the_bytes_of_its_hexadecimal(connection: duckdb.DuckDBPyConnection) -> None:
    point = "0101000000cdcccccccccc0240CDCCCCCCCC6C4840"
    read = "select fr_geometry(t) from (values (?), ('0101'), ('20240201'), (?)) as texts(t)"
    assert connection.execute(read, [point, "1" * 42]).fetchall() == [
        (bytes.fromhex(point),),
        (None,),
        (None,),
        (None,),
    ]


@pytest.mark.parametrize(
    ("longitude", "latitude", "is_in"), [(2.35, 48.85, True), (55.5, -21.1, True), (48.85, 2.35, False), (0, 0, False)]
)
def test_position_is_in_france_or_not(
    connection: duckdb.DuckDBPyConnection, longitude: float, latitude: float, is_in: bool
) -> None:
    assert connection.execute("select fr_is_in_france(?, ?)", [longitude, latitude]).fetchone() == (is_in,)


def test_functions_are_there_in_cursors_threads_and_the_file_opened_again(tmp_path: Path) -> None:
    with duckdb.connect(str(tmp_path / "build.duckdb")) as connection:
        install_functions(connection)
        install_functions(connection)
        with ThreadPoolExecutor(2) as pool:
            cursors = [connection.cursor() for _ in range(2)]
            found = pool.map(lambda cursor: cursor.sql("select fr_integer('1 234')").fetchone(), cursors)
            assert list(found) == [(1234,), (1234,)]
        connection.execute("create view v as select fr_integer('12') as n")
    with duckdb.connect(str(tmp_path / "build.duckdb"), read_only=True) as connection:
        install_functions(connection)
        assert connection.execute("select n, fr_integer('3') from v").fetchone() == (12, 3)


def rows_of_the_page() -> list[tuple[str, str]]:
    return re.findall(r"^\| `(fr_\w+\(.*?)` \| `(.*?)` \|", PAGE.read_text("utf-8"), re.MULTILINE)


def test_every_example_of_the_page_gives_what_it_says(connection: duckdb.DuckDBPyConnection) -> None:
    for call, said in rows_of_the_page():
        assert (call, connection.execute(f"select ({call})::varchar").fetchone()) == (
            call,
            (None if said == "NULL" else said,),
        )


def test_the_page_tells_every_function_and_every_type() -> None:
    text = PAGE.read_text("utf-8")
    assert {call.split("(")[0] for call, _ in rows_of_the_page()} == set(names())
    assert [name for name in TYPES if f"| `{name}` |" not in text] == []
