"""The ledger's book of alerts: which were seen before, who was told, and what is over."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from catalog import schema
from catalog.alerts.alert import Alert, Kind
from catalog.ledger import Ledger

COMPUTED = frozenset(Kind) - {Kind.TASK_FAILED}  # kinds that are over when nothing tells of them any more


@dataclass(frozen=True, slots=True)
class News:
    """What one channel has not been told yet; the numbers are the rows of the book."""

    opened: dict[int, Alert]
    over: dict[int, Alert]

    def __bool__(self) -> bool:
        return bool(self.opened or self.over)


class Book:
    """The book of one lake."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger

    def note(self, alerts: Iterable[Alert], now: datetime, kinds: Collection[Kind] = COMPUTED) -> None:
        """Write down the alerts that hold; those of the same kinds that do not are over."""
        c = schema.alerts.c
        with self.ledger.begin() as connection:
            open_rows = {row.fingerprint: row for row in connection.execute(_open())}
            for alert in alerts:
                row = open_rows.pop(alert.fingerprint, None)
                if row is None:
                    connection.execute(schema.alerts.insert().values(**_values(alert), opened_at=now, last_seen_at=now))
                else:
                    seen = schema.alerts.update().where(c.alert_id == row.alert_id)
                    link = alert.link or row.link
                    connection.execute(seen.values(what=alert.what, link=link, last_seen_at=now))
            over = [row.alert_id for row in open_rows.values() if row.kind in kinds]
            connection.execute(schema.alerts.update().where(c.alert_id.in_(over)).values(resolved_at=now))

    def open_one(self, alert: Alert, now: datetime) -> None:
        """Write down one alert and leave the others as they are."""
        self.note([alert], now, kinds=())

    def close_one(self, fingerprint: str, now: datetime) -> None:
        """Say that one alert is over."""
        c = schema.alerts.c
        ended = schema.alerts.update().where(c.fingerprint == fingerprint, c.resolved_at.is_(None))
        with self.ledger.begin() as connection:
            connection.execute(ended.values(resolved_at=now))

    def open_alerts(self) -> list[Alert]:
        """The alerts that were open when the book was last written."""
        with self.ledger.begin() as connection:
            return [_alert(row) for row in connection.execute(_open())]

    def news(self, channel: str) -> News:
        """What a channel is still to be told: what holds, and the end of what it was told of."""
        opened: dict[int, Alert] = {}
        over: dict[int, Alert] = {}
        with self.ledger.begin() as connection:
            for row in connection.execute(sa.select(schema.alerts).order_by(schema.alerts.c.alert_id)):
                was_told = channel in row.told.split()
                if row.resolved_at is None and not was_told:
                    opened[row.alert_id] = _alert(row)
                if row.resolved_at is not None and was_told and channel not in row.told_over.split():
                    over[row.alert_id] = _alert(row)
        return News(opened, over)

    def mark_told(self, channel: str, news: News, now: datetime) -> None:
        """Remember that a channel was told."""
        t = schema.alerts
        with self.ledger.begin() as connection:
            first = sa.func.coalesce(t.c.notified_at, now)
            for column, rows in ((t.c.told, news.opened), (t.c.told_over, news.over)):
                told = sa.func.trim(column + f" {channel}")
                values = {column: told, **({t.c.notified_at: first} if column is t.c.told else {})}
                connection.execute(t.update().where(t.c.alert_id.in_(list(rows))).values(values))


def _open() -> sa.Select[tuple[object, ...]]:
    return sa.select(schema.alerts).where(schema.alerts.c.resolved_at.is_(None)).order_by(schema.alerts.c.alert_id)


def _values(alert: Alert) -> dict[str, object]:
    return {
        "fingerprint": alert.fingerprint,
        "kind": alert.kind.value,
        "severity": alert.severity,
        "subject": alert.subject,
        "what": alert.what,
        "since": alert.since,
        "link": alert.link,
        "told": "",
        "told_over": "",
    }


def _alert(row: sa.Row[tuple[object, ...]]) -> Alert:
    return Alert(Kind(row.kind), row.subject, row.what, row.since, row.link)
