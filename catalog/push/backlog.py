"""How much of the log waits to be drained, counted from its files alone."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from catalog.clock import utc_now
from catalog.push.batch import decode_batch
from catalog.push.log import MAGIC, drained_until, entries, segments


@dataclass(frozen=True, slots=True)
class Backlog:
    """Batches that are durable and not yet in bronze."""

    batches: int
    bytes: int
    oldest_at: datetime | None

    @property
    def oldest_seconds(self) -> float | None:
        """Age of the oldest; None when nothing waits."""
        return (utc_now() - self.oldest_at).total_seconds() if self.oldest_at else None


def backlog(folder: Path) -> Backlog:
    """Count what waits; reads every waiting entry once."""
    batches = waiting = 0
    oldest: datetime | None = None
    for segment in segments(folder):
        for number, entry in enumerate(entries(folder, segment, drained_until(folder, segment))):
            batches += 1
            waiting += entry.end - entry.start
            if number == 0:
                received = decode_batch(entry.payload).received_at
                oldest = min(oldest, received) if oldest else received
    return Backlog(batches, waiting, oldest)


def oldest_waiting(folder: Path) -> datetime | None:
    """When the oldest batch that waits was received; reads the first entry of each segment."""
    first = (next(iter(entries(folder, one, drained_until(folder, one))), None) for one in segments(folder))
    return min((decode_batch(entry.payload).received_at for entry in first if entry), default=None)


def waiting_bytes(folder: Path) -> int:
    """Bytes that wait, by the sizes of the files: cheap enough to ask while requests come."""
    total = 0
    for segment in segments(folder):
        try:
            size = (folder / f"{segment}.log").stat().st_size
        except FileNotFoundError:  # drained meanwhile
            continue
        total += max(size - max(drained_until(folder, segment), len(MAGIC)), 0)
    return total
