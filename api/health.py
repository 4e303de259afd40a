"""The state of each service the gateway stands on, with a reason; what failed in detail is for the log alone."""

from __future__ import annotations

from collections.abc import Callable

import structlog

from api.models import Health, ServiceState
from api.tables import Tables
from catalog.errors import OdhError, TransientError
from catalog.iceberg import LAYERS

log = structlog.get_logger()


def check_health(tables: Tables) -> Health:
    """Ask every service; none of them failing stops the others from being asked."""
    services = {name: _ask(name, check, tables) for name, check in CHECKS.items()}
    is_sound = all(service.status == "ok" for service in services.values())
    return Health(status="ok" if is_sound else "failed", services=services)


def _ask(name: str, check: Callable[[Tables], str], tables: Tables) -> ServiceState:
    try:
        return ServiceState(status="ok", detail=check(tables))
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
    return f"release {release.release_id} of {release.extraction_date}" if release else "none yet; run odh run"


CHECKS: dict[str, Callable[[Tables], str]] = {
    "catalogue": _check_catalogue,
    "ledger": _check_ledger,
    "storage": _check_storage,
    "release": _check_release,
}
