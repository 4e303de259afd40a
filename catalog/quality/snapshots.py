"""Snapshots of gold for those who train models: copies by day, named, never changed, taken when the gate lets them.

A snapshot is the rows of one released table at one day, in the partition ``as_of`` of ``gold.<series>_snapshots``;
these tables are part of every release, in the domain ``snapshots``. What is there is told by the released table
itself: the ledger's rows are written after it, and made good by the next call when a crash came between.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import date
from time import monotonic

import pyarrow as pa
import sqlalchemy as sa

from catalog import releases, schema
from catalog.clock import utc_now
from catalog.errors import UnknownName
from catalog.feed import SNAPSHOTS
from catalog.iceberg import GOLD, Lakehouse, field_ids
from catalog.iceberg_snapshots import AS_OF, stage_snapshots
from catalog.ledger import Ledger
from catalog.locks import exclusive
from catalog.quality import gate
from catalog.quality.declared import SnapshotModel, snapshot_models
from catalog.quality.evidence import hidden_columns
from catalog.quality.examine import EXISTS, PUBLISHED, REFUSED, Candidate, copy_rows, examine
from catalog.quality.report import Report, TableReport, write_report
from catalog.registry import Registry
from catalog.releases import Release, ReleasedTable
from catalog.session import open_duckdb
from catalog.settings import Settings

AS_OF_DOC = "Day the row is as of: what was released by then. Partition of the table."


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What became of one snapshot that was asked for."""

    name: str
    model: str
    table: str
    as_of: date
    status: str  # published, exists, refused
    reason: str | None
    rows: int | None
    content_hash: str | None
    release_id: int | None  # what was published with it; None when it was there already, or is refused


class SnapshotTaker:
    """One call of ``odh snapshot``."""

    def __init__(
        self, settings: Settings, registry: Registry, ledger: Ledger, lakehouse: Lakehouse, run_id: str, today: date
    ) -> None:
        self.settings, self.registry, self.ledger, self.lakehouse = settings, registry, ledger, lakehouse
        self.run_id, self.today = run_id, today

    def take(self, as_of: date, names: Sequence[str] = ()) -> list[Snapshot]:
        """Take the snapshots of a day, of the named models or of all that are kept; one refused stops no other.

        Raises:
            UnknownName: a model that is not kept as snapshots.
            LakeBusy: a build is on.
        """
        known = snapshot_models(self.settings)
        if unknown := [name for name in names if name not in known]:
            raise UnknownName("model kept as snapshots", unknown[0], known)
        began = monotonic()
        with (
            exclusive(self.settings, self.ledger, "build") as self.verify,
            closing(open_duckdb(self.settings)) as self.connection,
        ):
            releases.finish_staged(self.ledger, self.lakehouse)
            live = releases.current_release(self.ledger)
            source = releases.current_release(self.ledger, as_of)
            candidates = [self._look_at(known[name], as_of, live, source) for name in dict.fromkeys(names or known)]
            release = self._publish(candidates, live) if live else None
            release_id = release.release_id if release else None
            taken = [_outcome(candidate, release_id) for candidate in candidates]
            self._record(taken, source)
        self._tell(as_of, candidates, release_id, monotonic() - began)
        return taken

    def _look_at(self, model: SnapshotModel, as_of: date, live: Release | None, source: Release | None) -> Candidate:
        found = Candidate(model, as_of)
        if not found.passes(gate.check_day(model.model, as_of, self.today, self._first_day())) or live is None:
            return found
        found.table = source.table(GOLD, model.model) if source else None
        if not found.passes(gate.check_released(model.model, as_of, found.table is not None)) or not found.table:
            return found
        domain = found.table.domain
        limits = gate.limits_of(self.registry.domains().get(domain, ()))
        found.status = examine(self.connection, found, live, limits, hidden_columns(self.registry, domain))
        return found

    def _first_day(self) -> date | None:
        r = schema.releases.c
        with self.ledger.begin() as connection:
            first: date | None = connection.scalar(
                sa.select(sa.func.min(r.extraction_date)).where(r.status == "published")
            )
        return first

    # The release

    def _publish(self, candidates: Sequence[Candidate], live: Release) -> Release | None:
        """Add the rows of those that passed to their tables, and release these with all that is live."""
        staged = [self._stage(found, live) for found in candidates if found.status == PUBLISHED]
        added = [table for table in staged if table]
        if not added:
            return None
        places = {(table.pin.layer, table.pin.name) for table in added}
        kept = [table for table in live.tables if (table.pin.layer, table.pin.name) not in places]
        tables = [*kept, *added]
        self.verify()
        told = (tables, live.fingerprints, live.inputs)
        release = releases.stage(self.ledger, self.run_id, live.extraction_date, *told)
        releases.publish(self.ledger, self.lakehouse, release)
        return release

    def _stage(self, found: Candidate, live: Release) -> ReleasedTable | None:
        """Write a candidate's rows on their table's staging branch; None when the copy is not what was examined."""
        if found.table is None or found.rows is None:
            return None
        description, docs = self.lakehouse.describe(found.table.pin)
        columns = pa.schema([*self.lakehouse.arrow_columns(found.table.pin), pa.field(AS_OF, pa.date32())])
        told = f"Snapshots of {found.model.model}, each of the day {AS_OF}. {description or ''}".strip()
        table = stage_snapshots(self.lakehouse, found.model.table, columns, {**docs, AS_OF: AS_OF_DOC}, told)
        file = self.settings.scratch / self.run_id / f"{found.model.series}.parquet"
        if not copy_rows(self.connection, found, field_ids(table.table), file):
            found.status = REFUSED
            return None
        pin = table.add(self.lakehouse, file, found.as_of, {"odh.run_id": self.run_id, "odh.snapshot": found.name})
        before = live.table(GOLD, found.model.table)
        rows, content = (before.rows, before.content_hash) if before else (0, "")
        chained = hashlib.sha256(f"{content}|{found.name}|{found.content_hash}".encode()).hexdigest()
        return ReleasedTable(pin, SNAPSHOTS, rows + found.rows, chained)

    # What is told

    def _record(self, taken: Sequence[Snapshot], source: Release | None) -> None:
        """Write the ledger's rows: of what was published or refused, and of what a crash kept from being written."""
        s = schema.snapshots
        with self.ledger.begin() as connection:
            known: set[str] = set(connection.scalars(sa.select(s.c.name).where(s.c.status == PUBLISHED)))
            for one in taken:
                if one.status == EXISTS and one.name in known:
                    continue
                connection.execute(
                    s.insert().values(
                        name=one.name,
                        run_id=self.run_id,
                        table_name=one.table,
                        model=one.model,
                        as_of=one.as_of,
                        status=REFUSED if one.status == REFUSED else PUBLISHED,
                        reason=one.reason,
                        source_release_id=source.release_id if source else None,
                        release_id=one.release_id,
                        rows=one.rows,
                        content_hash=one.content_hash,
                        created_at=utc_now(),
                    )
                )

    def _tell(self, as_of: date, candidates: Sequence[Candidate], release_id: int | None, seconds: float) -> None:
        """Leave a validation report."""
        report = Report(
            self.run_id,
            "snapshot",
            as_of,
            utc_now(),
            release_id,
            [{"domain": one.model.model, "status": one.status, "reason": one.reason} for one in candidates],
            [check for one in candidates for check in one.checks],
            [TableReport(GOLD, one.model.model, SNAPSHOTS, one.statistics) for one in candidates if one.statistics],
            [shift for one in candidates for shift in one.shifts],
            seconds=round(seconds, 3),
        )
        write_report(self.settings, report)


def _outcome(found: Candidate, release_id: int | None) -> Snapshot:
    return Snapshot(
        found.name,
        found.model.model,
        found.model.table,
        found.as_of,
        found.status,
        found.reason,
        found.rows,
        found.content_hash,
        release_id if found.status == PUBLISHED else None,
    )
