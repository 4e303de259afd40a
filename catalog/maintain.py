"""The upkeep of a whole lake: what ``odh maintain`` does, table by table, under the locks of those who write them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from itertools import groupby
from typing import Any

import structlog

from catalog import releases, retained
from catalog.errors import LakeBusy
from catalog.iceberg import BRONZE, GOLD, SILVER, Lakehouse
from catalog.ledger import Ledger
from catalog.locks import exclusive
from catalog.registry import Registry
from catalog.retained import Removal
from catalog.settings import Settings
from catalog.upkeep import TablePlan, Upkeep, finish_rewrites

log = structlog.get_logger()
OnProgress = Callable[[str, int, int], None]  # what, steps done, steps in all


@dataclass
class Maintenance:
    """What was done, or would be."""

    tables: list[TablePlan] = field(default_factory=list)
    busy: list[str] = field(default_factory=list)  # feeds being synced, whose bronze is left for the next time

    def totals(self) -> dict[str, int]:
        """The work in numbers."""
        groups = [group for plan in self.tables for group in plan.small_files]
        return {
            "tables": len(self.tables),
            "files_compacted": sum(len(group.files) for group in groups),
            "files_written": len(groups),
            "manifests_merged": sum(plan.manifests_merged for plan in self.tables),
            "snapshots_expired": sum(len(plan.letting.snapshots) for plan in self.tables),
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
            for layer in (SILVER, GOLD):
                names = self.lakehouse.names(layer)
                done.tables += self._tidy(upkeep, layer, names, on_progress)
                done.tables += self._sweep(upkeep, layer, names)
            bronze = self.lakehouse.names(BRONZE)
            for feed, of_feed in groupby(bronze, key=lambda name: name.partition("__")[0]):
                try:
                    with exclusive(self.settings, self.ledger, f"feed-{feed}"):
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
    return {"totals": done.totals(), "busy": done.busy, "tables": [_plan_as_json(plan) for plan in done.tables]}


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
