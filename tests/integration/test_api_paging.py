"""Pages, groups and whole results of one table, read from its native copy and from Iceberg: the same rows both ways."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from api_lake import LakeWriter, rows_of, serving

from api.tables import Layer, Tables
from catalog.registry import load_registry
from catalog.settings import Settings

ROWS = 230
TABLE = "/curated/fct_stop"
SCHEMA = pa.schema(
    [
        ("n", pa.int64()),
        ("line", pa.string()),
        ("delay", pa.float64()),
        ("fare", pa.decimal128(9, 2)),
        ("seen_at", pa.timestamp("us", tz="UTC")),
        ("day", pa.date32()),
        ("tags", pa.list_(pa.string())),
    ]
)
Row = dict[str, Any]


def stop(number: int) -> Row:
    """One row; lines, delays, fares and days tie, and all but the number are null somewhere."""
    return {
        "n": number,
        "line": ["A", "b,é", None, 'x"y', ""][number % 5],
        "delay": [1.5, None, float("nan"), -0.1, 1e20, 0.1 * number][number % 6],
        "fare": None if number % 7 == 3 else Decimal(number % 4) + Decimal("0.05"),
        "seen_at": None if number % 9 == 2 else datetime(2024, 3, 1, tzinfo=UTC) + timedelta(seconds=number // 3),
        "day": date(2024, 3, 1) + timedelta(days=number % 11),
        "tags": None if number % 4 == 0 else ["à", "b"][: number % 3],
    }


STOPS = [stop(number) for number in range(ROWS)]


def table_of(rows: list[Row]) -> pa.Table:
    return pa.Table.from_pylist(rows, SCHEMA)


def make_copies(settings: Settings) -> None:
    """Have the present release copied, as a gateway that was asked for its tables does."""
    with Tables(settings, load_registry(settings)) as tables:
        for table in tables.of_layer(Layer.CURATED, None):
            tables.relation(table)
        tables.copies.wait()
        assert all(tables.relation(table).row for table in tables.of_layer(Layer.CURATED, None))


@pytest.fixture(scope="module", params=["copy", "iceberg"])
def lake(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> LakeWriter:
    writer = LakeWriter(tmp_path_factory.mktemp("paging"))
    tables = {("gold", "fct_stop"): table_of(STOPS), ("gold", "dim_none"): table_of([])}
    writer.release(date(2024, 3, 1), tables, {})
    if request.param == "iceberg":
        writer.settings = writer.settings.model_copy(update={"serving_max_bytes": 0})
    else:
        make_copies(writer.settings)
    return writer


@pytest.fixture(scope="module")
def client(lake: LakeWriter) -> Iterator[httpx.Client]:
    with serving(lake.settings) as client:
        yield client


def every_page(client: httpx.Client, path: str = TABLE, **parameters: Any) -> list[Row]:
    """Rows of all pages, each found by the link of the one before, and by the link back."""
    rows: list[Row] = []
    page = client.get(path, params=parameters or None).json()
    while True:
        rows += page["data"]
        assert page["meta"]["page"] == (len(rows) - len(page["data"])) // page["meta"]["page_size"] + 1
        if page["links"]["next"] is None:
            assert len(rows) == page["meta"]["total"]
            return rows
        following = client.get(page["links"]["next"]).json()
        assert client.get(following["links"]["prev"]).json()["data"] == page["data"]
        page = following


# Pages


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"line__isnull": ""},
        {"n__greater": "100", "line__differs": "A"},
        {"line__sort": "asc"},
        {"line__sort": "desc", "delay__sort": "asc"},
        {"delay__sort": "desc", "fare__sort": "desc"},
        {"seen_at__sort": "desc", "line__isnotnull": ""},
        {"fare__sort": "asc", "day__sort": "desc", "n__strictly_less": "200"},
        {"n__sort": "desc", "columns": "day,n"},
    ],
    ids=str,
)
def test_pages_by_cursor_hold_what_one_large_page_does(client: httpx.Client, parameters: dict[str, str]) -> None:
    first = client.get(TABLE, params={**parameters, "page_size": 200}).json()
    second = client.get(TABLE, params={**parameters, "page_size": 200, "page": 2}).json()
    assert every_page(client, **parameters, page_size=17) == first["data"] + second["data"]


def test_rows_come_in_their_stored_order(client: httpx.Client) -> None:
    assert [row["n"] for row in every_page(client, page_size=50)] == list(range(ROWS))


def test_a_page_number_beside_a_cursor_is_a_page_of_the_same_state(client: httpx.Client) -> None:
    link = httpx.URL(client.get(TABLE, params={"page_size": 20}).json()["links"]["next"])
    found = client.get(link.copy_set_param("page", "5")).json()
    assert ([row["n"] for row in found["data"]], found["meta"]["page"]) == (list(range(80, 100)), 5)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"cursor": "AAAA"}, "is no cursor"),
        ({"cursor": "é"}, "is no cursor"),
        ({"line__exact": "A"}, "belongs to another table, filter or sort"),
        ({"n__sort": "asc"}, "belongs to another table, filter or sort"),
    ],
    ids=str,
)
def test_a_cursor_of_something_else_is_refused(client: httpx.Client, change: dict[str, str], words: str) -> None:
    link = httpx.URL(client.get(TABLE).json()["links"]["next"])
    answer = client.get(link.copy_merge_params(change))
    assert answer.status_code == 400
    assert words in answer.json()["detail"]


def test_an_altered_cursor_is_refused(client: httpx.Client) -> None:
    link = httpx.URL(client.get(TABLE).json()["links"]["next"])
    token = link.params["cursor"]
    altered = ("B" if token[12] != "B" else "C").join([token[:12], token[13:]])
    answer = client.get(link.copy_set_param("cursor", altered))
    assert (answer.status_code, answer.json()["type"]) == (400, "urn:problem-type:odh:bad-query")


def test_a_table_without_rows_has_one_empty_page(client: httpx.Client) -> None:
    found = client.get("/curated/dim_none").json()
    assert (found["data"], found["meta"]) == ([], {"page": 1, "page_size": 20, "total": 0})
    assert found["links"]["next"] is found["links"]["prev"] is None


# Groups


def grouped(rows: list[Row], column: str) -> dict[Any, list[Row]]:
    found: dict[Any, list[Row]] = {}
    for row in rows:
        found.setdefault(row[column], []).append(row)
    return found


def test_groups_are_counted_and_summed_as_told(client: httpx.Client) -> None:
    parameters = {"line__groupby": "", "fare__count": "", "fare__sum": "", "n__avg": "", "day__max": "", "n__min": ""}
    found = every_page(client, **parameters, n__less="199", page_size=2)
    groups = grouped(STOPS[:200], "line")
    assert [row["line"] for row in found] == [*sorted(line for line in groups if line is not None), None]
    for row in found:
        mine = groups[row["line"]]
        fares = [one["fare"] for one in mine if one["fare"] is not None]
        assert row == {
            "line": row["line"],
            "fare__count": len(fares),
            "fare__sum": f"{sum(fares):.2f}",
            "n__avg": pytest.approx(sum(one["n"] for one in mine) / len(mine)),
            "day__max": max(one["day"] for one in mine).isoformat(),
            "n__min": min(one["n"] for one in mine),
        }


def test_groups_are_sorted_by_what_is_shown(client: httpx.Client) -> None:
    found = every_page(client, line__groupby="", n__sum="", n__sum__sort="desc", page_size=2)
    sums = [row["n__sum"] for row in found]
    assert sums == sorted(sums, reverse=True)
    assert sum(sums) == sum(range(ROWS))


def test_an_aggregate_without_groups_is_one_row(client: httpx.Client) -> None:
    found = client.get(f"{TABLE}?n__max&n__sum&line__exact=A").json()
    numbers = [row["n"] for row in STOPS if row["line"] == "A"]
    assert found["data"] == [{"n__max": max(numbers), "n__sum": sum(numbers)}]
    assert found["meta"]["total"] == 1


@pytest.mark.parametrize(
    ("parameters", "keeps"),
    [
        ({"or": "(line__exact.A,n__less.5)"}, lambda r: r["line"] == "A" or r["n"] <= 5),
        (
            {"or": '(line__exact."b,é",and(n__greater.10,n__strictly_less.20))', "n__less": "100"},
            lambda r: r["n"] <= 100 and (r["line"] == "b,é" or 10 <= r["n"] < 20),
        ),
        ({"or": '(line__isnull,line__in.(A,"b,é"))'}, lambda r: r["line"] in (None, "A", "b,é")),
        ({"and": "(or(n__exact.1,n__exact.2),or(n__exact.2,n__exact.3))"}, lambda r: r["n"] == 2),
        ({"or": '("line"__exact."x""y")'}, lambda r: r["line"] == 'x"y'),
        ({"or": "(delay__exact.1.5)"}, lambda r: r["delay"] == 1.5),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else "",
)
def test_nested_conditions_keep_the_rows_they_name(
    client: httpx.Client, parameters: dict[str, str], keeps: Any
) -> None:
    found = every_page(client, **parameters, page_size=100)
    assert [row["n"] for row in found] == [row["n"] for row in STOPS if keeps(row)]


# Formats


def as_rows(answer: httpx.Response) -> list[Row]:
    """Rows of a CSV, NDJSON, parquet or Arrow answer."""
    kind = answer.headers["content-type"].partition(";")[0]
    if kind == "text/csv":
        return list(csv.DictReader(io.StringIO(answer.text)))
    if kind == "application/x-ndjson":
        return [json.loads(line) for line in answer.text.splitlines()]
    source = pa.BufferReader(answer.content)
    is_parquet = kind == "application/vnd.apache.parquet"
    table = pq.read_table(source) if is_parquet else pa.ipc.open_stream(source).read_all()
    found: list[Row] = table.to_pylist()
    return found


@pytest.mark.parametrize("columns", ["n,line,delay,fare,seen_at,day,tags", "n,line,delay,fare,seen_at,day"])
def test_lines_of_json_are_the_rows_of_the_pages(client: httpx.Client, columns: str) -> None:
    found = client.get(TABLE, params={"format": "ndjson", "columns": columns})
    assert as_rows(found) == every_page(client, page_size=100, columns=columns)


def test_a_csv_file_is_the_whole_result_with_nulls_and_empty_texts_apart(client: httpx.Client) -> None:
    answer = client.get(TABLE, params={"format": "csv", "n__less": 99, "n__sort": "desc"})
    assert answer.headers["content-disposition"] == 'attachment; filename="fct_stop.csv"'
    lines = answer.text.split("\n")
    assert lines[0] == "n,line,delay,fare,seen_at,day,tags"
    assert lines[-2] == "0,A,1.5,0.05,2024-03-01T00:00:00+00:00,2024-03-01,"
    assert '\n98,"x""y",,2.05,' in answer.text
    assert '\n4,"",' in answer.text
    assert float(as_rows(answer)[95]["delay"]) == 1e20
    assert [int(row["n"]) for row in as_rows(answer)] == list(range(99, -1, -1))
    assert json.loads(as_rows(answer)[97]["tags"]) == ["à", "b"]


@pytest.mark.parametrize("form", ["parquet", "arrow"])
def test_columnar_formats_keep_every_value_of_its_type(client: httpx.Client, form: str) -> None:
    found = as_rows(client.get(TABLE, params={"format": form}))
    expected = table_of(STOPS).to_pylist()
    assert str(found) == str(expected)  # NaN is not equal to itself


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("text/csv", "text/csv"),
        ("application/x-ndjson", "application/x-ndjson"),
        ("text/html, application/vnd.apache.parquet;q=0.5, text/csv;q=0.2", "application/vnd.apache.parquet"),
        ("application/vnd.apache.arrow.stream", "application/vnd.apache.arrow.stream"),
        ("text/csv;q=0, */*", "application/json"),
        ("text/html", "application/json"),
    ],
)
def test_accept_chooses_the_format(client: httpx.Client, accept: str, kind: str) -> None:
    answer = client.get(TABLE, params={"n__less": 3}, headers={"Accept": accept})
    assert answer.headers["content-type"].partition(";")[0] == kind
    assert "Accept" in answer.headers["vary"]


@pytest.mark.parametrize("form", ["csv", "ndjson", "parquet", "arrow"])
def test_a_page_of_another_format_is_a_page(client: httpx.Client, form: str) -> None:
    rows = as_rows(client.get(TABLE, params={"format": form, "page": 3, "page_size": 10}))
    assert [int(row["n"]) for row in rows] == list(range(20, 30))
    link = client.get(TABLE, params={"page_size": 10, "n__sort": "desc"}).json()["links"]["next"]
    rows = as_rows(client.get(httpx.URL(link).copy_set_param("format", form)))
    assert [int(row["n"]) for row in rows] == list(range(ROWS - 11, ROWS - 21, -1))


@pytest.mark.parametrize("form", ["csv", "ndjson", "parquet", "arrow"])
def test_nothing_is_a_result_too(client: httpx.Client, form: str) -> None:
    answer = client.get("/curated/dim_none", params={"format": form})
    assert answer.status_code == 200
    assert as_rows(answer) == []


def test_groups_come_in_other_formats_too(client: httpx.Client) -> None:
    found = as_rows(client.get(f"{TABLE}?format=csv&line__groupby&n__sum&n__sum__sort=asc&n__less=9"))
    assert found == [
        {"line": "A", "n__sum": "5"},
        {"line": "b,é", "n__sum": "7"},
        {"line": "", "n__sum": "9"},
        {"line": 'x"y', "n__sum": "11"},
        {"line": "", "n__sum": "13"},
    ]


@pytest.mark.parametrize(
    ("form", "accepted"), [("json", "gzip"), ("csv", "gzip"), ("ndjson", "zstd"), ("json", "zstd")]
)
def test_answers_are_compressed_where_that_is_asked(client: httpx.Client, form: str, accepted: str) -> None:
    request = client.build_request("GET", TABLE, params={"format": form, "page_size": 200})
    request.headers["Accept-Encoding"] = accepted
    answer = client.send(request, stream=True)
    packed = b"".join(answer.iter_raw())
    assert answer.headers["content-encoding"] == accepted
    plain = client.get(TABLE, params={"format": form, "page_size": 200}, headers={"Accept-Encoding": "identity"})
    assert "content-encoding" not in plain.headers
    opened = zstandard.ZstdDecompressor().decompressobj().decompress(packed) if accepted == "zstd" else None
    assert opened in (None, plain.content)
    assert len(packed) < len(plain.content) / 2


def test_a_wrong_value_is_refused_before_a_file_begins(client: httpx.Client) -> None:
    answer = client.get(TABLE, params={"format": "csv", "n__exact": "many"})
    assert (answer.status_code, answer.headers["content-type"]) == (400, "application/problem+json")


# A release in the middle


@pytest.mark.parametrize("with_copies", [True, False], ids=["copy", "iceberg"])
def test_paging_stays_with_its_release_when_another_is_published(tmp_path: Path, with_copies: bool) -> None:
    writer = LakeWriter(tmp_path)
    if not with_copies:
        writer.settings = writer.settings.model_copy(update={"serving_max_bytes": 0})
    writer.release(date(2024, 3, 1), {("gold", "fct_stop"): table_of(STOPS[:90])}, {})
    with serving(writer.settings) as client:
        page = client.get(TABLE, params={"page_size": 30, "n__sort": "desc", "n__less": 80}).json()
        writer.release(date(2024, 3, 2), {("gold", "fct_stop"): table_of(STOPS[5:7] + STOPS)}, {})
        if with_copies:
            make_copies(writer.settings)
        rows = page["data"]
        while page["links"]["next"]:
            page = client.get(page["links"]["next"]).json()
            rows += page["data"]
        assert [row["n"] for row in rows] == list(range(80, -1, -1))
        assert len(rows_of(client, TABLE, page_size=200, n__less=80)) == 83
