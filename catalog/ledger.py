"""The ledger: what was run, extracted, loaded, rejected, tested and released, in one SQL database.

It owns the database and its statements; it knows nothing of portals, files or dbt.
"""

from __future__ import annotations

import os
import socket
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import date
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import sqlalchemy as sa

from catalog import schema
from catalog.clock import utc_now
from catalog.errors import LedgerAway, PermanentError
from catalog.origin import Origin
from catalog.settings import Settings

MIGRATIONS = Path(__file__).parent / "migrations"
HEAD = "0009"
OPS_TABLES = (
    "runs",
    "extractions",
    "listings",
    "loads",
    "rejects",
    "quality_results",
    "schema_changes",
    "releases",
    "snapshots",
    "removals",
    "alerts",
    "audit",
    "push_batches",
)
ROWS_AT_ONCE = 10_000
Row = Mapping[str, Any]


class Ledger:
    """One connection pool to the ledger, its tables made or migrated on opening."""

    def __init__(self, settings: Settings) -> None:
        url = sa.make_url(settings.ledger_database)
        if url.drivername == "sqlite" and url.database:
            Path(url.database).parent.mkdir(parents=True, exist_ok=True)
        self.engine = sa.create_engine(url)
        if self.engine.dialect.name == "sqlite":
            sa.event.listen(self.engine, "connect", _tune_sqlite)
        try:
            self._migrate()
        except sa.exc.OperationalError as error:
            place = url.render_as_string(hide_password=True)
            kind = LedgerAway if self.engine.dialect.name == "postgresql" else PermanentError
            raise kind(
                f"The ledger {place} cannot be opened: {error.orig}. Is its server up, or its folder writable?"
            ) from error

    def close(self) -> None:
        """Close every connection."""
        self.engine.dispose()

    @contextmanager
    def begin(self) -> Iterator[sa.Connection]:
        """One transaction."""
        with self.engine.begin() as connection:
            yield connection

    # Runs

    def start_run(
        self, command: str, feeds: Sequence[str], extraction_date: date | None, origin: Origin | None = None
    ) -> str:
        """Record a run that begins now and return its id; runs whose process died are marked interrupted."""
        run_id = f"{utc_now():%Y%m%dT%H%M%S}-{uuid.uuid4().hex[:8]}"
        with self.begin() as connection:
            self._interrupt_dead(connection)
            connection.execute(
                schema.runs.insert().values(
                    run_id=run_id,
                    command=command,
                    feeds=" ".join(feeds),
                    extraction_date=extraction_date,
                    status="running",
                    started_at=utc_now(),
                    host=socket.gethostname(),
                    pid=os.getpid(),
                    **(asdict(origin) if origin else {}),
                )
            )
        return run_id

    def finish_run(self, run_id: str, status: str, error: str | None = None, *, will_retry: bool = False) -> None:
        """Record how a run ended: ``succeeded`` or ``failed``, and whether a scheduler tries again."""
        ended = schema.runs.update().where(schema.runs.c.run_id == run_id)
        with self.begin() as connection:
            connection.execute(
                ended.values(status=status, finished_at=utc_now(), error=error, will_retry=int(will_retry))
            )

    def running_runs(self) -> set[str]:
        """Ids of the runs that have not ended."""
        with self.begin() as connection:
            return set(connection.scalars(sa.select(schema.runs.c.run_id).where(schema.runs.c.status == "running")))

    # Extractions and loads

    def record_extraction(self, **values: Any) -> None:
        """Insert or replace one resource's extraction."""
        with self.begin() as connection:
            _replace(connection, schema.extractions, values)

    def record_listing(self, **values: Any) -> None:
        """Note that a feed was looked at whole: what it no longer lists is gone."""
        with self.begin() as connection:
            _replace(connection, schema.listings, values)

    def forget_extraction(self, feed: str, extraction_date: date, resource_id: str) -> None:
        """Remove an extraction that stood for a failure since made good."""
        c = schema.extractions.c
        mine = (c.feed == feed, c.extraction_date == extraction_date, c.resource_id == resource_id)
        with self.begin() as connection:
            connection.execute(schema.extractions.delete().where(*mine))

    def loaded_members(self, table_name: str, resource_id: str, extraction_date: date) -> list[sa.Row[Any]]:
        """Finished loads of one resource's extraction; empty when it is still to be loaded."""
        c = schema.loads.c
        query = sa.select(schema.loads).where(
            c.table_name == table_name,
            c.resource_id == resource_id,
            c.extraction_date == extraction_date,
            c.status != "pending",
        )
        with self.begin() as connection:
            return list(connection.execute(query))

    def previous_loads(self, table_name: str, resource_id: str, before: date) -> list[sa.Row[Any]]:
        """Loads, one a member, of a resource's newest loaded extraction before a date."""
        c = schema.loads.c
        mine = sa.and_(c.table_name == table_name, c.resource_id == resource_id, c.status == "loaded")
        newest = sa.select(sa.func.max(c.extraction_date)).where(mine, c.extraction_date < before).scalar_subquery()
        with self.begin() as connection:
            return list(connection.execute(sa.select(schema.loads).where(mine, c.extraction_date == newest)))

    def following_load(self, table_name: str, resource_id: str, after: date) -> sa.Row[Any] | None:
        """The first load, refused ones left out, of a resource's extractions after a date."""
        c = schema.loads.c
        mine = (c.table_name == table_name, c.resource_id == resource_id, c.extraction_date > after)
        known = sa.select(schema.loads).where(*mine, c.status != "refused")
        with self.begin() as connection:
            return connection.execute(known.order_by(c.extraction_date).limit(1)).first()

    def resources_never_loaded(self, feed: str) -> list[str]:
        """Why resources of a feed's newest extraction could not be fetched that no earlier one loaded; none is best.

        A resource the portal says is gone is not waited for; neither is one whose earlier version is loaded.
        """
        e, c = schema.extractions.c, schema.loads.c
        newest = sa.select(sa.func.max(e.extraction_date)).where(e.feed == feed).scalar_subquery()
        loaded = sa.select(c.resource_id).where(c.feed == feed, c.status == "loaded")
        query = (
            sa.select(e.reason)
            .where(e.feed == feed, e.extraction_date == newest, e.status == "failed", e.table_name.is_not(None))
            .where(e.resource_id.not_in(loaded))
            .order_by(e.title)
        )
        with self.begin() as connection:
            return [str(row.reason) for row in connection.execute(query)]

    def loads_around(self, feed: str, extraction_date: date) -> list[sa.Row[Any]]:
        """What a feed's resources loaded on a day and nearest to it, in one query however many resources there are.

        For each table of each resource: the loads of the day; those of the newest loaded day before it, of the newest
        loaded or pending day of all, and of the first day after it that was not refused.
        """
        c = schema.loads.c
        mine = sa.select(c.table_name, c.resource_id).where(c.feed == feed).group_by(c.table_name, c.resource_id)
        last, first = sa.func.max(c.extraction_date), sa.func.min(c.extraction_date)
        near = sa.union(
            mine.add_columns(last).where(c.status == "loaded", c.extraction_date < extraction_date),
            mine.add_columns(last).where(c.status.in_(("loaded", "pending"))),
            mine.add_columns(first).where(c.status != "refused", c.extraction_date > extraction_date),
        )
        wanted = sa.tuple_(c.table_name, c.resource_id, c.extraction_date).in_(near)
        query = sa.select(schema.loads).where(c.feed == feed, (c.extraction_date == extraction_date) | wanted)
        with self.begin() as connection:
            return list(connection.execute(query.order_by(*schema.loads.primary_key.columns)))

    def replace_loads(self, loads: Sequence[Row], rejects: Iterable[Row], changes: Iterable[Row]) -> None:
        """Write the loads of whole resources with all that came with them, replacing what was there, in one step.

        What a crash left pending of the same resources goes too, and what was refused, whatever table it was meant for.
        """
        keys = ("table_name", "resource_id", "extraction_date", "feed")
        places = [dict(place) for place in {tuple((f"this_{key}", load[key]) for key in keys) for load in loads}]
        with self.begin() as connection:
            for table in (schema.loads, schema.rejects, schema.schema_changes) if places else ():
                same = [table.c[key] == sa.bindparam(f"this_{key}") for key in keys[:3]]
                connection.execute(table.delete().where(*same), places)
            if places:
                same = [schema.loads.c[key] == sa.bindparam(f"this_{key}") for key in keys[1:]]
                undone = sa.or_(schema.loads.c.status == "pending", schema.loads.c.status == "refused")
                connection.execute(schema.loads.delete().where(*same, undone), places)
            for table, rows in ((schema.loads, loads), (schema.rejects, rejects)):
                _insert(connection, table, rows)
            for change in changes:
                _replace(connection, schema.schema_changes, change)

    def replace_rejects(self, table_name: str, stages: Sequence[str], rejects: Iterable[Row]) -> int:
        """Write the rejects of some stages of one table, replacing those that were there, and count them.

        Finding the rows may take minutes, and one who writes to SQLite keeps all others waiting: each batch is a
        transaction of its own. Those of before go last; what a crash leaves is replaced by the next call.
        """
        c = schema.rejects.c
        mine = (c.table_name == table_name, c.stage.in_(stages))
        with self.begin() as connection:
            last = connection.scalar(sa.select(sa.func.max(c.reject_id)).where(*mine))
        written = 0
        for batch in _batches(rejects):
            with self.begin() as connection:
                connection.execute(schema.rejects.insert(), batch)
            written += len(batch)
        if last is not None:
            with self.begin() as connection:
                connection.execute(schema.rejects.delete().where(*mine, c.reject_id <= last))
        return written

    def record_changes(self, changes: Sequence[Row]) -> None:
        """Record schema changes; one that is known already is written again."""
        with self.begin() as connection:
            for change in changes:
                _replace(connection, schema.schema_changes, change)

    def finish_loads(self, run_id: str, table_name: str, extraction_date: date, snapshot_id: int | None) -> None:
        """Mark the loads a run left pending, of one table and extraction, as loaded by a snapshot."""
        c = schema.loads.c
        mine = (c.run_id == run_id, c.table_name == table_name, c.extraction_date == extraction_date)
        ended = schema.loads.update().where(*mine, c.status == "pending")
        with self.begin() as connection:
            connection.execute(ended.values(status="loaded", snapshot_id=snapshot_id))

    def record_quality(self, results: Sequence[Row]) -> None:
        """Record the results of tests; a test that a run did twice counts as it ended last."""
        c = schema.quality_results.c
        with self.begin() as connection:
            for run_id, domain in {(result["run_id"], result["domain"]) for result in results}:
                connection.execute(schema.quality_results.delete().where(c.run_id == run_id, c.domain == domain))
            _insert(connection, schema.quality_results, results)

    # Reading

    def arrow(self, table_name: str) -> pa.Table:
        """One of the ops tables as Arrow; ``source_member`` is null where the file is no archive."""
        return pa.Table.from_batches(self.arrow_batches(table_name), _arrow_schema(_query_of(table_name)))

    def arrow_batches(self, table_name: str) -> Iterator[pa.RecordBatch]:
        """The same, some rows at a time: one batch at least, be it empty."""
        query = _query_of(table_name)
        arrow_schema = _arrow_schema(query)
        with self.begin() as connection:
            found = connection.execution_options(yield_per=ROWS_AT_ONCE).execute(query).mappings()
            rows = [dict(row) for row in islice(found, ROWS_AT_ONCE)]
            while True:
                for row in rows:
                    if row.get("source_member") == "":
                        row["source_member"] = None
                yield pa.RecordBatch.from_pylist(rows, schema=arrow_schema)
                if not (rows := [dict(row) for row in islice(found, ROWS_AT_ONCE)]):
                    return

    def size_bytes(self) -> int | None:
        """Size of the ledger's database, None where it cannot be told."""
        if self.engine.dialect.name == "sqlite":
            database = Path(str(self.engine.url.database))
            return sum(path.stat().st_size for path in database.parent.glob(f"{database.name}*"))
        if self.engine.dialect.name == "postgresql":
            with self.begin() as connection:
                return connection.execute(sa.text("select pg_database_size(current_database())")).scalar()
        return None

    def _interrupt_dead(self, connection: sa.Connection) -> None:
        c = schema.runs.c
        here = sa.select(c.run_id, c.pid).where(c.status == "running", c.host == socket.gethostname())
        for run in connection.execute(here).mappings().all():
            if not is_alive(run["pid"]):
                ended = {"status": "interrupted", "finished_at": utc_now(), "error": "its process ended without a word"}
                connection.execute(schema.runs.update().where(c.run_id == run["run_id"]).values(**ended))

    def _migrate(self) -> None:
        if self._revision() == HEAD:
            return
        from alembic import command
        from alembic.config import Config

        config = Config()
        config.set_main_option("script_location", str(MIGRATIONS))
        with self.engine.begin() as connection:
            lock = {  # two first starts at once: the second waits, and then finds the tables there
                "postgresql": "select pg_advisory_xact_lock(hashtext('odh_ledger'))",
                "sqlite": "begin immediate",  # Python's driver begins nothing before DDL
            }.get(self.engine.dialect.name)
            if lock:
                connection.execute(sa.text(lock))
            config.attributes["connection"] = connection
            command.upgrade(config, "head")

    def settle(self) -> None:
        """Let SQLite keep nothing beside its file of what was deleted; the server's own files are the server's."""
        if self.engine.dialect.name == "sqlite":
            with self.engine.connect() as connection:
                connection.exec_driver_sql("pragma wal_checkpoint(truncate)")

    def _revision(self) -> str | None:
        with self.engine.connect() as connection:
            if not sa.inspect(connection).has_table("alembic_version"):
                return None
            return connection.execute(sa.text("select version_num from alembic_version")).scalar()


def _tune_sqlite(connection: Any, _record: Any) -> None:
    cursor = connection.cursor()
    for pragma in ("busy_timeout=30000", "journal_mode=wal", "synchronous=full", "foreign_keys=on", "secure_delete=on"):
        cursor.execute(f"pragma {pragma}")
    cursor.close()


def _replace(connection: sa.Connection, table: sa.Table, values: Row) -> None:
    key = sa.and_(*(column == values[column.name] for column in table.primary_key.columns))
    connection.execute(table.delete().where(key))
    connection.execute(table.insert().values(**values))


def _insert(connection: sa.Connection, table: sa.Table, rows: Iterable[Row]) -> None:
    for batch in _batches(rows):
        connection.execute(table.insert(), batch)


def _batches(rows: Iterable[Row], size: int = 10_000) -> Iterator[list[Row]]:
    remaining = iter(rows)
    while batch := list(islice(remaining, size)):
        yield batch


def _query_of(table_name: str) -> sa.Select[Any]:
    if table_name == "releases":
        return _releases_with_totals()
    return sa.select(schema.metadata.tables[table_name])


def _arrow_schema(query: sa.Select[Any]) -> pa.Schema:
    return pa.schema([(column.name, _arrow_type(column.type)) for column in query.selected_columns])


def _releases_with_totals() -> sa.Select[Any]:
    r, t = schema.releases, schema.release_tables
    rows = sa.cast(sa.func.sum(t.c.rows), sa.BigInteger)
    totals = [sa.func.count(t.c.table_name).label("tables"), rows.label("rows")]
    joined = r.outerjoin(t, t.c.release_id == r.c.release_id)
    return sa.select(*r.c, *totals).select_from(joined).group_by(*r.c).order_by(r.c.release_id)


def _arrow_type(type_: Any) -> pa.DataType:
    if isinstance(type_, schema.UtcDateTime):
        return pa.timestamp("us", tz="UTC")
    kinds: list[tuple[type, pa.DataType]] = [
        (sa.Date, pa.date32()),
        (sa.Float, pa.float64()),
        (sa.Integer, pa.int64()),
        (schema.Text, pa.string()),
    ]
    return next(arrow for kind, arrow in kinds if isinstance(type_, kind))


def is_alive(pid: int) -> bool:
    """Whether a process of this host is running."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
