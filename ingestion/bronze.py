"""From raw files to bronze: decode, write parquet with Iceberg field ids, and commit many files at once.

The order makes a crash harmless: the loads of a batch enter the ledger as pending, the files enter Iceberg in one
commit a table, the loads become loaded. Whatever was pending is decoded again, and committed only if Iceberg does not
hold it yet. A resource is in one batch, with all the tables it fills, and is taken whole or not at all.
"""

from __future__ import annotations

import json
import re
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from pathlib import Path
from typing import Any

import polars as pl
import structlog

from catalog.clock import utc_now
from catalog.errors import NotATable, Refused
from catalog.feed import Drift, Feed, Ragged
from catalog.iceberg import SOURCES_PROPERTY, Lakehouse
from catalog.ledger import Ledger
from catalog.policies import WITHHELD
from ingestion.batch import BronzeBatch, Part
from ingestion.decode import DecodedTable, RefusedMember, RejectedRow, decode
from ingestion.history import FeedHistory, Look, facts_of, in_order, kind_of
from ingestion.lineage import NAMES as LINEAGE
from ingestion.lineage import Lineage
from ingestion.raw import Manifest, RawZone
from ingestion.shape_changes import TableChange, find_changes
from ingestion.table_schemas import SchemaShelf
from ingestion.tables import Found, TableNames

log = structlog.get_logger()
BATCH_BYTES = 2 << 30  # of parquet in scratch before it is committed
READER_ERRORS = (pl.exceptions.PolarsError, pl.exceptions.PanicException)
_MACHINE_ERROR = re.compile(r"\(os error \d+\)$")  # how polars tells of a full disk and its like, without an errno
BATCH_REJECTS = 500_000  # kept in memory before they enter the ledger
OnProgress = Callable[[str, int, int], None]  # what, steps done, steps in all


@dataclass(frozen=True, slots=True)
class Load:
    """What became of one table of one resource, in the ledger's words.

    ``is_error`` tells a refusal somebody must look into from that of a document, in which no data was to be found.
    """

    feed: str
    table_name: str
    resource_id: str
    source_file: str
    source_member: str
    status: str  # loaded, unchanged, refused, already
    rows_loaded: int = 0
    rows_rejected: int = 0
    reason: str | None = None
    is_error: bool = False
    changes: tuple[str, ...] = ()  # in its table's shape, those that break readers

    @property
    def place(self) -> str:
        """File, and member if it is of an archive, for people."""
        return f"{self.source_file}/{self.source_member}".rstrip("/")


@dataclass
class _Taken:
    """One resource, read: its tables with the bronze tables they fill, in order, and what of it was refused."""

    manifest: Manifest
    tables: list[DecodedTable] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    refused: list[RefusedMember] = field(default_factory=list)
    refused_name: str = ""
    changes: list[TableChange] = field(default_factory=list)
    added: set[str] = field(default_factory=set)  # tables its rows are written for, to be committed

    def refuse(self, reason: str, *, is_document: bool = False) -> _Taken:
        """The same resource refused as a whole: a file is taken whole or not at all."""
        of_members = [one for one in self.refused if one.member]
        return _Taken(self.manifest, refused=[*of_members, RefusedMember(None, reason, is_document)])


def _unseen(_what: str, _done: int, _total: int) -> None:
    return


class BronzeLoader:
    """Loads the files of one run into bronze."""

    def __init__(
        self,
        ledger: Ledger,
        lakehouse: Lakehouse,
        raw: RawZone,
        scratch: Path,
        run_id: str,
        schemas: SchemaShelf | None = None,
    ) -> None:
        self.ledger, self.lakehouse, self.raw, self.schemas = ledger, lakehouse, raw, schemas
        self.scratch = scratch / run_id
        self.run_id = run_id

    def load(self, feed: Feed, manifests: Sequence[Manifest], on_progress: OnProgress = _unseen) -> list[Load]:
        """Load the files of one extraction of a feed; what is loaded already is left alone.

        A file that cannot be read is refused with its reason and stops no other.
        """
        wanted = [manifest for manifest in manifests if feed.takes(manifest.title, manifest.file_name)]
        if not wanted:
            return []
        day = wanted[0].extraction_date
        history = FeedHistory(self.ledger.loads_around(feed.feed, day), day)
        look = Look(feed, day, history, TableNames(feed.feed, history.memory() if feed.is_auto else ()))
        ordered = in_order(feed, wanted)
        outcomes = [load for manifest in ordered for load in _known(look, manifest)]
        todo = [manifest for manifest in ordered if not look.finished(manifest)]
        unchanged = {one.resource_id: loads for one in todo if (loads := _unchanged(look, one))}
        outcomes += self._record_unchanged(todo, unchanged)
        fresh = [manifest for manifest in todo if manifest.resource_id not in unchanged]
        try:
            outcomes += self._load_later(look, fresh)
            return outcomes + self._load_fresh(look, fresh, on_progress)
        finally:
            shutil.rmtree(self.scratch, ignore_errors=True)

    def _record_unchanged(self, manifests: Iterable[Manifest], loads: Mapping[str, list[Load]]) -> list[Load]:
        rows = [self._row(one, load, {}) for one in manifests for load in loads.get(one.resource_id, ())]
        if rows:
            self.ledger.replace_loads(rows, (), ())
        return [load for of_one in loads.values() for load in of_one]

    def _load_later(self, look: Look, manifests: Sequence[Manifest]) -> list[Load]:
        """Load the extractions that were left out as unchanged since one older than what is now to be loaded.

        Else what comes late would pass for the newest. They go first: one that a crash left pending is taken up again.
        """
        days: dict[date, list[Manifest]] = {}
        for manifest in manifests:
            later = look.history.later(manifest.resource_id, look.scope(manifest))
            if later and later.status != "loaded" and later.source_sha256 != manifest.sha256:
                kept = self.raw.manifest(look.feed.feed, later.extraction_date, manifest.resource_id)
                if kept:
                    days.setdefault(later.extraction_date, []).append(kept)
        loads: list[Load] = []
        for day, kept_ones in sorted(days.items()):
            history = FeedHistory(self.ledger.loads_around(look.feed.feed, day), day)
            loads += self._load_fresh(replace(look, day=day, history=history), kept_ones, _unseen)
        return loads

    def _load_fresh(self, look: Look, manifests: Sequence[Manifest], on_progress: OnProgress) -> list[Load]:
        """Load resources of one day, in as few commits as scratch space and memory allow."""
        loads: list[Load] = []
        waiting = list(reversed(manifests))
        while waiting:
            batch = BronzeBatch(self.lakehouse, self.scratch, look.day)
            try:
                taken: list[_Taken] = []
                rejects = 0
                while waiting and batch.bytes_written < BATCH_BYTES and rejects < BATCH_REJECTS:
                    manifest = waiting.pop()
                    done = len(manifests) - len(waiting) - 1
                    on_progress(f"{look.feed.feed}: loading {manifest.file_name}", done, len(manifests))
                    taken.append(self._take(look, manifest, batch))
                    rejects += sum(len(found.rejects) for found in taken[-1].tables)
                loads += self._commit(look, batch, taken)
            finally:
                batch.remove()
        return loads

    def _take(self, look: Look, manifest: Manifest, batch: BronzeBatch) -> _Taken:
        """Decode one resource and write its rows; its working files are gone after."""
        folder = self.scratch / manifest.resource_id
        try:
            taken = self._watch(look, self._decode(look, manifest, folder))
            parts = self._parts(look, taken, batch)
            try:
                self._sink(batch, parts)  # it is now that most files are read to their end
            except BaseException as error:
                taken = self._named(look, taken.refuse(_told(error, manifest)))
            taken.tables = [replace(found, frame=pl.LazyFrame()) for found in taken.tables]  # it may hold the rows
            return taken
        finally:
            if folder.exists():  # few resources need one
                shutil.rmtree(folder, ignore_errors=True)

    def _decode(self, look: Look, manifest: Manifest, folder: Path) -> _Taken:
        path = self.raw.local_file(manifest, folder)
        taken = _Taken(manifest)
        try:
            _decode_all(look, taken, path, folder)
            if self.schemas and len(taken.tables) == 1:  # of several tables, nothing says which one it describes
                told = self.schemas.facts(look.feed, manifest.portal)
                taken.tables = [replace(one, facts={**one.facts, **told}) for one in taken.tables]
        except Refused as error:
            taken = taken.refuse(str(error), is_document=isinstance(error, NotATable))
        except BaseException as error:
            taken = taken.refuse(_told(error, manifest))
        return self._named(look, taken)

    def _watch(self, look: Look, taken: _Taken) -> _Taken:
        """See how the resource's tables changed; one that breaks readers is refused where its feed says so."""
        named = list(zip(taken.names, taken.tables, strict=True))
        try:
            changes = list(find_changes(self.lakehouse, look, taken.manifest, named)) if named else []
        except READER_ERRORS as error:  # a value that is asked for is read now; bronze's own errors are not the file's
            return self._named(look, taken.refuse(_told(error, taken.manifest)))
        breaking = [str(change) for change in changes if change.change.is_breaking]
        if breaking and look.feed.drift is Drift.STOP:
            reason = (
                f"Its shape changed: {'; '.join(breaking)}. The feed says drift: stop; what was loaded stays."
                " To take it, say drift: evolve or warn there, and sync again."
            )
            taken = self._named(look, taken.refuse(reason))
        taken.changes = changes
        return taken

    def _named(self, look: Look, taken: _Taken) -> _Taken:
        """Give each table of a resource its bronze table, where decoding did not: declared ones were known then."""
        manifest = taken.manifest
        if scope := look.scope(manifest):
            return replace(taken, refused_name=scope[0])
        seen = (manifest.resource_id, manifest.title, manifest.file_name)
        found = [Found(one.member or "", kind_of(one.facts), one.columns) for one in taken.tables]
        names = look.names.assign(*seen, found)
        return replace(taken, names=names, refused_name=look.names.of_refused(*seen, names))

    def _parts(self, look: Look, taken: _Taken, batch: BronzeBatch) -> list[Part]:
        """Make the Iceberg tables of one resource ready, and say which rows they lack."""
        declared = look.declared(taken.manifest)
        docs: dict[str, dict[str, str]] = {name: dict.fromkeys(table.columns, "") for name, table in declared.items()}
        named = list(zip(taken.names, taken.tables, strict=True))
        for name, found in named:
            docs.setdefault(name, {}).update(zip(found.columns, found.headers, strict=True))
        for name, columns in docs.items():
            batch.ensure(name, columns)
        loaded_at = utc_now()
        taken.added = {name for name, _ in named if not batch.holds(name, taken.manifest.resource_id)}
        return [_with_lineage(n, taken.manifest, found, loaded_at) for n, found in named if n in taken.added]

    def _sink(self, batch: BronzeBatch, parts: Sequence[Part]) -> None:
        """Write one resource as parquet ready to enter its Iceberg tables."""
        batch.add(parts)

    def _commit(self, look: Look, batch: BronzeBatch, taken: Sequence[_Taken]) -> list[Load]:
        files = batch.close()
        loads = [(one, load, found) for one in taken for load, found in _outcomes(look, one)]
        self._record_pending(look, loads)
        names = {name: None for one in taken for name in one.names}
        for name in names:
            sources = [_source(one.manifest) for one in taken if name in one.added]
            summary = {SOURCES_PROPERTY: json.dumps(sources), "odh.run_id": self.run_id}
            snapshot_id = batch.commit(name, files[name], summary)
            self.ledger.finish_loads(self.run_id, name, look.day, snapshot_id)
            log.info("bronze_loaded", table=name, files=len(files[name]), resources=len(sources))
        return [load for _, load, _ in loads]

    def _record_pending(self, look: Look, loads: Sequence[tuple[_Taken, Load, DecodedTable | None]]) -> None:
        rows: list[dict[str, Any]] = []
        read: list[tuple[dict[str, Any], DecodedTable]] = []
        for one, load, found in loads:
            documents = {refused.member or "" for refused in one.refused if refused.is_document}
            facts: dict[str, Any] = {"is_document": True} if not found and load.source_member in documents else {}
            if found:
                facts = {**found.facts, "columns": found.columns, "headers": found.headers}
            row = self._row(one.manifest, load, facts)
            rows.append({**row, "status": "pending" if found else load.status})
            if found:
                read.append((row, found))
        rejects = (reject for row, found in read for reject in _rejects(row, found.rejects, look.feed))
        taken = {one.manifest.resource_id: one for one, *_ in loads}
        changes = [change.row(look.feed.feed, one.manifest) for one in taken.values() for change in one.changes]
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


def _decode_all(look: Look, taken: _Taken, path: Path, folder: Path) -> None:
    """Take every table and refused member of a resource that its feed wants, under names that differ."""
    manifest = taken.manifest
    names: Counter[str | None] = Counter()
    declared = look.declared(manifest)
    for found in decode(
        path,
        file_name=manifest.file_name,
        declared_format=manifest.portal.get("format"),
        scratch=folder,
        pad_ragged=look.feed.ragged is Ragged.PAD,
    ):
        names[found.member] += 1
        name = look.declared_name(manifest, found.member)
        if declared and not name:
            continue
        if names[found.member] > 1:  # an archive may hold a name twice
            found = replace(found, member=f"{found.member or 'table'} ({names[found.member]})")
        if isinstance(found, RefusedMember):
            taken.refused.append(found)
        else:
            taken.tables.append(found.with_fields(declared[name].columns) if look.feed.is_pushed and name else found)
            taken.names += [name] if name else []
    if not taken.tables and not taken.refused:
        held = ", ".join(str(member) for member in names) or "nothing"
        wanted = " or ".join(str(table.members) for table in declared.values())
        pattern = f"No member matches 'members' ({wanted}) of the feed file. " if declared else ""
        raise Refused(f"{pattern}It holds: {held}.")


def _told(error: BaseException, manifest: Manifest) -> str:
    """The reason for which a file is refused that a reader stumbled over; called while that is handled.

    Whatever is not the file's fault is raised again: a full disk, a lack of memory, Ctrl-C.
    """
    is_of_reader = isinstance(error, Exception) and not isinstance(error, MemoryError)
    is_panic = type(error).__name__ == "PanicException"  # of readers written in Rust, outside of Exception
    known = isinstance(error, pl.exceptions.PolarsError)
    is_machine = isinstance(error, OSError) and error.errno is not None
    if is_machine or (known and _MACHINE_ERROR.search(str(error))) or not (is_of_reader or is_panic):
        raise error
    log.exception("reader_crashed", resource_id=manifest.resource_id, file=manifest.file_name)
    return f"It could not be read: {'' if known else f'unexpected {type(error).__name__}: '}{error}. See the log."


def _with_lineage(name: str, manifest: Manifest, found: DecodedTable, loaded_at: datetime) -> Part:
    lineage = Lineage(manifest.resource_id, manifest.extraction_date, manifest.file_name, loaded_at)
    return Part(name, lineage.frame_of(found), [*found.columns, *LINEAGE], found.rows)


def _outcomes(look: Look, one: _Taken) -> Iterator[tuple[Load, DecodedTable | None]]:
    feed, manifest = look.feed.feed, one.manifest
    for name, found in zip(one.names, one.tables, strict=True):
        place = (feed, name, manifest.resource_id, manifest.file_name, found.member or "")
        mine = [change for change in one.changes if (change.table, change.member) == (name, found.member or "")]
        breaking = tuple(str(change) for change in mine if change.change.is_breaking)
        yield Load(*place, "loaded", found.rows, len(found.rejects), changes=breaking), found
    for refused in one.refused:
        member, was_read = refused.member or "", bool(one.tables)
        is_error = look.is_error(manifest, member, is_document=refused.is_document, was_read=was_read)
        place = (feed, one.refused_name, manifest.resource_id, manifest.file_name, member)
        yield Load(*place, "refused", reason=refused.reason, is_error=is_error), None


def _known(look: Look, manifest: Manifest) -> Iterator[Load]:
    rows = look.finished(manifest)
    was_read = any(row.status != "refused" for row in rows)
    for row in rows:
        place = (row.feed, row.table_name, row.resource_id, row.source_file, row.source_member)
        status = "already" if row.status == "loaded" else row.status
        is_document = bool(facts_of(row).get("is_document"))
        is_error = row.status == "refused" and look.is_error(
            manifest, row.source_member, is_document=is_document, was_read=was_read
        )
        yield Load(*place, status, row.rows_loaded, row.rows_rejected, row.reason, is_error)


def _unchanged(look: Look, manifest: Manifest) -> list[Load]:
    tables = look.history.unchanged_tables(manifest.resource_id, look.scope(manifest), manifest.sha256)
    place = (manifest.resource_id, manifest.file_name, "", "unchanged")
    return [Load(look.feed.feed, table, *place) for table in tables]


def _rejects(row: dict[str, Any], rejected: Iterable[RejectedRow], feed: Feed) -> Iterator[dict[str, Any]]:
    """Rejected records in the ledger's words; of a table with personal data, their text stays in the raw file."""
    keys = ("feed", "table_name", "resource_id", "extraction_date", "source_file", "source_member")
    place = {key: row[key] for key in keys}
    declared = feed.bronze_names().get(row["table_name"])
    is_withheld = declared is not None and bool(declared.masks)
    for reject in rejected:
        text = WITHHELD if is_withheld else reject.raw_text
        yield {**place, "source_line": reject.line, "raw_text": text, "reason": reject.reason}


def _source(manifest: Manifest) -> dict[str, str]:
    return {"resource_id": manifest.resource_id, "file": manifest.file_name, "sha256": manifest.sha256}
