"""What the ledger knows of pushed batches: which parts of the log are being drained, and what became of each batch.

Every step can be done again: a part of the log is planned before it is drained and stays the same until it is done, and
a batch is written whole in place of what was known of it.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import sqlalchemy as sa

from catalog import schema
from catalog.clock import utc_now
from catalog.ledger import Ledger
from catalog.push.batch import Batch, decode_batch, told_faults
from catalog.push.fields import REJECTED
from catalog.push.log import MAGIC, Entry, entries, entry_at, place_of, segments

KEY_HOURS = 24  # for which an idempotency key is remembered


@dataclass(frozen=True, slots=True)
class Part:
    """A stretch of one segment."""

    segment: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Flush:
    """Parts of the log that go into bronze together."""

    flush_id: str
    parts: tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class HeldFile:
    """A raw file whose batches are not in bronze, for the file of their feed is wrong."""

    feed: str
    extraction_date: date
    resource_id: str


def planned_flushes(ledger: Ledger) -> list[Flush]:
    """Flushes that were begun and are not done; they are to be done again before any other."""
    t = schema.push_flushes
    query = sa.select(t).where(t.c.status == "planned").order_by(t.c.segment, t.c.start_offset)
    found: dict[str, list[Part]] = {}
    with ledger.begin() as connection:
        for row in connection.execute(query):
            found.setdefault(row.flush_id, []).append(Part(row.segment, row.start_offset, row.end_offset))
    return [Flush(flush_id, tuple(parts)) for flush_id, parts in found.items()]


def known_until(ledger: Ledger) -> dict[str, int]:
    """Where what the ledger knows of each segment ends."""
    c = schema.push_flushes.c
    with ledger.begin() as connection:
        rows = connection.execute(sa.select(c.segment, sa.func.max(c.end_offset)).group_by(c.segment))
        return {str(row[0]): int(row[1]) for row in rows}


def plan_flush(ledger: Ledger, parts: Sequence[Part]) -> Flush:
    """Write down what is about to be drained."""
    flush = Flush(f"{parts[0].segment}-{parts[0].start:08x}", tuple(parts))
    shared = {"flush_id": flush.flush_id, "status": "planned", "planned_at": utc_now()}
    rows = [
        {"segment": part.segment, "start_offset": part.start, "end_offset": part.end, **shared} for part in flush.parts
    ]
    with ledger.begin() as connection:
        connection.execute(schema.push_flushes.insert(), rows)
    return flush


def finish_flush(
    ledger: Ledger, flush: Flush, batches: Sequence[dict[str, Any]], rejects: Sequence[dict[str, Any]]
) -> None:
    """Write down what became of the batches of a flush and of their rejected records, in one step.

    All but the last part of a segment is forgotten: that one says where to go on.
    """
    b, f, r = schema.push_batches, schema.push_flushes, schema.rejects
    with ledger.begin() as connection:
        for start in range(0, len(batches), 10_000):
            some = batches[start : start + 10_000]
            connection.execute(
                b.delete().where(b.c.receipt == sa.bindparam("this")), [{"this": one["receipt"]} for one in some]
            )
            connection.execute(b.insert(), some)
        for table_name, resource_id in {(one["table_name"], one["resource_id"]) for one in rejects}:
            mine = (r.c.table_name == table_name, r.c.resource_id == resource_id, r.c.stage == "contract")
            connection.execute(r.delete().where(*mine))
        for start in range(0, len(rejects), 10_000):
            connection.execute(r.insert(), rejects[start : start + 10_000])
        connection.execute(f.update().where(f.c.flush_id == flush.flush_id).values(status="done"))
        for part in flush.parts:
            before = (f.c.segment == part.segment, f.c.start_offset < part.start, f.c.status == "done")
            connection.execute(f.delete().where(*before))


def held_files(ledger: Ledger) -> list[HeldFile]:
    """Raw files that wait for the file of their feed to be corrected: their batches are told as accepted, and why."""
    c = schema.push_batches.c
    query = sa.select(c.feed, c.extraction_date, c.resource_id).where(c.status == "accepted").distinct()
    with ledger.begin() as connection:
        rows = connection.execute(query.order_by(c.resource_id))
        return [HeldFile(row.feed, row.extraction_date, row.resource_id) for row in rows]


def take_up(ledger: Ledger, held: HeldFile, status: str, reason: str | None, table_name: str) -> None:
    """Write down what became of the batches of a file that was held, and which table its rejects are of."""
    b, r = schema.push_batches, schema.rejects
    mine = (b.c.feed == held.feed, b.c.resource_id == held.resource_id, b.c.status == "accepted")
    told = {"status": status, "reason": reason, "bronze_at": utc_now() if status == "bronze" else None}
    theirs = (r.c.resource_id == f"{held.resource_id}-{REJECTED}", r.c.stage == "contract")
    with ledger.begin() as connection:
        connection.execute(b.update().where(*mine).values(**told))
        connection.execute(r.update().where(*theirs).values(table_name=table_name))


def first_of_key(ledger: Ledger, key_hash: str, body_hash: str, received_at: datetime) -> str | None:
    """The receipt of the batch that had an idempotency key and this body first, while the key is remembered."""
    c = schema.push_batches.c
    since = received_at - timedelta(hours=KEY_HOURS)
    mine = (c.key_hash == key_hash, c.body_hash == body_hash, c.duplicate_of.is_(None), c.received_at > since)
    with ledger.begin() as connection:
        return connection.scalar(sa.select(c.receipt).where(*mine).order_by(c.received_at, c.receipt).limit(1))


def feeds_to_release(ledger: Ledger) -> list[str]:
    """Feeds with batches that are in bronze and in no release."""
    c = schema.push_batches.c
    with ledger.begin() as connection:
        query = sa.select(c.feed).where(c.status == "bronze").distinct().order_by(c.feed)
        return list(connection.scalars(query))


def mark_released(ledger: Ledger, feeds: Collection[str], release_id: int | None, until: datetime) -> None:
    """The batches of some feeds that were in bronze when their build began are in its release."""
    t = schema.push_batches
    mine = (t.c.status == "bronze", t.c.feed.in_(feeds), t.c.bronze_at <= until)
    told = {"status": "curated", "curated_at": utc_now(), "release_id": release_id, "reason": None}
    with ledger.begin() as connection:
        connection.execute(t.update().where(*mine).values(**told))


def mark_waiting(ledger: Ledger, feeds: Collection[str], reason: str) -> None:
    """The batches of some feeds are in bronze and could not be released, and why."""
    t = schema.push_batches
    with ledger.begin() as connection:
        connection.execute(t.update().where(t.c.status == "bronze", t.c.feed.in_(feeds)).values(reason=reason))


def forget_receipts(ledger: Ledger, before: datetime) -> int:
    """Remove what is known of batches that were released, rejected or repeated before a moment."""
    t = schema.push_batches
    old = (t.c.received_at < before, t.c.status.in_(("curated", "rejected", "duplicate")))
    with ledger.begin() as connection:
        return connection.execute(t.delete().where(*old)).rowcount


def unreleased_batches(ledger: Ledger) -> int:
    """Batches that are drained and in no release yet."""
    c = schema.push_batches.c
    with ledger.begin() as connection:
        return connection.scalar(sa.select(sa.func.count()).where(c.status.in_(("accepted", "bronze")))) or 0


def find_receipt(ledger: Ledger, folder: Path, receipt: str) -> dict[str, Any] | None:
    """What became of a batch: from the ledger, or while it waits from the log itself; None for one nobody knows."""
    for _ in range(2):  # drained and removed between the two looks, it is in the ledger at the second
        t = schema.push_batches
        with ledger.begin() as connection:
            row = connection.execute(sa.select(t).where(t.c.receipt == receipt)).mappings().first()
        if row:
            return _told(dict(row))
        place = place_of(receipt)
        entry = entry_at(folder, *place) if place else None
        batch = _batch_of(entry) if entry else None
        if batch:
            return {
                "receipt": receipt,
                "feed": batch.feed,
                "status": "accepted",
                "records": batch.accepted,
                "rejected": len(batch.rejected),
                "errors": told_faults(batch.rejected),
                "received_at": batch.received_at,
            }
    return None


def _batch_of(entry: Entry) -> Batch | None:
    """The batch of an entry; None for bytes that are none: a receipt may be made up and point into a text."""
    with suppress(msgspec.MsgspecError):
        return decode_batch(entry.payload)
    return None


def _told(row: dict[str, Any]) -> dict[str, Any]:
    names = ("receipt", "feed", "status", "reason", "records", "rejected", "received_at", "bronze_at", "curated_at")
    more = ("release_id", "duplicate_of", "resource_id", "extraction_date", "first_line")
    told = {name: row[name] for name in (*names, *more) if row[name] is not None}
    return {**told, "errors": json.loads(row["faults"] or "[]")}


def statuses(ledger: Ledger, receipts: Iterable[str]) -> dict[str, tuple[str, str | None]]:
    """Status and reason of the batches the ledger knows among some."""
    c = schema.push_batches.c
    with ledger.begin() as connection:
        query = sa.select(c.receipt, c.status, c.reason).where(c.receipt.in_(list(receipts)))
        return {row.receipt: (row.status, row.reason) for row in connection.execute(query)}


def next_parts(folder: Path, ledger: Ledger, most_bytes: int) -> list[Part]:
    """What of the log is to be drained next, oldest segment first."""
    known, parts, total = known_until(ledger), [], 0
    for segment in segments(folder):
        start = end = known.get(segment, len(MAGIC))
        for entry in entries(folder, segment, start):
            end = entry.end
            if total + end - start >= most_bytes:
                break
        if end > start:
            parts.append(Part(segment, start, end))
            total += end - start
        if total >= most_bytes:
            break
    return parts
