"""Native DuckDB copies of released and raw tables, from which a page of rows comes in a millisecond at any depth.

A copy is one file a table and snapshot, written once, renamed into place when it is whole, and only read from then on:
several processes share it. Its rows carry their number in ``__row``, in the table's stored order. What has no copy, not
yet or because it is too large, is read from Iceberg; both give the same rows in the same order.
"""

from __future__ import annotations

import fcntl
import os
import threading
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import duckdb
import structlog

from catalog.iceberg import BRONZE, Lakehouse, Pin
from catalog.names import quote_identifier, quote_literal
from catalog.session import scan_sql, stored_order
from catalog.settings import Settings

ROW = "__row"  # number of a row in its table's stored order, from 0
SUFFIX = ".duckdb"
# A page reads its group from the start: with the 122,880 rows DuckDB keeps together otherwise, up to a quarter longer.
ROW_GROUP = 30_720
log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class CopyName:
    """Which table and snapshot a file holds, as its name tells."""

    layer: str
    table: str
    snapshot_id: int

    @classmethod
    def of(cls, pin: Pin) -> CopyName:
        """The name of a snapshot's copy."""
        return cls(pin.layer, pin.name, pin.snapshot_id or 0)

    @classmethod
    def read(cls, path: Path) -> CopyName | None:
        """What a file is a copy of; None for any other file."""
        parts = path.name.removesuffix(SUFFIX).split(".")
        is_copy = path.name.endswith(SUFFIX) and len(parts) == 3 and parts[2].isdecimal()
        return cls(parts[0], parts[1], int(parts[2])) if is_copy else None

    @property
    def raw(self) -> str | None:
        """The raw table it is of, which has states of its own; None of a table that changes with releases."""
        return self.table if self.layer == BRONZE else None

    @property
    def stem(self) -> str:
        """File name without suffix, and the name it is attached by."""
        return f"{self.layer}.{self.table}.{self.snapshot_id}"


class ServingCopies:
    """The copies of one lake, attached to one engine; safe to share between threads, and its folder between processes.

    Args:
        engine: DuckDB database that reads the lakehouse; closed by its owner, after this.
    """

    def __init__(self, settings: Settings, lakehouse: Lakehouse, engine: duckdb.DuckDBPyConnection) -> None:
        self._folder, self._limit = settings.serving, settings.serving_max_bytes
        self._lakehouse, self._engine = lakehouse, engine
        self._lock = threading.Lock()
        self._attached: dict[CopyName, str] = {}
        self._asked: dict[CopyName, Future[None]] = {}
        self._builder = ThreadPoolExecutor(1, "serving")
        self._building: duckdb.DuckDBPyConnection | None = None
        self._kept: dict[str | None, frozenset[CopyName]] = {}  # what readers get now, by raw table; None: the release

    def close(self) -> None:
        """Stop what is being copied."""
        self._builder.shutdown(wait=False, cancel_futures=True)
        if building := self._building:
            building.interrupt()
        self._builder.shutdown(wait=True)

    def relation(self, pin: Pin) -> str | None:
        """What to write after FROM to read a snapshot's copy, with the column ``__row``; None while there is none."""
        name = CopyName.of(pin)
        known = self._attached.get(name)
        if known is not None or self._limit == 0 or not self._path(name).exists():
            return known
        with self._lock:
            return self._attached.get(name) or self._attach(name)

    def ask(self, pin: Pin) -> Future[None] | None:
        """Have a snapshot copied in the background, unless it is or cannot be."""
        name = CopyName.of(pin)
        if self._limit == 0 or pin.snapshot_id is None or name in self._asked or name in self._attached:
            return None
        with self._lock:
            if name in self._asked:
                return None
            self._asked[name] = future = self._builder.submit(self._build, pin, name)
            return future

    def follow(self, pins: Iterable[Pin], raw: str | None = None) -> None:
        """Tell which snapshots readers get now: copies of earlier ones of these tables are made anew, and old ones go.

        The copies of the state before are kept, for those who are paging through it.

        Args:
            pins: of every table of the release; or of one raw table, which changes by itself.
            raw: name of that raw table.
        """
        now = {(pin.layer, pin.name): pin for pin in pins}
        current = frozenset(CopyName.of(pin) for pin in now.values())
        before = self._kept.get(raw, frozenset())
        if current == before:
            return
        self._kept[raw] = current
        for name, asked in list(self._asked.items()):
            if name.raw == raw and name not in current and asked.cancel():
                self._asked.pop(name, None)
        for name in self._present():
            if name.raw != raw:
                continue
            pin = now.get((name.layer, name.table))
            if pin and pin.snapshot_id != name.snapshot_id and (name in before or not before):
                self.ask(pin)
            if name not in current and name not in before:
                self._remove(name)
                self._asked.pop(name, None)

    def let_go(self) -> bool:
        """Close the copies whose files an erasure removed, if any; whoever reads one at this moment still can."""
        gone = [name for name in list(self._attached) if not self._path(name).exists()]
        for name in gone:
            self._remove(name)
            self._asked.pop(name, None)
        return bool(gone)

    def wait(self) -> None:
        """Wait until every copy asked for is made or given up; for tests and benchmarks."""
        for future in list(self._asked.values()):
            future.result()

    # One copy

    def _build(self, pin: Pin, name: CopyName) -> None:
        """Copy a snapshot, unless another process is doing so; that it fails is logged, and costs only time."""
        try:
            totals = self._lakehouse.totals(pin)
            if totals["bytes"] > self._limit:
                log.info("serving_copy_too_large", table=name.stem, bytes=totals["bytes"], limit=self._limit)
                return
            self._folder.mkdir(parents=True, exist_ok=True)
            with (self._folder / f"{name.stem}.lock").open("w") as lock:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    with self._lock:
                        self._asked.pop(name, None)  # whoever asks next finds the other's copy, or makes it
                    return
                if not self._path(name).exists():
                    self._write(pin, name, totals["files"])
                (self._folder / f"{name.stem}.lock").unlink(missing_ok=True)
            if not self._lakehouse.has_snapshot(pin):  # an erasure replaced it meanwhile, and may have looked before
                self._remove(name)
                return
            self._make_room(name)
            self.relation(pin)
        except (duckdb.Error, OSError) as error:
            log.warning("serving_copy_failed", table=name.stem, reason=str(error))
            if isinstance(error, FileNotFoundError):  # an erasure took it half made: whoever asks next has it made anew
                self._asked.pop(name, None)

    def _write(self, pin: Pin, name: CopyName, files: int) -> None:
        part = self._folder / f".{name.stem}.{os.getpid()}.part"
        for left in self._folder.glob(f".{name.stem}.*.part"):  # by a process that was killed: the lock is ours now
            left.unlink()
        scan = scan_sql(pin)
        alias = quote_identifier(part.name)
        with self._engine.cursor() as cursor:
            self._building = cursor
            try:
                columns = cursor.execute(f"describe {scan}").fetchall()
                # the rows of one file come in its order; several files come in any, and are sorted as Iceberg is read
                order = f" order by {', '.join(stored_order(column[0] for column in columns))}" if files > 1 else ""
                cursor.execute(f"attach {quote_literal(str(part))} as {alias} (row_group_size {ROW_GROUP})")
                numbered = f"select row_number() over () - 1 as {ROW}, * from ({scan}{order})"
                cursor.execute(f"create table {alias}.rows as {numbered}")
                cursor.execute(f"detach {alias}")
            except BaseException:
                with suppress(duckdb.Error):
                    cursor.execute(f"detach database if exists {alias}")
                part.unlink(missing_ok=True)
                raise
            finally:
                self._building = None
        part.replace(self._path(name))
        log.info("serving_copy_made", table=name.stem, bytes=self._path(name).stat().st_size)

    def _attach(self, name: CopyName) -> str | None:
        alias = quote_identifier(f"copy {name.stem}")
        try:
            self._engine.cursor().execute(f"attach {quote_literal(str(self._path(name)))} as {alias} (read_only)")
        except (duckdb.Error, OSError) as error:  # removed meanwhile, or of a DuckDB that wrote otherwise
            log.warning("serving_copy_unreadable", table=name.stem, reason=str(error))
            self._path(name).unlink(missing_ok=True)
            return None
        self._attached[name] = f"{alias}.rows"
        return self._attached[name]

    def _remove(self, name: CopyName) -> None:
        """Remove a copy; who reads it at this moment still can. It is not made again while its state is current."""
        with self._lock:
            if self._attached.pop(name, None):
                with suppress(duckdb.Error):
                    self._engine.cursor().execute(f"detach {quote_identifier(f'copy {name.stem}')}")
            self._path(name).unlink(missing_ok=True)

    # The folder

    def _path(self, name: CopyName) -> Path:
        return self._folder / f"{name.stem}{SUFFIX}"

    def _present(self) -> list[CopyName]:
        found = (CopyName.read(path) for path in self._folder.glob(f"*{SUFFIX}")) if self._folder.is_dir() else ()
        return [name for name in found if name]

    def _make_room(self, newest: CopyName) -> None:
        """Remove copies until the folder is within its bounds: those of past states first, then the least read."""
        sizes = {name: stat.st_size for name in self._present() if (stat := self._stat(name))}
        kept = frozenset[CopyName]().union(*self._kept.values())
        by_use = sorted(sizes, key=lambda name: (name == newest, name in kept, self._last_read(name)))
        for name in by_use:
            if sum(sizes.values()) <= self._limit:
                return
            self._remove(name)
            del sizes[name]

    def _stat(self, name: CopyName) -> os.stat_result | None:
        with suppress(FileNotFoundError):
            return self._path(name).stat()
        return None

    def _last_read(self, name: CopyName) -> float:
        stat = self._stat(name)
        return max(stat.st_atime, stat.st_mtime) if stat else 0.0
