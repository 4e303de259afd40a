"""From raw files to bronze: decode, write parquet with Iceberg field ids, and commit a table's files at once.

The order makes a crash harmless: the loads enter the ledger as pending, the files enter Iceberg in one commit, the
loads become loaded. Whatever was pending is decoded again, and committed only if Iceberg does not hold it yet.
"""

from __future__ import annotations

import json
import shutil
import uuid
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl
import structlog

from catalog.clock import utc_now
from catalog.errors import Refused
from catalog.feed import Feed, FeedTable
from catalog.iceberg import LINEAGE, SOURCES_PROPERTY, Lakehouse, arrow_schema
from catalog.ledger import Ledger
from catalog.names import bronze_table
from ingestion.decode import DecodedTable, RefusedMember, RejectedRow, decode
from ingestion.raw import Manifest, RawZone

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Load:
    """What became of one table of one resource, in the ledger's words."""

    feed: str
    table_name: str
    resource_id: str
    source_file: str
    source_member: str
    status: str  # loaded, unchanged, refused, already
    rows_loaded: int = 0
    rows_rejected: int = 0
    reason: str | None = None


@dataclass
class _Decoded:
    """One resource's tables, read but not yet written."""

    manifest: Manifest
    tables: list[DecodedTable] = field(default_factory=list)
    refused: list[RefusedMember] = field(default_factory=list)
    files: list[Path] = field(default_factory=list)


class BronzeLoader:
    """Loads the files of one run into bronze."""

    def __init__(self, ledger: Ledger, lakehouse: Lakehouse, raw: RawZone, scratch: Path, run_id: str) -> None:
        self.ledger, self.lakehouse, self.raw = ledger, lakehouse, raw
        self.scratch = scratch / run_id
        self.run_id = run_id

    def load(self, feed: Feed, table: FeedTable, manifests: Sequence[Manifest]) -> list[Load]:
        """Load the files of one table's extraction in one commit; what is loaded already is left alone.

        A file that cannot be read is refused with its reason and stops no other.
        """
        name = bronze_table(feed.feed, table.name)
        outcomes: list[Load] = []
        fresh: list[Manifest] = []
        for manifest in manifests:
            known = self.ledger.loaded_members(name, manifest.resource_id, manifest.extraction_date)
            outcomes += [_as_known(row) for row in known]
            if not known and self._is_unchanged(name, manifest):
                outcomes.append(self._record_unchanged(feed, name, manifest))
            elif not known:
                fresh.append(manifest)
        try:
            outcomes += self._load_later(feed, table, name, fresh)
            return outcomes + (self._load_fresh(feed, table, name, fresh) if fresh else [])
        finally:
            shutil.rmtree(self.scratch, ignore_errors=True)

    def _is_unchanged(self, name: str, manifest: Manifest) -> bool:
        previous = self.ledger.previous_loads(name, manifest.resource_id, manifest.extraction_date)
        return any(row.source_sha256 == manifest.sha256 for row in previous)

    def _record_unchanged(self, feed: Feed, name: str, manifest: Manifest) -> Load:
        load = Load(feed.feed, name, manifest.resource_id, manifest.file_name, "", "unchanged")
        self.ledger.replace_loads([self._row(manifest, load, {})], [], [])
        return load

    def _load_later(self, feed: Feed, table: FeedTable, name: str, manifests: Sequence[Manifest]) -> list[Load]:
        """Load the extractions that were left out as unchanged since one older than what is now to be loaded.

        Else what comes late would pass for the newest. They go first: one that a crash left pending is taken up again.
        """
        loads: list[Load] = []
        for manifest in manifests:
            later = self.ledger.following_load(name, manifest.resource_id, manifest.extraction_date)
            if later and later.status != "loaded" and later.source_sha256 != manifest.sha256:
                kept = self.raw.manifest(feed.feed, later.extraction_date, manifest.resource_id)
                loads += self._load_fresh(feed, table, name, [kept]) if kept else []
        return loads

    def _load_fresh(self, feed: Feed, table: FeedTable, name: str, manifests: Sequence[Manifest]) -> list[Load]:
        day = manifests[0].extraction_date
        decoded = [self._decode(table, manifest) for manifest in manifests]
        headers = {c: h for one in decoded for t in one.tables for c, h in zip(t.columns, t.headers, strict=True)}
        docs = {**dict.fromkeys(table.columns, ""), **headers}
        iceberg = self.lakehouse.ensure_bronze(name, docs)
        loaded_at = utc_now()
        for one in decoded:
            try:
                one.files = [self._sink(one.manifest, found, iceberg, loaded_at) for found in one.tables]
            except pl.exceptions.PolarsError as error:
                one.refused.append(RefusedMember(None, f"could not be read: {error}"))
                one.tables, one.files = [], []
        loads = [load for one in decoded for load in self._outcomes(feed, name, one)]
        self._record_pending(decoded, loads)
        absent = [
            one for one in decoded if one.files and not self.lakehouse.holds(iceberg, one.manifest.resource_id, day)
        ]
        summary = {SOURCES_PROPERTY: json.dumps([_source(one.manifest) for one in absent]), "odh.run_id": self.run_id}
        files = [file for one in absent for file in one.files]
        snapshot_id = self.lakehouse.append_files(iceberg, files, day.isoformat(), summary)
        self.ledger.finish_loads(self.run_id, name, day, snapshot_id)
        log.info("bronze_loaded", table=name, files=len(files), rows=sum(load.rows_loaded for load in loads))
        return loads

    def _decode(self, table: FeedTable, manifest: Manifest) -> _Decoded:
        result = _Decoded(manifest)
        scratch = self.scratch / manifest.resource_id
        scratch.mkdir(parents=True, exist_ok=True)
        declared = manifest.portal.get("format")
        names: Counter[str | None] = Counter()
        try:
            path = self.raw.local_file(manifest, self.scratch)
            for found in decode(path, file_name=manifest.file_name, declared_format=declared, scratch=scratch):
                names[found.member] += 1
                if not table.accepts_member(found.member):
                    continue
                if names[found.member] > 1:  # an archive may hold a name twice
                    found = replace(found, member=f"{found.member} ({names[found.member]})")
                if isinstance(found, RefusedMember):
                    result.refused.append(found)
                else:
                    result.tables.append(found)
            if not result.tables and not result.refused:
                held = ", ".join(str(member) for member in names)
                raise Refused(f"No member matches 'members' ({table.members}) of the feed file. It holds: {held}.")
        except Refused as error:
            result.tables = []  # a file is taken whole or not at all
            result.refused.append(RefusedMember(None, str(error)))
        return result

    def _sink(self, manifest: Manifest, found: DecodedTable, iceberg: Any, loaded_at: datetime) -> Path:
        """Write one decoded table as a parquet file ready to enter its Iceberg table."""
        lineage = {
            "_resource_id": pl.lit(manifest.resource_id, pl.String),
            "_extraction_date": pl.lit(manifest.extraction_date, pl.Date),
            "_source_file": pl.lit(manifest.file_name, pl.String),
            "_source_member": pl.lit(found.member, pl.String),
            "_source_line": pl.col("_source_line").cast(pl.Int64),
            "_loaded_at": pl.lit(loaded_at).cast(pl.Datetime("us", "UTC")),
        }
        columns = [*found.columns, *LINEAGE]
        frame = found.frame.with_columns(**lineage).select(columns)
        path = self.scratch / f"{manifest.resource_id}-{uuid.uuid4().hex[:8]}.parquet"
        frame.sink_parquet(path, compression="zstd", compression_level=1, arrow_schema=arrow_schema(iceberg, columns))
        return path

    def _outcomes(self, feed: Feed, name: str, one: _Decoded) -> Iterator[Load]:
        resource_id, file_name = one.manifest.resource_id, one.manifest.file_name
        for found in one.tables:
            yield Load(
                feed.feed, name, resource_id, file_name, found.member or "", "loaded", found.rows, len(found.rejects)
            )
        for refused in one.refused:
            member = refused.member or ""
            yield Load(feed.feed, name, resource_id, file_name, member, "refused", reason=refused.reason)

    def _record_pending(self, decoded: Sequence[_Decoded], loads: Sequence[Load]) -> None:
        manifests = {one.manifest.resource_id: one.manifest for one in decoded}
        tables = {(one.manifest.resource_id, t.member or ""): t for one in decoded for t in one.tables}
        rows: list[dict[str, Any]] = []
        rejects: list[dict[str, Any]] = []
        changes: list[dict[str, Any]] = []
        for load in loads:
            manifest = manifests[load.resource_id]
            found = tables.get((load.resource_id, load.source_member))
            facts = {**found.facts, "columns": found.columns} if found else {}
            row = self._row(manifest, load, facts)
            rows.append({**row, "status": "pending" if load.status == "loaded" else load.status})
            if found:
                rejects += _rejects(row, found.rejects)
                changes += self._changes(row, found)
        self.ledger.replace_loads(rows, rejects, changes)

    def _row(self, manifest: Manifest, load: Load, facts: dict[str, Any]) -> dict[str, Any]:
        return {
            "feed": load.feed,
            "table_name": load.table_name,
            "resource_id": load.resource_id,
            "extraction_date": manifest.extraction_date,
            "source_file": load.source_file,
            "source_member": load.source_member,
            "source_sha256": manifest.sha256,
            "rows_loaded": load.rows_loaded,
            "rows_rejected": load.rows_rejected,
            "status": load.status,
            "reason": load.reason,
            "facts": json.dumps(facts, ensure_ascii=False),
            "snapshot_id": None,
            "run_id": self.run_id,
            "loaded_at": utc_now(),
        }

    def _changes(self, row: dict[str, Any], found: DecodedTable) -> Iterator[dict[str, Any]]:
        """Columns that came or went since the same resource's previous extraction."""
        previous = self.ledger.previous_loads(row["table_name"], row["resource_id"], row["extraction_date"])
        same = [p for p in previous if p.source_member == row["source_member"] or len(previous) == 1]
        if not same:
            return
        before, now = set(json.loads(same[0].facts or "{}").get("columns", [])), set(found.columns)
        keys = ("feed", "table_name", "resource_id", "extraction_date", "source_member")
        place = {key: row[key] for key in keys} | {"detected_at": utc_now()}
        for column in sorted(now - before):
            yield {**place, "column_name": column, "change": "added", "class": "safe"}
        for column in sorted(before - now):
            yield {**place, "column_name": column, "change": "missing", "class": "breaking"}


def _as_known(row: Any) -> Load:
    status = "already" if row.status == "loaded" else row.status
    return Load(
        row.feed,
        row.table_name,
        row.resource_id,
        row.source_file,
        row.source_member,
        status,
        row.rows_loaded,
        row.rows_rejected,
        row.reason,
    )


def _rejects(row: dict[str, Any], rejected: Iterable[RejectedRow]) -> Iterator[dict[str, Any]]:
    keys = ("feed", "table_name", "resource_id", "extraction_date", "source_file", "source_member")
    place = {key: row[key] for key in keys}
    for reject in rejected:
        yield {**place, "source_line": reject.line, "raw_text": reject.raw_text, "reason": reject.reason}


def _source(manifest: Manifest) -> dict[str, str]:
    return {"resource_id": manifest.resource_id, "file": manifest.file_name, "sha256": manifest.sha256}


def group_by_table(feed: Feed, manifests: Iterable[Manifest]) -> dict[str, list[Manifest]]:
    """Manifests of an extraction by the feed table that takes them."""
    groups: dict[str, list[Manifest]] = {}
    for manifest in manifests:
        if table := feed.table_of(manifest.title, manifest.file_name):
            groups.setdefault(table.name, []).append(manifest)
    return groups
