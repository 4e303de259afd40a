"""What the gateway answers, as the OpenAPI document shows it."""

from __future__ import annotations

from datetime import date
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field


class TableEntry(BaseModel):
    """One table of a layer."""

    name: str
    description: str | None = Field(description="what the table holds, as its owners declared it")
    domain: str | None = Field(description="warehouse domain the table belongs to")
    rows: int
    columns: int = Field(description="how many columns")
    link: str = Field(description="address of its rows")


class LayerMeta(BaseModel):
    """Which state of the layer is listed."""

    layer: str
    release_id: int | None = Field(description="release the tables belong to; null for raw, or before any release")
    extraction_date: date | None = Field(description="newest extraction of that release")
    total: int = Field(description="how many tables")


class TableList(BaseModel):
    """The tables of one layer."""

    data: list[TableEntry]
    meta: LayerMeta


class PageLinks(BaseModel):
    """Where to go from a page."""

    profile: str = Field(description="the table's columns")
    next: str | None
    prev: str | None


class PageMeta(BaseModel):
    """Where a page stands."""

    page: int
    page_size: int
    total: int = Field(description="rows that meet the filters, on all pages")


class Page(BaseModel):
    """One page of rows, in the tabular API's envelope."""

    data: list[dict[str, Any]]
    links: PageLinks
    meta: PageMeta


class ColumnEntry(BaseModel):
    """One column of a table."""

    name: str
    type: str = Field(description="SQL type, as DuckDB names it")
    description: str | None


class TableSchema(BaseModel):
    """What a table holds and the columns it has."""

    name: str
    layer: str
    description: str | None
    snapshot_id: int | None = Field(description="Iceberg snapshot described; null for a table never written")
    columns: list[ColumnEntry]


class ServiceState(BaseModel):
    """One service the gateway stands on."""

    status: Literal["ok", "failed"]
    detail: str = Field(description="what it answered, or what to look at")


class Health(BaseModel):
    """The gateway's state: failed as soon as one service is."""

    status: Literal["ok", "failed"]
    services: dict[str, ServiceState]


class Alive(BaseModel):
    """The process answers."""

    status: Literal["ok"] = "ok"


class _Open(BaseModel):
    """Counts that ``catalog.stats`` may add to."""

    model_config = ConfigDict(extra="allow")


class TableStats(_Open):
    """How full one table is."""

    layer: str
    table: str
    feed: str | None
    rows: int
    files: int
    bytes: int
    rejects: int
    extraction_date: date | None


class Stats(_Open):
    """How full the lake is."""

    raw: dict[str, Any] = Field(description="files taken in and still kept, as the ledger knows them")
    zones: dict[str, Any] = Field(
        description="objects and bytes of raw and of the warehouse, listed at most once a minute"
    )
    tables: list[TableStats]
    feeds: list[dict[str, Any]] = Field(
        description="newest extraction of each feed, and what of it could not be fetched"
    )
    growth: dict[str, Any] = Field(description="what came each day, and each release, of the last 90 days")
    databases: dict[str, Any]
    disk: dict[str, Any]
    release: dict[str, Any] | None
