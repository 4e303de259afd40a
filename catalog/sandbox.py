"""A process that runs statements of strangers, each in a child of its own that can do nothing but read some tables.

``python -m catalog.sandbox`` reads jobs from its input, a JSON line each, and answers each with a JSON line. For each
it forks a child: a new DuckDB, with views of the tables the statement names, access to the files of these tables at
their pinned snapshots and to no other, no way to change a setting, and limits the kernel holds: memory, processor, file
size. A child that breaks them dies alone. It knows nothing of HTTP and reads no settings: a job says everything.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import select
import signal
import sys
import threading
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import duckdb

from catalog.extensions import EXTENSIONS, UNCHECKED, load_extensions
from catalog.functions import functions_sql, install_functions
from catalog.names import quote_identifier, quote_literal, relation_of
from catalog.sandbox_results import Limits, write_result
from catalog.sql_check import Names, Place, Refusal, named_tables

HEADROOM_BYTES = 256 << 20  # what the process may hold beside DuckDB's memory_limit: Python, code, buffers of a result
GRACE_SECONDS = 2  # between the deadline, which the caller holds, and the child's own end
CRASHED = (
    "The statement needed more memory than one may use here, or was too much for the engine. Ask for less at once."
)
KINDS = {"Out of Memory": "limit", "Parser": "syntax"}


@dataclass(frozen=True, slots=True)
class JobTable:
    """One table a statement may name, at its snapshot."""

    schema: str
    name: str
    location: str  # of its metadata file
    snapshot_id: int | None

    @property
    def place(self) -> Place:
        """Its name in SQL."""
        return self.schema, self.name


@dataclass(frozen=True, slots=True)
class Job:
    """One statement and all that running it takes."""

    sql: str
    output: str  # file its rows are written to
    folder: str  # for what does not fit in memory; the caller removes it
    form: str
    max_rows: int
    max_bytes: int
    memory_bytes: int
    spill_bytes: int
    threads: int
    seconds: float
    tables: list[JobTable]
    copies: dict[str, str] = field(default_factory=dict)  # schema.table → Arrow file with its rows
    others: dict[str, list[list[str]]] = field(default_factory=dict)  # schema.table → columns and types, to be listed
    denied: dict[str, str] = field(default_factory=dict)  # schema.table → what to tell who names it
    parameters: Any = None
    secret: str | None = None  # the statement that tells DuckDB the object store's keys

    @classmethod
    def from_json(cls, text: str) -> Job:
        """Read what ``to_json`` wrote."""
        given = json.loads(text)
        return cls(**{**given, "tables": [JobTable(**one) for one in given["tables"]]})

    def to_json(self) -> str:
        """The job in one line."""
        return json.dumps(asdict(self))


def main() -> None:
    """Run jobs until the input ends."""
    _warm_up()
    for line in sys.stdin:
        sys.stdout.flush()
        child = os.fork()
        if not child:
            _run_child(line)
        _, status = os.waitpid(child, 0)
        if status:
            _tell({"error": {"kind": "limit", "message": CRASHED}})


def _warm_up() -> None:
    """Import and read once what every child needs: binding a value alone imports pandas, which takes 0.6 s."""
    functions_sql()
    with duckdb.connect(config={"threads": 1}) as connection:  # one thread is this one: nothing to lose in a fork
        connection.execute("select ?::varchar, now()", ["x"]).to_arrow_reader().read_all()


def _run_child(line: str) -> None:
    """Run one job and end the process."""
    try:
        threading.Thread(target=_end_with_caller, daemon=True).start()
        job = Job.from_json(line)
        signal.alarm(int(job.seconds) + GRACE_SECONDS)
        _tell(run(job))
    except BaseException as error:
        _tell({"error": {"kind": "broken", "message": f"{type(error).__name__}: {error}"}})
    os._exit(0)


def _end_with_caller() -> None:
    """Wait for the end of the process that asks, which closes our input, and end with it."""
    asking = select.poll()
    asking.register(sys.stdin, 0)  # only for its end
    asking.poll()
    os.kill(os.getpid(), signal.SIGKILL)


def _tell(answer: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


def run(job: Job) -> dict[str, Any]:
    """Run a job and tell what became of it: what was written, or an ``error``."""
    try:
        with _connect(job) as connection, _told(job.sql):
            names = check(connection, job)
            _prepare(connection, job, names)
            _lock(connection, job)
            connection.execute(job.sql, job.parameters)
            with Path(job.output).open("wb") as out:
                written = write_result(connection, job.form, out, Limits(job.max_rows, job.max_bytes))
        return asdict(written)
    except Refusal as refusal:
        facts = ("kind", "message", "position", "nearest")
        return {"error": {name: getattr(refusal, name) for name in facts}}


def check(connection: duckdb.DuckDBPyConnection, job: Job) -> Names:
    """Refuse what is no single SELECT, and find the tables it names.

    Raises:
        Refusal: with the place at fault.
    """
    # only the parser looks at it: extract_statements would open the files of IMPORT DATABASE
    found = connection.execute("select json_serialize_sql(?::varchar)", [job.sql]).fetchone()
    parsed = json.loads(found[0]) if found else {}
    if parsed.get("error"):
        raise _unparsed(parsed)
    count = len(parsed["statements"])
    if count != 1:
        told = f"These are {count} statements; send one at a time." if count else "There is no statement to run."
        raise Refusal("refused", told)
    others = {_place(name) for name in (*job.copies, *job.others)}
    denied = {_place(name): message for name, message in job.denied.items()}
    try:
        return named_tables(parsed, {one.place for one in job.tables} | others, denied)
    except Refusal as refusal:
        refusal.position = _characters(job.sql, refusal.position)
        raise


def _unparsed(told: dict[str, Any]) -> Refusal:
    """Why DuckDB's parser told no SELECT."""
    message = str(told.get("error_message", ""))
    if "too deep" in message or "depth" in message:
        return Refusal("refused", "The statement nests too deep.")
    if told.get("error_type") == "parser":
        position = str(told.get("position", ""))
        return Refusal("syntax", message, int(position) if position.isdigit() else None)
    return Refusal("refused", "One SELECT that reads is run here, and nothing else; a pivot is FROM … PIVOT (…).")


def _connect(job: Job) -> duckdb.DuckDBPyConnection:
    config: dict[str, str | bool | int | float | list[str]] = {
        "threads": job.threads,
        "memory_limit": f"{job.memory_bytes}B",
        "temp_directory": job.folder,
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
        "allow_community_extensions": False,
        **UNCHECKED,
        "errors_as_json": True,
    }
    connection = duckdb.connect(config=config)
    connection.execute("set python_enable_replacements = false")
    connection.execute("set global timezone = 'UTC'")
    # given with the configuration above it is told back and not held to: 3.7 GB were written under 160 MB
    connection.execute(f"set global max_temp_directory_size = {quote_literal(f'{job.spill_bytes}B')}")
    return connection


def _prepare(connection: duckdb.DuckDBPyConnection, job: Job, names: Names) -> None:
    """Make the functions, the tables the statement names and, where it asks for a list, the names of the others."""
    install_functions(connection)
    for schema in ("raw", "bronze", "silver", "gold", "ops", "staging", "curated"):
        connection.execute(f"create schema {quote_identifier(schema)}")
    named = [one for one in job.tables if one.place in names.tables]
    if named:
        _load_iceberg(connection, job)
    paths: set[str] = set()
    for one in named:
        paths |= set(_files_of(connection, one))
        connection.execute(f"create view {relation_of(*one.place)} as select * from {_scan(one)}")
    for name, file in job.copies.items():
        if _place(name) in names.tables:
            _copy(connection, _place(name), Path(file))
    if names.asks_catalogue:
        _list_others(connection, job, names)
    connection.execute(f"set allowed_paths = [{', '.join(quote_literal(path) for path in sorted(paths))}]")


def _load_iceberg(connection: duckdb.DuckDBPyConnection, job: Job) -> None:
    load_extensions(connection, (*EXTENSIONS, "httpfs") if job.secret else EXTENSIONS)
    if job.secret:
        connection.execute(job.secret)


def _scan(table: JobTable) -> str:
    snapshot = f", snapshot_from_id = {table.snapshot_id:d}" if table.snapshot_id is not None else ""
    return f"iceberg_scan({quote_literal(_bare(table.location))}{snapshot})"


def _files_of(connection: duckdb.DuckDBPyConnection, table: JobTable) -> Iterator[str]:
    """Every file that reading a table at its snapshot opens, as DuckDB may write its path."""
    location = quote_literal(_bare(table.location))
    found = [table.location]
    if table.snapshot_id is not None:
        lists = f"select manifest_list from iceberg_snapshots({location}) where snapshot_id = {table.snapshot_id:d}"
        files = f"from iceberg_metadata({location}, snapshot_from_id = {table.snapshot_id:d})"
        found += [row[0] for row in connection.execute(lists).fetchall()]
        rows = connection.execute(f"select distinct manifest_path {files} union select distinct file_path {files}")
        found += [row[0] for row in rows.fetchall()]
    for path in found:
        yield from {path, _bare(path)}


def _copy(connection: duckdb.DuckDBPyConnection, place: Place, file: Path) -> None:
    import pyarrow as pa

    with pa.OSFile(str(file)) as source, pa.ipc.open_stream(source) as rows:
        connection.register("incoming", rows)
        connection.execute(f"create table {relation_of(*place)} as select * from incoming")
        connection.unregister("incoming")


def _list_others(connection: duckdb.DuckDBPyConnection, job: Job, names: Names) -> None:
    """Let the tables the statement does not read be listed, as empty ones; to read one is to name it."""
    for name, columns in job.others.items():
        if _place(name) not in names.tables:
            told = ", ".join(f"{quote_identifier(column)} {type_}" for column, type_ in columns)
            connection.execute(f"create table {relation_of(*_place(name))} ({told})")


def _lock(connection: duckdb.DuckDBPyConnection, job: Job) -> None:
    """Close every door, in DuckDB and in the kernel; nothing opens them again in this process."""
    connection.execute("set enable_external_access = false")
    connection.execute("set lock_configuration = true")
    limit_process(job)
    os.environ.clear()


def limit_process(job: Job) -> None:
    """Let the kernel hold this process to what the job may use.

    DuckDB's own limit leaves out the memory of some functions: the median of 200 million rows took 3.3 GB under one of
    512 MB, a list of them 1.7 GB.
    """
    data = _data_bytes() + job.memory_bytes + HEADROOM_BYTES
    seconds = int(job.seconds * job.threads) + GRACE_SECONDS
    largest = max(job.spill_bytes, job.max_bytes) + HEADROOM_BYTES
    limits = {resource.RLIMIT_DATA: data, resource.RLIMIT_CPU: seconds, resource.RLIMIT_FSIZE: largest}
    for what, value in {**limits, resource.RLIMIT_CORE: 0}.items():
        with contextlib.suppress(ValueError, OSError):  # a limit that is lower already stays
            resource.setrlimit(what, (value, value))


def _data_bytes() -> int:
    """Memory this process holds for data now."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmData:"):
                return int(line.split()[1]) * 1024
    return 0


@contextlib.contextmanager
def _told(sql: str) -> Iterator[None]:
    """Turn what DuckDB raises in a block into a refusal."""
    try:
        yield
    except MemoryError as error:
        raise Refusal("limit", CRASHED) from error
    except duckdb.Error as error:
        raise _refusal(error, sql) from error
    except UnicodeError as error:
        raise Refusal("syntax", "The statement is not text: it holds half a character.") from error


def _refusal(error: duckdb.Error, sql: str) -> Refusal:
    head, brace, facts = str(error).partition("{")
    try:
        told = json.loads(brace + facts)
    except ValueError:
        told = {"exception_type": head, "exception_message": str(error)}
    kind = str(told.get("exception_type", ""))
    message = str(told.get("exception_message", ""))
    if kind == "Out of Memory" or "temp_storage" in message or "temp_directory" in message:
        return Refusal("limit", "The statement needs more memory than one may use here. Ask for fewer rows or columns.")
    if kind == "Permission":
        return Refusal("refused", "A statement reads the tables it names, and no file, setting or address.")
    if kind in ("IO", "HTTP"):
        return Refusal("unreadable", message)
    if "too deep" in message or "depth" in message:
        return Refusal("refused", "The statement nests too deep.")
    position = int(told["position"]) if str(told.get("position", "")).isdigit() else None
    if kind != "Parser":
        position = _characters(sql, position)
    nearest = str(told.get("candidates", "")).partition(",")[0].strip() or None
    known = 'Did you mean "pg_' in message  # its own tables are no suggestion
    message = message.partition("\nDid you mean")[0] if known else message
    is_unknown = told.get("error_subtype") in ("COLUMN_NOT_FOUND", "MISSING_ENTRY")
    return Refusal(
        "unknown" if is_unknown else KINDS.get(kind, "failed"),
        message.replace("\n", " "),
        position,
        None if known else nearest,
    )


def _characters(sql: str, position: int | None) -> int | None:
    """A place in characters: DuckDB's parser counts these, and its binder bytes."""
    return None if position is None else len(sql.encode(errors="replace")[:position].decode(errors="ignore"))


def _place(name: str) -> Place:
    schema, _, table = name.partition(".")
    return schema, table


def _bare(path: str) -> str:
    return path.removeprefix("file://")


if __name__ == "__main__":
    main()
