"""The upkeep of a whole lake: what ``odh maintain`` does, table by table, under the locks of those who write them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, field
from datetime import datetime
from itertools import groupby
from typing import Any

import structlog

from catalog import releases, retained, retention
from catalog.errors import LakeBusy
from catalog.feed import Feed
from catalog.iceberg import BRONZE, GOLD, SILVER, Lakehouse
from catalog.ledger import Ledger
from catalog.loads import bronze_tables_of
from catalog.locks import exclusive
from catalog.quality.report import old_reports
from catalog.registry import Registry
from catalog.retained import Removal
from catalog.settings import Settings
from catalog.storage import raw_store
from catalog.upkeep import TablePlan, Upkeep, finish_rewrites

log = structlog.get_logger()
OnProgress = Callable[[str, int, int], None]  # what, steps done, steps in all


@dataclass
class Maintenance:
    """What was done, or would be."""

    tables: list[TablePlan] = field(default_factory=list)
    busy: list[str] = field(default_factory=list)  # feeds being synced, whose bronze is left for the next time
    removed: list[Removal] = field(default_factory=list)  # by retention: raw files, rows of bronze, releases, reports

    def totals(self) -> dict[str, int]:
        """The work in numbers."""
        groups = [group for plan in self.tables for group in plan.small_files]
        return {
            "tables": len(self.tables),
            "files_compacted": sum(len(group.files) for group in groups),
            "files_written": len(groups),
            "manifests_merged": sum(plan.manifests_merged for plan in self.tables),
            "snapshots_expired": sum(len(plan.letting.snapshots) for plan in self.tables),
            "raw_files_removed": sum(one.what == "raw_file" for one in self.removed),
            "rows_removed": sum(one.rows or 0 for one in self.removed if one.what != "audit"),
            "releases_removed": sum(one.what == "release" for one in self.removed),
            "audit_removed": sum(one.rows or 0 for one in self.removed if one.what == "audit"),
            "reports_removed": sum(one.what == "report" for one in self.removed),
            "files_waiting": sum(len(plan.unnamed) for plan in self.tables),
            "files_removed": sum(len(plan.removed) for plan in self.tables),
            "bytes_removed": sum(sum(plan.removed.values()) for plan in self.tables),
        }


class Maintainer:
    """One upkeep of a lake.

    Args:
        run_id: the recorded run; None plans only and changes nothing.
    """

    def __init__(
        self,
        settings: Settings,
        registry: Registry,
        ledger: Ledger,
        lakehouse: Lakehouse,
        run_id: str | None,
        now: datetime,
    ) -> None:
        self.settings, self.registry, self.ledger, self.lakehouse = settings, registry, ledger, lakehouse
        self.run_id, self.now = run_id, now

    def run(self, on_progress: OnProgress) -> Maintenance:
        """Tidy every table, those of a feed under the feed's lock; no build is on meanwhile.

        Raises:
            LakeBusy: a build is on.
        """
        done = Maintenance()
        with exclusive(self.settings, self.ledger, "build"), self._upkeep() as upkeep:
            if self.run_id:
                releases.finish_staged(self.ledger, self.lakehouse)
                finish_rewrites(self.ledger, self.lakehouse)
            done.removed += self._retire_releases(upkeep)
            done.removed += self._retire_reports()
            done.removed += self._retire_audit()
            for layer in (SILVER, GOLD):
                names = self.lakehouse.names(layer)
                done.tables += self._tidy(upkeep, layer, names, on_progress)
                done.tables += self._sweep(upkeep, layer, names)
            bronze = self.lakehouse.names(BRONZE)
            for feed, of_feed in groupby(bronze, key=lambda name: name.partition("__")[0]):
                try:
                    with exclusive(self.settings, self.ledger, f"feed-{feed}"):
                        done.removed += self._retain(upkeep, self.registry.feeds.get(feed))
                        done.tables += self._tidy(upkeep, BRONZE, list(of_feed), on_progress)
                except LakeBusy:
                    done.busy.append(feed)
            done.tables += self._sweep(upkeep, BRONZE, bronze)
        return done

    @contextmanager
    def _upkeep(self) -> Iterator[Upkeep]:
        scratch = self.settings.scratch / (self.run_id or "plan")
        with closing(Upkeep(self.settings, self.ledger, self.lakehouse, scratch, self.now)) as upkeep:
            yield upkeep

    def _retire_releases(self, upkeep: Upkeep) -> list[Removal]:
        """Remove the releases that are too old; who reads one goes on until the delay has gone by."""
        old = retention.old_releases(self.ledger, self.settings.release_days, self.now)
        reason = f"ODH_RELEASE_DAYS={self.settings.release_days}"
        removals = [Removal("release", reason, key=str(release_id)) for release_id in old]
        if self.run_id:
            retained.record_removals(self.ledger, self.run_id, removals)
            retention.mark_releases(self.ledger, old, self.now)
            retention.drop_pins(self.ledger, self.now - upkeep.delay)
        upkeep.removed_releases |= frozenset(old)
        return removals

    def _retire_reports(self) -> list[Removal]:
        """Remove the validation reports that are too old."""
        old = old_reports(self.settings, self.now)
        reason = f"ODH_REPORT_DAYS={self.settings.report_days}"
        removals = [
            Removal("report", reason, key=files[-1].stem, bytes=sum(path.stat().st_size for path in files))
            for files in old
        ]
        if self.run_id:
            retained.record_removals(self.ledger, self.run_id, removals)
            for path in (path for files in old for path in files):
                path.unlink()
        return removals

    def _retire_audit(self) -> list[Removal]:
        """Remove the rows of the audit that are too old."""
        days = self.settings.audit_days
        rows = retention.old_audit(self.ledger, days, self.now)
        if days is None or not rows:
            return []
        removals = [Removal("audit", f"ODH_AUDIT_DAYS={days}", rows=rows)]
        if self.run_id:
            retained.record_removals(self.ledger, self.run_id, removals)
            retention.forget_audit(self.ledger, days, self.now)
        return removals

    def _retain(self, upkeep: Upkeep, feed: Feed | None) -> list[Removal]:
        """Remove what a feed's retention lets go of; the feed's lock is held."""
        old = retention.old_versions(self.ledger, feed, self.now.date()) if feed else []
        if not feed or not old:
            return []
        raw, known = raw_store(self.settings), retention.known_versions(self.ledger, feed.feed)
        files = retention.old_raw_files(raw, known, old)
        tables = retention.tables_that_forget(feed, bronze_tables_of(self.ledger, feed.feed))
        condition = retention.rows_condition(old)
        removals = [retention.raw_removal(one) for one in files]
        removals += [one for name in tables for one in upkeep.rows_of(name, condition, feed)]
        if self.run_id:
            retained.record_removals(self.ledger, self.run_id, removals)
            retention.mark_versions(self.ledger, tables, old)
            for name in {one.table_name for one in removals if one.table_name}:
                upkeep.remove_rows(BRONZE, name, condition)
            retention.mark_raw(self.ledger, old, (one.raw_key for one in files))
            for one in files:
                raw.delete(str(one.raw_key))
        return removals

    def _tidy(self, upkeep: Upkeep, layer: str, names: list[str], on_progress: OnProgress) -> Iterator[TablePlan]:
        for number, name in enumerate(names):
            on_progress(f"{layer}.{name}", number, len(names))
            yield from self._carried_out(upkeep, [upkeep.plan(layer, name)])

    def _sweep(self, upkeep: Upkeep, layer: str, names: list[str]) -> Iterator[TablePlan]:
        """Look at the folders of no table; a feed that is making its first table holds its lock, not the build's."""
        for plan in upkeep.plan_stray(layer, names):
            with exclusive(self.settings, self.ledger, f"feed-{plan.name.partition('__')[0]}"):
                if self.lakehouse.pin(layer, plan.name) is None:
                    yield from self._carried_out(upkeep, [plan])

    def _carried_out(self, upkeep: Upkeep, plans: Iterable[TablePlan]) -> Iterator[TablePlan]:
        for plan in plans:
            if plan and self.run_id:
                upkeep.carry_out(plan)
                retained.record_removals(self.ledger, self.run_id, _audit(plan))
            if plan:
                yield plan


def tidy_table(
    settings: Settings, ledger: Ledger, lakehouse: Lakehouse, layer: str, name: str, now: datetime
) -> TablePlan:
    """Compact one table, merge its manifests and expire its snapshots; the caller holds the lock of its writer.

    Files stay where they are: ``odh maintain`` removes them. Cheap enough to be called every few commits.
    """
    with closing(Upkeep(settings, ledger, lakehouse, settings.scratch / "tidy", now)) as upkeep:
        return upkeep.tidy(layer, name)


def as_json(done: Maintenance) -> dict[str, Any]:
    """A maintenance for machines: totals, and every table's plan."""
    removed = [{name: value for name, value in asdict(one).items() if value is not None} for one in done.removed]
    tables = [_plan_as_json(plan) for plan in done.tables]
    return {"totals": done.totals(), "busy": done.busy, "removed": removed, "tables": tables}


def _plan_as_json(plan: TablePlan) -> dict[str, Any]:
    groups = [{"day": one.day, "rows": one.rows, "files": one.paths} for one in plan.small_files]
    return {
        "layer": plan.layer,
        "table": plan.name,
        "compacted": groups,
        "manifests_merged": plan.manifests_merged,
        "snapshots_expired": list(plan.letting.snapshots),
        "branches_removed": list(plan.letting.branches),
        "tags_removed": list(plan.letting.tags),
        "tags_moved": [tag for tag, _ in plan.letting.moved_tags],
        "files_waiting": sorted(plan.unnamed),
        "files_removed": sorted(plan.removed),
    }


def _audit(plan: TablePlan) -> list[Removal]:
    if not plan.removed:
        return []
    reason = f"{len(plan.removed)} files that no snapshot names any more"
    return [Removal("files", reason, plan.layer, plan.name, bytes=sum(plan.removed.values()))]
