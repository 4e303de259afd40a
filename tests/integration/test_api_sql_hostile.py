"""Statements that mean harm: each a clear refusal that tells nothing of the inside, and the gateway serves on."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import date
from pathlib import Path

import duckdb
import httpx
import pyarrow as pa
import pytest
from api_lake import LakeWriter, serving

from catalog.sandbox import Job, JobTable, run
from catalog.sql_check import FORBIDDEN_FUNCTIONS, TABLE_FUNCTIONS

MARKER = "the text of a file nobody may read"
SECRET = "AKIAWORTHKEEPING"


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> LakeWriter:
    writer = LakeWriter(
        tmp_path_factory.mktemp("hostile"),
        sql_concurrency=1,
        sql_memory_bytes=128 * 1024**2,
        sql_spill_bytes=64 * 1024**2,
        sql_max_bytes=1024**2,
        s3_access_key_id=SECRET,
    )
    writer.release(date(2024, 1, 31), {("gold", "fct_a"): pa.table({"id": [1, 2], "n": ["a", "b"]})}, {})
    (writer.folder / "private.csv").write_text(f"a\n{MARKER}\n")
    (writer.folder / "exported").mkdir()  # what a parser that opens the files of IMPORT DATABASE would tell of
    for name in ("schema.sql", "load.sql"):
        (writer.folder / "exported" / name).write_text(f"{MARKER} is no SQL")
    return writer


@pytest.fixture(scope="module")
def client(lake: LakeWriter) -> Iterator[httpx.Client]:
    with serving(lake.settings) as client:
        yield client


READS_FILES = [
    "select * from read_csv('{file}')",
    "select * from read_csv_auto('{file}')",
    "select * from READ_CSV('{file}')",
    "select * from system.main.read_csv('{file}')",
    "select * from \"read_csv\"('{file}')",
    "select * from read_text('{file}')",
    "select * from read_blob('{file}')",
    "select * from read_json('{file}')",
    "select * from read_ndjson_objects('{file}')",
    "select * from read_parquet('{folder}/lake/warehouse/gold/fct_a/data/**/*.parquet')",
    "select * from parquet_metadata('{file}')",
    "select * from sniff_csv('{file}')",
    "select * from glob('{folder}/*')",
    "select * from iceberg_scan('{folder}/lake/warehouse/gold/fct_a')",
    "select * from iceberg_metadata('{folder}/lake/warehouse/gold/fct_a')",
    "select * from read_duckdb('{folder}/lake/ledger.db')",
    "select * from sqlite_scan('{folder}/lake/ledger.db', 'api_keys')",
    "select * from '{file}'",
    'select * from "{file}"',
    "from '{file}'",
    "select (select a from '{file}')",
    "select * from gold.fct_a where n in (select a from read_csv('{file}'))",
    "select * from gold.fct_a order by (select count(*) from '{file}')",
    "select * from gold.fct_a limit (select count(*) from '{file}')",
    "select * from (describe '{file}')",
    "summarize '{file}'",
    "with a as (select * from '{file}') select 1 from a",
    "with a as (with b as (from '{file}') from b) from a",
    "select * from range(1) t(i), lateral (select * from read_text('{file}'))",
    "select sum(id) over (order by (select 1 from '{file}')) from gold.fct_a",
    "select list_transform([1], x -> (select a from '{file}')) from gold.fct_a",
    "select * from gold.fct_a pivot (max(id) for n in (select a from '{file}'))",
    "select 1 union all select a from '{file}'",
    "select * from https://example.org/x.csv",
    "select * from 'https://example.org/x.parquet'",
    "select * from 's3://bucket/x.parquet'",
    "from '/proc/self/environ'",
    "from read_text('/proc/self/cmdline')",
]
TELLS_OF_THE_INSIDE = [
    "select * from duckdb_settings()",
    "select current_setting('temp_directory')",
    "select main.current_setting('temp_directory')",
    "select ('temp_directory').current_setting()",
    "select getenv('PATH')",
    "select getvariable('x')",
    "select * from duckdb_secrets()",
    "select * from which_secret('s3://x', 's3')",
    "select * from duckdb_views()",
    "select * from duckdb_views",
    "select * from system.main.duckdb_views",
    "select * from pg_catalog.pg_views",
    "select * from pg_catalog.pg_settings",
    "select * from sqlite_master",
    "select pg_get_viewdef(0)",
    "select * from information_schema.views",
    "select * from duckdb_functions()",
    "select * from duckdb_extensions()",
    "select * from duckdb_temporary_files()",
    "select * from duckdb_logs",
    "select * from pragma_database_size()",
    "select * from query('select * from duckdb_settings()')",
    "select * from query_table('gold.fct_a')",
    "select * from json_execute_serialized_sql(json_serialize_sql('select 1'))",
    "select json_serialize_plan('select * from gold.fct_a')",
    "select current_query()",
    "select * from histogram_values('gold.fct_a', id)",
    "with duckdb_views as (select * from duckdb_views) select * from duckdb_views",
    "with recursive duckdb_views as (select * from duckdb_views union all select * from duckdb_views) "
    "select * from duckdb_views",
    "select * from (with duckdb_views as (select 1) select * from duckdb_views), duckdb_views",
    "with a as (select * from duckdb_views), duckdb_views as (select 1) select * from a",
    "with duc\u212adb_views as (select 1) select * from duckdb_views",
    "select * from gold.fct_a at (version => 1)",
    "show databases",
    "explain analyze select * from gold.fct_a",
    "select * from memory.duckdb_views",
]
ACTS = [
    "insert into gold.fct_a values (3, 'c')",
    "update gold.fct_a set n = 'x'",
    "delete from gold.fct_a",
    "drop view gold.fct_a",
    "create table mine as select 1",
    "create temp table mine as select 1",
    "create macro mine() as 1",
    "create secret mine (type s3)",
    "copy (select 1) to '{folder}/written.csv'",
    "copy gold.fct_a from '{file}'",
    "export database '{folder}/written'",
    "import database '{folder}/written'",
    "import database '{folder}/exported'",
    "attach '{folder}/written.db' as mine",
    "attach '{folder}/lake/ledger.db' as ledger (type sqlite)",
    "detach memory",
    "use gold",
    "install httpfs",
    "load httpfs",
    "set memory_limit = '1TB'",
    "set lock_configuration = false",
    "set global enable_external_access = true",
    "reset memory_limit",
    "set variable x = 1",
    "pragma memory_limit = '1TB'",
    "pragma database_list",
    "call pragma_version()",
    "checkpoint",
    "vacuum",
    "begin",
    "prepare p as select 1",
    "execute p",
    "pivot gold.fct_a on n using sum(id)",
    "select write_log('x')",
    "select nextval('x')",
    "select pg_sleep(3600)",
    "select * from enable_logging()",
]
MISLEADS = [
    "",
    " ;; ",
    "-- select 1",
    "/* select 1",
    "select 1; select 2",
    "select 1; drop view gold.fct_a",
    "select 1 /* ; */ ; /**/ delete from gold.fct_a --",
    "select 1;\nselect * from '{file}'",
    "select '\0' from '{file}'",
    "sel\u0435ct * from gold.fct_a",
    "select * from g\u043eld.fct_a",
    "select * from \u202egold.fct_a",
    "select $$ unended",
    "select 'unended",
    "select E'\\x'' from x",
    "select " + "(" * 40_000 + "1" + ")" * 40_000,
    "select " + "not " * 20_000 + "true",
    "select " + "-" * 9 + " ",
    "select " + "[" * 20_000 + "]" * 20_000,
    "select * from " + "(select * from " * 3_000 + "range(1)" + ")" * 3_000,
    "select " + "case when true then " * 3_000 + "1" + " end" * 3_000,
    "select 1" + " union all select 1" * 5_000,
    "with " + ",".join(f"c{n} as (select * from c{n - 1})" for n in range(1, 500)) + " select * from c499",
]
TAKES_TOO_MUCH = [
    "select length(repeat('x', 4000000000))",
    "select repeat('x', 4000000)",
    "select lpad('x', 2000000000, 'ab')",
    "select list_sum(range(200000000))",
    "select list_transform(range(100000000), x -> repeat('y', 100))",
    "select median(i) from range(400000000) as t(i)",
    "select list(i) from range(200000000) as t(i)",
    "select array_agg(repeat('x', 100000)) from range(100000)",
    "select string_agg(repeat('x', 1000), '') from range(10000000)",
    "with recursive t(s) as (select 'x' union all select s || s from t) select max(length(s)) from t",
    "select * from range(100000000) as t(i) order by hash(i)",
    "select i, count(*) from range(100000000) as t(i) group by i",
    "select a.i from range(100000000) as a(i) join range(100000000) as b(i) on a.i = b.i order by hash(a.i)",
]
SPILLS = (
    "select * from (select i, hash(i) as h, i::varchar as t from range(60000000) as r(i) order by h) as a"
    " join (select i, hash(i) as h from range(60000000) as r(i) order by h) as b using (h) order by a.t"
)
ENDLESS = [
    "select count(*) from range(1000000) as a, range(1000000) as b, range(1000000) as c",
    "with recursive t(i) as (select 1 union all select i + 1 from t) select max(i) from t",
    "with recursive t(i) as (select 1 union all select -i from t) select count(*) from t",
    "select count(*) from range(100000000) as t(i) where regexp_matches(repeat(i::varchar, 100), '(a*)*(b*)*$')",
    "select sum(sin(i)) from range(100000000000) as t(i)",
]


def refused(client: httpx.Client, lake: LakeWriter, statement: str) -> httpx.Response:
    """Send a statement and check that it is refused, tells nothing and did nothing."""
    sql = statement.replace("{file}", str(lake.folder / "private.csv")).replace("{folder}", str(lake.folder))
    answer = client.post("/sql", json={"sql": sql}, timeout=120)
    assert 400 <= answer.status_code < 500, f"{answer.status_code} {answer.text[:500]}"
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["type"].startswith("urn:problem-type:odh:sql-")
    assert len(problem["detail"]) > 10
    told = answer.text.replace(sql, "")
    for secret in (MARKER, SECRET, "metadata.json", str(lake.settings.spill), "Traceback"):
        assert secret not in told, problem
    assert not list(lake.folder.glob("written*"))
    assert client.post("/sql", json={"sql": "select sum(id) from gold.fct_a"}).json()["rows"] == [[3]]
    return answer


@pytest.mark.parametrize("statement", READS_FILES + TELLS_OF_THE_INSIDE + ACTS)
def test_a_statement_that_does_more_than_read_tables_is_refused(
    client: httpx.Client, lake: LakeWriter, statement: str
) -> None:
    assert refused(client, lake, statement).status_code == 400


@pytest.mark.parametrize("statement", MISLEADS, ids=lambda text: ascii(text[:40]))
def test_a_statement_made_to_mislead_is_refused(client: httpx.Client, lake: LakeWriter, statement: str) -> None:
    assert refused(client, lake, statement).status_code in (400, 422)


@pytest.mark.parametrize("statement", TAKES_TOO_MUCH, ids=lambda text: text[:60])
def test_a_statement_that_takes_too_much_dies_alone(client: httpx.Client, lake: LakeWriter, statement: str) -> None:
    assert refused(client, lake, statement).json()["type"] == "urn:problem-type:odh:sql-limit"


def test_all_that_a_statement_writes_to_disk_is_bounded_together(lake: LakeWriter) -> None:
    """It spills to several files; the kernel bounds each alone."""
    bound = 160 * 1024**2
    settings = lake.settings.model_copy(update={"sql_spill_bytes": bound})
    largest = 0
    with serving(settings) as client, ThreadPoolExecutor(1) as pool:
        answer = pool.submit(client.post, "/sql", json={"sql": SPILLS})
        while not answer.done():
            largest = max(largest, bytes_below(settings.spill))
        assert answer.result().json()["type"] == "urn:problem-type:odh:sql-limit"
    assert bound / 2 < largest <= bound
    assert bytes_below(settings.spill) == 0


def bytes_below(folder: Path) -> int:
    """Size of all files of a folder, which go and come meanwhile."""
    found = 0
    for place, _, names in os.walk(folder):
        for name in names:
            with suppress(FileNotFoundError):
                found += (Path(place) / name).stat().st_blocks * 512
    return found


def test_a_statement_without_end_is_cut(lake: LakeWriter) -> None:
    settings = lake.settings.model_copy(update={"sql_timeout_seconds": 1.5})
    with serving(settings) as client:
        for statement in ENDLESS:
            answer = client.post("/sql", json={"sql": statement})
            assert (answer.status_code, answer.json()["type"]) == (422, "urn:problem-type:odh:sql-limit"), statement
            assert client.get("/health/live").status_code == 200


# The second wall: what DuckDB may open, whatever the first let through


def test_files_of_no_named_table_are_out_of_reach_of_the_engine_itself(lake: LakeWriter, tmp_path: Path) -> None:
    """Told that every table function is harmless, the child still reads nothing but the files of the named table."""
    pin = lake.lakehouse.pin("gold", "fct_a")
    assert pin is not None
    (tmp_path / "spill").mkdir()
    table = JobTable("gold", "fct_a", pin.metadata_location, pin.snapshot_id)

    def told(sql: str) -> str:
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr("catalog.sql_check.TABLE_FUNCTIONS", {*TABLE_FUNCTIONS, "read_text", "glob", "read_csv"})
            patched.setattr("catalog.sandbox.limit_process", lambda job: None)  # this process goes on
            patched.setattr("os.environ", {})
            place = str(tmp_path / "result")
            limits = {"memory_bytes": 10**9, "spill_bytes": 10**9, "max_bytes": 10**6, "max_rows": 10}
            answer = run(
                Job(sql, place, str(tmp_path / "spill"), "csv", threads=1, seconds=9, tables=[table], **limits)
            )
        return str(answer["error"]["kind"]) if "error" in answer else (tmp_path / "result").read_text()

    assert told("select count(*) as n from gold.fct_a") == "n\n2\n"
    assert told(f"select count(*) from gold.fct_a, read_text('{lake.folder / 'private.csv'}')") == "refused"
    assert told(f"select * from gold.fct_a, glob('{lake.folder}/*')") == "refused"
    assert told("select * from read_csv('/etc/passwd')") == "refused"
    assert told(f"select size > 0 as b from gold.fct_a, read_text('{pin.metadata_location}') limit 1") == "b\ntrue\n"


def test_every_function_of_this_duckdb_that_sounds_dangerous_was_looked_at() -> None:
    """A new DuckDB may bring functions; those that sound like files, settings or SQL are to be judged, then listed."""
    words = ("sett", "env", "file", "read_", "write", "query", "exec", "sql", "secret", "sleep", "viewdef", "variable")
    harmless = {"current_query_id", "json_deserialize_sql", "parse_filename", "variable", "duckdb_profiling_settings"}
    with duckdb.connect() as connection:
        found = connection.execute(
            "select distinct function_name from duckdb_functions() where function_type in ('scalar', 'macro')"
        ).fetchall()
    sounding = {name for (name,) in found if any(word in name for word in words)}
    assert sounding - FORBIDDEN_FUNCTIONS - harmless == set()
