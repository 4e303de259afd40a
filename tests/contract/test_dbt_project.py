"""The dbt project holds to its own rules, seen by building it once on bronze tables that are all empty."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pytest

from catalog.dbt import HISTORY, _models
from catalog.feed import FeedTable, Mode
from catalog.lineage import read_edges
from catalog.names import bronze_table, quote_identifier
from catalog.registry import load_registry
from catalog.settings import Settings

PROJECT = Settings().dbt_project
ICEBERG_TYPES = {"VARCHAR", "BOOLEAN", "INTEGER", "BIGINT", "DOUBLE", "DATE", "TIMESTAMP", "TIMESTAMP WITH TIME ZONE"}
LINEAGE = {
    "_resource_id": "varchar",
    "_extraction_date": "date",
    "_source_file": "varchar",
    "_source_member": "varchar",
    "_source_line": "bigint",
    "_loaded_at": "timestamptz",
}


@dataclass(frozen=True)
class Built:
    """What one build of the whole project left behind."""

    exit_code: int
    output: str
    manifest: dict[str, Any]
    columns: dict[str, dict[str, str]]  # model → column → type
    rows: dict[str, int]

    def nodes(self, kind: str) -> Iterator[dict[str, Any]]:
        """The manifest's nodes of one kind."""
        return (node for node in self.manifest["nodes"].values() if node["resource_type"] == kind)

    def tables(self) -> Iterator[dict[str, Any]]:
        """Models that are tables; those that others take in are none."""
        return (node for node in self.nodes("model") if node["config"]["materialized"] == "table")


def domains(built: Built) -> set[str]:
    return {tag for node in built.nodes("model") for tag in node["tags"]}


def bronze_tables(lake: Path) -> dict[str, FeedTable]:
    return load_registry(Settings(lake=lake)).bronze_tables()


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    folder = tmp_path_factory.mktemp("dbt")
    database = folder / "private.duckdb"
    with duckdb.connect(str(database)) as connection:
        connection.execute("create schema bronze")
        for name, table in bronze_tables(folder).items():
            columns = {**dict.fromkeys(table.columns, "varchar"), **LINEAGE, "_replaced_on": "date"}
            body = ", ".join(f"{quote_identifier(column)} {kind}" for column, kind in columns.items())
            connection.execute(f"create table bronze.{quote_identifier(name)} ({body})")
    command = ["build", "--project-dir", str(PROJECT), "--profiles-dir", str(PROJECT), "--target", "private"]
    command += ["--target-path", str(folder / "target"), "--log-path", str(folder), "--no-use-colors"]
    done = subprocess.run(
        [sys.executable, "-c", "from dbt.cli.main import cli; cli()", *command],
        cwd=PROJECT,
        env={**os.environ, "DBT_DUCKDB_PATH": str(database), "DO_NOT_TRACK": "1", "ODH_LAKE": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )
    found: dict[str, dict[str, str]] = defaultdict(dict)
    with duckdb.connect(str(database), read_only=True) as connection:
        for table, column, kind in connection.execute(
            "select table_name, column_name, data_type from information_schema.columns"
            " where table_schema in ('silver', 'gold') order by ordinal_position"
        ).fetchall():
            found[table][column] = kind
        rows = dict(
            connection.execute(
                "select table_name, estimated_size from duckdb_tables() where schema_name in ('silver', 'gold')"
            ).fetchall()
        )
    manifest = json.loads((folder / "target" / "manifest.json").read_text("utf-8"))
    return Built(done.returncode, done.stdout, manifest, found, rows)


def test_project_builds_green_on_empty_bronze(built: Built) -> None:
    assert built.exit_code == 0, built.output[-4000:]
    assert " WARN=0 ERROR=0 SKIP=0 " in built.output
    # the calendar and the unknown members stand without any data; nothing else may appear out of nothing
    assert [name for name, count in built.rows.items() if count and not name.startswith("dim_")] == []


def test_every_model_was_built_with_types_that_iceberg_has(built: Built) -> None:
    assert set(built.columns) == {node["name"] for node in built.tables()}
    odd = {
        f"{table}.{column}": kind
        for table, columns in built.columns.items()
        for column, kind in columns.items()
        if kind not in ICEBERG_TYPES and not kind.startswith("DECIMAL")
    }
    assert odd == {}


def test_every_column_is_described(built: Built) -> None:
    told = {model.name: model.columns for domain in domains(built) for model in _models(built.manifest, domain)}
    for node in built.tables():
        described = {name for name, description in told[node["name"]].items() if description}
        assert described == set(built.columns[node["name"]]), node["name"]
    for node in built.nodes("model"):
        assert node["description"].strip(), node["name"]
        assert node["config"]["meta"]["owner"], node["name"]


def test_histories_have_the_columns_of_their_live_models(built: Built) -> None:
    """One base model types both, so that they can never differ; only tables of mode append have no history."""
    histories = {name for name in built.columns if name.endswith(HISTORY)}
    for name in histories:
        live = built.columns[name.removesuffix(HISTORY)]
        assert built.columns[name] == {**live, "valid_from": "DATE", "valid_to": "DATE", "is_current": "BOOLEAN"}
    tables = bronze_tables(PROJECT / "target" / "no-lake")
    assert histories == {f"stg_{name}{HISTORY}" for name, table in tables.items() if table.mode is not Mode.APPEND}


def test_sources_are_the_feeds_tables(built: Built, tmp_path: Path) -> None:
    declared = {source["identifier"] for source in built.manifest["sources"].values()}
    assert declared == set(bronze_tables(tmp_path))


def test_layers_read_only_the_one_before(built: Built) -> None:
    for node in built.nodes("model"):
        parents = node["depends_on"]["nodes"]
        reads_bronze = any(parent.startswith("source.") for parent in parents)
        kind = node["name"].partition("_")[0]
        shared = node["unique_id"].replace(".stg_", ".base_").removesuffix(HISTORY)
        reads_bronze |= kind == "stg" and parents in ([shared], [f"{node['unique_id']}{HISTORY}"])
        assert reads_bronze == (node["schema"] == "silver"), node["name"]
        assert (kind in ("base", "stg")) == (node["schema"] == "silver"), node["name"]
        assert (kind == "base") == (node["config"]["materialized"] == "ephemeral"), node["name"]


def test_gold_has_contracts_and_silver_keeps_lineage(built: Built) -> None:
    for node in built.nodes("model"):
        if node["schema"] == "gold":
            assert node["config"]["contract"]["enforced"], node["name"]
        elif node["config"]["materialized"] == "table":
            assert set(LINEAGE) <= set(built.columns[node["name"]]), node["name"]


def test_every_gold_model_has_a_tested_key(built: Built) -> None:
    tested = {
        test["attached_node"]
        for test in built.nodes("test")
        if test.get("test_metadata", {}).get("name") in {"unique", "unique_combination"}
    }
    gold = {node["unique_id"] for node in built.nodes("model") if node["schema"] == "gold"}
    assert gold - tested == set()


def test_data_dictionary_is_current() -> None:
    done = subprocess.run(
        [sys.executable, str(PROJECT / "data_dictionary.py"), "--check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_lineage_read_from_sql_is_that_of_dbt(built: Built, tmp_path: Path) -> None:
    told: set[tuple[str, str]] = set()
    for model in built.nodes("model"):
        for parent in model["depends_on"]["nodes"]:
            kind, *_, name = parent.split(".")
            if kind == "source":
                told.add((bronze_table(*parent.split(".")[-2:]), model["name"]))
            elif kind == "model":
                told.add((name, model["name"]))
    edges = read_edges(Settings(lake=tmp_path, _env_file=None))  # type: ignore[call-arg]
    assert {(edge.source, edge.target) for edge in edges} == told
