"""What the gateway answers, as the OpenAPI document shows it."""

from __future__ import annotations

from datetime import date, datetime
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


class Neighbours(BaseModel):
    """Pages around one of a list."""

    next: str | None
    prev: str | None


class Total(BaseModel):
    """How many there are."""

    total: int


class ReleasedState(BaseModel):
    """A table of staging or curated as one release has it."""

    release_id: int
    extraction_date: date = Field(description="newest extraction of the release; a day to give as as_of")
    published_at: datetime | None
    snapshot_id: int = Field(description="Iceberg snapshot of its rows")
    rows: int
    rows_before: int | None = Field(description="in the release before; null where that had no such table")
    is_changed: bool = Field(description="whether its rows are others than those of the release before")


class LoadedState(BaseModel):
    """What one extraction brought into a table of raw."""

    extraction_date: date
    loaded_at: datetime
    snapshot_id: int | None
    resources: int = Field(description="files looked at that belong to the table")
    rows: int = Field(description="rows loaded; none from a file that did not change")
    rejects: int = Field(description="rows that could not be read")
    is_changed: bool = Field(description="whether any file had changed")


class TableHistory(BaseModel):
    """The states a table had, the newest first."""

    name: str
    layer: str
    data: list[ReleasedState] | list[LoadedState]
    meta: Total


class ComparedState(BaseModel):
    """One of two states that are compared."""

    release_id: int | None = Field(description="null for raw, which is part of no release")
    extraction_date: date


class RetypedColumn(BaseModel):
    """A column whose type changed; its values are compared as texts, or as whole numbers."""

    name: str
    old: str
    new: str


class ChangedRow(BaseModel):
    """One row that is not what it was; of an update the changed columns only."""

    change: Literal["inserted", "updated", "deleted"]
    key: dict[str, Any] | None = Field(None, description="columns that identify it; none where rows match by content")
    old: dict[str, Any] | None = Field(None, description="what it was; none for a row inserted")
    new: dict[str, Any] | None = Field(None, description="what it is; none for a row deleted")


class TableChanges(BaseModel):
    """What became of a table's rows between two states: ``rows_from + inserted - deleted = rows_to``."""

    model_config = ConfigDict(populate_by_name=True)

    table: str
    from_: ComparedState = Field(alias="from")
    to: ComparedState
    keys: list[str] = Field(description="columns that identify a row; empty where rows are matched by content")
    by_content: str | None = Field(description="why rows are matched by content")
    columns_added: list[str]
    columns_removed: list[str]
    columns_retyped: list[RetypedColumn]
    rows_from: int
    rows_to: int
    inserted: int
    updated: int
    deleted: int
    data: list[ChangedRow]
    links: Neighbours
    meta: PageMeta


class RawExtraction(BaseModel):
    """The files of one extraction of a feed."""

    extraction_date: date
    files: int
    new_files: int = Field(description="files that were not the very bytes of an earlier extraction")
    bytes: int = Field(description="sizes of all its files")


class RawFeed(BaseModel):
    """A feed with raw files."""

    feed: str
    link: str = Field(description="address of its files")
    extractions: list[RawExtraction]


class RawFeeds(BaseModel):
    """Every feed with raw files."""

    data: list[RawFeed]
    meta: Total


class RawFile(BaseModel):
    """One file as it was received."""

    feed: str
    extraction_date: date
    path: str = Field(description="within the extraction: resource id and file name")
    resource_id: str
    file_name: str
    title: str | None
    table_name: str | None = Field(description="table of the feed it fills")
    status: Literal["stored", "unchanged"] = Field(description="unchanged: the very bytes of an earlier extraction")
    sha256: str | None = Field(description="of the bytes as received")
    size_bytes: int | None
    source_url: str | None
    fetched_at: datetime | None
    link: str = Field(description="address of its bytes")


class RawFiles(BaseModel):
    """Files of a feed."""

    data: list[RawFile]
    links: Neighbours
    meta: PageMeta


class ResourceLink(BaseModel):
    """Where more is told of a resource."""

    href: str
    type: Literal["GET"] = "GET"
    rel: str


class Resource(BaseModel):
    """A resource of the portal, in the tabular API's form, and where its rows are."""

    created_at: datetime | None = Field(description="when it was first seen")
    url: str | None = Field(description="where its file was")
    links: list[ResourceLink]
    dataset_id: str | None
    title: str | None
    feed: str
    layer: str = Field(description="staging: typed rows of the release; raw: text as received")
    table: str = Field(description="table its rows are read from")
    tables: list[str] = Field(description="bronze tables it fills; choose one by table=")


class ResourceProfile(BaseModel):
    """The profile of a resource, in the tabular API's form."""

    profile: dict[str, Any] = Field(description="header, columns, formats and values, as csv-detective tells them")
    deleted_at: None = None
    dataset_id: str | None
    indexes: None = Field(None, description="null: every column may be filtered, sorted and aggregated")


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
    ingest: dict[str, Any] = Field(description="pushed batches that wait in their log, and since when")
    disk: dict[str, Any]
    release: dict[str, Any] | None


class PushFault(BaseModel):
    """What is wrong with one field of one record."""

    index: int = Field(description="place of the record in the batch, from 0")
    field: str | None = Field(description="null where the whole record is no such thing")
    reason: str


class PushAccepted(BaseModel):
    """A batch that is durable."""

    receipt: str = Field(description="name under which GET /ingest/{receipt} tells what became of it")
    feed: str
    status: Literal["accepted", "rejected"] = Field(description="rejected when no record keeps the feed's contract")
    accepted: int = Field(description="records on their way")
    rejected: int = Field(description="records that do not keep the contract; they are kept in ops.rejects")
    errors: list[PushFault] = Field(description="what is wrong with those, the first hundred")


class PushReceipt(BaseModel):
    """What became of a batch."""

    receipt: str
    feed: str | None = None
    status: Literal["accepted", "bronze", "curated", "rejected", "duplicate", "failed"]
    reason: str | None = Field(None, description="why it failed, or why it is not released yet")
    waits_for: str | None = Field(None, description="why POST /ingest answered before the release")
    records: int | None = Field(None, description="records that keep the contract")
    rejected: int | None = None
    errors: list[PushFault] = Field(default_factory=list)
    received_at: datetime | None = None
    bronze_at: datetime | None = None
    curated_at: datetime | None = None
    release_id: int | None = Field(None, description="the first release that has it")
    duplicate_of: str | None = Field(None, description="receipt of the batch that came first under the same key")
    resource_id: str | None = Field(None, description="its file in raw, and `_resource_id` of its rows")
    extraction_date: date | None = None
    first_line: int | None = Field(None, description="`_source_line` of its first row")
