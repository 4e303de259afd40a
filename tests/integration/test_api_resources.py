"""The tabular API's addresses: one resource a table, typed, numbered, by the headers of its file."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any

import httpx
import pyarrow as pa
import pytest
import yaml
from api_lake import LakeWriter, serving
from shared_portal import DATA as SHARED_DATA
from shared_portal import requires_shared

from api.tables import Layer, Tables
from catalog.registry import load_registry

FIRST, SECOND = date(2024, 1, 1), date(2024, 2, 1)
HEADERS = {
    "code_insee": "Code INSEE",
    "places": "Nb places",
    "ouvert": "ouvert",
    "depuis": "depuis",
    "prix": "Prix (€)",
}
ROWS = 45
DATA = "/api/resources/parkings/data/"
Row = dict[str, Any]


def text_rows(start: int, count: int) -> list[dict[str, str | None]]:
    return [
        {
            "code_insee": f"{number:05d}",
            "places": None if number % 10 == 3 else str(number % 7),
            "ouvert": "oui" if number % 2 else "non",
            "depuis": (date(2020, 1, 1) + timedelta(days=number % 30)).isoformat(),
            "prix": f"{number},5",
        }
        for number in range(start, start + count)
    ]


def typed(row: dict[str, str | None], resource: str) -> Row:
    """A row as silver has it."""
    return {
        "code_insee": row["code_insee"],
        "places": None if row["places"] is None else int(row["places"]),
        "ouvert": row["ouvert"] == "oui",
        "depuis": date.fromisoformat(row["depuis"] or ""),
        "prix": float((row["prix"] or "").replace(",", ".")),
        "_resource_id": resource,
        "_extraction_date": SECOND,
    }


def shown(row: dict[str, str | None], number: int) -> Row:
    """A typed row as the tabular API's clients get it."""
    one = typed(row, "")
    values = {"__id": number, **{header: one[name] for name, header in HEADERS.items()}}
    return {**values, "depuis": one["depuis"].isoformat()}


MINE, OTHERS = text_rows(0, ROWS), text_rows(1000, 30)
EXPECTED = [shown(row, number) for number, row in enumerate(MINE, start=1)]


@pytest.fixture(scope="module", params=["copy", "iceberg"])
def lake(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> LakeWriter:
    writer = LakeWriter(tmp_path_factory.mktemp("resources"))
    writer.load("mobility__parking", text_rows(500, 5), FIRST, "parkings", HEADERS)
    writer.load("mobility__parking", OTHERS, FIRST, "others", HEADERS)
    writer.load("mobility__parking", MINE, SECOND, "parkings", HEADERS)
    writer.load("mobility__only_raw", [{"a": "1"}, {"a": "2"}], FIRST, "raw-old", {"a": "A"})
    writer.load("mobility__only_raw", [{"a": "3"}, {"a": "4"}, {"a": "5"}], SECOND, "raw-old", {"a": "A"})
    writer.load("mobility__only_raw", [{"a": "x"}], SECOND, "raw-other", {"a": "A"})
    writer.ledger.record_extraction(
        feed="mobility",
        extraction_date=SECOND,
        resource_id="parkings",
        run_id="test",
        status="stored",
        dataset_id="d1",
        title="Parkings",
        source_url="https://elsewhere.example/parkings.csv",
    )
    silver = [typed(row, "others") for row in OTHERS[:10]]
    silver += [typed(row, "parkings") for row in MINE] + [typed(row, "others") for row in OTHERS[10:]]
    mixed = [{"k": number, "_resource_id": ["parkings", "others"][number % 2]} for number in range(20)]
    tables = {
        ("silver", "stg_mobility__parking"): pa.Table.from_pylist(silver),
        ("silver", "stg_mobility__mixed"): pa.Table.from_pylist(mixed),
    }
    writer.load("mobility__mixed", [{"k": "0"}], SECOND, "parkings", {"k": "k"})
    writer.release(SECOND, tables, {})
    if request.param == "iceberg":
        writer.settings = writer.settings.model_copy(update={"serving_max_bytes": 0})
    else:
        with Tables(writer.settings, load_registry(writer.settings)) as opened:
            for table in opened.of_layer(Layer.STAGING, None):
                opened.relation(table)
            opened.copies.wait()
    return writer


@pytest.fixture(scope="module")
def client(lake: LakeWriter) -> Iterator[httpx.Client]:
    with serving(lake.settings) as client:
        yield client


def rows_at(client: httpx.Client, address: str, **parameters: Any) -> list[Row]:
    """Rows of every page."""
    page = client.get(address, params={"table": "mobility__parking", **parameters}).json()
    rows: list[Row] = page["data"]
    while page["links"]["next"]:
        page = client.get(page["links"]["next"]).json()
        rows += page["data"]
    assert len(rows) == page["meta"]["total"]
    return rows


@pytest.mark.parametrize("page_size", [7, 200])
def test_a_resource_has_its_own_rows_typed_and_numbered_under_the_headers_of_its_file(
    client: httpx.Client, page_size: int
) -> None:
    assert rows_at(client, DATA, page_size=page_size) == EXPECTED


def test_its_envelope_is_that_of_the_tabular_api(client: httpx.Client) -> None:
    found = client.get(DATA, params={"page": 2, "page_size": 20, "table": "mobility__parking"}).json()
    assert found["data"] == EXPECTED[20:40]
    assert found["meta"] == {"page": 2, "page_size": 20, "total": ROWS}
    links = found["links"]
    assert links["profile"] == f"{client.base_url}/api/resources/parkings/profile/"
    assert links["swagger"] == f"{client.base_url}/api/resources/parkings/swagger/"
    assert (httpx.URL(links["next"]).params["page"], httpx.URL(links["prev"]).params["page"]) == ("3", "1")


@pytest.mark.parametrize(
    ("parameters", "keeps"),
    [
        ({"Code INSEE__exact": "00007"}, lambda r: r["Code INSEE"] == "00007"),
        ({"code_insee__exact": "00007"}, lambda r: r["Code INSEE"] == "00007"),
        ({"Nb places__greater": "5"}, lambda r: r["Nb places"] is not None and r["Nb places"] >= 5),
        ({"Nb places__isnull": ""}, lambda r: r["Nb places"] is None),
        ({"__id__less": "3"}, lambda r: r["__id"] <= 3),
        ({"__id__in": "3,40"}, lambda r: r["__id"] in (3, 40)),
        (
            {"ouvert__exact": "true", "depuis__strictly_less": "2020-01-05"},
            lambda r: r["ouvert"] and r["depuis"] < "2020-01-05",
        ),
        ({"or": '("Prix (€)"__less.2,"Code INSEE"__exact."00044")'}, lambda r: r["Prix (€)"] <= 2 or r["__id"] == 45),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else "",
)
def test_filters_name_columns_by_header_or_by_name(client: httpx.Client, parameters: Row, keeps: Any) -> None:
    assert rows_at(client, DATA, **parameters, page_size=4) == [row for row in EXPECTED if keeps(row)]


def test_rows_are_sorted_and_columns_chosen(client: httpx.Client) -> None:
    found = rows_at(client, DATA, **{"Prix (€)__sort": "desc", "columns": "__id,Prix (€)", "page_size": 10})
    assert found == [{"__id": row["__id"], "Prix (€)": row["Prix (€)"]} for row in reversed(EXPECTED)]


def test_a_resource_is_aggregated(client: httpx.Client) -> None:
    found = client.get(f"{DATA}?table=mobility__parking&ouvert__groupby&__id__count&Nb places__max").json()["data"]
    assert found == [
        {"ouvert": False, "__id__count": 23, "Nb places__max": 6},
        {"ouvert": True, "__id__count": 22, "Nb places__max": 6},
    ]


def test_downloads_bring_every_row(client: httpx.Client) -> None:
    answer = client.get(f"{DATA}csv/?table=mobility__parking&__id__less=3")
    assert answer.headers["content-disposition"] == 'attachment; filename="parkings.csv"'
    assert answer.headers["content-type"].startswith("text/csv")
    assert [row["Code INSEE"] for row in csv.DictReader(io.StringIO(answer.text))] == ["00000", "00001", "00002"]
    answer = client.get(f"{DATA}json/?table=mobility__parking")
    assert (answer.json(), answer.headers["content-type"]) == (EXPECTED, "application/json")
    assert client.get(f"{DATA}json/?table=mobility__parking&__id__less=0").json() == []


def test_a_resource_tells_where_it_came_from(client: httpx.Client) -> None:
    found = client.get("/api/resources/parkings/?table=mobility__parking").json()
    assert (found["url"], found["dataset_id"]) == ("https://elsewhere.example/parkings.csv", "d1")
    assert (found["layer"], found["table"]) == ("staging", "stg_mobility__parking")
    assert found["tables"] == ["mobility__mixed", "mobility__parking"]
    assert found["links"] == [
        {"href": f"{client.base_url}/api/resources/parkings/{rel}/", "type": "GET", "rel": rel}
        for rel in ("profile", "data", "swagger")
    ]


def test_rows_that_lie_apart_are_numbered_among_themselves(client: httpx.Client) -> None:
    rows = rows_at(client, DATA, table="mobility__mixed", page_size=3)
    assert rows == [{"__id": number + 1, "k": 2 * number} for number in range(10)]


def test_without_a_released_table_the_newest_rows_come_as_received_numbers_as_numbers(client: httpx.Client) -> None:
    rows = rows_at(client, "/api/resources/raw-old/data/", table="mobility__only_raw", page_size=2)
    assert rows == [{"__id": number, "A": number + 2} for number in (1, 2, 3)]
    assert rows_at(client, "/api/resources/raw-other/data/", table="mobility__only_raw") == [{"__id": 1, "A": "x"}]
    assert client.get("/api/resources/raw-old/").json()["layer"] == "raw"
    earlier = client.get("/api/resources/raw-old/data/", params={"as_of": "2024-01-15"}).json()
    assert [row["A"] for row in earlier["data"]] == [1, 2]


def test_a_profile_tells_types_and_values(client: httpx.Client) -> None:
    found = client.get("/api/resources/parkings/profile/?table=mobility__parking").json()
    assert (found["dataset_id"], found["deleted_at"], found["indexes"]) == ("d1", None, None)
    profile = found["profile"]
    assert profile["header"] == list(HEADERS.values())
    assert profile["columns"]["Nb places"] == {"score": 1.0, "format": "int", "python_type": "int"}
    assert profile["formats"] == {
        "string": ["Code INSEE"],
        "int": ["Nb places"],
        "booleen": ["ouvert"],
        "date": ["depuis"],
        "float": ["Prix (€)"],
    }
    places = [row["Nb places"] for row in EXPECTED if row["Nb places"] is not None]
    told = profile["profile"]["Nb places"]
    assert (told["min"], told["max"], told["nb_distinct"], told["nb_missing_values"]) == (0, 6, 7, ROWS - len(places))
    assert told["mean"] == pytest.approx(sum(places) / len(places))
    assert told["tops"][0]["count"] == max(places.count(value) for value in places)
    assert (profile["total_lines"], profile["nb_duplicates"]) == (ROWS, 0)


def test_the_swagger_describes_what_each_column_takes(client: httpx.Client) -> None:
    answer = client.get("/api/resources/parkings/swagger/?table=mobility__parking")
    described = yaml.safe_load(answer.text)
    parameters = {one["name"] for one in described["paths"][DATA]["get"]["parameters"]}
    assert {"page", "Code INSEE__exact", "Prix (€)__avg", "depuis__sort", "ouvert__groupby"} <= parameters
    assert "Code INSEE__sum" not in parameters


@requires_shared
@pytest.mark.real
def test_answers_have_every_key_of_those_recorded_from_data_gouv_fr(client: httpx.Client) -> None:
    folder = SHARED_DATA / "api" / "datagouv_client"
    recorded = json.loads((folder / "tabular_api_data.json").read_text("utf-8"))
    found = client.get(DATA).json()
    assert found.keys() == recorded.keys()
    assert (found["links"].keys(), found["meta"].keys()) == (recorded["links"].keys(), recorded["meta"].keys())
    assert next(iter(found["data"][0])) == next(iter(recorded["data"][0])) == "__id"
    recorded = json.loads((folder / "tabular_api_profile.json").read_text("utf-8"))
    found = client.get("/api/resources/parkings/profile/?table=mobility__parking").json()
    assert found.keys() == recorded.keys()
    assert found["profile"].keys() == recorded["profile"].keys()
    field, values = recorded["profile"]["columns"]["filesize"], recorded["profile"]["profile"]["filesize"]
    assert found["profile"]["columns"]["Nb places"].keys() == field.keys()
    assert found["profile"]["profile"]["Nb places"].keys() == values.keys()


@pytest.mark.parametrize(
    ("path", "status", "words"),
    [
        ("/api/resources/none/data/", 404, "no loaded resource named 'none'"),
        ("/api/resources/none/", 404, "no loaded resource"),
        (f"{DATA}?table=mobility__parkin", 404, "Did you mean 'mobility__parking'?"),
        (f"{DATA}?table=mobility__parking&Code INSE__exact=1", 400, "Did you mean 'Code INSEE'?"),
        (f"{DATA}?table=mobility__parking&__id__exact=x", 400, "Column '__id' is BIGINT"),
        (f"{DATA}csv/?table=mobility__parking&x=1", 400, "There is no parameter named 'x'"),
        ("/api/resources/parkings/profile/?page=1", 400, "Known: as_of, table"),
        ("/api/resources/parkings'--/data/", 404, "no loaded resource"),
    ],
)
def test_what_is_not_there_is_refused(client: httpx.Client, path: str, status: int, words: str) -> None:
    answer = client.get(path)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json"), answer.text
    assert words in answer.json()["detail"]


def test_raw_rows_need_their_scope_and_typed_ones_do_not(lake: LakeWriter) -> None:
    with serving(lake.settings.model_copy(update={"api_access": "keys"})) as client:
        assert client.get(DATA).status_code == 200
        assert client.get("/api/resources/raw-old/data/").json()["type"] == "urn:problem-type:odh:key-needed"
