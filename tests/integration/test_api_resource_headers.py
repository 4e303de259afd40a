"""Resources whose silver table a model renames: the tabular API's addresses keep the columns of the published file."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import httpx
import pyarrow as pa
import pytest
import yaml
from api_lake import PEOPLE_FEED, LakeWriter, serving
from conftest import lake_settings
from lakes import odh, sql

from catalog.settings import Settings
from ingestion.sample.portal import running_portal

DAY = "2024-06-01"
Row = dict[str, str]


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory, sample_folder: Path) -> Settings:
    """The sample's accidents, loaded and built by the models of the project."""
    with running_portal(sample_folder, as_of=date.fromisoformat(DAY)) as url:
        settings = lake_settings(tmp_path_factory.mktemp("headers") / "lake", portal_url=url)
        odh(settings, "run", "accidents", "--extraction-date", DAY)
    return settings


@pytest.fixture(scope="module")
def resource(lake: Settings) -> str:
    """The id of the accidents of 2019 on the portal."""
    named = "select resource_id from ops.loads where table_name = 'accidents__caracteristiques'"
    [(found,)] = sql(lake, f"{named} and source_file = 'caracteristiques-2019.csv'")
    return str(found)


@pytest.fixture(scope="module")
def published(sample_folder: Path) -> list[Row]:
    """The rows of its file."""
    [file] = sample_folder.glob("datasets/*/2019/caracteristiques-2019.csv")
    with file.open(encoding="utf-8", newline="") as opened:
        return list(csv.DictReader(opened, delimiter=";"))


@pytest.fixture(scope="module")
def client(lake: Settings) -> Iterator[httpx.Client]:
    with serving(lake) as client:
        yield client


def data(client: httpx.Client, resource: str, **parameters: Any) -> list[dict[str, Any]]:
    answer = client.get(f"/api/resources/{resource}/data/json/", params=parameters)
    assert answer.status_code == 200, answer.text
    rows: list[dict[str, Any]] = answer.json()
    page = client.get(f"/api/resources/{resource}/data/", params={"page_size": 50, **parameters}).json()
    assert (page["meta"]["total"], page["data"]) == (len(rows), rows[:50])
    return rows


def number(text: str) -> float | None:
    return float(text.replace(",", ".")) if text else None


def numbers(rows: list[Row], header: str) -> list[float]:
    return [value for row in rows if (value := number(row[header])) is not None]


def test_every_row_has_the_columns_of_the_file_and_its_values(
    client: httpx.Client, resource: str, published: list[Row]
) -> None:
    rows = data(client, resource)
    assert [row["__id"] for row in rows] == list(range(1, len(published) + 1))
    assert {tuple(row) for row in rows} == {("__id", *published[0])}
    for row, told in zip(rows, published, strict=True):
        texts, measured = ("Num_Acc", "hrmn", "dep", "com"), ("lum", "lat", "long")
        assert [row[header] for header in texts] == [told[header] or None for header in texts]
        assert [row[header] for header in measured] == [number(told[header]) for header in measured]


def test_a_filter_names_a_column_by_its_header(client: httpx.Client, resource: str, published: list[Row]) -> None:
    third = published[2]["Num_Acc"]
    [row] = data(client, resource, Num_Acc__exact=third, columns="lat,Num_Acc")
    assert row == {"lat": number(published[2]["lat"]), "Num_Acc": third}


def test_numbers_are_compared_and_sorted_as_numbers(client: httpx.Client, resource: str, published: list[Row]) -> None:
    expected = sorted(value for value in numbers(published, "lat") if value <= 9.5)
    as_texts = [row["lat"] for row in published if row["lat"] and row["lat"] <= "9.5"]
    assert 0 < len(expected) < len(as_texts)  # or the sample could not tell numbers from texts
    assert [row["lat"] for row in data(client, resource, lat__less="9.5", lat__sort="asc")] == expected
    answer = client.get(f"/api/resources/{resource}/data/?lat__max&lum__sum").json()
    assert answer["data"] == [{"lat__max": max(numbers(published, "lat")), "lum__sum": sum(numbers(published, "lum"))}]


def test_profile_and_swagger_tell_the_same_columns(client: httpx.Client, resource: str, published: list[Row]) -> None:
    profile = client.get(f"/api/resources/{resource}/profile/").json()["profile"]
    assert profile["header"] == list(published[0])
    assert (profile["columns"]["lat"]["python_type"], profile["columns"]["com"]["python_type"]) == ("float", "string")
    assert profile["profile"]["lat"]["max"] == max(numbers(published, "lat"))
    described = yaml.safe_load(client.get(f"/api/resources/{resource}/swagger/").text)
    parameters = {one["name"] for one in described["paths"][f"/api/resources/{resource}/data/"]["get"]["parameters"]}
    assert {f"{header}__exact" for header in published[0]} <= parameters
    assert "lat__avg" in parameters
    assert not {"com__avg", "latitude__exact"} & parameters


def test_a_caller_who_may_not_read_raw_has_the_columns_of_the_model(lake: Settings, resource: str) -> None:
    with serving(lake.model_copy(update={"api_access": "keys"})) as client:
        assert client.get(f"/api/resources/{resource}/").json()["layer"] == "staging"
        [row] = client.get(f"/api/resources/{resource}/data/", params={"page_size": 1}).json()["data"]
        assert {"accident_id", "latitude"} <= row.keys()
        assert not {"Num_Acc", "lat"} & row.keys()
    public = {"api_access": "keys", "api_public": "raw:read staging:read"}
    with serving(lake.model_copy(update=public)) as client:
        assert client.get(f"/api/resources/{resource}/").json()["layer"] == "raw"


MASKED = PEOPLE_FEED.replace("restricted: true", "restricted: false") + "    personal_data: {name: drop}\n"


@pytest.mark.parametrize(
    ("feed", "layer"),
    [
        pytest.param(PEOPLE_FEED.replace("restricted: true", "restricted: false"), "raw", id="open"),
        pytest.param(PEOPLE_FEED, "staging", id="restricted"),
        pytest.param(MASKED, "staging", id="masked"),
    ],
)
def test_columns_that_silver_lacks_are_shown_only_where_bronze_may_be(tmp_path: Path, feed: str, layer: str) -> None:
    writer, day = LakeWriter(tmp_path), date(2024, 1, 1)
    (writer.settings.lake / "feeds").mkdir(parents=True)
    (writer.settings.lake / "feeds" / "people.yml").write_text(feed)
    writer.load("people__t", [{"name": "Durand", "age": "40"}], day, "people", {"name": "Nom", "age": "Âge"})
    silver = pa.table({"age": [40], "_resource_id": ["people"]})
    writer.release(day, {("silver", "stg_people__t"): silver}, {})
    with serving(writer.settings) as client:
        assert client.get("/api/resources/people/").json()["layer"] == layer
        [row] = client.get("/api/resources/people/data/json/").json()
    assert ("Nom" in row) == (layer == "raw")
    assert "Âge" in row
