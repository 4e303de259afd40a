"""Each client library of the project against the real servers: which options it needs to read back what it wrote."""

from __future__ import annotations

import importlib.util
import os
import signal
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import duckdb
import psycopg
import pyarrow as pa
import pyarrow.fs
import pytest
import s3fs
import services
import sqlalchemy as sa
from pyiceberg.catalog.sql import SqlCatalog

pytestmark = pytest.mark.services

TABLE = pa.table({"code_insee": ["01001", "2A004", "97105"], "population": [832, 71361, 10_000]})


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with services.or_skip(services.postgres(tmp_path_factory.mktemp("postgres"))) as url:
        yield url


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[services.S3Server]:
    with services.or_skip(services.s3(tmp_path_factory.mktemp("ceph"))) as running:
        yield running


@pytest.fixture(autouse=True)
def _plain_uploads(monkeypatch: pytest.MonkeyPatch) -> None:
    # pyarrow has no argument for it, and radosgw answers its checksum trailers with 411 MissingContentLength.
    monkeypatch.setenv("AWS_REQUEST_CHECKSUM_CALCULATION", "when_required")


def pyarrow_files(server: services.S3Server) -> pyarrow.fs.S3FileSystem:
    return pyarrow.fs.S3FileSystem(
        access_key=server.access_key_id,
        secret_key=server.secret_access_key,
        endpoint_override=server.endpoint,
        region=server.region,
    )


@pytest.fixture
def lake_sql(server: services.S3Server) -> Iterator[duckdb.DuckDBPyConnection]:
    with closing(duckdb.connect(config={"autoinstall_known_extensions": "false"})) as connection:
        for name in ("httpfs", "avro", "iceberg"):
            connection.load_extension(str(extension_path(name)))
        connection.execute(
            "create secret (type s3, key_id $1, secret $2, region $3, endpoint $4, url_style 'path', use_ssl false)",
            [server.access_key_id, server.secret_access_key, server.region, server.endpoint.removeprefix("http://")],
        )
        yield connection


def extension_path(name: str) -> Path:
    """Where the wheel of a DuckDB extension keeps it for the DuckDB that runs."""
    spec = importlib.util.find_spec(f"duckdb_extension_{name}")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / "extensions" / f"v{duckdb.__version__}" / f"{name}.duckdb_extension"


def test_sqlalchemy_reads_back_rows(database: str) -> None:
    engine = sa.create_engine(database.replace("postgresql://", "postgresql+psycopg://"))
    with engine.begin() as connection:
        connection.execute(sa.text("create table commune (code text primary key)"))
        connection.execute(sa.text("insert into commune values (:code)"), [{"code": "01001"}, {"code": "2A004"}])
    with engine.connect() as connection:
        assert connection.scalars(sa.text("select code from commune order by code")).all() == ["01001", "2A004"]
    engine.dispose()


def test_s3fs_reads_back_small_and_multipart_files(server: services.S3Server) -> None:
    files = s3fs.S3FileSystem(skip_instance_cache=True, **services.s3fs_options(server))
    content = os.urandom(12 * 2**20)
    files.pipe_file(f"{server.bucket}/s3fs/small", b"small")
    with files.open(f"{server.bucket}/s3fs/large", "wb", block_size=5 * 2**20) as stream:
        stream.write(content)
    assert files.cat_file(f"{server.bucket}/s3fs/small") == b"small"
    assert files.cat_file(f"{server.bucket}/s3fs/large") == content
    assert sorted(files.ls(f"{server.bucket}/s3fs", detail=False)) == [
        f"{server.bucket}/s3fs/large",
        f"{server.bucket}/s3fs/small",
    ]
    files.rm(f"{server.bucket}/s3fs", recursive=True)
    assert not files.exists(f"{server.bucket}/s3fs/small")


def test_pyarrow_reads_back_small_and_multipart_files(server: services.S3Server) -> None:
    files = pyarrow_files(server)
    for name, content in {"small": b"small", "large": os.urandom(12 * 2**20)}.items():
        path = f"{server.bucket}/pyarrow/{name}"
        with files.open_output_stream(path) as stream:
            stream.write(content)
        with files.open_input_file(path) as stream:
            assert stream.read() == content
    files.delete_dir(f"{server.bucket}/pyarrow")
    assert files.get_file_info(f"{server.bucket}/pyarrow/small").type == pyarrow.fs.FileType.NotFound


def test_duckdb_reads_back_parquet(server: services.S3Server, lake_sql: duckdb.DuckDBPyConnection) -> None:
    url = f"s3://{server.bucket}/duckdb/large.parquet"
    rows = "select i as id, md5(i::text) as hash from range(500000) as numbers(i)"
    lake_sql.execute(f"copy ({rows}) to '{url}' (format parquet)")
    assert lake_sql.sql(f"select count(*), max(id) from '{url}'").fetchall() == [(500_000, 499_999)]
    size = lake_sql.execute("select size from read_blob(?)", [url]).fetchone()
    assert size is not None
    assert size[0] > 5 * 2**20


def test_iceberg_table_of_postgres_and_s3_is_read_by_duckdb(
    database: str, server: services.S3Server, lake_sql: duckdb.DuckDBPyConnection
) -> None:
    properties = {
        "uri": database.replace("postgresql://", "postgresql+psycopg://"),
        "warehouse": f"s3://{server.bucket}/wh",
        "s3.endpoint": server.endpoint,
        "s3.access-key-id": server.access_key_id,
        "s3.secret-access-key": server.secret_access_key,
        "s3.region": server.region,
    }
    catalog = SqlCatalog("lake", **properties)
    try:
        catalog.create_namespace("bronze")
        table = catalog.create_table("bronze.commune", schema=TABLE.schema)
        table.append(TABLE)
        table.append(TABLE)
        location = catalog.load_table("bronze.commune").metadata_location
        assert catalog.load_table("bronze.commune").scan().to_arrow().num_rows == 6
    finally:
        catalog.close()
    rows = lake_sql.execute(
        "select code_insee, count(*) from iceberg_scan(?) group by code_insee order by code_insee", [location]
    ).fetchall()
    assert rows == [("01001", 2), ("2A004", 2), ("97105", 2)]


def test_missing_packages_are_named_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.delenv("INSTALL_SERVICES", raising=False)
    absent = {"no-such-program": "no-such-package"}
    assert services.missing_packages(absent) == ["no-such-package"]
    with pytest.raises(services.ServiceUnavailable, match="apt-get install -y --no-install-recommends no-such-package"):
        services.require(absent)


def test_stopped_postgres_is_gone(tmp_path: Path) -> None:
    with services.or_skip(services.postgres(tmp_path)) as url:
        psycopg.connect(url).close()
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(url)


def test_failed_start_shows_the_log_and_leaves_nothing_running(tmp_path: Path) -> None:
    log = tmp_path / "server.log"
    with (
        pytest.raises(services.ServiceFailed, match=r"(?s)ended while starting.*no such port"),
        services.logs_in_errors(tmp_path),
        services.daemon(["sh", "-c", "echo no such port; exit 1"], log, stop=signal.SIGKILL) as process,
    ):
        services.wait_until(lambda: False, [process], "server")
    assert process.returncode == 1
