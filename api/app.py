"""The gateway: one application made of the routes of each part."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from importlib.metadata import version

from fastapi import FastAPI

from api import (
    document_routes,
    history_routes,
    iceberg_routes,
    ingest_routes,
    layer_routes,
    problems,
    raw_file_routes,
    resource_routes,
    service_routes,
    shield,
    sql_routes,
    supervision_routes,
)
from api.access import Access
from api.audit import Audited, AuditLog
from api.comparisons import Comparisons
from api.document import Documents
from api.gate import Gate, Numbered
from api.health import HealthChecks
from api.letting_go import letting_go
from api.metrics import Measured
from api.push_gate import PushGate
from api.rate import Moments
from api.remembered import Remembered
from api.resources import Resources
from api.safe_start import refuse_unsafe
from api.sql_processes import SqlProcesses
from api.tables import Tables
from catalog.push.batch import PushRefused
from catalog.registry import load_registry
from catalog.settings import Settings
from catalog.spill import sweep_spill
from catalog.stats import Stats

PROFILES_REMEMBERED = 256
DESCRIPTION = """
French open data as historised, typed, tested SQL tables. **raw** is what was received, **staging** what was typed,
**curated** the star schemas; staging and curated always belong to one release.

Rows are asked for in the grammar of data.gouv.fr's tabular API, `column__operator=value`. Operators: `exact`,
`differs`, `contains`, `notcontains`, `in`, `notin`, `less`, `greater`, `strictly_less`, `strictly_greater`, `isnull`,
`isnotnull`; `sort` with `asc` or `desc`; `groupby` with `count`, `avg`, `sum`, `min` and `max`; `or=(…)` and `and=(…)`
nest filters. Answers are JSON pages, or whole results as `format=csv`, `ndjson`, `parquet` or `arrow`.
"""


def create_app(settings: Settings, moments: Moments | None = None) -> FastAPI:
    """Make the gateway of one lake; the lake is opened when the server starts and closed when it stops.

    Args:
        moments: of the buckets of callers, where several processes share them.

    Raises:
        InvalidFeed: a feed file that breaks its schema.
        InvalidSettings: settings that production must not start with.
    """
    registry = load_registry(settings)
    refuse_unsafe(settings, registry)
    gate = PushGate(settings, registry)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        sweep_spill(settings)  # of a worker that was killed
        with (
            Tables(settings, registry) as tables,
            AuditLog(tables.ledger, settings.lake / "audit") as audit,
            SqlProcesses(settings) as sql,
        ):
            app.state.tables, app.state.audit, app.state.sql_processes = tables, audit, sql
            app.state.push = gate
            app.state.stats = Stats(settings, tables.ledger, tables.lakehouse)
            app.state.access = Access(settings, tables.ledger, audit.note_use)
            with (
                closing(HealthChecks(tables)) as app.state.health,
                closing(Comparisons(tables)) as app.state.comparisons,
            ):
                looks = (tables.let_go, app.state.comparisons.let_go)
                app.state.resources, app.state.profiles = Resources(tables), Remembered(PROFILES_REMEMBERED)
                app.state.documents = Documents(app, tables)
                try:
                    async with letting_go(looks):
                        yield
                finally:
                    await gate.close()

    app = FastAPI(
        title="OpenDataHub SQL",
        description=DESCRIPTION,
        version=version("opendatahub-sql"),
        lifespan=lifespan,
        openapi_url=None,  # a document of ours, which tells of the tables too
        docs_url=None,
        redoc_url=None,
    )
    document_routes.install(app)
    # the addresses with a layer in them come last: they would take the others
    reading = (raw_file_routes, resource_routes, history_routes, layer_routes)
    app.include_router(ingest_routes.pushes)  # first: what is matched first is answered fastest
    for part in (ingest_routes, service_routes, supervision_routes, sql_routes, iceberg_routes, *reading):
        app.include_router(part.router)
    app.include_router(layer_routes.rows)
    ingest_routes.describe(app, gate)
    problems.install(app)
    app.add_exception_handler(PushRefused, ingest_routes.on_refused)
    # the last added is the first to see a request
    app.add_middleware(Gate, rate=settings.api_pace, burst=settings.api_burst, moments=moments)
    app.add_middleware(Audited)
    shield.install(app, settings)
    app.add_middleware(Numbered, is_told=settings.log_level in ("debug", "info"))
    app.add_middleware(Measured)  # it watches the outcome that the others tell of
    return app
