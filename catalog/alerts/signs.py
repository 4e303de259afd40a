"""Reads from the ledger what alerts are decided from."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any

import sqlalchemy as sa

from catalog import schema
from catalog.alerts.failures import RunRow
from catalog.alerts.rules import ChangeRow, FoundTest, GoneRow, Signs, Waiting, midnight
from catalog.ledger import Ledger
from catalog.push.backlog import Backlog, backlog
from catalog.settings import Settings
from catalog.survey import Survey

MEMORY = timedelta(days=14)  # of runs: what failed before and was not done since is late, and told as that
NEWS = timedelta(days=7)  # of changes of shape, which happen and do not last
WHOLE_DATASET = "(dataset)"


def read_signs(settings: Settings, ledger: Ledger, survey: Survey, now: datetime) -> Signs:
    """What the ledger, the feed files and the log of pushed records tell now."""
    waiting = backlog(settings.push_log)
    with ledger.begin() as connection:
        return Signs(
            survey.registry.feeds,
            survey.mistakes,
            _runs(connection, now - MEMORY),
            _newest(connection),
            _tests(connection),
            _changes(connection, now - NEWS),
            _gone(connection),
            _waiting(connection, waiting),
        )


def _runs(connection: sa.Connection, since: datetime) -> list[RunRow]:
    c = schema.runs.c
    query = sa.select(schema.runs).where(c.finished_at >= since, c.status != "running").order_by(c.finished_at)
    return [
        RunRow(
            row.command,
            row.feeds.split(),
            row.status,
            row.finished_at,
            row.error,
            bool(row.will_retry),
            row.task_url,
        )
        for row in connection.execute(query)
    ]


def _waiting(connection: sa.Connection, undrained: Backlog) -> Waiting | None:
    """Batches in the log, those held in raw, and those in bronze whose domain was not released yet."""
    c = schema.push_batches.c
    query = sa.select(sa.func.count().label("batches"), sa.func.min(c.received_at).label("since"))
    unreleased = connection.execute(query.where(c.status.in_(("accepted", "bronze")))).one()
    moments = [moment for moment in (undrained.oldest_at, unreleased.since) if moment]
    return Waiting(undrained.batches + unreleased.batches, min(moments)) if moments else None


def _newest(connection: sa.Connection) -> dict[str, date]:
    c = schema.extractions.c
    seen = c.status.in_(("stored", "unchanged", "removed"))
    query = sa.select(c.feed, sa.func.max(c.extraction_date).label("day")).where(seen).group_by(c.feed)
    return {str(row.feed): row.day for row in connection.execute(query)}


def _tests(connection: sa.Connection) -> list[FoundTest]:
    """What the newest build of each domain found."""
    c = schema.quality_results.c
    newest = sa.select(c.domain, sa.func.max(c.tested_at).label("at")).group_by(c.domain).subquery()
    at_last = sa.and_(newest.c.domain == c.domain, newest.c.at == c.tested_at)
    run = sa.select(c.domain, sa.func.max(c.run_id)).join(newest, at_last).group_by(c.domain)
    mine = sa.tuple_(c.domain, c.run_id).in_(run)
    query = sa.select(schema.quality_results).where(mine, c.status.in_(("warn", "fail", "error"))).order_by(c.test_name)
    return [
        FoundTest(row.domain, row.test_name, row.severity, row.status, row.failures, row.tested_at)
        for row in connection.execute(query)
    ]


def _changes(connection: sa.Connection, since: datetime) -> list[ChangeRow]:
    c = schema.schema_changes.c
    query = sa.select(schema.schema_changes).where(c["class"] == "breaking", c.detected_at >= since)
    return [
        ChangeRow(row.feed, row.table_name, row.column_name, row.change, row.detail, row.detected_at)
        for row in connection.execute(query.order_by(c.table_name, c.detected_at, c.column_name))
    ]


def _gone(connection: sa.Connection) -> list[GoneRow]:
    """Resources that were gone on their feed's newest day, each since the first day it was."""
    c = schema.extractions.c
    newest = sa.select(c.feed, sa.func.max(c.extraction_date)).group_by(c.feed)
    on_newest = sa.tuple_(c.feed, c.extraction_date).in_(newest)
    now_gone = sa.select(c.feed, c.resource_id, c.title).where(c.status == "gone", on_newest).subquery()
    same = sa.and_(now_gone.c.feed == c.feed, now_gone.c.resource_id == c.resource_id)
    query = sa.select(c.feed, c.resource_id, now_gone.c.title, sa.func.min(c.extraction_date).label("first"))
    query = query.join(now_gone, same).where(c.status == "gone").group_by(c.feed, c.resource_id, now_gone.c.title)
    rows: list[Any] = list(connection.execute(query.order_by(c.feed, c.resource_id)))
    return [GoneRow(row.feed, row.title or _named(row.resource_id), midnight(row.first)) for row in rows]


def _named(resource_id: str) -> str:
    return "the dataset" if resource_id.startswith(WHOLE_DATASET) else resource_id
