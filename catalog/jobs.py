"""What a scheduler calls of the catalogue: one recorded piece of work each, with a plain result or an error.

A ``TransientError`` is worth another try, any other error is not. Commands print; jobs return.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import asdict
from datetime import date
from typing import TYPE_CHECKING, Any

from catalog.build import Builder, DomainResult
from catalog.clock import utc_now
from catalog.errors import BuildFailed, LakeBusy, PermanentError
from catalog.origin import Origin
from catalog.runs import recorded_run
from catalog.settings import load_settings
from catalog.survey import survey_feeds

if TYPE_CHECKING:
    from catalog.alerts.desk import Told


def domains_to_build(feeds: Collection[str]) -> list[str]:
    """The domains that some feeds change, each after those it reads; of all enabled feeds when none is named.

    Feeds whose files are gone or wrong since they changed are left out.
    """
    registry = survey_feeds(load_settings()).registry
    changed = feeds or [feed.feed for feed in registry if feed.enabled]
    return registry.domains_reading(name for name in changed if name in registry.feeds)


def build_domain(domain: str, day: date, origin: Origin | None = None) -> dict[str, Any]:
    """Build, test and release one domain, after those it reads where these are out of date.

    Raises:
        LakeBusy: another build is on, or a feed of the domain is being synced.
        BuildFailed: with the tests that failed; readers keep the domain's previous tables.
    """
    registry = survey_feeds(load_settings()).registry
    names = [feed.feed for feed in registry.domains().get(domain, ())]
    if not names:
        raise PermanentError(f"No feed is of the domain {domain!r} any more; nothing is to be built.")
    with recorded_run("build", names, day, is_tolerant=True, origin=origin) as run:
        builder = Builder(run.settings, run.registry, run.ledger, run.lakehouse, run.run_id)
        result = builder.build(run.feeds, day, lambda *_: None)
        run.errors += [f"domain {one.domain}: {one.reason}" for one in result.domains if one.status == "failed"]
        mine = next(one for one in result.domains if one.domain == domain)
        _refuse(mine, is_held=any(name in builder.inputs.held for name in names))
    return {"release_id": result.release_id, **asdict(mine)}


def _refuse(result: DomainResult, *, is_held: bool) -> None:
    if result.status == "failed":
        raise BuildFailed(f"{result.domain} keeps its previous release: {result.reason}")
    if result.status == "waiting" and is_held:
        raise LakeBusy(f"{result.domain} is not built yet: {result.reason}")


def maintain_lake(origin: Origin | None = None) -> dict[str, Any]:
    """Compact, expire and remove what nothing needs, as ``odh maintain`` does.

    Raises:
        LakeBusy: a build is on.
    """
    from catalog.maintain import Maintainer

    now = utc_now()
    with recorded_run("maintain", [], now.date(), is_tolerant=True, origin=origin) as run:
        done = Maintainer(run.settings, run.registry, run.ledger, run.lakehouse, run.run_id, now).run(lambda *_: None)
    return {**done.totals(), "busy": done.busy}


def send_alerts() -> dict[str, Any]:
    """Tell people what they do not know yet; a channel that is away is told the next time."""
    from catalog.alerts.desk import tell_people

    return _told(tell_people(load_settings(), utc_now()))


def tell_of_dag(dag_id: str, dag_run_id: str, failed: str | None, link: str) -> dict[str, Any]:
    """Tell people after a scheduler's task or run ended; ``failed`` is why, None for a run that succeeded."""
    from catalog.alerts.desk import tell_of_dag

    return _told(tell_of_dag(load_settings(), utc_now(), dag_id, dag_run_id, failed, link))


def _told(told: Told) -> dict[str, Any]:
    return {"alerts": [one.title for one in told.alerts], "told": told.opened, "over": told.over, "away": told.failed}


def take_snapshots(as_of: date, origin: Origin | None = None) -> list[dict[str, Any]]:
    """Keep copies of the gold tables that are kept so, as of a day.

    Raises:
        LakeBusy: a build is on.
        PermanentError: the gate refuses one, with why; the others are taken.
    """
    from catalog.quality.examine import REFUSED
    from catalog.quality.snapshots import SnapshotTaker

    with recorded_run("snapshot", [], as_of, origin=origin) as run:
        taker = SnapshotTaker(run.settings, run.registry, run.ledger, run.lakehouse, run.run_id, utc_now().date())
        taken = taker.take(as_of)
        if refused := [f"{one.name}: {one.reason}" for one in taken if one.status == REFUSED]:
            raise PermanentError("\n".join(refused))
    return [{"name": one.name, "status": one.status, "rows": one.rows} for one in taken]
