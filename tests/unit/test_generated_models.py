"""What a contract makes of rows, asked of DuckDB without dbt, and the files a feed's contracts become."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import pytest
import yaml
from conftest import lake_settings
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st
from written_contracts import contract, feed, put_rows

from catalog.contracts.adopt import adopt, handwritten_models
from catalog.contracts.contract import Contract
from catalog.contracts.model_docs import models_yaml
from catalog.contracts.models import model_sql, prune_models, rejects_select, typed_select, write_models
from catalog.contracts.store import contract_path, write_contract
from catalog.errors import UnknownName, UsageError
from catalog.feed import BadValues
from catalog.functions import install_functions
from catalog.registry import Registry
from catalog.row_choice import current_rows
from catalog.settings import Settings

MODEL = """\
{{ config(schema='silver', tags=['transport']) }}

with

source as (

    {{ current_rows(source('velos', 'velos__stations')) }}

),

typed as (

    select
        *,
        case when fr_text(taux) not in ('nd', 's') then fr_decimal(taux) end as _read_taux,
        fr_integer("order") as _read_order
    from source

),

final as (

    select
        fr_text(code) as code,
        _read_taux as taux,
        case when fr_text(taux) in ('nd', 's') then fr_text(taux) end as taux_reason,
        _read_order as "order",
        coalesce(
            string_split(
                nullif(
                    concat_ws(
                        ',',
                        case when _read_taux is null and fr_text(taux) not in ('nd', 's') then 'taux' end,
                        case when _read_order is null and fr_text("order") is not null then 'order' end
                    ),
                    ''
                ),
                ','
            ),
            []::varchar[]
        ) as _rejected,
        {{ lineage() }}
    from typed

)

select * from final
"""
STATIONS = contract(
    "velos__stations", {"code": "text", "taux": {"type": "decimal", "markers": ["nd", "s"]}, "order": "integer"}
)
REJECT = "_resource_id, _source_line, stage, column_name, raw_text, reason"


@pytest.fixture
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        install_functions(connection)
        yield connection


def typed(connection: duckdb.DuckDBPyConnection, one: Contract, columns: str) -> list[tuple[Any, ...]]:
    select = typed_select(one, f"bronze.{one.table}")
    return connection.execute(f"select {columns} from ({select}) order by _resource_id, _source_line").fetchall()


def rejects(connection: duckdb.DuckDBPyConnection, one: Contract, *stages: str) -> list[tuple[Any, ...]]:
    select = rejects_select(one, f"bronze.{one.table}", stages or ("type",))
    return connection.execute(f"select {REJECT} from ({select}) order by all").fetchall()


# What becomes of rows


def test_a_model_reads_as_people_write_one() -> None:
    assert model_sql(STATIONS) == MODEL


def test_rows_leave_where_the_feed_says_so() -> None:
    leaving = STATIONS.model_copy(update={"bad_values": BadValues.REJECT_ROW})
    assert model_sql(leaving) == MODEL + "where len(_rejected) = 0\n"


def test_each_value_reads_or_is_told_why_not(connection: duckdb.DuckDBPyConnection) -> None:
    rows = [["a", "1,5", "1"], ["b", " nd ", "2"], ["c", "ND", "3.5"], ["d", "", "\u00a0"], ["e", None, None]]
    put_rows(connection, STATIONS, rows)
    assert typed(connection, STATIONS, 'code, taux, taux_reason, "order", _rejected') == [
        ("a", 1.5, None, 1, []),
        ("b", None, "nd", 2, []),
        ("c", None, None, None, ["taux", "order"]),
        ("d", None, None, None, []),
        ("e", None, None, None, []),
    ]
    assert rejects(connection, STATIONS) == [
        ("r1", 4, "type", "order", "3.5", "column order: not an integer"),
        ("r1", 4, "type", "taux", "ND", "column taux: not a decimal"),
    ]


def test_only_the_newest_extraction_of_each_resource_is_read(connection: duckdb.DuckDBPyConnection) -> None:
    put_rows(connection, STATIONS, [["old", "x", "x"]], day=date(2023, 1, 1))
    put_rows(connection, STATIONS, [["new", "1", "y"]])
    name = put_rows(connection, STATIONS, [["other", "1", "z"]], day=date(2022, 1, 1), resource="r2")
    assert typed(connection, STATIONS, "code") == [("new",), ("other",)]
    assert [row[4] for row in rejects(connection, STATIONS)] == ["y", "z"]
    read = connection.execute(f"select code from ({current_rows(name)}) order by code").fetchall()
    assert read == [("new",), ("other",)]
    of_a_query = rejects_select(STATIONS, f"(select * from {name} where code = 'other') as one")
    assert len(connection.execute(of_a_query).fetchall()) == 1


def test_rules_are_told_apart_from_types(connection: duckdb.DuckDBPyConnection) -> None:
    ruled = contract(
        "a__b",
        {
            "code": {"type": "text", "pattern": r"[0-9]{2}"},
            "n": {"type": "integer", "minimum": 0, "maximum": 9.5, "values": ["1", "01", "-3", "12"]},
        },
    )
    put_rows(connection, ruled, [["01", "1"], ["001", "-3"], ["", "12"], [None, "5"], ["02", "un"]])
    assert rejects(connection, ruled) == [("r1", 6, "type", "n", "un", "column n: not an integer")]
    assert rejects(connection, ruled, "schema") == [
        ("r1", 3, "schema", "code", "001", "column code: not as the pattern has it"),
        ("r1", 3, "schema", "n", "-3", "column n: less than 0"),
        ("r1", 4, "schema", "n", "12", "column n: more than 9.5"),
        ("r1", 5, "schema", "n", "5", "column n: not one of the values allowed"),
    ]
    assert typed(connection, ruled, "n, _rejected")[1] == (-3, [])  # it is well typed: it stays


def test_a_pattern_duckdb_cannot_read_is_not_checked_and_that_is_told(connection: duckdb.DuckDBPyConnection) -> None:
    ahead = contract("a__b", {"code": {"type": "text", "pattern": "(?=x)y"}})
    put_rows(connection, ahead, [["z"]])
    assert rejects(connection, ahead, "type", "schema") == []
    assert "Its pattern is not checked: (?=x)y." in models_yaml(feed("a"), [ahead])


def test_words_of_sql_and_of_macros_are_names_like_others(connection: duckdb.DuckDBPyConnection) -> None:
    query = "select keyword_name from duckdb_keywords() where keyword_category <> 'unreserved' order by 1"
    words = connection.execute(query).fetchall()
    names = [*(word for (word,) in words), "t", "pattern", "source", "typed", "bronze", "newest", "seen", "final"]
    keywords = contract("a__b", dict.fromkeys(names, "integer"))
    put_rows(connection, keywords, [["1"] * len(keywords.columns), ["x"] * len(keywords.columns)])
    selected = typed(connection, keywords, "* exclude (_loaded_at)")
    assert selected[0][: len(keywords.columns)] == (1,) * len(keywords.columns)
    assert selected[1][len(keywords.columns)] == [column.name for column in keywords.columns]
    assert len(rejects(connection, keywords)) == len(keywords.columns)


def test_one_pair_of_lambert_93_gives_degrees(connection: duckdb.DuckDBPyConnection) -> None:
    """The pair of the town hall of Paris, and a row without coordinates."""
    arrets = contract("a__arrets", {"x": "lambert93_x", "y": "lambert93_y", "lambert93_latitude": "text"})
    put_rows(connection, arrets, [["652469.02", "6862035.26", "L"], ["", "", ""]])
    names = "x, lambert93_latitude, lambert93_longitude, lambert93_latitude_2"
    query = f"select {names} from ({typed_select(arrets, 'bronze.a__arrets')}) order by x"
    x, text, longitude, latitude = connection.execute(query).fetchone() or ()
    assert (x, text) == (652469.02, "L")
    assert (longitude, latitude) == (pytest.approx(2.3522, abs=2e-3), pytest.approx(48.8566, abs=2e-3))
    [(missing,)] = connection.execute(f"select count(*) from ({query}) where lambert93_longitude is null").fetchall()
    assert missing == 1


def test_two_pairs_of_lambert_93_are_left_to_people(connection: duckdb.DuckDBPyConnection) -> None:
    lignes = contract("a__l", {"x1": "lambert93_x", "y1": "lambert93_y", "x2": "lambert93_x", "y2": "lambert93_y"})
    put_rows(connection, lignes, [["652469", "6862035", "652469", "6862035"]])
    found = connection.execute(f"select * from ({typed_select(lignes, 'bronze.a__l')})")
    assert "lambert93_longitude" not in [column[0] for column in found.description]


def test_names_that_clash_get_a_number_and_stay_short(connection: duckdb.DuckDBPyConnection) -> None:
    long = "n" * 63
    clash = contract(
        "a__b",
        {
            "x": {"type": "integer", "markers": ["nd"]},
            "x_reason": "text",
            "x_reason_2": "text",
            long: {"type": "integer", "markers": ["nd"]},
            "geo": "point_lat_lon",
            "geo_longitude": "text",
        },
    )
    put_rows(connection, clash, [["nd", "a", "b", "nd", "48.5, 2.25", "c"]])
    found = connection.execute(typed_select(clash, "bronze.a__b"))
    row = dict(zip([column[0] for column in found.description], found.fetchone() or (), strict=True))
    reason = f"{'n' * 56}_reason"
    assert {name: row[name] for name in ("x_reason", "x_reason_2", "x_reason_3", reason)} == {
        "x_reason": "a",
        "x_reason_2": "b",
        "x_reason_3": "nd",
        reason: "nd",
    }
    assert (row["geo"], row["geo_longitude"], row["geo_longitude_2"], row["geo_latitude"]) == (
        "48.5, 2.25",
        "c",
        2.25,
        48.5,
    )
    described = yaml.safe_load(models_yaml(feed("a"), [clash]))["models"][0]["columns"]
    assert [column["name"] for column in described] == list(row)


TEXTS = st.lists(
    st.one_of(
        st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=12),
        st.sampled_from(["nd", "12", "1,5", "01/02/2024", "oui", "{{ x }}", "{%", "l'an", "\u00a0", "nan", "1e9"]),
    ),
    min_size=1,
    max_size=20,
)


@examples(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(texts=TEXTS, own=TEXTS)
def test_no_value_is_lost_in_silence(connection: duckdb.DuckDBPyConnection, texts: list[str], own: list[str]) -> None:
    """Whatever the text: it reads, or it says why, or it is listed and in the rejects; or it was blank."""
    kinds = ("integer", "decimal", "date", "boolean", "text")
    wide = contract("a__b", {kind: {"type": kind, "markers": own[:2]} for kind in kinds})
    connection.execute("drop table if exists bronze.a__b")
    put_rows(connection, wide, [[text] * len(kinds) for text in texts])
    states = ", ".join(
        f"(\"{kind}\" is not null)::int + ({kind}_reason is not null)::int + list_contains(_rejected, '{kind}')::int"
        for kind in kinds
    )
    listed = 0
    for text, row in zip(texts, typed(connection, wide, f"{states}, len(_rejected)"), strict=True):
        is_blank = connection.execute("select fr_text(?) is null", [text]).fetchone() == (True,)
        assert row[:-1] == (0 if is_blank else 1,) * len(kinds), text
        listed += row[-1]
    assert len(rejects(connection, wide)) == listed


# The files


def test_files_are_written_once_and_stale_ones_removed(settings: Settings) -> None:
    other = contract("velos__lines", {"n": "integer"})
    write_models(settings, feed(), [STATIONS, other])
    folder = settings.generated_models / "velos"
    files = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    assert {path.name for path in files} == {"_velos.yml", "stg_velos__lines.sql", "stg_velos__stations.sql"}
    write_models(settings, feed(), [other, STATIONS])  # whatever their order
    assert {path: path.stat().st_mtime_ns for path in folder.iterdir()} == files
    write_models(settings, feed(), [STATIONS])
    assert {path.name for path in folder.iterdir()} == {"_velos.yml", "stg_velos__stations.sql"}
    assert "velos__lines" not in (folder / "_velos.yml").read_text("utf-8")
    write_models(settings, feed(), [])
    assert not folder.exists()


def test_models_of_feeds_that_are_no_more_are_removed(settings: Settings) -> None:
    prune_models(settings, ["velos"])  # nothing was ever generated
    write_models(settings, feed(), [STATIONS])
    write_models(settings, feed("gone"), [contract("gone__rows", {"n": "integer"})])
    prune_models(settings, ["velos"])
    assert [path.name for path in settings.generated_models.iterdir()] == ["velos"]


def test_every_model_and_column_is_described() -> None:
    told = yaml.safe_load(models_yaml(feed(title="Vélos\n{{ x }}"), [STATIONS]))
    assert told["sources"][0]["description"] == 'Vélos {{ "{" }}{ x }}.'
    [model] = told["models"]
    assert model["config"]["meta"]["owner"] == "tests"
    assert all(column["description"] for column in model["columns"])
    assert [next(iter(test)) for test in model["data_tests"]] == ["reconciles_with_bronze"]


def test_declared_keys_are_tested() -> None:
    keyed = STATIONS.model_copy(update={"keys": ["code", "order"]})
    tests = yaml.safe_load(models_yaml(feed(), [keyed]))["models"][0]["data_tests"]
    assert tests[0]["reconciles_with_bronze"]["arguments"]["keys"] == ["code", '"order"']
    assert tests[1]["unique_combination"]["arguments"] == {"columns": ["code", '"order"']}


# Adoption


@pytest.fixture
def adopting(tmp_path: Path) -> Settings:
    (tmp_path / "project/models/silver/transport").mkdir(parents=True)
    chosen = lake_settings(tmp_path / "lake", dbt_project=tmp_path / "project")
    for one in (STATIONS, contract("velos__lines", {"n": "integer"})):
        write_contract(chosen, one)
    return chosen


@pytest.mark.parametrize(
    "name",
    [
        "velos__stations",
        "stg_velos__stations",
        "silver.stg_velos__stations",
        "bronze.velos__stations",
        "velos.stations",
    ],
)
def test_adoption_moves_model_yaml_and_source(adopting: Settings, name: str) -> None:
    folder = adopting.dbt_project / "models/silver/transport"
    files = [folder / "stg_velos__stations.sql", folder / "stg_velos__stations.yml"]
    assert "stg_velos__stations" not in handwritten_models(adopting)
    assert adopt(adopting, Registry([feed()]), name) == files
    assert files[0].read_text("utf-8") == MODEL
    told = yaml.safe_load(files[1].read_text("utf-8"))
    assert [table["name"] for table in told["sources"][0]["tables"]] == ["velos__stations"]
    assert [model["name"] for model in told["models"]] == ["stg_velos__stations"]
    assert "stg_velos__stations" in handwritten_models(adopting)
    assert not contract_path(adopting, "velos__stations").exists()
    left = adopting.generated_models / "velos"
    assert {path.name for path in left.iterdir()} == {"_velos.yml", "stg_velos__lines.sql"}
    assert "velos__stations" not in (left / "_velos.yml").read_text("utf-8")


def test_what_cannot_be_adopted_is_told(adopting: Settings) -> None:
    registry = Registry([feed()])
    with pytest.raises(UnknownName, match="Did you mean 'velos__stations'"):
        adopt(adopting, registry, "velos.station")
    adopt(adopting, registry, "velos.stations")
    with pytest.raises(UsageError, match=r"written by hand already, in .*stg_velos__stations\.sql"):
        adopt(adopting, registry, "velos.stations")


def test_a_project_that_cannot_be_written_to_keeps_the_contract(adopting: Settings) -> None:
    folder = adopting.dbt_project / "models/silver/transport"
    folder.rmdir()
    folder.write_text("in the way")
    with pytest.raises(UsageError, match="cannot be written to"):
        adopt(adopting, Registry([feed()]), "velos.stations")
    assert contract_path(adopting, "velos__stations").exists()
