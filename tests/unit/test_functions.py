"""How a French text is read: every function of catalog/functions.sql, on values, near misses and hostile texts."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import duckdb
import pytest

from catalog.contracts.types import TYPES
from catalog.functions import functions_sql, install_functions
from catalog.session import extension_file

PAGE = Path(__file__).resolve().parents[2] / "docs" / "types.md"
NBSP, THIN = "\u00a0", "\u202f"
HOSTILE = [
    "",
    " ",
    NBSP,
    "\ufeff",
    "\x00",
    "'",
    "''; drop table t; --",
    "%",
    "\\",
    "\n\n",
    "é" * 5_000,
    "1" * 5_000,
    "-",
    "+",
    ",",
    ".",
    "(((((",
    "{",
    "[",
    "[" * 500,
    '{"a":',
    "1e999",
    "inf",
    "-inf",
    "nan",
    "0x1F",
    "1_000",
    "١٢٣",
    "１２",
    "½",
    "²",
    "00",
    "0000-00-00",
    "2024-02-30",
    "31/02/2024",
    "99/99/9999",
    "2024-13-01T25:61:61Z",
    "10000-01-01",
    "24:00",
    "-0",
    "1.2.3",
    "1,2,3",
    "1..2",
    "1 2 3 4",
    "POINT()",
    "POINT(a b)",
    "01" * 30,
    "€",
    "%%",
    "W",
    "+33",
    "2A",
    "💶 12",
    "12\n34",
    "\t12\t",
    "9" * 19,
    "-9223372036854775809",
    "1er",
    "1er brumaire an II",
    "lundi",
    "0101000000",
]


def names() -> list[str]:
    return re.findall(r"^create or replace macro (\w+)\(", functions_sql(), re.MULTILINE)


CASES = {
    "fr_text": {
        "  a b ": "a b",
        f"{NBSP}{THIN}a{NBSP}b\u2007": f"a{NBSP}b",
        "\ufeffa": "a",
        "": None,
        f" {NBSP}": None,
    },
    "fr_integer": {
        "12": "12",
        " -12 ": "-12",
        "+3": "3",
        "−5": "-5",
        "0": "0",
        f"1{NBSP}234{THIN}567": "1234567",
        "1'234": "1234",
        "1’234": "1234",
        "9223372036854775807": "9223372036854775807",
        "9223372036854775808": None,
        "007": None,
        "1e5": None,
        "12 34": None,
        "1234 567": None,
        "1.0": None,
        "1,234": None,
        "0 123": None,
        "12a": None,
        "--1": None,
    },
    "fr_decimal": {
        "1.5": "1.5",
        "1,5": "1.5",
        f"1{NBSP}234,50": "1234.5",
        "1.234": "1.234",
        "1.234,5": "1234.5",
        "12": "12.0",
        "1.234.567,8": "1234567.8",
        ",5": "0.5",
        "-.5": "-0.5",
        "1.5e-3": "0.0015",
        "1E+05": "100000.0",
        "1e5": None,
        "07,5": None,
        "1,234,567": None,
        "1.234.567": None,
        "1,5 €": None,
        "inf": None,
        "nan": None,
        "5.": None,
    },
    "fr_decimal_point_thousands": {
        "1.234": "1234.0",
        "1.234,5": "1234.5",
        "12,5": "12.5",
        "1.23": None,
        "1,234.5": None,
    },
    "fr_decimal_comma_thousands": {
        "1,234": "1234.0",
        "1,234.5": "1234.5",
        "12.5": "12.5",
        "1,23": None,
        "1.234,5": None,
    },
    "fr_percentage": {"12,5 %": "12.5", "12%": "12.0", f"-3{THIN}%": "-3.0", "12": None, "% 12": None, "12 %%": None},
    "fr_money": {
        "1 234,50 €": "1234.5000",
        "€12": "12.0000",
        "12 EUR": "12.0000",
        "12 euros": "12.0000",
        f"1,899{NBSP}€": "1.8990",
        "-5 €": "-5.0000",
        "12": None,
        "1,23456 €": None,
        "12 k€": None,
        "12 $": None,
        "€": None,
        "€ 12 €": None,
    },
    "fr_money_thousands": {"12,5 k€": "12.5000", "3 K€": "3.0000", "3 €": None, "3 M€": None},
    "fr_money_millions": {"12,5 M€": "12.5000", "3 k€": None, "3 m€": None},
    "fr_boolean": {
        "oui": "true",
        "NON": "false",
        "Vrai": "true",
        "faux": "false",
        "O": "true",
        "n": "false",
        "1": "true",
        "0": "false",
        "t": "true",
        "f": "false",
        "2": None,
        "non renseigné": None,
        "ouinon": None,
        "v": None,
    },
    "fr_date": {
        "2024-02-01": "2024-02-01",
        "2024/2/1": "2024-02-01",
        "01/02/2024": "2024-02-01",
        "1-2-2024": "2024-02-01",
        "01.02.2024": "2024-02-01",
        "13/12/2024": "2024-12-13",
        "29/02/2024": "2024-02-29",
        "29/02/2023": None,
        "12/13/2024": None,
        "01/02/24": None,
        "20240201": None,
        "2024-02": None,
        "01/02-2024": None,
        "0024-01-01": None,
        "9999-12-31": "9999-12-31",
        "01-02-1900": "1900-02-01",
        "1-2-2000": "2000-02-01",
        "2024-02-01 10:00:00": None,
        "2024-02-01T00:00:00": "2024-02-01",
        "01/02/2024 00:00": "2024-02-01",
        "2024-02-01T00:00:00.000Z": "2024-02-01",
        "1955-05-02 00:00:00+00": "1955-05-02",
        "2018-12-31+01:00": "2018-12-31",
        "1er février 2024": "2024-02-01",
        "lundi 12 janv. 2023": "2023-01-12",
        "14 JUILLET 1789": "1789-07-14",
        "3 juin 2020": "2020-06-03",
        "2 aout 2020": "2020-08-02",
        "31 décembre 1999": "1999-12-31",
        "31 novembre 2020": None,
        "12 foo 2020": None,
    },
    "fr_date_month_first": {
        "12/13/2024": "2024-12-13",
        "1/2/2024": "2024-01-02",
        "2024-02-01": "2024-02-01",
        "13/12/2024": None,
    },
    "fr_date_two_digit_year": {
        "01/02/24": "2024-02-01",
        "01-02-69": "1969-02-01",
        "1.2.68": "2068-02-01",
        "01/02/2024": None,
    },
    "fr_date_compact": {
        "20240201": "2024-02-01",
        "20240230": None,
        "20241301": None,
        "17890714": None,
        "2024021": None,
    },
    "fr_month": {"2024-02": "2024-02-01", "02/2024": "2024-02-01", "2024-13": None, "2024-2": None, "202402": None},
    "fr_timestamp": {
        "2024-02-01T13:45:07": "2024-02-01 13:45:07",
        "2024-02-01 13:45": "2024-02-01 13:45:00",
        "01/02/2024 13:45": "2024-02-01 13:45:00",
        "1/2/2024 9h05": "2024-02-01 09:05:00",
        "01/02/2024 à 13h45": "2024-02-01 13:45:00",
        "2024-02-01 13:45:00,123": "2024-02-01 13:45:00.123",
        "2024-02-01 13:45:00.123456000": "2024-02-01 13:45:00.123456",
        "2024-02-01 13:45:00.1234567": None,
        "2024-02-01": "2024-02-01 00:00:00",
        "2024-02-01T13:45:07Z": None,
        "2024-02-01T24:00": None,
        "31/02/2024 10:00": None,
    },
    "fr_timestamp_month_first": {"2/13/2024 13:45": "2024-02-13 13:45:00", "13/2/2024 13:45": None},
    "fr_timestamp_utc": {
        "2024-02-01T13:45:07Z": "2024-02-01 13:45:07+00",
        "2024-02-01T13:45:07+01:00": "2024-02-01 12:45:07+00",
        "2024-02-01 13:45:07 +0530": "2024-02-01 08:15:07+00",
        "2024-02-01T13:45Z": "2024-02-01 13:45:00+00",
        "2024-02-01T13:45:07.5-04": "2024-02-01 17:45:07.5+00",
        "2024-02-01T13:45:07": None,
        "2024-02-30T00:00:00Z": None,
    },
    "fr_timestamp_compact": {
        "20200101030000": "2020-01-01 03:00:00",
        "202001010300": "2020-01-01 03:00:00",
        "20200101": None,
    },
    "fr_time": {
        "13:45": "13:45:00",
        "9:05:07": "09:05:07",
        "13h45": "13:45:00",
        "7 h 5": None,
        "13h": "13:00:00",
        "13:": None,
        "25:10:00": None,
        "24:00": None,
        "12:60": None,
        "1345": None,
        "13 H 45": "13:45:00",
    },
    "fr_longitude": {"2,35": "2.35", "-180": "-180.0", "180.1": None, "x": None},
    "fr_latitude": {"48,85": "48.85", "-90.0": "-90.0", "91": None},
    "fr_pair": {
        "48.85, 2.35": "48.85 2.35",
        "[2.35, 48.85]": "2.35 48.85",
        "48,85; 2,35": "48.85 2.35",
        "48.85 2.35": "48.85 2.35",
        "(2,48)": "2 48",
        "48,85": None,
        "1,234.5": None,
        "48.85": None,
        "1.2, 3.4, 5.6": None,
        "12 34": None,
    },
    "fr_point_lat_lon": {"48.85, 2.35": "48.85, 2.35", "95.0, 2.35": None, "48.85,181.5": None},
    "fr_point_lon_lat": {"[2.35, 48.85]": "[2.35, 48.85]", "[2.35, 95]": None},
    "fr_point_wkt": {
        "POINT(2.35 48.85)": "POINT(2.35 48.85)",
        "SRID=4326;point (2 48)": "SRID=4326;point (2 48)",
        "POINT(200 48)": None,
        "POINT(2 95)": None,
        "LINESTRING(0 0, 1 1)": None,
    },
    "fr_lambert93_x": {"652469,02": "652469.02", "1300001": None, "-1": None},
    "fr_lambert93_y": {"6862035.26": "6862035.26", "5999999": None},
    "fr_json": {
        '{"a": 1}': '{"a": 1}',
        "[1, 2]": "[1, 2]",
        " [] ": "[]",
        "12": None,
        '"a"': None,
        "{a}": None,
        "null": None,
    },
    "fr_siren": {
        "732829320": "732829320",
        "732 829 320": "732829320",
        f"732{NBSP}829{NBSP}320": "732829320",
        "732829321": None,
        "73282932": None,
        "7328 29320": None,
        "000000000": "000000000",
    },
    "fr_siret": {
        "73282932000074": "73282932000074",
        "732 829 320 00074": "73282932000074",
        "73282932000075": None,
        "35600000049837": "35600000049837",
        "35600000000001": "35600000000001",
        "35600000000002": None,
        "7328293200007": None,
    },
    "fr_epci_code": {"200054781": "200054781", "732829320": None, "200054782": None},
    "fr_finess": {"750712184": "750712184", "750712185": None, "2A0000014": "2A0000014", "000712184": None},
    "fr_uai": {"0951099D": "0951099D", "0951099E": None, "0951099I": None, "951099D": None},
    "fr_rna": {"W751000123": "W751000123", "W2A1000123": "W2A1000123", "751000123": None, "W75100012": None},
    "fr_naf": {"62.01Z": "62.01Z", "6201Z": "6201Z", "72.1Z": None, "00.10Z": None, "62.01": None},
    "fr_commune_code": {
        "01001": "01001",
        "2A004": "2A004",
        "97105": "97105",
        "98736": "98736",
        "1001": None,
        "20004": None,
        "96001": None,
        "99100": None,
        "2C004": None,
        "75056 ": "75056",
    },
    "fr_departement_code": {
        "01": "01",
        "2A": "2A",
        "971": "971",
        "20": "20",
        "1": None,
        "96": None,
        "2a": None,
        "970": None,
    },
    "fr_region_code": {"11": "11", "84": "84", "01": "01", "988": "988", "00": None, "12": None, "1": None},
    "fr_postal_code": {
        "01000": "01000",
        "75001": "75001",
        "98799": "98799",
        "00100": None,
        "99100": None,
        "7500": None,
    },
    "fr_phone": {
        "01 23 45 67 89": "01 23 45 67 89",
        "01.23.45.67.89": "01.23.45.67.89",
        "0123456789": "0123456789",
        "+33 1 23 45 67 89": "+33 1 23 45 67 89",
        "+33(0)123456789": "+33(0)123456789",
        "00 23 45 67 89": None,
        "012345678": None,
        "1 23 45 67 89": None,
    },
}


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
