"""A build of personal data: what readers get is masked, and the clear values are nowhere a build leaves anything."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import closing
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from api_lake import rows_of, serving
from lakes import sql
from tiny_warehouse import REAL, TinyWarehouse, feed

from catalog.policies import WITHHELD
from catalog.registry import Registry
from catalog.session import open_session

SECRET = "a secret of enough characters"
DAY = date(2024, 1, 1)
COLUMNS = ["id", "nom", "naissance", "code_postal", "telephone", "ville"]
POLICIES = {
    "id": "hash",
    "nom": "hash",
    "naissance": "generalise",
    "code_postal": "generalise",
    "telephone": "drop",
    "ville": "keep",
}
CLEAR = ("Quatrebarbes", "Zyltberg", "0711223344", "0755667788", "19-XQ-7", "75011", "12/05/1980")
PEOPLE = """\
id;nom;naissance;code_postal;telephone;ville
19-XQ-7;Quatrebarbes;12/05/1980;75011;0711223344;Paris
20-XQ-8;Zyltberg;unknown;2A004;0755667788;Ajaccio
21-XQ-9;Quatrebarbes;01/02/1975;97411;;Saint-Denis
22-XQ-7;Zyltberg;too;short
"""
YAML = """\
feed: people
title: People
description: People.
owner: tests
license: lov2
domain: people
source: {dataset: people}
tables:
  - name: lines
    description: One person.
    resources: .
    columns: [nom]
    personal_data: {nom: hash}
"""


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TinyWarehouse]:
    made = TinyWarehouse(tmp_path_factory.mktemp("people"), personal_data_key=SECRET)
    shutil.rmtree(made.project)
    shutil.copytree(REAL, made.project, ignore=shutil.ignore_patterns("models", "seeds", "__pycache__", "tests"))
    shutil.copytree(REAL / "tests/generic", made.project / "tests/generic")  # silver is generated, and has its tests
    table = {"name": "lines", "description": "One person.", "resources": ".", "columns": COLUMNS, "keys": ["id"]}
    made.registry = Registry([feed("people", tables=[{**table, "personal_data": POLICIES}])])
    with closing(made.lakehouse), closing(made.ledger):
        made.load("people", DAY, PEOPLE)
        result = made.build(DAY, "people")
        assert [domain.status for domain in result.domains] == ["built"], result.domains
        yield made


def test_silver_has_masked_values(tiny: TinyWarehouse) -> None:
    columns = "id, nom, naissance::varchar, code_postal::varchar, telephone, ville"
    rows = sql(tiny.settings, f"select {columns} from silver.stg_people__lines order by _source_line")
    ids, names, births, codes, phones, towns = zip(*rows, strict=True)
    assert (births, codes) == (("1980", "U", "1975"), ("75", "2A", "974"))
    assert (phones, towns) == ((None, None, None), ("Paris", "Ajaccio", "Saint-Denis"))
    assert names[0] == names[2] != names[1]
    assert len(set(ids)) == 3
    assert all(len(value) == 32 for value in (*ids, *names))


def test_bronze_and_raw_keep_what_was_received(tiny: TinyWarehouse) -> None:
    rows = sql(tiny.settings, "select nom from bronze.people__lines order by _source_line")
    assert rows == [("Quatrebarbes",), ("Zyltberg",), ("Quatrebarbes",)]


def test_the_clear_values_are_nowhere_a_build_leaves_anything(tiny: TinyWarehouse) -> None:
    seen: dict[str, str] = {}
    with open_session(tiny.settings) as session:
        for schema, names in session.tables().items():
            for name in names if schema not in ("bronze", "raw") else ():
                seen[f"{schema}.{name}"] = str(session.execute(f'from {schema}."{name}"').fetchall())
    lake = tiny.settings.lake
    for path in lake.rglob("*"):
        if path.is_file() and not {"raw", "bronze"} & set(path.relative_to(lake).parts):
            seen[str(path)] = path.read_bytes().decode("utf-8", "replace")
    assert len(seen) > 20
    found = [(place, clear) for place, text in seen.items() for clear in (*CLEAR, SECRET) if clear in text]
    assert found == []


def test_a_record_that_cannot_be_read_is_told_without_its_text(tiny: TinyWarehouse) -> None:
    rejects = sql(tiny.settings, "select source_line, raw_text from ops.rejects where stage = 'decode'")
    assert rejects == [(5, WITHHELD)]


def test_another_policy_is_another_build(tiny: TinyWarehouse) -> None:
    assert tiny.build(DAY, "people").domains[0].status == "unchanged"
    table = tiny.registry.get("people").declared[0].model_dump()
    unset = {**table, "personal_data": {**POLICIES, "surname": "drop"}, "columns": [*COLUMNS, "surname"]}
    before = tiny.registry
    tiny.registry = Registry([feed("people", tables=[unset])])
    [domain] = tiny.build(DAY, "people").domains
    assert (domain.status, "'surname', which no file of the table has" in str(domain.reason)) == ("failed", True)
    tiny.registry = before


@pytest.mark.parametrize(("more", "status"), [({}, 403), ({"serve_restricted": True}, 200)], ids=["restricted", "set"])
def test_the_gateway_keeps_raw_tables_of_restricted_feeds(
    tiny: TinyWarehouse, more: dict[str, Any], status: int
) -> None:
    feeds: Path = tiny.settings.lake / "feeds"
    feeds.mkdir(exist_ok=True)
    (feeds / "people.yml").write_text(YAML)
    with serving(tiny.settings.model_copy(update=more)) as client:
        for path in ("/raw/people__lines", "/raw/people__lines/schema"):
            answer = client.get(path)
            assert (answer.status_code, path) == (status, path)
            if status == 403:
                assert answer.headers["content-type"] == "application/problem+json"
                assert answer.json()["type"] == "urn:problem-type:odh:restricted"
        listed = [table["name"] for table in client.get("/raw").json()["data"]]
        assert listed == ([] if status == 403 else ["people__lines"])
        assert len(rows_of(client, "/staging/stg_people__lines")) == 3
