"""The upkeep of one table, planned from what is there and then done: small files, manifests, snapshots, old files.

A plan changes nothing and lists what is done with it. Whoever does it holds the table's lock. Killed anywhere, a table
reads as before, and the next plan holds what is left to do.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb
import structlog

from catalog import retained
from catalog.compaction import SmallFiles, find_small_files, write_together
from catalog.feed import Feed
from catalog.iceberg import BRONZE, SAME_AS, STAGING, Lakehouse, Pin, content_id, field_ids
from catalog.iceberg_files import MANIFESTS_KEPT, bare_path, data_files, swap_files
from catalog.iceberg_upkeep import (
    Letting,
    has_present_schema,
    let_go,
    manifest_count,
    named_files,
    references,
    snapshot_ids,
)
from catalog.ledger import Ledger
from catalog.retained import Pins, Removal
from catalog.row_removal import remove_rows
from catalog.session import open_duckdb, table_function
from catalog.settings import Settings

if TYPE_CHECKING:
    from catalog.iceberg_upkeep import Table

log = structlog.get_logger()
_RELEASE_TAG = re.compile(r"release-(\d+)")


@dataclass(frozen=True, slots=True)
class TablePlan:
    """What the upkeep of one table does; files by their path, with their size in bytes."""

    layer: str
    name: str
    small_files: tuple[SmallFiles, ...] = ()
    manifests_merged: int = 0
    letting: Letting = field(default_factory=Letting)
    is_repinned: bool = False  # releases come to read the table by its newest metadata file
    is_reshaped: bool = False  # the table's columns are those of its present snapshot again
    unnamed: Mapping[str, int] = field(default_factory=dict)  # seen for the first time, to wait
    removed: Mapping[str, int] = field(default_factory=dict)

    @property
    def is_rewrite(self) -> bool:
        """Whether the table's rows move to other files or manifests."""
        return bool(self.small_files or self.manifests_merged)

    def __bool__(self) -> bool:
        changes = self.is_rewrite or self.letting or self.is_repinned or self.is_reshaped
        return bool(changes or self.unnamed or self.removed)


class Upkeep:
    """Plans and does the upkeep of tables of one lake.

    Args:
        settings: say how long a file that nothing names any more stays for those who read it.
        scratch: local folder for files on their way.
    """

    def __init__(self, settings: Settings, ledger: Ledger, lakehouse: Lakehouse, scratch: Path, now: datetime) -> None:
        self.settings, self.ledger, self.lakehouse = settings, ledger, lakehouse
        self.scratch, self.now = scratch, now
        self.delay = timedelta(days=settings.file_delay_days)
        self.seen = retained.seen_unnamed(ledger)
        self.removed_releases = retained.removed_releases(ledger)

    @cached_property
    def connection(self) -> duckdb.DuckDBPyConnection:
        """A DuckDB that reads pinned tables, opened when the first table is compacted."""
        return open_duckdb(self.settings)

    def close(self) -> None:
        """Free it."""
        if "connection" in self.__dict__:
            self.connection.close()

    def tidy(self, layer: str, name: str, *, with_files: bool = False) -> TablePlan:
        """Plan the upkeep of one table and do it; cheap enough to be called after every few commits.

        Args:
            with_files: look for files nothing names too, which lists the table's folder.
        """
        plan = self.plan(layer, name, with_files=with_files)
        self.carry_out(plan)
        return plan

    # Planning

    def plan(self, layer: str, name: str, *, with_files: bool = True) -> TablePlan:
        """What there is to do; nothing changes."""
        table = self.lakehouse.table(layer, name)
        head = table.current_snapshot()
        pins = retained.pins_of(self.ledger, layer, name, self.now - self.delay)
        pins = pins.without(self.removed_releases, are_leaving=bool(self.delay))
        files = data_files(table) if head else []
        may_rewrite = head is not None and has_present_schema(table)  # else when the columns are mended
        groups = tuple(find_small_files(files)) if may_rewrite else ()
        manifests = manifest_count(table) if may_rewrite else 0
        merged = manifests if manifests > MANIFESTS_KEPT else 0
        old = head.snapshot_id if head and (groups or merged) else None
        letting, kept = self._letting(table, pins, old)
        repins = bool(pins.locations - {table.metadata_location})
        plan = TablePlan(layer, name, groups, merged, letting, repins, is_reshaped=head is not None and not may_rewrite)
        if not with_files:
            return plan
        gone = {bare_path(path) for group in groups for path in group.paths}
        named = named_files(table, kept) | ({bare_path(one.path) for one in files} - gone if old is not None else set())
        waiting, due = self._unnamed(f"{layer}/{name}/", named)
        return replace(plan, unnamed=waiting, removed=due)

    def plan_stray(self, layer: str, names: Iterable[str]) -> list[TablePlan]:
        """What to do with the folders of a layer that belong to no table, left by a crash."""
        strays = sorted(set(self.lakehouse.store.children(layer)) - set(names))
        found = ((name, *self._unnamed(f"{layer}/{name}/", set())) for name in strays)
        return [TablePlan(layer, name, unnamed=waiting, removed=due) for name, waiting, due in found if waiting or due]

    def _letting(self, table: Table, pins: Pins, rewritten: int | None) -> tuple[Letting, set[int]]:
        """What to let go of, and the snapshots that stay.

        Args:
            rewritten: the present snapshot if another with the same rows is about to stand in for it.
        """
        refs = references(table)
        branches = tuple(name for name in refs.branches if name == STAGING)  # no build is on: a crash left it
        tags = {tag: int(found[1]) for tag in refs.tags if (found := _RELEASE_TAG.fullmatch(tag))}
        stale = tuple(tag for tag, release in tags.items() if release in self.removed_releases)
        at = {tag: pins.by_release[release] for tag, release in tags.items() if release in pins.by_release}
        moved = tuple((tag, snapshot) for tag, snapshot in at.items() if refs.tags[tag] != snapshot)
        moved += tuple((tag, snapshot) for tag, snapshot in at.items() if refs.tags[tag] == snapshot == rewritten)
        left = {one for name, one in refs.branches.items() if name not in branches}
        left |= {one for tag, one in refs.tags.items() if tag not in stale and tag not in dict(moved)}
        head = table.current_snapshot()
        needed = pins.snapshots | ({head.snapshot_id} if head else set())
        kept = left | {one for one in needed if one != rewritten}
        surplus = tuple(one for one in snapshot_ids(table) if one not in kept)
        return Letting(surplus, branches, stale, moved), kept

    def _unnamed(self, prefix: str, named: set[str]) -> tuple[dict[str, int], dict[str, int]]:
        """Files nothing names: those seen for the first time, to wait, and those whose time has come."""
        store = self.lakehouse.store
        there = {store.url(key): size for key, size in store.sizes(prefix).items()}
        unnamed = {path: size for path, size in there.items() if path not in named}
        due = {path: size for path, size in unnamed.items() if self.seen.get(path, self.now) + self.delay <= self.now}
        return {path: size for path, size in unnamed.items() if path not in self.seen and path not in due}, due

    def rows_of(self, name: str, condition: str, feed: Feed) -> list[Removal]:
        """The rows of a bronze table that meet a condition, counted by resource and extraction, for the audit."""
        pin = self.lakehouse.pin(BRONZE, name)
        if pin is None or pin.snapshot_id is None:
            return []
        by = "_resource_id, _extraction_date"
        rows = f"from {table_function(pin)} where {condition}"
        counted = f"select {by}, count(*) {rows} group by {by} order by {by}"
        reason = f"retention of the feed {feed.feed}"
        return [
            Removal("bronze_rows", reason, BRONZE, name, None, feed.feed, resource_id, day, rows)
            for resource_id, day, rows in self.connection.execute(counted).fetchall()
        ]

    # Doing

    def remove_rows(self, layer: str, name: str, condition: str) -> int:
        """Remove rows from a table's present snapshot, and count them."""
        table = self.lakehouse.table(layer, name)
        return remove_rows(self.connection, self.lakehouse, table, condition, self.scratch, {})

    def carry_out(self, plan: TablePlan) -> None:
        """Do what a plan says; the table's lock is held since it was made."""
        if not plan:
            return
        if plan.is_reshaped:
            self.lakehouse.show_schema_of_main(self.lakehouse.table(plan.layer, plan.name))
        if plan.is_rewrite or plan.letting or plan.is_repinned or plan.is_reshaped:
            self._change_table(plan)
        self._remove_files(plan)
        log.info("table_tidied", layer=plan.layer, table=plan.name, snapshots=len(plan.letting.snapshots))

    def _change_table(self, plan: TablePlan) -> None:
        letting = plan.letting
        if plan.is_rewrite:
            old, new = self._rewrite(plan)
            moved = tuple((tag, new if at == old else at) for tag, at in letting.moved_tags)
            letting = Letting(letting.snapshots, letting.branches, letting.tags, moved)
        let_go(self.lakehouse.table(plan.layer, plan.name), letting)
        finish_rewrite(self.ledger, self.lakehouse, plan.layer, plan.name)

    def _rewrite(self, plan: TablePlan) -> tuple[int, int]:
        """Write small files together and merge manifests; returns the old snapshot and its stand-in."""
        table = self.lakehouse.table(plan.layer, plan.name)
        head = table.current_snapshot()
        old = head.snapshot_id if head else -1
        pin = Pin(plan.layer, plan.name, table.metadata_location, old)
        self.scratch.mkdir(parents=True, exist_ok=True)
        ids = field_ids(table)
        gone = [path for group in plan.small_files for path in group.paths]
        files = [write_together(self.connection, pin, ids, group, self.scratch) for group in plan.small_files]
        summary = {SAME_AS: str(content_id(table, old))}
        retained.begin_rewrite(self.ledger, plan.layer, plan.name)
        merging = bool(plan.manifests_merged)
        new = swap_files(self.lakehouse, table, gone, files, "together", summary, merge_manifests=merging)
        finish_rewrite(self.ledger, self.lakehouse, plan.layer, plan.name)
        return old, new if new is not None else old

    def _remove_files(self, plan: TablePlan) -> None:
        root = f"{self.lakehouse.store.root}/"
        for path in plan.removed:
            self.lakehouse.store.delete(path.removeprefix(root))
        retained.note_unnamed(self.ledger, plan.unnamed, plan.removed, self.now)
        self.seen.update(dict.fromkeys(plan.unnamed, self.now))


def finish_rewrites(ledger: Ledger, lakehouse: Lakehouse) -> None:
    """End what a crash cut short between the rewrite of tables and the releases that pin them; no build is on."""
    for layer, name in retained.open_rewrites(ledger):
        finish_rewrite(ledger, lakehouse, layer, name)


def finish_rewrite(ledger: Ledger, lakehouse: Lakehouse, layer: str, name: str) -> None:
    """Let releases that pin a rewritten snapshot of a table read the one that stands in for it; safe to repeat."""
    table = lakehouse.table(layer, name)
    retained.repin(ledger, layer, name, table.metadata_location, _stand_in(table), snapshot_ids(table))


def _stand_in(table: Table) -> dict[int, int]:
    """The snapshots for which the table's present one stands in."""
    head = table.current_snapshot()
    if head is None or not (head.summary and head.summary.get(SAME_AS)):
        return {}
    return {
        one: head.snapshot_id
        for one in snapshot_ids(table)
        if content_id(table, one) == content_id(table, head.snapshot_id)
    }
