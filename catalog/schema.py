"""The ledger's tables, as SQLAlchemy metadata; the migrations under ``catalog/migrations`` make them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa


class UtcDateTime(sa.types.TypeDecorator[datetime]):
    """An aware UTC datetime, also on SQLite, which keeps no time zone."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:
        if value is not None and value.tzinfo is None:
            raise ValueError(f"a naive datetime cannot enter the ledger: {value!r}")
        return value.astimezone(UTC) if value else None

    def process_result_value(self, value: Any | None, dialect: sa.Dialect) -> datetime | None:
        if value is None:
            return None
        moment: datetime = value
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


class Text(sa.types.TypeDecorator[str]):
    """Any text; a NUL, which files hold and PostgreSQL refuses, becomes its picture ``␀``."""

    impl = sa.Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: sa.Dialect) -> str | None:
        return value.replace("\0", "␀") if value else value


metadata = sa.MetaData()

runs = sa.Table(
    "runs",
    metadata,
    sa.Column("run_id", Text, primary_key=True),
    sa.Column("command", Text, nullable=False),
    sa.Column("feeds", Text, nullable=False),
    sa.Column("extraction_date", sa.Date),
    sa.Column("status", Text, nullable=False),  # running, succeeded, failed, interrupted
    sa.Column("started_at", UtcDateTime, nullable=False),
    sa.Column("finished_at", UtcDateTime),
    sa.Column("error", Text),
    sa.Column("host", Text, nullable=False),
    sa.Column("pid", sa.BigInteger, nullable=False),
    sa.Column("dag_id", Text),  # the scheduler's task this is the work of; null for a command somebody gave
    sa.Column("dag_run_id", Text),
    sa.Column("task_id", Text),
    sa.Column("map_index", sa.Integer),
    sa.Column("try_number", sa.Integer),
    sa.Column("max_tries", sa.Integer),
    sa.Column("will_retry", sa.Integer),  # 1 for one that failed and that the scheduler tries again
    sa.Column("task_url", Text),
)

alerts = sa.Table(
    "alerts",
    metadata,
    sa.Column("alert_id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=True),
    sa.Column("fingerprint", Text, nullable=False),  # kind and subject: what makes two sights of it one alert
    sa.Column("kind", Text, nullable=False),
    sa.Column("severity", Text, nullable=False),  # error, warning
    sa.Column("subject", Text, nullable=False),  # the feed, domain, table or task it is about
    sa.Column("what", Text, nullable=False),
    sa.Column("since", UtcDateTime, nullable=False),
    sa.Column("link", Text),
    sa.Column("opened_at", UtcDateTime, nullable=False),
    sa.Column("last_seen_at", UtcDateTime, nullable=False),
    sa.Column("notified_at", UtcDateTime),  # when somebody was first told
    sa.Column("resolved_at", UtcDateTime),
    sa.Column("told", Text, nullable=False),  # the channels told that it holds, with a space between them
    sa.Column("told_over", Text, nullable=False),  # and those told that it is over
    sa.Index("alerts_by_fingerprint", "fingerprint"),
)

extractions = sa.Table(
    "extractions",
    metadata,
    sa.Column("feed", Text, primary_key=True),
    sa.Column("extraction_date", sa.Date, primary_key=True),
    sa.Column("resource_id", Text, primary_key=True),
    sa.Column("run_id", Text, nullable=False),
    sa.Column("dataset_id", Text),
    sa.Column("title", Text),
    sa.Column("table_name", Text),
    sa.Column("status", Text, nullable=False),  # stored, unchanged, failed, gone, kept
    sa.Column("reason", Text),
    sa.Column("source_url", Text),
    sa.Column("raw_key", Text),
    sa.Column("file_name", Text),
    sa.Column("sha256", Text),
    sa.Column("size_bytes", sa.BigInteger),
    sa.Column("etag", Text),
    sa.Column("http_status", sa.Integer),
    sa.Column("evidence", Text),  # how it is known to be changed or unchanged: portal_checksum, not_modified, sha256…
    sa.Column("started_at", UtcDateTime),
    sa.Column("finished_at", UtcDateTime),
)

listings = sa.Table(
    "listings",  # the days a feed was looked at whole: each resource then listed has its extraction
    metadata,
    sa.Column("feed", Text, primary_key=True),
    sa.Column("extraction_date", sa.Date, primary_key=True),
    sa.Column("run_id", Text, nullable=False),
    sa.Column("resources", sa.BigInteger, nullable=False),
    sa.Column("listed_at", UtcDateTime, nullable=False),
)

rests = sa.Table(
    "rests",  # servers that asked to be left alone, and until when
    metadata,
    sa.Column("name", Text, primary_key=True),
    sa.Column("until", UtcDateTime, nullable=False),
)

loads = sa.Table(
    "loads",
    metadata,
    sa.Column("table_name", Text, primary_key=True),
    sa.Column("resource_id", Text, primary_key=True),
    sa.Column("extraction_date", sa.Date, primary_key=True),
    sa.Column("source_member", Text, primary_key=True, default=""),  # "" for a file that is no archive
    sa.Column("feed", Text, nullable=False),
    sa.Column("run_id", Text, nullable=False),
    sa.Column("source_file", Text, nullable=False),
    sa.Column("source_sha256", Text, nullable=False),
    sa.Column("rows_loaded", sa.BigInteger, nullable=False),
    sa.Column("rows_rejected", sa.BigInteger, nullable=False),
    sa.Column("status", Text, nullable=False),  # pending, loaded, unchanged, refused
    sa.Column("reason", Text),
    sa.Column("facts", Text),  # JSON: encoding, separator, header line…
    sa.Column("snapshot_id", sa.BigInteger),
    sa.Column("loaded_at", UtcDateTime, nullable=False),
    sa.Index("loads_by_feed", "feed", "extraction_date"),
)

rejects = sa.Table(
    "rejects",
    metadata,
    sa.Column("reject_id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=True),
    sa.Column("feed", Text, nullable=False),
    sa.Column("table_name", Text, nullable=False),
    sa.Column("resource_id", Text, nullable=False),
    sa.Column("extraction_date", sa.Date, nullable=False),
    sa.Column("source_file", Text, nullable=False),
    sa.Column("source_member", Text, nullable=False, default=""),
    sa.Column("source_line", sa.BigInteger, nullable=False),
    sa.Column("stage", Text, nullable=False, server_default="decode"),  # decode, schema, type, key
    sa.Column("column_name", Text),  # the column whose value does not fit; null where the whole record does not
    sa.Column("raw_text", Text, nullable=False),
    sa.Column("reason", Text, nullable=False),
    sa.Index("rejects_by_source", "table_name", "resource_id", "extraction_date"),
)

quality_results = sa.Table(
    "quality_results",
    metadata,
    sa.Column("run_id", Text, primary_key=True),
    sa.Column("test_id", Text, primary_key=True),
    sa.Column("domain", Text, nullable=False),
    sa.Column("test_name", Text, nullable=False),
    sa.Column("table_name", Text),
    sa.Column("column_name", Text),
    sa.Column("severity", Text, nullable=False),  # error, warn
    sa.Column("status", Text, nullable=False),  # pass, warn, fail, error, skipped
    sa.Column("failures", sa.BigInteger),
    sa.Column("message", Text),
    sa.Column("seconds", sa.Float),
    sa.Column("tested_at", UtcDateTime, nullable=False),
)

snapshots = sa.Table(
    "snapshots",
    metadata,
    sa.Column("name", Text, primary_key=True),  # <series>@<as_of>
    sa.Column("run_id", Text, primary_key=True),
    sa.Column("table_name", Text, nullable=False),  # the gold table that holds it
    sa.Column("model", Text, nullable=False),
    sa.Column("as_of", sa.Date, nullable=False),
    sa.Column("status", Text, nullable=False),  # published, refused
    sa.Column("reason", Text),
    sa.Column("source_release_id", sa.BigInteger),  # the release its rows are of
    sa.Column("release_id", sa.BigInteger),  # the first release that has it
    sa.Column("rows", sa.BigInteger),
    sa.Column("content_hash", Text),
    sa.Column("created_at", UtcDateTime, nullable=False),
)

schema_changes = sa.Table(
    "schema_changes",
    metadata,
    sa.Column("table_name", Text, primary_key=True),
    sa.Column("resource_id", Text, primary_key=True),
    sa.Column("extraction_date", sa.Date, primary_key=True),
    sa.Column("source_member", Text, primary_key=True, default=""),
    sa.Column("column_name", Text, primary_key=True),
    sa.Column("feed", Text, nullable=False),
    sa.Column("change", Text, primary_key=True),  # added, missing, renamed, retyped, separator, encoding, rows, …
    sa.Column("class", Text, nullable=False),  # safe, breaking
    sa.Column("detail", Text),  # what it was and what it is
    sa.Column("detected_at", UtcDateTime, nullable=False),
)

releases = sa.Table(
    "releases",
    metadata,
    sa.Column("release_id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=True),
    sa.Column("run_id", Text, nullable=False),
    sa.Column("extraction_date", sa.Date, nullable=False),
    sa.Column("status", Text, nullable=False),  # staged, published, removed
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("published_at", UtcDateTime),
    sa.Column("removed_at", UtcDateTime),  # by retention; its files stay for those who opened it before
)

release_domains = sa.Table(
    "release_domains",
    metadata,
    sa.Column("release_id", sa.ForeignKey("releases.release_id"), primary_key=True),
    sa.Column("domain", Text, primary_key=True),
    sa.Column("fingerprint", Text, nullable=False),  # of all its inputs: unchanged means no new build
)

release_tables = sa.Table(
    "release_tables",
    metadata,
    sa.Column("release_id", sa.ForeignKey("releases.release_id"), primary_key=True),
    sa.Column("layer", Text, primary_key=True),
    sa.Column("table_name", Text, primary_key=True),
    sa.Column("domain", Text, nullable=False),
    sa.Column("metadata_location", Text, nullable=False),
    sa.Column("snapshot_id", sa.BigInteger, nullable=False),
    sa.Column("rows", sa.BigInteger, nullable=False),
    sa.Column("content_hash", Text, nullable=False),
)

removals = sa.Table(
    "removals",
    metadata,
    sa.Column("removal_id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=True),
    sa.Column("run_id", Text, nullable=False),
    sa.Column(
        "what", Text, nullable=False
    ),  # raw_file, raw_lines, bronze_rows, rows, rejects, release, report, audit, files
    sa.Column("layer", Text),
    sa.Column("table_name", Text),
    sa.Column("key", Text),  # of a raw file; a release's number
    sa.Column("feed", Text),
    sa.Column("resource_id", Text),
    sa.Column("extraction_date", sa.Date),
    sa.Column("rows", sa.BigInteger),
    sa.Column("bytes", sa.BigInteger),
    sa.Column("sha256", Text),
    sa.Column("reason", Text, nullable=False),
    sa.Column("removed_at", UtcDateTime, nullable=False),
)

unnamed_files = sa.Table(  # files of the warehouse that no table names, since when: they go after a delay
    "unnamed_files",
    metadata,
    sa.Column("path", Text, primary_key=True),
    sa.Column("seen_at", UtcDateTime, nullable=False),
)

rewrites = sa.Table(  # tables whose files are being rewritten while releases still pin the old ones
    "rewrites",
    metadata,
    sa.Column("layer", Text, primary_key=True),
    sa.Column("table_name", Text, primary_key=True),
    sa.Column("started_at", UtcDateTime, nullable=False),
)

erasures = sa.Table(
    "erasures",
    metadata,
    sa.Column("erasure_id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=True),
    sa.Column("table_name", Text, nullable=False),  # of bronze
    sa.Column("columns", Text, nullable=False),  # JSON list of the columns whose values name the person
    sa.Column("key_hash", Text, nullable=False),  # keyed hash of these values: the values themselves are kept nowhere
    sa.Column("reason", Text, nullable=False),
    sa.Column("run_id", Text, nullable=False),
    sa.Column("requested_at", UtcDateTime, nullable=False),
    sa.Column("finished_at", UtcDateTime),
    sa.Column("report", Text),  # JSON: what was removed where, and what the scan afterwards found
    sa.UniqueConstraint("table_name", "columns", "key_hash"),
)

release_inputs = sa.Table(
    "release_inputs",  # the bronze tables a release was made from
    metadata,
    sa.Column("release_id", sa.ForeignKey("releases.release_id"), primary_key=True),
    sa.Column("table_name", Text, primary_key=True),
    sa.Column("metadata_location", Text, nullable=False),
    sa.Column("snapshot_id", sa.BigInteger),  # null for a table never written
)

api_keys = sa.Table(
    "api_keys",
    metadata,
    sa.Column("key_id", Text, primary_key=True),
    sa.Column("name", Text, nullable=False),
    sa.Column("prefix", Text, nullable=False),  # what the key begins with: all of it that is ever shown again
    sa.Column("hash", Text, nullable=False),  # sha256 of the key, in hexadecimal
    sa.Column("scopes", Text, nullable=False),  # parted by spaces
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("expires_at", UtcDateTime),
    sa.Column("revoked_at", UtcDateTime),
    sa.Column("last_used_at", UtcDateTime),  # to the hour
)

audit = sa.Table(
    "audit",
    metadata,
    sa.Column("audit_id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=True),
    sa.Column("at", UtcDateTime, nullable=False),
    sa.Column("request_id", Text),  # as in the log and in the answer's X-Request-ID; null for several requests
    sa.Column("key_id", Text),  # null for a caller without a key
    sa.Column("method", Text, nullable=False),
    sa.Column("path", Text, nullable=False),
    sa.Column("status", sa.Integer, nullable=False),
    sa.Column("requests", sa.BigInteger, nullable=False),  # several alike of one second may be one row
    sa.Column("detail", Text),  # the SQL that was run, cut at some length
    sa.Column("rows", sa.BigInteger),
    sa.Column("seconds", sa.Float, nullable=False),
    sa.Index("audit_by_time", "at"),
)

push_flushes = sa.Table(  # parts of the push log that go into bronze together; written down before anything else is
    "push_flushes",
    metadata,
    sa.Column("segment", Text, primary_key=True),
    sa.Column("start_offset", sa.BigInteger, primary_key=True),
    sa.Column("end_offset", sa.BigInteger, nullable=False),
    sa.Column("flush_id", Text, nullable=False),  # the first of its parts
    sa.Column("status", Text, nullable=False),  # planned, done
    sa.Column("planned_at", UtcDateTime, nullable=False),
    sa.Index("push_flushes_by_status", "status"),
)

push_batches = sa.Table(
    "push_batches",
    metadata,
    sa.Column("receipt", Text, primary_key=True),
    sa.Column("feed", Text, nullable=False),
    sa.Column("status", Text, nullable=False),  # accepted (held in raw), bronze, curated, rejected, duplicate, failed
    sa.Column("reason", Text),  # why it failed, or what its release waits for
    sa.Column("records", sa.BigInteger, nullable=False),  # that went into bronze
    sa.Column("rejected", sa.BigInteger, nullable=False),
    sa.Column("faults", Text),  # JSON: what is wrong with the rejected ones, the first hundred
    sa.Column("received_at", UtcDateTime, nullable=False),
    sa.Column("resource_id", Text),  # its file in raw, and so _resource_id of its rows
    sa.Column("extraction_date", sa.Date, nullable=False),
    sa.Column("first_line", sa.BigInteger),  # of that file, and so _source_line of its first row
    sa.Column("key_hash", Text, nullable=False),
    sa.Column("body_hash", Text, nullable=False),
    sa.Column("duplicate_of", Text),  # the receipt of the batch that had the same idempotency key first
    sa.Column("bronze_at", UtcDateTime),
    sa.Column("curated_at", UtcDateTime),
    sa.Column("release_id", sa.BigInteger),  # the first release that has it
    sa.Index("push_batches_by_status", "status", "feed"),
    sa.Index("push_batches_by_key", "key_hash"),
)
