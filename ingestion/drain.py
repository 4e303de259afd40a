"""Drains the log of pushed records: log → raw file → bronze → silver and gold, each step one that can be done again.

What is about to be drained is written into the ledger first, and stays the same until it is done: raw files are named
after the place in the log, so that a second try after a crash finds its own files and adds nothing twice. One process
drains at a time.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import structlog

from catalog.build import Builder, BuildResult
from catalog.clock import utc_now
from catalog.dbt import Dbt
from catalog.erasure import keep_away
from catalog.errors import InvalidFeed
from catalog.iceberg import Lakehouse
from catalog.ledger import Ledger
from catalog.locks import exclusive
from catalog.names import bronze_table
from catalog.policies import WITHHELD
from catalog.push import receipts
from catalog.push.batch import Batch, decode_batch, told_faults
from catalog.push.fields import RECORDS, REJECTED
from catalog.push.log import Entry, entries, note_drained, remove_drained, segments
from catalog.push.receipts import Flush, HeldFile, Part
from catalog.registry import Registry
from catalog.releases import current_release
from catalog.settings import Settings
from catalog.storage import raw_store
from catalog.survey import survey_feeds
from ingestion.bronze import BronzeLoader, Load
from ingestion.raw import Manifest, RawZone

log = structlog.get_logger()
FLUSH_BYTES = 64 << 20  # of the log at once


@dataclass
class Drained:
    """What one drain did."""

    batches: int = 0
    records: int = 0
    rejected: int = 0
    loads: list[tuple[Load, date]] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)


@dataclass
class _Pile:
    """The batches of one feed and day that go into one raw file."""

    feed: str
    day: date
    batches: list[tuple[Entry, Batch]] = field(default_factory=list)

    @property
    def resource_id(self) -> str:
        return self.batches[0][0].receipt

    def write(self, path: Path) -> None:
        with path.open("wb") as stream:
            stream.writelines(batch.lines for _, batch in self.batches)

    def write_rejected(self, path: Path) -> None:
        with path.open("wb") as stream:
            for _, batch in self.batches:
                stream.writelines(one.raw.replace(b"\n", b" ") + b"\n" for one in batch.rejected)


class Drain:
    """Drains the log of one lake."""

    def __init__(self, settings: Settings, registry: Registry, ledger: Ledger, lakehouse: Lakehouse) -> None:
        self.settings, self.registry, self.ledger, self.lakehouse = settings, registry, ledger, lakehouse
        self.folder = settings.push_log
        self.raw = RawZone(raw_store(settings))

    # Log to bronze

    def load(self, run_id: str) -> Drained:
        """Take all that waits into raw and bronze.

        Raises:
            LakeBusy: another process drains, or loads one of the feeds.
        """
        with exclusive(self.settings, self.ledger, "push"):
            return self.take_in(run_id)

    def take_in(self, run_id: str) -> Drained:
        """Do what ``load`` does; the lock of pushes is held.

        Raises:
            LakeBusy: another process loads one of the feeds.
        """
        done = Drained()
        for held in receipts.held_files(self.ledger):
            self._take_up(held, run_id, done)
        for flush in receipts.planned_flushes(self.ledger):  # a crash left it, or an error
            self._flush(flush, run_id, done)
        while parts := receipts.next_parts(self.folder, self.ledger, FLUSH_BYTES):
            self._flush(receipts.plan_flush(self.ledger, parts), run_id, done)
        known = receipts.known_until(self.ledger)
        for segment in segments(self.folder):
            if segment in known:
                remove_drained(self.folder, segment, known[segment])
        return done

    def _flush(self, flush: Flush, run_id: str, done: Drained) -> None:
        piles, repeated = self._sort(flush)
        rows = [self._row(entry, batch, status="duplicate", duplicate_of=first) for entry, batch, first in repeated]
        rejects: list[dict[str, Any]] = []
        for (feed, day), pile in piles.items():
            status, reason = self._load_pile(pile, run_id, done)
            rows += self._rows(pile, status, reason)
            rejects += self._rejects(pile)
            done.errors += [f"{feed} of {day}: {reason}"] if reason else []
        receipts.finish_flush(self.ledger, flush, rows, rejects)
        for part in flush.parts:
            note_drained(self.folder, part.segment, part.end)
        done.batches += len(rows)
        done.records += sum(row["records"] for row in rows)
        done.rejected += len(rejects)
        log.info("log_drained", flush_id=flush.flush_id, batches=len(rows), feeds=len(piles))

    def _sort(self, flush: Flush) -> tuple[dict[tuple[str, date], _Pile], list[tuple[Entry, Batch, str]]]:
        """The batches of a flush by feed and day; and those that repeat one with the same idempotency key."""
        piles: dict[tuple[str, date], _Pile] = {}
        repeated: list[tuple[Entry, Batch, str]] = []
        keys: dict[tuple[str, str], str] = {}
        for entry in (entry for part in flush.parts for entry in self._entries(part)):
            batch = decode_batch(entry.payload)
            if batch.key_hash:
                key = (batch.key_hash, batch.body_hash)
                known = receipts.first_of_key(self.ledger, *key, batch.received_at)
                first = keys.setdefault(key, known or entry.receipt)
                if first != entry.receipt:
                    repeated.append((entry, batch, first))
                    continue
            place = (batch.feed, batch.received_at.date())
            piles.setdefault(place, _Pile(*place)).batches.append((entry, batch))
        return piles, repeated

    def _entries(self, part: Part) -> Iterable[Entry]:
        return entries(self.folder, part.segment, part.start, part.end)

    def _load_pile(self, pile: _Pile, run_id: str, done: Drained) -> tuple[str, str | None]:
        """Take one pile into raw and bronze; what its accepted batches are then, and why they are no further."""
        with exclusive(self.settings, self.ledger, f"feed-{pile.feed}"):
            manifest = self._keep(pile, run_id)
            return self._into_bronze(manifest, run_id, done) if manifest else ("rejected", None)

    def _take_up(self, held: HeldFile, run_id: str, done: Drained) -> None:
        """Take a raw file into bronze that waited there for its feed's file to be corrected."""
        with exclusive(self.settings, self.ledger, f"feed-{held.feed}"):
            outcome: tuple[str, str | None] = ("failed", "its raw file is gone")
            if manifest := self.raw.manifest(held.feed, held.extraction_date, held.resource_id):
                self._record(manifest, run_id)
                outcome = self._into_bronze(manifest, run_id, done)
        status, reason = outcome
        done.errors += [f"{held.feed} of {held.extraction_date}: {reason}"] if reason else []
        if status != "accepted":
            receipts.take_up(self.ledger, held, status, reason, self._table_name(held.feed))

    def _into_bronze(self, manifest: Manifest, run_id: str, done: Drained) -> tuple[str, str | None]:
        """Take one raw file into bronze; the lock of its feed is held."""
        feed = self.registry.feeds.get(manifest.feed)
        if feed is None and (wrong := self._what_is_wrong(manifest.feed)):
            return "accepted", wrong
        if feed is None or not feed.is_pushed:
            gone = f"no push feed is named {manifest.feed!r} any more; its records are in raw, {manifest.key}"
            return "failed", gone
        loader = BronzeLoader(self.ledger, self.lakehouse, self.raw, self.settings.scratch, run_id)
        loads = loader.load(feed, [manifest])
        done.loads += [(load, manifest.extraction_date) for load in loads]
        for table in feed.declared:
            keep_away(self.settings, self.ledger, self.lakehouse, bronze_table(feed.feed, table.name), run_id)
        refused = next((load.reason for load in loads if load.status == "refused"), None)
        return ("failed" if refused else "bronze"), refused

    def _what_is_wrong(self, feed: str) -> str | None:
        """What is wrong with a feed's file; None where that is not why it is not known."""
        try:
            survey_feeds(self.settings).demand([feed])
        except InvalidFeed as error:
            return f"{error} Its records are in raw, and go on once it is corrected."
        return None

    def _keep(self, pile: _Pile, run_id: str) -> Manifest | None:
        """Write the raw files of a pile: of the records that may enter bronze, and of those that may not."""
        folder = self.settings.scratch / run_id / "push"
        folder.mkdir(parents=True, exist_ok=True)
        kept = None
        if any(batch.rejected for _, batch in pile.batches):
            pile.write_rejected(folder / f"{REJECTED}.ndjson")
            self._commit(pile, f"{pile.resource_id}-{REJECTED}", REJECTED, folder, run_id)
        if any(batch.accepted for _, batch in pile.batches):
            pile.write(folder / f"{RECORDS}.ndjson")
            kept = self._commit(pile, pile.resource_id, RECORDS, folder, run_id)
        shutil.rmtree(folder, ignore_errors=True)
        return kept

    def _commit(self, pile: _Pile, resource_id: str, title: str, folder: Path, run_id: str) -> Manifest:
        moments = [batch.received_at for _, batch in pile.batches]
        facts = {"started_at": min(moments), "finished_at": max(moments), "batches": len(pile.batches)}
        path = folder / f"{title}.ndjson"
        manifest = self.raw.keep_pushed(pile.feed, pile.day, resource_id, title, path, **facts)
        self._record(manifest, run_id)
        return manifest

    def _record(self, manifest: Manifest, run_id: str) -> None:
        feed = self.registry.feeds.get(manifest.feed)
        table = feed.table_of(manifest.title, manifest.file_name) if feed else None
        self.ledger.record_extraction(
            feed=manifest.feed,
            extraction_date=manifest.extraction_date,
            resource_id=manifest.resource_id,
            run_id=run_id,
            dataset_id=manifest.dataset_id,
            title=manifest.title,
            table_name=table.name if table else None,
            status=manifest.status if table else "kept",  # rejected records are to be found, not to be loaded
            source_url=manifest.source_url,
            raw_key=manifest.key,
            file_name=manifest.file_name,
            sha256=manifest.sha256,
            size_bytes=manifest.size_bytes,
            evidence=manifest.evidence,
            started_at=manifest.started_at,
            finished_at=manifest.finished_at,
        )

    def _rows(self, pile: _Pile, status: str, reason: str | None) -> list[dict[str, Any]]:
        rows, line = [], 1
        for entry, batch in pile.batches:
            told: dict[str, Any] = {"status": "rejected"}
            if batch.accepted:
                told = {"status": status, "reason": reason, "resource_id": pile.resource_id, "first_line": line}
            rows.append(self._row(entry, batch, **told))
            line += batch.accepted
        return rows

    def _row(self, entry: Entry, batch: Batch, **told: Any) -> dict[str, Any]:
        faults = json.dumps(told_faults(batch.rejected), ensure_ascii=False) if batch.rejected else None
        is_repeated = told["status"] == "duplicate"
        row: dict[str, Any] = {
            "receipt": entry.receipt,
            "feed": batch.feed,
            "reason": None,
            "records": 0 if is_repeated else batch.accepted,
            "rejected": 0 if is_repeated else len(batch.rejected),
            "faults": faults,
            "received_at": batch.received_at,
            "resource_id": None,
            "extraction_date": batch.received_at.date(),
            "first_line": None,
            "key_hash": batch.key_hash,
            "body_hash": batch.body_hash,
            "duplicate_of": None,
            "bronze_at": utc_now() if told["status"] == "bronze" else None,
            "curated_at": None,
            "release_id": None,
        }
        return row | told

    def _rejects(self, pile: _Pile) -> list[dict[str, Any]]:
        """Rejected records in the ledger's words, each with its line of the raw file that holds them."""
        feed = self.registry.feeds.get(pile.feed)
        # what is wrong or gone does not say which of its columns are kept from readers
        is_told = feed is not None and not any(table.masks for table in feed.declared)
        rows: list[dict[str, Any]] = []
        for one in (one for _, batch in pile.batches for one in batch.rejected):
            raw_text = one.raw.decode("utf-8", "replace")
            rows.append(
                {
                    "feed": pile.feed,
                    "table_name": self._table_name(pile.feed),
                    "resource_id": f"{pile.resource_id}-{REJECTED}",
                    "extraction_date": pile.day,
                    "source_file": f"{REJECTED}.ndjson",
                    "source_member": "",
                    "source_line": len(rows) + 1,
                    "stage": "contract",
                    "column_name": one.faults[0].field if len(one.faults) == 1 else None,
                    "raw_text": raw_text if is_told else WITHHELD,
                    "reason": "; ".join(f"{f.field}: {f.reason}" if f.field else f.reason for f in one.faults),
                }
            )
        return rows

    def _table_name(self, name: str) -> str:
        feed = self.registry.feeds.get(name)
        return bronze_table(name, feed.declared[0].name) if feed and feed.declared else name

    # Bronze to the release

    def release(self, run_id: str, dbt: Dbt | None = None) -> BuildResult | None:
        """Build and release the domains of the feeds whose batches are in bronze; None when there are none.

        Raises:
            LakeBusy: another build is on.
        """
        names = receipts.feeds_to_release(self.ledger)
        feeds = [self.registry.feeds[name] for name in names if name in self.registry.feeds]
        if not feeds:
            return None
        begun, present = utc_now(), current_release(self.ledger)
        day = max(begun.date(), present.extraction_date) if present else begun.date()
        builder = Builder(self.settings, self.registry, self.ledger, self.lakehouse, run_id, dbt=dbt)
        builder.evidence.is_quiet = True
        result = builder.build(feeds, day, lambda *_: None)
        newest = current_release(self.ledger)
        for domain in result.domains:
            mine = [feed.feed for feed in feeds if feed.domain == domain.domain]
            if domain.status in ("built", "unchanged"):
                receipts.mark_released(self.ledger, mine, newest.release_id if newest else None, begun)
            else:
                receipts.mark_waiting(self.ledger, mine, f"{domain.domain} is {domain.status}: {domain.reason}")
        return result

    def forget(self) -> None:
        """Remove receipts older than the settings say."""
        receipts.forget_receipts(self.ledger, utc_now() - timedelta(days=self.settings.push_receipt_days))
