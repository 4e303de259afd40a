"""What a scheduler calls of ingestion: one recorded piece of work each, with a plain result or an error.

A ``TransientError`` is worth another try, any other error is not. Commands print; jobs return.
"""

from __future__ import annotations

from contextlib import closing
from datetime import date, datetime
from typing import Any

import sqlalchemy as sa

from catalog import schema
from catalog.clock import utc_now
from catalog.errors import PermanentError, TransientError
from catalog.feed import Feed
from catalog.iceberg import BRONZE
from catalog.ledger import Ledger
from catalog.loads import bronze_tables_of
from catalog.origin import Origin
from catalog.push import receipts
from catalog.push.backlog import waiting_bytes
from catalog.push.flusher import is_flushing
from catalog.releases import current_release
from catalog.runs import Run, recorded_run
from catalog.schedules import is_due
from catalog.settings import Settings, load_settings
from catalog.storage import raw_store
from catalog.survey import survey_feeds
from catalog.versions import feed_versions
from ingestion.courtesy import shared_hosts
from ingestion.drain import Drain
from ingestion.portal import PortalClient
from ingestion.raw import RawZone
from ingestion.sync import Syncer


def due_feeds(moment: datetime) -> list[str]:
    """The enabled feeds whose schedule strikes in a minute."""
    return [feed.feed for feed in _fetched(load_settings()) if is_due(feed.schedule, moment)]


def feeds_in_raw(day: date) -> list[str]:
    """The enabled feeds that raw holds an extraction of on a day."""
    settings = load_settings()
    raw = RawZone(raw_store(settings))
    return [feed.feed for feed in _fetched(settings) if next(raw.manifests(feed.feed, day), None) is not None]


def enabled_feeds() -> list[str]:
    """Every enabled feed."""
    return [feed.feed for feed in _fetched(load_settings())]


def _fetched(settings: Settings) -> list[Feed]:
    """The enabled feeds that are fetched; what is pushed is drained, whenever it comes."""
    return [feed for feed in survey_feeds(settings).registry if feed.enabled and not feed.is_pushed]


def sync_feed(feed: str, day: date, origin: Origin | None = None, *, from_raw: bool = False) -> dict[str, Any]:
    """Extract and load one feed; ``has_changed`` says whether its domain is to be built.

    Args:
        from_raw: load what raw holds of the day, and ask the portal nothing.

    Raises:
        TransientError: the portal, a server or the lock of the feed may answer at the next try.
        PermanentError: a file is gone or cannot be read; what could be is loaded.
    """
    with recorded_run("sync", [feed], day, is_tolerant=True, is_alone=True, origin=origin) as run:
        before = feed_versions(run.ledger, feed)
        syncer = Syncer(run.settings, run.ledger, run.lakehouse, run.run_id, registry=run.registry)
        result = syncer.sync(run.registry.get(feed), day, lambda *_: None, from_raw=from_raw)
        if result.errors:
            run.errors += [f"{feed}: {error}" for error in result.errors]
            raise (TransientError if result.is_transient else PermanentError)("\n".join(run.errors))
        is_loaded = any(load.status in ("loaded", "already") for load in result.loads)
        has_changed = is_loaded or feed_versions(run.ledger, feed) != before or _is_unreleased(run, feed)
    return {
        "feed": feed,
        "has_changed": has_changed,
        "files": result.stored + result.unchanged + result.already,
        "bytes": result.size_bytes,
        "rows_loaded": result.rows_loaded,
        "rows_rejected": result.rows_rejected,
        "note": result.note,
    }


def _is_unreleased(run: Run, feed: str) -> bool:
    """Whether bronze of a feed is not what the current release was made from: synced by hand, or a build failed."""
    release = current_release(run.ledger)
    released = {pin.name: pin.snapshot_id for pin in release.inputs} if release else {}
    pins = (run.lakehouse.pin(BRONZE, name) for name in bronze_tables_of(run.ledger, feed))
    return any(pin.snapshot_id != released.get(pin.name) for pin in pins if pin)


def half_loaded_feeds(dag_id: str, dag_run_id: str) -> list[str]:
    """The feeds whose syncs in a scheduler's run failed and yet loaded something: their domains have news too."""
    r, c = schema.runs.c, schema.loads.c
    failed = sa.select(r.run_id).where(r.dag_id == dag_id, r.dag_run_id == dag_run_id, r.status != "succeeded")
    query = sa.select(c.feed).where(c.run_id.in_(failed), c.status == "loaded").distinct().order_by(c.feed)
    with closing(Ledger(load_settings())) as ledger, ledger.begin() as connection:
        return list(connection.scalars(query))


def drain_ingest(origin: Origin | None = None) -> dict[str, Any]:
    """Take pushed records from their log into a release; nothing is recorded where nothing waits.

    Raises:
        LakeBusy: another process drains, builds, or loads one of the feeds.
        PermanentError: a batch cannot be loaded, or its domain cannot be released; the others are.
    """
    settings = load_settings()
    names = [feed.feed for feed in survey_feeds(settings).registry if feed.is_pushed]
    if is_flushing(settings.push_log):
        return {"batches": 0, "note": "odh drain --watch is at work"}
    with closing(Ledger(settings)) as ledger:
        is_idle = not (waiting_bytes(settings.push_log) or receipts.feeds_to_release(ledger))
    if is_idle or not names:
        return {"batches": 0}
    with recorded_run("drain", names, utc_now().date(), is_tolerant=True, is_alone=True, origin=origin) as run:
        drain = Drain(run.settings, run.registry, run.ledger, run.lakehouse)
        done = drain.load(run.run_id)
        built = drain.release(run.run_id)
        failed = [one for one in (built.domains if built else ()) if one.status == "failed"]
        run.errors += [*done.errors, *(f"domain {one.domain}: {one.reason}" for one in failed)]
        if run.errors:
            raise PermanentError("\n".join(run.errors))
        left = receipts.unreleased_batches(run.ledger)
    return {"batches": done.batches, "records": done.records, "rejected": done.rejected, "unreleased": left}


def discover_datasets(
    *,
    query: str | None = None,
    organization: str | None = None,
    tag: str | None = None,
    resource_format: str | None = None,
    limit: int | None = None,
    add: bool = False,
    origin: Origin | None = None,
) -> dict[str, Any]:
    """Look for datasets that no feed follows, and with ``add`` make each a feed; none of the terms lists the newest.

    Raises:
        UsageError: the portal refuses a term.
        PortalUnavailable: after every retry; what was added stays.
    """
    from ingestion.discover import Discovery
    from ingestion.listing import Terms

    with recorded_run("discover", [], utc_now().date(), is_tolerant=True, origin=origin) as run:
        portal = PortalClient(run.settings, hosts=shared_hosts(run.settings, run.ledger))
        discovery = Discovery(run.settings, run.registry, portal)
        terms = Terms(query, organization, tag, resource_format)
        outcomes = list(discovery.find(terms, limit, adds=add))
    new = [one.listed.dataset.slug for one in outcomes if not one.followed_by and not one.added]
    return {"found": len(outcomes), "added": [one.added for one in outcomes if one.added], "followed_by_none": new}
