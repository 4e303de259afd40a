"""Which alerts hold, from what the ledger tells. Pure: rows in, alerts out."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta

from catalog.alerts.alert import Alert, Kind
from catalog.alerts.failures import RunRow, failures
from catalog.feed import Feed
from catalog.schedules import last_due

NAMED = 3  # tests, columns or files named in one alert


@dataclass(frozen=True, slots=True)
class FoundTest:
    """One test of a domain's newest build that found something."""

    domain: str
    name: str
    severity: str
    status: str  # warn, fail, error
    failures: int | None
    tested_at: datetime


@dataclass(frozen=True, slots=True)
class ChangeRow:
    """One breaking change of a table."""

    feed: str
    table: str
    column: str
    change: str
    detail: str | None
    detected_at: datetime


@dataclass(frozen=True, slots=True)
class GoneRow:
    """One resource that was gone when its feed was last looked at."""

    feed: str
    title: str
    since: datetime


@dataclass(frozen=True, slots=True)
class Waiting:
    """Pushed batches that are in no release yet."""

    batches: int
    since: datetime  # the oldest


@dataclass(frozen=True, slots=True)
class Signs:
    """What the ledger tells that may be worth an alert."""

    feeds: Mapping[str, Feed] = field(default_factory=dict)
    mistakes: Mapping[str, str] = field(default_factory=dict)  # of feed files, by feed
    runs: Sequence[RunRow] = ()  # oldest first
    newest: Mapping[str, date] = field(default_factory=dict)  # day of each feed's newest extraction
    tests: Sequence[FoundTest] = ()
    changes: Sequence[ChangeRow] = ()  # of the last days
    gone: Sequence[GoneRow] = ()
    waiting: Waiting | None = None


def alerts_of(signs: Signs, now: datetime, grace: timedelta, patience: timedelta) -> list[Alert]:
    """Every alert that holds, in the order of kinds and subjects.

    Args:
        grace: how long after its schedule struck a feed may be without an extraction.
        patience: how long a pushed batch may wait for its release.
    """
    followed = {name: feed for name, feed in signs.feeds.items() if feed.enabled}
    found = [
        *failures(signs.runs, {name: feed.domain for name, feed in followed.items()}),
        *_late(followed, signs.newest, now - grace),
        *_tests(signs.tests, {feed.domain for feed in signs.feeds.values()}),
        *_drift(one for one in signs.changes if one.feed in signs.feeds),
        *_dead_links(one for one in signs.gone if one.feed in followed),
        *_backlog(signs.waiting, now - patience),
        *(Alert(Kind.FEED_FILE_WRONG, name, mistake, now) for name, mistake in signs.mistakes.items()),
    ]
    order = list(Kind)
    return sorted(found, key=lambda one: (order.index(one.kind), one.subject))


def _late(feeds: Mapping[str, Feed], newest: Mapping[str, date], before: datetime) -> Iterator[Alert]:
    """Feeds without an extraction of the day their schedule last struck; one that never began is not late."""
    for name, feed in feeds.items():
        if name not in newest or feed.is_pushed:
            continue
        due = last_due(feed.schedule, before)
        if newest[name] < due.date():
            what = f"due {due:%Y-%m-%d %H:%M} UTC by its schedule {feed.schedule}; its newest data: {newest[name]}"
            yield Alert(Kind.LATE_DATA, name, what, due)


def _tests(rows: Iterable[FoundTest], domains: set[str]) -> Iterator[Alert]:
    by_domain: dict[tuple[Kind, str], list[FoundTest]] = defaultdict(list)
    for row in rows:
        kind = Kind.TESTS_WARNED if row.status == "warn" else Kind.TESTS_FAILED
        if row.domain in domains:
            by_domain[kind, row.domain].append(row)
    for (kind, domain), found in by_domain.items():
        named = [f"{row.name} ({row.failures:,} rows)" if row.failures else row.name for row in found]
        yield Alert(kind, domain, _listed("test", named), min(row.tested_at for row in found))


def _drift(rows: Iterable[ChangeRow]) -> Iterator[Alert]:
    by_table: dict[tuple[Kind, str], list[ChangeRow]] = defaultdict(list)
    for row in rows:
        by_table[Kind.ROWS_COLLAPSED if row.change == "rows" else Kind.BREAKING_DRIFT, row.table].append(row)
    for (kind, table), found in by_table.items():
        told = [" ".join(filter(None, (row.column, row.change, f"({row.detail})"))) for row in found]
        what = _listed("change", told) if kind is Kind.BREAKING_DRIFT else "; ".join(str(row.detail) for row in found)
        yield Alert(kind, table, f"feed {found[0].feed}: {what}", min(row.detected_at for row in found))


def _dead_links(rows: Iterable[GoneRow]) -> Iterator[Alert]:
    by_feed: dict[str, list[GoneRow]] = defaultdict(list)
    for row in rows:
        by_feed[row.feed].append(row)
    for feed, found in by_feed.items():
        what = _listed("file", [row.title for row in found])
        yield Alert(Kind.DEAD_LINKS, feed, what, min(row.since for row in found))


def _backlog(waiting: Waiting | None, before: datetime) -> Iterator[Alert]:
    if waiting and waiting.since < before:
        what = f"{waiting.batches:,} pushed batch{'' if waiting.batches == 1 else 'es'} wait for a release"
        yield Alert(Kind.INGEST_BACKLOG, "ingest", what, waiting.since)


def _listed(noun: str, names: Sequence[str]) -> str:
    more = f", and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return f"{len(names)} {noun}{'' if len(names) == 1 else 's'}: {', '.join(names[:NAMED])}{more}"


def midnight(day: date) -> datetime:
    """The moment a day begins."""
    return datetime.combine(day, time(), UTC)
