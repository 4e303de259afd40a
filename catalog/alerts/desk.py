"""Looks for alerts, writes them down and tells people; what commands and schedulers call."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import sqlalchemy as sa
import structlog

from catalog import schema
from catalog.alerts.alert import Alert, Kind
from catalog.alerts.book import Book
from catalog.alerts.channels import NotTold, channels
from catalog.alerts.ledger_away import enter_into_book, tell_of_ledger
from catalog.alerts.message import subject_line, text
from catalog.alerts.rules import alerts_of
from catalog.alerts.signs import read_signs
from catalog.errors import LakeBusy, LedgerAway
from catalog.ledger import Ledger
from catalog.locks import exclusive
from catalog.settings import Settings
from catalog.survey import survey_feeds

log = structlog.get_logger()
Note = Callable[[Book, datetime], None]


@dataclass
class Told:
    """What one round of telling did."""

    alerts: list[Alert]  # that hold
    opened: dict[str, int] = field(default_factory=dict)  # messages of new alerts, by channel
    over: dict[str, int] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)  # why a channel could not be told


def find_alerts(settings: Settings, ledger: Ledger, now: datetime) -> list[Alert]:
    """The alerts that hold now; nothing is written."""
    signs = read_signs(settings, ledger, survey_feeds(settings), now)
    grace, patience = timedelta(hours=settings.alert_late_hours), timedelta(minutes=settings.alert_backlog_minutes)
    return alerts_of(signs, now, grace, patience)


def tell_of_dag(settings: Settings, now: datetime, dag_id: str, dag_run_id: str, failed: str | None, link: str) -> Told:
    """Tell people after a scheduler's task or run ended.

    Args:
        failed: why it did, None for a run that succeeded. What the ledger tells of is no alert twice.
    """
    alert = Alert(Kind.TASK_FAILED, dag_id, failed or "", now, link)

    def note(book: Book, now: datetime) -> None:
        if failed is None:
            book.close_one(alert.fingerprint, now)
        elif not _knows(book.ledger, dag_id, dag_run_id):
            book.open_one(alert, now)

    return tell_people(settings, now, note, link)


def _knows(ledger: Ledger, dag_id: str, dag_run_id: str) -> bool:
    """Whether a run of the ledger tells of the failure of a scheduler's."""
    c = schema.runs.c
    mine = (c.dag_id == dag_id, c.dag_run_id == dag_run_id, c.status == "failed", c.will_retry == 0)
    with ledger.begin() as connection:
        return bool(connection.scalar(sa.select(sa.exists().where(*mine))))


def tell_people(settings: Settings, now: datetime, note: Note | None = None, link: str | None = None) -> Told:
    """Write down what holds and what is over, and tell every channel what it does not know yet.

    A channel that is away is told the next time. One round at a time: who comes meanwhile leaves it to the other.

    Args:
        note: what the caller knows besides, to be written into the book first.
        link: the page people may look at if the ledger is away.

    Raises:
        LedgerAway: after people were told of that.
    """
    try:
        opened = Ledger(settings)
    except LedgerAway as error:
        tell_of_ledger(settings, now, str(error), link)
        raise
    with closing(opened) as ledger:
        book = Book(ledger)
        if note:
            note(book, now)
        told = Told([])
        with suppress(LakeBusy), exclusive(settings, ledger, "alerts"):
            enter_into_book(settings, book, now)
            told.alerts = find_alerts(settings, ledger, now)
            book.note(told.alerts, now)
            told.alerts = book.open_alerts()
            for channel, tell in channels(settings):
                news = book.news(channel)
                if not news:
                    continue
                try:
                    tell(subject_line(news), text(news, settings.alert_docs_url))
                except NotTold as error:
                    log.warning("alerts_not_told", channel=channel, reason=str(error))
                    told.failed[channel] = str(error)
                else:
                    book.mark_told(channel, news, now)
                    told.opened[channel], told.over[channel] = len(news.opened), len(news.over)
    return told
