"""Routes for those who watch over the lakehouse: feeds, runs, releases, quality and growth, from the ledger."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request

from api import problems
from api import supervision_models as models
from api.access import require
from api.dependencies import TablesDep
from api.grammar import refuse_unknown
from api.models import PageMeta
from api.tables import Tables
from catalog import operations, supervision
from catalog.alerts.alert import ADVICE, Alert
from catalog.alerts.book import COMPUTED, Book
from catalog.alerts.desk import find_alerts
from catalog.clock import utc_now
from catalog.ledger import Ledger
from catalog.lineage import between_tables, read_edges
from catalog.quality.report import read_shifts
from catalog.scopes import Scope

PAGE_MAX = 1_000_000  # keeps the offset far from what a database counts to

router = APIRouter(responses=problems.RESPONSES, tags=["supervision"], dependencies=[require(Scope.ADMIN_READ)])


def _first_day(days: Annotated[int, Query(ge=1, le=3660, description="how many days back")] = 90) -> date:
    return operations.days_before(utc_now(), days)


Since = Annotated[date, Depends(_first_day)]
Limit = Annotated[int, Query(ge=1, le=1000, description="how many at most")]


def _only(*names: str) -> Any:
    def check(request: Request) -> None:
        refuse_unknown(request.query_params, names)

    return Depends(check)


@router.get("/feeds", summary="Feeds and their states", dependencies=[_only()])
def list_feeds(tables: TablesDep) -> models.FeedList:
    """List every feed with its state and why, worst first."""
    return models.FeedList.model_validate({"data": supervision.list_feeds(tables.ledger, tables.registry)})


@router.get("/feeds/{feed}", summary="One feed", dependencies=[_only("days")])
def show_feed(tables: TablesDep, feed: str, since: Since) -> models.FeedDetail:
    """Show what is declared of a feed, what is made from it and what happened to it."""
    edges = between_tables(read_edges(tables.settings))
    found = supervision.show_feed(tables.ledger, tables.registry, feed, since, edges)
    found["test_results"] = _without_values(tables, found["test_results"])
    return models.FeedDetail.model_validate(found, by_alias=True)


def _without_values(tables: Tables, results: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Results of tests; of restricted bronze tables without their messages, which may quote a value."""
    return [
        {**one, "message": None} if one["table_name"] and tables.is_restricted(one["table_name"]) else one
        for one in results
    ]


@router.get(
    "/feeds/{feed}/rejects",
    summary="Rows of a feed that could not be read",
    dependencies=[require(Scope.RAW_READ), _only("table", "stage", "page", "page_size")],
)
def list_rejects(
    tables: TablesDep,
    feed: str,
    table: Annotated[str | None, Query(description="of this bronze table")] = None,
    stage: Annotated[str | None, Query(description="decode, schema, type or key")] = None,
    page: Annotated[int, Query(ge=1, le=PAGE_MAX)] = 1,
    page_size: Annotated[int, Query(ge=1, le=200)] = 20,
) -> models.RejectPage:
    """Read one page of rejects, newest first, each with its file, line, text and reason."""
    tables.registry.get(feed)
    tables.refuse_restricted(feed)
    rows, total = supervision.list_rejects(tables.ledger, feed, table, stage, page, page_size)
    meta = PageMeta(page=page, page_size=page_size, total=total)
    return models.RejectPage.model_validate({"data": rows, "meta": meta})


@router.get("/alerts", summary="What must be looked into", dependencies=[_only()])
def list_alerts(tables: TablesDep) -> models.AlertList:
    """List the alerts that hold now, as `odh alerts`, each with what to do."""
    found = [*find_alerts(tables.settings, tables.ledger, utc_now()), *_noted(tables.ledger)]
    return models.AlertList.model_validate(
        {
            "data": [
                {
                    "kind": one.kind,
                    "severity": one.severity,
                    "subject": one.subject,
                    "what": one.what,
                    "since": one.since,
                    "advice": ADVICE[one.kind],
                    "runbook": one.kind.anchor,
                    "link": one.link,
                }
                for one in found
            ]
        }
    )


def _noted(ledger: Ledger) -> list[Alert]:
    """Alerts that only who saw them could note: a scheduler's task that ended before the ledger could tell."""
    return [one for one in Book(ledger).open_alerts() if one.kind not in COMPUTED]


@router.get("/runs", summary="Runs", dependencies=[_only("days", "limit")])
def list_runs(tables: TablesDep, since: Since, limit: Limit = 200) -> models.RunList:
    """List the newest runs: how they ended, how long they took, what they published."""
    return models.RunList.model_validate({"data": operations.list_runs(tables.ledger, since, limit)})


@router.get("/releases", summary="Releases", dependencies=[_only("limit")])
def list_releases(tables: TablesDep, limit: Limit = 100) -> models.ReleaseList:
    """List published releases, of the newest extraction first."""
    return models.ReleaseList.model_validate({"data": operations.list_releases(tables.ledger, limit)})


@router.get("/quality", summary="Tests and drift over time", dependencies=[_only("days")])
def show_quality(tables: TablesDep, since: Since) -> models.Quality:
    """Count tests by severity and status over time, and tell what drifted."""
    found = operations.show_quality(tables.ledger, since)
    found["attention"] = _without_values(tables, found["attention"])
    return models.Quality.model_validate({**found, "shifts": read_shifts(tables.settings, since)}, by_alias=True)


@router.get("/growth", summary="How the lake grew", dependencies=[_only("days")])
def show_growth(tables: TablesDep, since: Since) -> models.Growth:
    """Sum files, bytes and rows by day and feed."""
    return models.Growth.model_validate(operations.show_growth(tables.ledger, since))
