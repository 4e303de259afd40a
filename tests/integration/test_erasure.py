"""Erasure of a person: gone from every place, proven by a look at what is left, and kept away from what comes later."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import pytest
import yaml
from lakes import Answer, kill_odh, odh, sql
from raw_files import put_raw, zipped
from tiny_warehouse import REAL, TinyWarehouse, feed

from catalog.registry import Registry
from catalog.releases import released_pins
from catalog.serving import ServingCopies
from catalog.session import open_duckdb, open_session
from catalog.storage import raw_store
from ingestion.bronze import BronzeLoader
from ingestion.raw import RawZone

SECRET = "a secret of enough characters"
DAYS = [date(2024, 1, 1), date(2024, 1, 2), date(2024, 1, 3)]
HER = "19-XQ-7"
COLUMNS = ["id", "nom", "ville"]
FIRST = f"""\
id;nom;ville
11-AB-1;Martin;Lyon
{HER};Quatrebarbes;Paris
12-AB-2;"Petit
Jean";Lille
{HER};Quatrebarbes;"Paris
11e"
13-AB-3;Durand;Nice
{HER};too short
"""
SECOND = f"id;nom;ville\n11-AB-1;Martin;Lyon\n{HER};Quatrebarbes;Brest\n14-AB-4;Moreau;Dijon\n"
THIRD = f"id;nom;ville\n{HER};Quatrebarbes;Nantes\n15-AB-5;Simon;Metz\n"
GOLD = "{{ config(tags='people') }} select id, nom, count(*) as n from {{ ref('stg_people__lines') }} group by id, nom"
ERASE = ("erase", "people.lines", "--where", f"id={HER}", "--reason", "request 12", "--json")


@dataclass
class Erasure:
    """A lake of two releases that name a person, before and after she is erased."""

    tiny: TinyWarehouse
    before: dict[str, bytes]
    listed: Any
    first: Any
    again: Any
    others: list[tuple[Any, ...]]


def people(folder: Path) -> TinyWarehouse:
    tiny = TinyWarehouse(folder, personal_data_key=SECRET)
    shutil.rmtree(tiny.project)
    shutil.copytree(REAL, tiny.project, ignore=shutil.ignore_patterns("models", "seeds", "__pycache__", "tests"))
    shutil.copytree(REAL / "tests/generic", tiny.project / "tests/generic")
    model = tiny.project / "models/gold/fct_people.sql"
    model.parent.mkdir(parents=True)
    model.write_text(GOLD)
    told = (tiny.project / "dbt_project.yml").read_text()
    (tiny.project / "dbt_project.yml").write_text(told.replace("      +contract:\n        enforced: true\n", ""))
    table = {"name": "lines", "description": "One person.", "resources": ".", "columns": COLUMNS}
    tiny.registry = Registry([feed("people", tables=[table])])
    written = tiny.settings.lake / "feeds" / "people.yml"
    written.parent.mkdir(parents=True)
    dumped = tiny.registry.get("people").model_dump(mode="json", exclude_defaults=True)
    written.write_text(yaml.safe_dump(dumped))
    return tiny


def bytes_of(tiny: TinyWarehouse) -> dict[str, bytes]:
    """Every file of the lake; SQLite's locks are lost where a process closes its file, so none is held meanwhile."""
    tiny.ledger.close()
    tiny.lakehouse.close()
    return {str(path): path.read_bytes() for path in tiny.settings.lake.rglob("*") if path.is_file()}


def serve_copies(tiny: TinyWarehouse) -> None:
    """Have the gateway's copies of all that is released made."""
    with open_duckdb(tiny.settings) as engine, closing(ServingCopies(tiny.settings, tiny.lakehouse, engine)) as copies:
        for pin in released_pins(tiny.ledger):
            copies.ask(pin)
        copies.wait()
    assert list(tiny.settings.serving.glob("silver.stg_people__lines.*.duckdb"))


@pytest.fixture(scope="module")
def erasure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Erasure]:
    tiny = people(tmp_path_factory.mktemp("erased"))
    with closing(tiny.lakehouse), closing(tiny.ledger):
        for day, content in zip(DAYS, (FIRST, SECOND), strict=False):
            tiny.load("people", day, content)
            assert [one.status for one in tiny.build(day, "people").domains] == ["built"]
        kept = f"select * exclude (_loaded_at) from bronze.people__lines where id <> '{HER}' order by all"
        others = sql(tiny.settings, kept)
        serve_copies(tiny)
        before = bytes_of(tiny)
        listed = odh(tiny.settings, *ERASE, "--dry-run").json
        assert {path for path in bytes_of(tiny) if "warehouse" in path or "raw" in path} >= {
            path for path in before if path.endswith((".parquet", ".csv"))
        }
        kill_odh(tiny.settings, ("catalog.erasure:Eraser.erase", "after", 1), *ERASE)
        first, again = odh(tiny.settings, *ERASE), odh(tiny.settings, *ERASE)
        assert sql(tiny.settings, kept) == others
        yield Erasure(tiny, before, listed, _json(first), _json(again), others)


def _json(answer: Answer) -> Any:
    return answer.json


def test_a_dry_run_counts_and_removes_nothing(erasure: Erasure) -> None:
    assert erasure.listed["lines"] == 3
    assert erasure.listed["found"]["bronze.people__lines"] >= 3
    assert erasure.listed["found"]["silver.stg_people__lines"] == 3  # two in the first release, one in the second
    assert erasure.listed["found"]["gold.fct_people"] == 2
    assert [one["lines"] for one in erasure.listed["raw"]] == [4, 1]


def test_what_was_removed_is_told_and_nothing_is_left(erasure: Erasure) -> None:
    assert erasure.first["is_proven"] is True
    assert set(erasure.first["left"].values()) == {0}
    assert erasure.first["removed"]["silver.stg_people__lines"] == 3
    assert erasure.first["removed"]["gold.fct_people"] == 2
    assert erasure.first["removed"]["ops.rejects"] == 1
    assert erasure.first["removed"]["serving"] == 3  # of silver, of its history, of gold
    query = "select what, table_name, rows from ops.removals where reason like 'erasure 1:%'"
    audit = sql(erasure.tiny.settings, query)
    assert {("erased_rows", "stg_people__lines", 3), ("erased_rows", "fct_people", 2)} <= set(audit)


def test_no_remaining_file_of_the_lake_holds_the_person(erasure: Erasure) -> None:
    found = []
    for path, content in bytes_of(erasure.tiny).items():
        text = content.decode("utf-8", "replace")
        if path.endswith(".parquet"):
            text = str(duckdb.execute("from read_parquet(?)", [path]).fetchall())
        found += [path for value in (HER, "Quatrebarbes") if value in text and "/build/" not in path]
    assert found == [], "\n".join(found)
    assert sum(HER.encode() in content for content in erasure.before.values()) > 2  # the look finds what is there


def test_all_other_rows_stay_in_every_release(erasure: Erasure) -> None:
    assert len(erasure.others) == 5
    for day, ids in ((DAYS[0], ["11-AB-1", "12-AB-2", "13-AB-3"]), (DAYS[1], ["11-AB-1", "14-AB-4"])):
        with open_session(erasure.tiny.settings, day) as session:
            for table in ("silver.stg_people__lines", "gold.fct_people"):
                assert session.execute(f"select id from {table} order by id").fetchall() == [(one,) for one in ids]


def test_the_lines_of_a_raw_file_are_emptied_and_the_manifest_says_so(erasure: Erasure) -> None:
    store = raw_store(erasure.tiny.settings)
    manifest = RawZone(store).manifest("people", DAYS[0], "r1")
    assert manifest
    content = store.read_bytes(manifest.key)
    lines = content.decode().split("\n")
    assert lines[1:5] == ["11-AB-1;Martin;Lyon", "", '12-AB-2;"Petit', 'Jean";Lille']
    assert lines[5:] == ["", "", "13-AB-3;Durand;Nice", "", ""]
    [note] = manifest.erasures
    assert note.sha256_before == hashlib.sha256(FIRST.encode()).hexdigest() == manifest.sha256
    assert note.sha256_after == hashlib.sha256(content).hexdigest()


def test_a_second_erasure_removes_nothing(erasure: Erasure) -> None:
    assert erasure.again["erasure_id"] == erasure.first["erasure_id"] == 1
    assert set(erasure.again["removed"].values()) == {0}
    assert erasure.again["raw"] == []
    assert erasure.again["is_proven"] is True


def test_a_later_file_does_not_bring_the_person_back(erasure: Erasure) -> None:
    tiny = erasure.tiny
    put_raw(tiny.settings, "people", DAYS[2], "lines.csv", THIRD.encode())
    odh(tiny.settings, "sync", "people", "--from-raw", "--extraction-date", DAYS[2].isoformat())
    loaded = f"select id from bronze.people__lines where _extraction_date = '{DAYS[2]}'"
    assert sql(tiny.settings, loaded) == [("15-AB-5",)]
    [audit] = sql(tiny.settings, "select rows from ops.removals where reason like 'a later file brought%'")
    assert audit == (1,)
    assert [one.status for one in tiny.build(DAYS[2], "people").domains] == ["built"]
    for table in ("silver.stg_people__lines", "gold.fct_people"):
        assert sql(tiny.settings, f"select id from {table}") == [("15-AB-5",)]
    bytes_of(tiny)  # closes the ledger, as in the fixture
    told = odh(tiny.settings, *ERASE).json
    assert [one["lines"] for one in told["raw"]] == [1], "run again, it finds what raw kept of the later file"
    assert not any(HER.encode() in path.read_bytes() for path in (tiny.settings.lake / "raw").rglob("*.csv"))


def test_what_is_not_there_is_refused(erasure: Erasure) -> None:
    for arguments, said in (
        (("people.line", "--where", "id=1"), "no rows"),
        (("people.lines", "--where", "nome=1"), "has no column 'nome'"),
        (("people.lines", "--where", "id="), "with a value"),
    ):
        answer = odh(erasure.tiny.settings, "erase", *arguments, "--reason", "r", check=False)
        assert (answer.code, said in answer.err) == (2, True), answer.err


def test_a_raw_file_whose_lines_cannot_be_cut_goes_whole_and_its_other_rows_stay(tmp_path: Path) -> None:
    tiny = people(tmp_path)
    with closing(tiny.lakehouse), closing(tiny.ledger):
        content = zipped([("lines.csv", SECOND.encode())])
        manifest = put_raw(tiny.settings, "people", DAYS[0], "lines.zip", content)
        loader = BronzeLoader(tiny.ledger, tiny.lakehouse, RawZone(raw_store(tiny.settings)), tmp_path / "s", "load")
        loader.load(tiny.registry.get("people"), [manifest])
        bytes_of(tiny)  # closes the ledger, as in the fixture
        told = odh(tiny.settings, *ERASE).json
        assert told["is_proven"] is True
        [change] = told["raw"]
        assert change["lines"] is None
        assert "removed whole" in change["why"]
        zone = RawZone(raw_store(tiny.settings))
        kept = zone.manifest("people", DAYS[0], "r1")
        assert kept
        assert not zone.holds(kept)
        assert [note.sha256_after for note in kept.erasures] == [None]
        ids = sql(tiny.settings, "select id from bronze.people__lines order by id")
        assert ids == [("11-AB-1",), ("14-AB-4",)]
