"""The state of each service the gateway stands on, with a reason; what failed in detail is for the log alone.

Each service is asked on a thread of its own and given some seconds: one that hangs is told as failed, and is not asked
again before it has answered.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as Late
from datetime import datetime

import structlog

from api.models import Health, ServiceState
from api.tables import Tables
from catalog.clock import utc_now
from catalog.errors import OdhError, TransientError
from catalog.iceberg import LAYERS
from catalog.push.backlog import oldest_waiting
from catalog.stats import disk_usage, last_release_at

ANSWER_SECONDS = 5.0
Check = Callable[[Tables], str]
log = structlog.get_logger()


class HealthChecks:
    """Asks the services; one for each process.

    Args:
        checks: what asks each of them; it raises, or tells what it found.
        seconds: how long all of them together may take.
    """

    def __init__(self, tables: Tables, checks: Mapping[str, Check] | None = None, seconds: float = ANSWER_SECONDS):
        self._tables, self._seconds = tables, seconds
        self._checks = checks or CHECKS
        self._threads = ThreadPoolExecutor(len(self._checks), "health")
        self._asked: dict[str, Future[str]] = {}

    def close(self) -> None:
        """Ask no more; a service that hangs is not waited for."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def state(self) -> Health:
        """Ask every service; none of them failing stops the others from being asked."""
        until = time.monotonic() + self._seconds
        for name, check in self._checks.items():
            if (asked := self._asked.get(name)) is None or asked.done():
                self._asked[name] = self._threads.submit(check, self._tables)
        services = {name: self._told(name, self._asked[name], until) for name in self._checks}
        is_sound = all(service.status == "ok" for service in services.values())
        return Health(status="ok" if is_sound else "failed", services=services)

    def _told(self, name: str, asked: Future[str], until: float) -> ServiceState:
        try:
            return ServiceState(status="ok", detail=asked.result(max(0.0, until - time.monotonic())))
        except Late:
            log.error("service_hangs", service=name)
            reason = f"No answer within {self._seconds:g} s."
        except Exception as error:  # whatever a driver raises, the answer is that its service fails
            log.error("service_failed", service=name, reason=str(error))
            reason = str(error) if isinstance(error, OdhError) else f"No answer ({type(error).__name__})."
        return ServiceState(status="failed", detail=f"{reason} The gateway's log says more.")


def _check_catalogue(tables: Tables) -> str:
    counts = {layer: len(tables.lakehouse.names(layer)) for layer in LAYERS}
    return ", ".join(f"{count} {layer} tables" for layer, count in counts.items())


def _check_ledger(tables: Tables) -> str:
    tables.release()
    return f"answers, on {tables.ledger.engine.dialect.name}"


def _check_storage(tables: Tables) -> str:
    """Look for one released table's metadata: without it nothing can be read."""
    store = tables.lakehouse.store
    release = tables.release()
    if release is None:
        return f"{len(store.children())} folders, nothing released yet"
    for table in release.tables[:1]:
        key = table.pin.metadata_location.removeprefix("file://").removeprefix(f"{store.root}/")
        if not store.exists(key):
            raise TransientError(f"The files of {table.pin.layer}.{table.pin.name} are not in the warehouse.")
    return "holds the released tables"


def _check_release(tables: Tables) -> str:
    release = tables.release()
    if release is None:
        return "none yet; run odh run"
    told = f"release {release.release_id} of {release.extraction_date}"
    made_at, most_hours = last_release_at(tables.ledger), tables.settings.health_release_hours
    if made_at is None or most_hours is None:
        return told
    if (hours := _hours_since(made_at)) > most_hours:
        raise TransientError(
            f"The newest release is {hours:.0f} h old, and ODH_HEALTH_RELEASE_HOURS allows {most_hours:g}: look at"
            " ops.runs, and run odh run."
        )
    return f"{told}, published {hours:.1f} h ago"


def _check_ingest(tables: Tables) -> str:
    oldest, most_seconds = oldest_waiting(tables.settings.push_log), tables.settings.health_ingest_seconds
    if oldest is None:
        return "no pushed batch waits"
    if (seconds := _hours_since(oldest) * 3600) > most_seconds:
        raise TransientError(
            f"The oldest pushed batch has waited for {seconds:.0f} s, and ODH_HEALTH_INGEST_SECONDS allows"
            f" {most_seconds:g}: it is durable, and odh drain takes it on."
        )
    return f"the oldest pushed batch has waited for {seconds:.0f} s"


def _check_disk(tables: Tables) -> str:
    usage = disk_usage(tables.settings)
    if usage.free < tables.settings.health_free_bytes:
        raise TransientError(
            f"{usage.free:,} bytes are free on the disk of the lake, and ODH_HEALTH_FREE_BYTES asks for"
            f" {tables.settings.health_free_bytes:,}: odh maintain frees some."
        )
    return f"{usage.free:,} of {usage.total:,} bytes free"


def _hours_since(moment: datetime) -> float:
    return (utc_now() - moment).total_seconds() / 3600


CHECKS: dict[str, Check] = {
    "catalogue": _check_catalogue,
    "ledger": _check_ledger,
    "storage": _check_storage,
    "release": _check_release,
    "ingest": _check_ingest,
    "disk": _check_disk,
}
