"""What Prometheus reads: counts and times of requests, and how full, fresh and late the lake is.

With several workers each keeps its counts in files of ``PROMETHEUS_MULTIPROC_DIR``, which ``odh serve`` sets, and
whichever is asked adds up all of them.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime
from functools import lru_cache
from typing import Any

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector
from starlette.types import ASGIApp, Receive, Scope, Send

from api.outcome import watched
from catalog.clock import utc_now
from catalog.ledger import Ledger
from catalog.stats import Stats, last_release_at

METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)

REQUESTS = Counter("odh_http_requests", "Requests answered.", ["method", "route", "status"])
DURATION = Histogram(
    "odh_http_request_duration_seconds", "Time until an answer was out whole.", ["method", "route"], buckets=SECONDS
)
IN_PROGRESS = Gauge("odh_http_requests_in_progress", "Requests being answered.", multiprocess_mode="livesum")


class Measured:
    """Counts and times requests by the template of their route: addresses themselves would be without number."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on and measure it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        outcome, watch = watched(scope, send)
        IN_PROGRESS.inc()
        try:
            await self.app(scope, receive, watch)
        finally:
            IN_PROGRESS.dec()
            method = scope["method"] if scope["method"] in METHODS else "other"
            route = getattr(scope.get("route"), "path", "unmatched")
            _counter(method, route, outcome.status).inc()
            _timer(method, route).observe(outcome.seconds)


# to find a metric by its labels takes a lock: once for each is enough
@lru_cache(4096)
def _counter(method: str, route: str, status: int) -> Counter:
    return REQUESTS.labels(method, route, str(status))


@lru_cache(1024)
def _timer(method: str, route: str) -> Histogram:
    return DURATION.labels(method, route)


class LakeCollector(Collector):
    """The lake's own numbers, counted when they are asked for."""

    def __init__(self, stats: Stats, ledger: Ledger) -> None:
        self._stats, self._ledger = stats, ledger

    def collect(self) -> Iterator[Metric]:
        """Every family, of one look at the lake."""
        found = self._stats.collect()
        yield from _tables(found["tables"])
        yield from _sizes(found)
        yield from _backlog(found["ingest"])
        if released_at := last_release_at(self._ledger):
            age = (utc_now() - released_at).total_seconds()
            yield GaugeMetricFamily("odh_release_age_seconds", "Time since the last release was published.", age)
        fresh = _family("odh_feed_last_extraction_timestamp_seconds", "Newest extraction date of a feed.", ["feed"])
        failed = _family("odh_feed_failed_resources", "Resources not fetched in a feed's newest extraction.", ["feed"])
        for feed in found["feeds"]:
            fresh.add_metric([feed["feed"]], _timestamp(feed["extraction_date"]))
            failed.add_metric([feed["feed"]], feed["failed"])
        yield from (fresh, failed)


def exposition(stats: Stats, ledger: Ledger, accept: str) -> tuple[bytes, str]:
    """All metrics, and their media type, in the format a scraper asks for."""
    registry = CollectorRegistry()
    if os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    else:
        registry.register(_Own())
    registry.register(LakeCollector(stats, ledger))
    encode, media_type = choose_encoder(accept)
    return encode(registry), media_type


class _Own(Collector):
    """What this process counted of itself."""

    def collect(self) -> Iterable[Metric]:
        return REGISTRY.collect()


def _tables(tables: list[dict[str, Any]]) -> Iterator[Metric]:
    told = {
        "rows": _family("odh_table_rows", "Rows of a table.", ["layer", "table"]),
        "files": _family("odh_table_files", "Data files of a table.", ["layer", "table"]),
        "bytes": _family("odh_table_bytes", "Bytes of a table's data files.", ["layer", "table"]),
        "rejects": _family("odh_table_rejects", "Rows and values of a table kept as rejects.", ["layer", "table"]),
    }
    for table in tables:
        for name, family in told.items():
            family.add_metric([table["layer"], table["table"]], table[name])
    yield from told.values()


def _sizes(found: dict[str, Any]) -> Iterator[Metric]:
    objects = _family("odh_zone_objects", "Objects of a zone.", ["zone"])
    sizes = _family("odh_zone_bytes", "Bytes of a zone.", ["zone"])
    for name, zone in found["zones"].items():
        objects.add_metric([name], zone["objects"])
        sizes.add_metric([name], zone["bytes"])
    databases = _family("odh_database_bytes", "Size of a database.", ["database"])
    for name, size in found["databases"].items():
        if size is not None:
            databases.add_metric([name.removesuffix("_bytes")], size)
    yield from (objects, sizes, databases)
    yield GaugeMetricFamily("odh_disk_free_bytes", "Free room on the lake's disk.", found["disk"]["free_bytes"])
    yield GaugeMetricFamily("odh_disk_total_bytes", "Size of the lake's disk.", found["disk"]["total_bytes"])


def _backlog(waiting: dict[str, Any]) -> Iterator[Metric]:
    oldest = (utc_now() - waiting["oldest_at"]).total_seconds() if waiting["oldest_at"] else 0.0
    yield GaugeMetricFamily("odh_ingest_pending_batches", "Pushed batches not yet in bronze.", waiting["batches"])
    yield GaugeMetricFamily("odh_ingest_pending_bytes", "Bytes of pushed batches not yet in bronze.", waiting["bytes"])
    yield GaugeMetricFamily("odh_ingest_oldest_pending_seconds", "Age of the oldest of them; 0 for none.", oldest)


def _family(name: str, meaning: str, labels: list[str]) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, meaning, labels=labels)


def _timestamp(day: date) -> float:
    return datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()
