"""The gateway over HTTP on a real lake of two releases: listings, paging, every operator, types, refusals."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from datetime import date
from decimal import Decimal
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from accidents_lake import ACCIDENT, ACCIDENTS, FILES, RAW, ROWS, ROWS_PER_FILE, SCHEMA, Row, write_accidents
from api_lake import LakeWriter, rows_of, serving

INJECTED = 'fct_accident"; drop table x --'


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> LakeWriter:
    return write_accidents(tmp_path_factory.mktemp("reads"))


@pytest.fixture(scope="module")
def client(lake: LakeWriter) -> Iterator[httpx.Client]:
    with serving(lake.settings) as client:
        yield client


def every_row(client: httpx.Client, path: str, **parameters: Any) -> list[Row]:
    """Rows of all pages, followed by their links."""
    rows: list[Row] = []
    page = client.get(path, params=parameters or None).json()
    while True:
        rows += page["data"]
        if page["links"]["next"] is None:
            assert len(rows) == page["meta"]["total"]
            return rows
        page = client.get(page["links"]["next"]).json()


def problem_of(answer: httpx.Response, status: int) -> Row:
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json"), answer.text
    problem: Row = answer.json()
    assert problem["status"] == status
    assert problem.keys() >= {"type", "title", "detail", "instance"}
    assert "Traceback" not in answer.text
    return problem


# Listings


def test_a_layer_lists_its_tables_with_what_they_hold(client: httpx.Client) -> None:
    found = client.get("/curated").json()
    assert found["meta"] == {"layer": "curated", "release_id": 2, "extraction_date": "2024-02-29", "total": 2}
    assert found["data"][0] == {
        "name": "fct_accident",
        "description": "What fct_accident holds.",
        "domain": "domain",
        "rows": ROWS,
        "columns": len(SCHEMA),
        "link": f"{client.base_url}{ACCIDENT}",
    }
    assert [table["name"] for table in client.get("/staging").json()["data"]] == ["stg_accidents__lieux"]


def test_raw_lists_bronze_with_the_words_of_its_feed(client: httpx.Client) -> None:
    found = client.get("/raw").json()
    assert found["meta"] == {"layer": "raw", "release_id": None, "extraction_date": None, "total": 1}
    (table,) = found["data"]
    assert (table["rows"], table["columns"], table["domain"]) == (FILES * ROWS_PER_FILE, 8, "road_safety")
    assert table["description"]


def test_a_listing_as_of_a_day_is_that_of_the_release_then(client: httpx.Client) -> None:
    (table,) = client.get("/curated", params={"as_of": "2024-02-01"}).json()["data"]
    assert table["rows"] == 3
    before = client.get("/curated", params={"as_of": "2023-12-31"}).json()
    assert (before["data"], before["meta"]["release_id"]) == ([], None)
    (raw,) = client.get("/raw", params={"as_of": "2024-01-15"}).json()["data"]
    assert raw["rows"] == FILES * ROWS_PER_FILE / 2


def test_a_schema_tells_types_and_meanings(client: httpx.Client) -> None:
    found = client.get(f"{ACCIDENT}/schema").json()
    described = {column["name"]: (column["type"], column["description"]) for column in found["columns"]}
    assert described["accident_id"] == ("VARCHAR", "Number of the accident.")
    assert described["injured"] == ("INTEGER", "People injured.")
    assert described["amount"] == ("DECIMAL(30,3)", None)
    assert list(described) == SCHEMA.names
    raw = client.get(f"{RAW}/schema").json()["columns"]
    assert {column["name"]: column["description"] for column in raw}["_loaded_at"] == "When the row entered bronze."


# Rows


def test_a_page_has_the_envelope_of_the_tabular_api(client: httpx.Client) -> None:
    found = client.get(ACCIDENT, params={"page": 2, "page_size": 100, "columns": "accident_id,injured"}).json()
    assert found["data"] == [
        {"accident_id": row["accident_id"], "injured": row["injured"]} for row in ACCIDENTS[100:200]
    ]
    assert found["meta"] == {"page": 2, "page_size": 100, "total": ROWS}
    here = f"{client.base_url}{ACCIDENT}"
    assert found["links"]["profile"] == f"{here}/schema"
    following = dict(httpx.URL(found["links"]["next"]).params)
    assert following.pop("cursor")
    assert following == {"page": "3", "page_size": "100", "columns": "accident_id,injured"}
    assert httpx.URL(found["links"]["prev"]).params["page"] == "1"


def test_a_page_has_twenty_rows_unless_asked(client: httpx.Client) -> None:
    found = client.get(ACCIDENT).json()
    assert (len(found["data"]), found["meta"]["page_size"], found["links"]["prev"]) == (20, 20, None)


def test_a_page_past_the_end_is_empty_and_leads_back(client: httpx.Client) -> None:
    found = client.get(ACCIDENT, params={"page": 10**9, "page_size": 200}).json()
    assert (found["data"], found["meta"]["total"], found["links"]["next"]) == ([], ROWS, None)
    assert httpx.URL(found["links"]["prev"]).params["page"] == "2"


@pytest.mark.parametrize("page_size", [17, 200])
def test_pages_of_a_table_of_many_files_hold_each_row_once_and_always_in_the_same_place(
    client: httpx.Client, page_size: int
) -> None:
    rows = every_row(client, RAW, page_size=page_size)
    expected = {f"{file}-{line}" for file in range(FILES) for line in range(ROWS_PER_FILE)}
    assert {row["numero"] for row in rows} == expected
    assert rows == every_row(client, RAW, page_size=page_size)


@pytest.mark.parametrize("direction", ["asc", "desc"])
def test_pages_sorted_on_a_column_with_ties_hold_each_row_once(client: httpx.Client, direction: str) -> None:
    rows = every_row(client, RAW, page_size=50, _extraction_date__sort=direction)
    days = [row["_extraction_date"] for row in rows]
    assert days == sorted(days, reverse=direction == "desc")
    assert len({row["numero"] for row in rows}) == FILES * ROWS_PER_FILE


def test_a_table_with_columns_of_the_engines_own_names_pages_as_well(client: httpx.Client) -> None:
    ones = [rows_of(client, "/staging/stg_accidents__lieux", page=page, page_size=1)[0]["n"] for page in (1, 2, 3)]
    assert ones == [2, 1, 3]


def test_sorts_apply_in_turn_with_nulls_where_postgresql_puts_them(client: httpx.Client) -> None:
    found = every_row(client, ACCIDENT, page_size=200, departement__sort="desc", amount__sort="asc")
    assert [row["departement"] for row in found[:63]] == [None] * 62 + ["75"]
    ids = [row["accident_id"] for row in found]
    assert ids[:2] == ["00003", "00007"]  # by number; by text, a longer amount would come first
    up = every_row(client, ACCIDENT, page_size=200, departement__sort="asc")
    assert [row["departement"] for row in up[-63:]] == ["75"] + [None] * 62


def test_values_keep_their_meaning_in_json(client: httpx.Client) -> None:
    rows = rows_of(client, ACCIDENT, page_size=200)
    for row, expected in zip(rows, ACCIDENTS, strict=False):
        speed = expected["speed"]
        assert row == {
            **expected,
            "occurred_on": expected["occurred_on"].isoformat(),
            "occurred_at": expected["occurred_at"].isoformat(),
            "speed": None if speed is None or math.isnan(speed) else speed,
            "length_km": float(expected["length_km"]),
            "amount": f"{expected['amount']:.3f}",
        }


def less(column: str, bound: Any) -> Callable[[Row], bool]:
    return lambda row: row[column] is not None and row[column] < bound


CASES: list[tuple[str, str, Callable[[Row], bool]]] = [
    ("departement__exact", "2A", lambda r: r["departement"] == "2A"),
    ("departement__exact", "2a", lambda r: False),
    ("note__exact", "", lambda r: r["note"] == ""),
    ("note__exact", "a,b", lambda r: r["note"] == "a,b"),
    ("injured__exact", "3", lambda r: r["injured"] == 3),
    ("views__exact", str(2**53 + 1), lambda r: r["views"] == 2**53 + 1),
    ("is_night__exact", "true", lambda r: r["is_night"]),
    ("occurred_on__exact", "2023-01-05", lambda r: r["occurred_on"] == date(2023, 1, 5)),
    ("occurred_at__exact", "2023-01-01T05:00:00+00:00", lambda r: r["accident_id"] == "00005"),
    ("occurred_at__exact", "2023-01-01T06:00:00+01:00", lambda r: r["accident_id"] == "00005"),
    ("length_km__exact", "2.75", lambda r: r["length_km"] == Decimal("2.75")),
    ("amount__exact", "700000000000000000000.125", lambda r: r["accident_id"] == "00007"),
    ("departement__differs", "2A", lambda r: r["departement"] != "2A"),
    ("note__contains", "CHOC À", lambda r: r["note"] is not None and "choc à" in r["note"].lower()),
    ("note__contains", "%", lambda r: r["note"] is not None and "%" in r["note"]),
    ("note__contains", "_", lambda r: r["note"] is not None and "_" in r["note"]),
    ("injured__contains", "3", lambda r: r["injured"] == 3),
    ("note__notcontains", "choc", lambda r: r["note"] is not None and "choc" not in r["note"].lower()),
    ("departement__in", "01,2A", lambda r: r["departement"] in ("01", "2A")),
    ("note__in", '"a,b",under_score', lambda r: r["note"] in ("a,b", "under_score")),
    ("injured__in", "1,2", lambda r: r["injured"] in (1, 2)),
    ("departement__notin", "01,2A", lambda r: r["departement"] == "75"),
    ("injured__less", "2", lambda r: r["injured"] is not None and r["injured"] <= 2),
    ("injured__greater", "5", lambda r: r["injured"] is not None and r["injured"] >= 5),
    ("injured__strictly_less", "2", less("injured", 2)),
    ("injured__strictly_greater", "5", lambda r: r["injured"] is not None and r["injured"] > 5),
    ("accident_id__strictly_less", "00010", less("accident_id", "00010")),
    ("occurred_on__strictly_less", "2023-01-10", less("occurred_on", date(2023, 1, 10))),
    ("occurred_on__strictly_less", "2023-01-10T00:00", less("occurred_on", date(2023, 1, 10))),
    ("length_km__strictly_less", "1.5", less("length_km", Decimal("1.5"))),
    ("departement__isnull", "", lambda r: r["departement"] is None),
    ("departement__isnotnull", "", lambda r: r["departement"] is not None),
]


@pytest.mark.parametrize(("parameter", "value", "keeps"), CASES, ids=[f"{case[0]}={case[1]}" for case in CASES])
def test_an_operator_keeps_the_rows_it_names(
    client: httpx.Client, parameter: str, value: str, keeps: Callable[[Row], bool]
) -> None:
    found = client.get(ACCIDENT, params={parameter: value, "page_size": 200}).json()
    expected = [row["accident_id"] for row in ACCIDENTS if keeps(row)]
    assert [row["accident_id"] for row in found["data"]] == expected[:200]
    assert found["meta"]["total"] == len(expected)


def test_filters_must_all_hold_and_links_keep_them(client: httpx.Client) -> None:
    rows = every_row(client, f"{ACCIDENT}?departement__isnotnull&injured__greater=2&injured__less=4&page_size=30")
    expected = [r for r in ACCIDENTS if r["departement"] and r["injured"] in (2, 3, 4)]
    assert [row["accident_id"] for row in rows] == [row["accident_id"] for row in expected]


def test_as_of_reads_the_release_of_that_day(client: httpx.Client) -> None:
    assert len(rows_of(client, ACCIDENT, as_of="2024-01-31")) == 3
    assert len(rows_of(client, ACCIDENT, as_of="2024-02-28", departement__exact="01")) == 1
    assert len(rows_of(client, ACCIDENT, as_of="2024-03-01", page_size=200)) == 200
    missing = problem_of(client.get("/curated/mart_day", params={"as_of": "2024-02-01"}), 404)
    assert "released by 2024-02-01" in missing["detail"]
    assert problem_of(client.get(ACCIDENT, params={"as_of": "2023-01-01"}), 404)["detail"].endswith("Known: none.")


def test_as_of_keeps_the_raw_rows_extracted_by_that_day(client: httpx.Client) -> None:
    rows = every_row(client, RAW, as_of="2024-01-15", page_size=200, numero__contains="-1")
    assert {row["_extraction_date"] for row in rows} == {"2024-01-01"}
    assert len(rows) == FILES / 2 * 11
    assert every_row(client, RAW, as_of="2023-12-31") == []


# Refusals


@pytest.mark.parametrize(
    ("path", "nearest"),
    [
        ("/curated/fct_acident", "fct_accident"),
        ("/raw/accidents__lieu", "accidents__lieux"),
        ("/staging/stg_accident/schema", "stg_accidents__lieux"),
        ("/curated/FCT_ACCIDENT", None),
        ("/curatd", "/curated"),
        ("/curatd/fct_accident", "/curated"),
        ("/heath", "/health"),
        ("/nothing/at/all/here", None),
        (f"/curated/{quote(INJECTED)}", "fct_accident"),
        (f"/curated/{quote('../bronze/accidents__lieux', safe='')}", None),
    ],
)
def test_an_unknown_address_is_a_404_with_the_nearest(client: httpx.Client, path: str, nearest: str | None) -> None:
    problem = problem_of(client.get(path), 404)
    assert problem.get("nearest") == nearest, problem
    assert problem["type"].startswith("urn:problem-type:odh:unknown-")


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"injured__exact": "many"}, "Column 'injured' is INTEGER and cannot hold 'many'"),
        ({"injured__less": "1.5"}, "cannot hold '1.5'"),
        ({"injured__in": "1,x"}, "cannot hold 'x'"),
        ({"injured__exact": ""}, "cannot hold ''"),
        ({"injured__exact": "99999999999"}, "cannot hold '99999999999'"),
        ({"length_km__exact": "1.005"}, "Column 'length_km' is DECIMAL(9,2)"),
        ({"occurred_on__exact": "31/12/2023"}, "Column 'occurred_on' is DATE"),
        ({"occurred_on__less": "2023-01-01T12:00"}, "Column 'occurred_on' is DATE"),
        ({"is_night__exact": "perhaps"}, "Column 'is_night' is BOOLEAN"),
        ({"speed__exact": "1,5"}, "Column 'speed' is DOUBLE"),
        ({"departement__exakt": "1"}, "Did you mean 'exact'?"),
        ({"department__exact": "1"}, "Did you mean 'departement'?"),
        ({"columns": "note,x"}, "There is no column named 'x'"),
        ({"columns": "count(*)"}, "There is no column named 'count(*)'"),
        ({"page": "0"}, "page='0'"),
        ({"page_size": "201"}, "page_size='201'"),
        ({"page": str(10**30)}, "page="),
        ({"page": "one"}, "page='one'"),
        ({"as_of": "yesterday"}, "as_of='yesterday'"),
        ({"as_of": "0"}, "as_of='0'"),
        ({"cursor": "x"}, "cursor='x' is no cursor"),
        ({"format": "xml"}, "There is no format named 'xml'"),
        ({"departement__groupby": "x"}, "write departement__groupby alone"),
        ({"departement__sum": ""}, "Column 'departement' is VARCHAR and has no sum"),
        ({"departement__count": "", "columns": "note"}, "an aggregation shows its groups and values"),
        ({"departement__groupby": "", "injured__sort": "asc"}, "There is no column named 'injured'"),
        ({"or": "(departement__exact.01"}, "')' was expected at character 23"),
        ({"or": "(departement__exact.01,injured__exact.x)"}, "cannot hold 'x'"),
        ({"and": "(departement__exakt.01)"}, "Did you mean 'exact'?"),
        ({"or": "(" + "and(" * 20 + "note__isnull" + ")" * 21}, "the most is 10"),
        ({"departement__sort": "asc; drop table x"}, "write departement__sort=asc"),
        ({'departement" or 1=1 --__exact': "01"}, "There is no column named"),
        ({"t.departement__exact": "01"}, "There is no column named"),
        ({"filename__contains": "parquet"}, "There is no column named 'filename'"),
        ({"departement__exact": "01", "departement": "01"}, "write departement__exact=value"),
    ],
    ids=str,
)
def test_a_bad_parameter_is_a_400_that_names_it(client: httpx.Client, parameters: Row, words: str) -> None:
    problem = problem_of(client.get(ACCIDENT, params=parameters), 400)
    assert words in problem["detail"], problem["detail"]


@pytest.mark.parametrize(
    "value", ["' or '1'='1", "'; drop table x; --", '"', "\\", "\x00", "?", "{column}", "%27", "$1", "é" * 2000]
)
def test_a_value_is_only_ever_a_value(client: httpx.Client, value: str) -> None:
    for operator in ("exact", "contains", "strictly_less"):
        found = client.get(ACCIDENT, params={f"accident_id__{operator}": value, "page_size": 200}).json()
        assert {row["accident_id"] for row in found["data"]} <= {row["accident_id"] for row in ACCIDENTS}
        expected = [row for row in ACCIDENTS if operator == "strictly_less" and row["accident_id"] < value]
        assert found["meta"]["total"] == len(expected)


@pytest.mark.parametrize("path", ["/curated?as_off=2024-01-01", f"{ACCIDENT}/schema?page=2"])
def test_an_endpoint_refuses_parameters_it_does_not_take(client: httpx.Client, path: str) -> None:
    assert "Known: as_of" in problem_of(client.get(path), 400)["detail"]


def test_a_verb_that_is_not_served_is_a_405_that_says_which_is(client: httpx.Client) -> None:
    answer = client.post(ACCIDENT, json={})
    assert answer.headers["allow"] == "GET"
    assert "use GET" in problem_of(answer, 405)["detail"]
