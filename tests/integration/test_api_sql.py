"""POST /sql over HTTP on a real lake: what a statement may read, in every format, and for whom."""

from __future__ import annotations

import csv
import io
import json
import threading
from collections.abc import Iterator
from contextlib import suppress
from datetime import date
from pathlib import Path
from typing import Any

import httpx
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import services
import sqlalchemy as sa
from api_lake import SECRETS_FEED, LakeWriter, serving
from lakes import odh

from catalog import schema
from catalog.api_keys import create_key
from catalog.clock import utc_now
from catalog.sandbox import Job, JobTable, run
from catalog.scopes import Scope
from catalog.session import s3_secret

JANUARY, MARCH = date(2024, 1, 31), date(2024, 3, 31)
FIRST = pa.table({"accident_id": ["a", "b"], "injured": [1, 2]})
SECOND = pa.table({"accident_id": ["a", "b", "c"], "injured": [1, 2, 3]})


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> LakeWriter:
    writer = LakeWriter(tmp_path_factory.mktemp("sql"), sql_concurrency=1)
    feeds = writer.settings.lake / "feeds"
    feeds.mkdir(parents=True)
    (feeds / "secrets.yml").write_text(SECRETS_FEED)
    writer.load("secrets__lines", [{"name": "x"}], JANUARY)
    writer.load("accidents__lieux", [{"numero": "1", "voie": "rue"}], JANUARY)
    writer.release(JANUARY, {("gold", "fct_accident"): FIRST}, {})
    writer.release(MARCH, {("gold", "fct_accident"): SECOND, ("silver", "stg_accidents__lieux"): FIRST}, {})
    rejects = [reject(feed, f"text of {feed}") for feed in ("accidents", "secrets")]
    writer.ledger.replace_loads([], rejects, [])
    writer.ledger.record_quality([quality_result(name) for name in ("accidents__lieux", "secrets__lines", None)])
    return writer


def reject(feed: str, text: str) -> dict[str, Any]:
    return {
        "feed": feed,
        "table_name": f"{feed}__lines",
        "resource_id": "r1",
        "extraction_date": JANUARY,
        "source_file": "f.csv",
        "source_member": "",
        "source_line": 2,
        "raw_text": text,
        "reason": "too short",
    }


def quality_result(table: str | None) -> dict[str, Any]:
    return {
        "run_id": "r",
        "test_id": f"test of {table}",
        "domain": "tests",
        "test_name": "a test",
        "table_name": table,
        "severity": "error",
        "status": "error",
        "message": f"Could not convert string 'a value of {table}' to DATE",
        "tested_at": utc_now(),
    }


@pytest.fixture(scope="module")
def client(lake: LakeWriter) -> Iterator[httpx.Client]:
    with serving(lake.settings) as client:
        yield client


def post(client: httpx.Client, sql: str, **more: Any) -> httpx.Response:
    return client.post("/sql", json={"sql": sql, **more})


def rows(client: httpx.Client, sql: str, **more: Any) -> list[list[Any]]:
    answer = post(client, sql, **more)
    assert answer.status_code == 200, answer.text
    return list(answer.json()["rows"])


def test_a_statement_joins_the_layers(client: httpx.Client) -> None:
    sql = (
        "with here as (select numero from bronze.accidents__lieux) select g.accident_id, s.injured, "
        "(select count(*) from here), (select count(*) from ops.releases) from gold.fct_accident as g "
        "left join silver.stg_accidents__lieux as s using (accident_id) order by 1 desc"
    )
    assert rows(client, sql) == [["c", None, 1, 2], ["b", 2, 1, 2], ["a", 1, 1, 2]]


def test_the_answer_tells_columns_types_and_whether_there_was_more(client: httpx.Client) -> None:
    answer = post(client, "select accident_id, injured, accident_id from gold.fct_accident order by 1", max_rows=2)
    assert answer.json() == {
        "columns": [
            {"name": "accident_id", "type": "VARCHAR"},
            {"name": "injured", "type": "BIGINT"},
            {"name": "accident_id_1", "type": "VARCHAR"},
        ],
        "rows": [["a", 1, "a"], ["b", 2, "b"]],
        "row_count": 2,
        "truncated": True,
    }
    assert (answer.headers["x-row-count"], answer.headers["x-truncated"]) == ("2", "true")


@pytest.mark.parametrize(
    "table",
    [
        "GOLD.Fct_Accident",
        '"gold"."fct_accident"',
        "curated.fct_accident",
        "(from gold.fct_accident)",
        "staging.stg_accidents__lieux",
        "raw.accidents__lieux",
        "ops.loads",
    ],
)
def test_names_are_found_however_they_are_written(client: httpx.Client, table: str) -> None:
    assert rows(client, f"select count(*) > 0 from {table}") == [[True]]


def test_as_of_reads_an_older_release(client: httpx.Client) -> None:
    count = "select count(*) from gold.fct_accident"
    assert rows(client, count) == [[3]]
    assert rows(client, count, as_of="2024-02-15") == [[2]]
    early = post(client, count, as_of="2023-01-01")
    assert (early.status_code, early.json()["type"]) == (400, "urn:problem-type:odh:sql-unknown")


def test_values_are_bound(client: httpx.Client) -> None:
    by_place = "select accident_id from gold.fct_accident where injured > ? and accident_id <> ?"
    assert rows(client, by_place, parameters=[1, "b"]) == [["c"]]
    assert rows(client, "select $name", parameters={"name": "'; drop table x"}) == [["'; drop table x"]]
    missing = post(client, by_place)
    assert (missing.status_code, missing.json()["type"]) == (400, "urn:problem-type:odh:sql-failed")


def test_what_there_is_can_be_asked(client: httpx.Client) -> None:
    listed = rows(client, "select table_schema, table_name from information_schema.tables order by all")
    assert ["gold", "fct_accident"] in listed
    assert ["bronze", "accidents__lieux"] in listed
    assert "secrets__lines" not in str(listed)
    columns = "select column_name, data_type from information_schema.columns where table_name = 'fct_accident'"
    assert rows(client, columns) == [["accident_id", "VARCHAR"], ["injured", "BIGINT"]]
    assert ["gold", "fct_accident"] in [row[1:3] for row in rows(client, "show all tables")]
    assert [row[0] for row in rows(client, "describe gold.fct_accident")] == ["accident_id", "injured"]
    assert rows(client, "select column_name, max from (summarize gold.fct_accident)")[1] == ["injured", "3"]


def test_french_texts_are_read_by_the_same_functions(client: httpx.Client) -> None:
    assert rows(client, "select fr_text(' x '), fr_date('31/12/2024')") == [["x", "2024-12-31"]]


FORMS = "select i, i / 2 as half, 'é,' as word, [i] as list, null as nothing from range(3) as t(i)"


def test_csv(client: httpx.Client) -> None:
    answer = post(client, FORMS, format="csv")
    assert answer.headers["content-type"].startswith("text/csv")
    assert list(csv.reader(io.StringIO(answer.text)))[:2] == [
        ["i", "half", "word", "list", "nothing"],
        ["0", "0.0", "é,", "[0]", ""],
    ]


def test_ndjson_by_accept(client: httpx.Client) -> None:
    answer = client.post("/sql", json={"sql": FORMS}, headers={"Accept": "application/x-ndjson"})
    first = json.loads(answer.text.splitlines()[0])
    assert first == {"i": 0, "half": 0.0, "word": "é,", "list": [0], "nothing": None}


def test_arrow_and_parquet(client: httpx.Client) -> None:
    stream = post(client, "select i, i as i from range(50000) as t(i)", format="arrow", max_rows=45000)
    table = pa.ipc.open_stream(stream.content).read_all()
    assert (table.num_rows, table.column_names, stream.headers["x-truncated"]) == (45000, ["i", "i_1"], "true")
    file = post(client, "select * from gold.fct_accident order by all", format="parquet")
    assert pq.read_table(io.BytesIO(file.content)).to_pylist() == SECOND.to_pylist()
    assert file.headers["x-truncated"] == "false"


def test_nothing_is_left_of_a_statement(client: httpx.Client, lake: LakeWriter) -> None:
    post(client, "select * from ops.loads")
    post(client, "select nope")
    assert list(lake.settings.spill.iterdir()) == []


WRONG = {
    "a syntax error": ("select 'é',\n  from from x", "sql-syntax", (2, 8)),
    "an unknown column": ("select 'éé',\n nope from gold.fct_accident", "sql-unknown", (2, 2)),
    "an unknown table": ("select 'éé' from gold.fct_acident", "sql-unknown", (1, 18)),
    "a value that does not fit": ("select injured from gold.fct_accident\nwhere injured = 'é'", "sql-failed", (2, 17)),
}


@pytest.mark.parametrize(("sql", "kind", "place"), WRONG.values(), ids=WRONG)
def test_a_wrong_statement_is_told_with_its_place(
    client: httpx.Client, sql: str, kind: str, place: tuple[int, int]
) -> None:
    answer = post(client, sql)
    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["type"] == f"urn:problem-type:odh:{kind}"
    assert (problem["line"], problem["column"]) == place, problem


def test_the_nearest_name_is_told(client: httpx.Client) -> None:
    assert post(client, "select 1 from gold.fct_acident").json()["nearest"] == "gold.fct_accident"
    assert post(client, "select injurd from gold.fct_accident").json()["nearest"] == "injured"


BODIES: dict[str, Any] = {
    "nothing": None,
    "no object": [],
    "no statement": {},
    "a number": {"sql": 1},
    "more": {"sql": "select 1", "memory_limit": "1TB"},
    "a format": {"sql": "select 1", "format": "xlsx"},
    "a day": {"sql": "select 1", "as_of": "2024-13-01"},
    "rows": {"sql": "select 1", "max_rows": -1},
    "too many rows": {"sql": "select 1", "max_rows": 10**12},
    "parameters": {"sql": "select ?", "parameters": "x"},
    "a long statement": {"sql": "select " + "1," * 60_000 + "1"},
    "half a character": {"sql": "select '\ud800'"},
    "a huge parameter": {"sql": "select ?", "parameters": [10**60]},
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_a_body_that_is_no_request_is_refused(client: httpx.Client, body: Any) -> None:
    answer = client.post("/sql", content=json.dumps(body), headers={"Content-Type": "application/json"})
    assert 400 <= answer.status_code < 500, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert len(answer.content) < 10_000


def test_files_that_are_gone_are_told_as_such(tmp_path: Path) -> None:
    lake = LakeWriter(tmp_path)
    lake.release(JANUARY, {("gold", "fct_accident"): FIRST, ("gold", "fct_whole"): FIRST}, {})
    for file in (lake.settings.lake / "warehouse" / "gold" / "fct_accident").rglob("*.parquet"):
        file.unlink()
    with serving(lake.settings) as client:
        answer = post(client, "select * from gold.fct_accident")
        assert (answer.status_code, answer.json()["type"]) == (503, "urn:problem-type:odh:unavailable")
        assert str(tmp_path) not in answer.text
        assert rows(client, "select count(*) from gold.fct_whole") == [[2]]


@pytest.mark.services
def test_tables_of_s3_are_read_and_its_keys_are_not(tmp_path: Path) -> None:
    with services.or_skip(services.s3(tmp_path / "s3")) as server:
        lake = LakeWriter(tmp_path, warehouse_url=f"s3://{server.bucket}/wh", **server.settings)
        lake.release(JANUARY, {("gold", "fct_accident"): FIRST, ("gold", "fct_other"): FIRST}, {})
        with serving(lake.settings) as client:
            assert rows(client, "select * from gold.fct_accident order by all") == [["a", 1], ["b", 2]]
            other = lake.lakehouse.pin("gold", "fct_other")
            assert other is not None
            for sql in (
                "select * from duckdb_secrets()",
                f"select * from gold.fct_accident, read_text('{other.metadata_location}')",
                f"select * from gold.fct_accident, '{server.endpoint}/{server.bucket}/wh/x.csv'",
            ):
                answer = post(client, sql)
                assert answer.status_code == 400
                assert server.access_key_id not in answer.text
        answer = run_child(lake, tmp_path, f"select 1 from gold.fct_accident, read_text('{other.metadata_location}')")
        assert answer["error"]["kind"] == "refused"


def run_child(lake: LakeWriter, folder: Path, sql: str) -> dict[str, Any]:
    """Run a statement as a child does, with a table function let through the first wall."""
    pin = lake.lakehouse.pin("gold", "fct_accident")
    assert pin is not None
    table = JobTable("gold", "fct_accident", pin.metadata_location, pin.snapshot_id)
    limits = {"memory_bytes": 10**9, "spill_bytes": 10**9, "max_bytes": 10**6, "max_rows": 10}
    secret = s3_secret(lake.settings)
    job = Job(
        sql, str(folder / "result"), str(folder), "csv", threads=1, seconds=9, tables=[table], secret=secret, **limits
    )
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("catalog.sql_check.TABLE_FUNCTIONS", {"read_text"})
        patched.setattr("catalog.sandbox.limit_process", lambda job: None)  # this process goes on
        patched.setattr("os.environ", {})
        return run(job)


# Who may


def keyed(lake: LakeWriter, *scopes: Scope) -> dict[str, str]:
    name = "-".join(sorted(scopes)) or "none"
    return {"Authorization": f"Bearer {create_key(lake.ledger, name, scopes, utc_now(), None)[1]}"}


def test_sql_takes_its_scope_and_restricted_feeds_theirs(lake: LakeWriter) -> None:
    closed = lake.settings.model_copy(update={"api_access": "keys"})
    runs = keyed(lake, Scope.SQL_RUN)
    wide = keyed(lake, Scope.SQL_RUN, Scope.RESTRICTED_READ, Scope.ADMIN_READ)
    with serving(closed) as client:

        def status(sql: str, headers: dict[str, str]) -> int:
            return client.post("/sql", json={"sql": sql}, headers=headers).status_code

        assert status("select 1", {}) == 401
        assert status("select 1", keyed(lake, Scope.CURATED_READ)) == 403
        assert status("select 1", runs) == 200
        for sql in ("from bronze.secrets__lines", "from raw.secrets__lines", "from ops.audit", "from ops.runs"):
            assert (status(sql, runs), status(sql, wide)) == (403, 200), sql
        texts = "select raw_text from ops.rejects order by all"
        told = {
            name: [row[0] for row in client.post("/sql", json={"sql": texts}, headers=headers).json()["rows"]]
            for name, headers in (("runs", runs), ("wide", wide))
        }
        assert told == {"runs": ["text of accidents"], "wide": ["text of accidents", "text of secrets"]}
        tests = {"sql": "select message from ops.quality_results"}
        said = client.post("/sql", json=tests, headers=runs).json()["rows"]
        assert (len(said), "secrets" in str(said)) == (2, False), "a test that failed tells the value at fault"
        assert client.post("/sql", json=tests, headers=wide).json()["row_count"] == 3
        refused = client.post("/sql", json={"sql": "select * from bronze.secrets__lines"}, headers=runs).json()
        assert refused["type"] == "urn:problem-type:odh:sql-restricted"
        for name in ("api_keys", "ops.api_keys", "ops.erasures"):
            assert status(f"select * from {name}", wide) == 400
    with lake.ledger.begin() as connection:
        c = schema.audit.c
        audited = connection.execute(sa.select(c.detail, c.status, c.rows).where(c.path == "/sql")).all()
    assert ("select * from bronze.secrets__lines", 403, None) in [tuple(row) for row in audited]
    assert (texts, 200, 2) in [tuple(row) for row in audited]


# The command


def test_the_command_prints_what_the_gateway_answers(client: httpx.Client, lake: LakeWriter) -> None:
    url = str(client.base_url)
    statement = "select accident_id, injured from gold.fct_accident order by all"
    far, near = odh(lake.settings, "sql", "--url", url, statement), odh(lake.settings, "sql", statement)
    assert far.json == near.json == {"columns": ["accident_id", "injured"], "rows": [["a", 1], ["b", 2], ["c", 3]]}
    past = odh(lake.settings, "sql", "--url", url, "--as-of", "2024-02-01", "select count(*) from gold.fct_accident")
    assert past.json["rows"] == [[2]]


def test_the_command_tells_what_the_gateway_refuses(lake: LakeWriter) -> None:
    closed = lake.settings.model_copy(update={"api_access": "keys", "sql_max_rows": 2})
    key = keyed(lake, Scope.SQL_RUN, Scope.RAW_READ)["Authorization"].removeprefix("Bearer ")
    with serving(closed) as client:
        url = str(client.base_url)

        def told(*words: str) -> tuple[int, str]:
            answer = odh(closed, "sql", "--url", *words, check=False)
            return answer.code, answer.err

        assert told(url, "select 1")[0] == 1
        assert "needs a key" in told(url, "select 1")[1]
        assert told(url, "--key", key, "select nope") == (2, told(url, "--key", key, "select nope")[1])
        assert "line 1, column 8" in told(url, "--key", key, "select nope")[1]
        assert told(url, "--key", key, "from range(3)") == (0, "There was more; these are the first 2 rows.\n")
        assert told("ftp://x", "select 1")[0] == 2
        assert told(f"{url}/docs", "select 1")[0] == 2
    assert told(url, "select 1")[0] == 1


# Turns


def test_who_leaves_frees_the_place_and_too_many_are_refused(lake: LakeWriter) -> None:
    """A statement without end holds the only place: others are refused at once, until its client has left."""
    settings = lake.settings.model_copy(update={"sql_queue": 0, "sql_timeout_seconds": 3600.0})
    with serving(settings) as client, httpx.Client(base_url=client.base_url, trust_env=False) as other:
        holding = threading.Thread(target=_hold_and_leave, args=(other,))
        holding.start()
        answers = [post(client, "select 1")]
        while holding.is_alive():
            answers.append(post(client, "select 1"))
        while answers[-1].status_code != 200:
            answers.append(post(client, "select 1"))
    refused = [answer for answer in answers if answer.status_code != 200]
    assert {answer.status_code for answer in refused} == {503}
    assert refused[0].headers["retry-after"]


def _hold_and_leave(client: httpx.Client) -> None:
    """Send a statement without end until it is let in, and leave 3 seconds later."""
    with suppress(httpx.ReadTimeout):
        while True:
            sql = "select count(*) from range(1000000000000)"
            client.post("/sql", json={"sql": sql}, timeout=httpx.Timeout(60, read=3))
