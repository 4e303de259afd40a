"""The raw files readers may have: which there are, by the ledger, and where their bytes are, by their manifests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

import sqlalchemy as sa

from catalog import schema
from catalog.errors import Refused, UnknownName
from catalog.ledger import Ledger
from catalog.manifests import Manifest, manifest_key, read_manifest
from catalog.storage import Store

HELD = ("stored", "unchanged")  # states of extractions whose bytes are there


@dataclass(frozen=True, slots=True)
class RawExtraction:
    """The files of one extraction of a feed."""

    feed: str
    extraction_date: date
    files: int
    new_files: int
    bytes: int


@dataclass(frozen=True, slots=True)
class RawFile:
    """One file of an extraction, as received."""

    feed: str
    extraction_date: date
    path: str  # within the extraction: <resource>/<file name>
    resource_id: str
    file_name: str
    title: str | None
    table_name: str | None
    status: str  # stored, or unchanged: the very bytes of an earlier extraction
    sha256: str | None
    size_bytes: int | None
    source_url: str | None
    fetched_at: datetime | None


def extractions(ledger: Ledger, leaving_out: Sequence[str] = ()) -> list[RawExtraction]:
    """Every extraction that has files, by feed, the newest first.

    Args:
        leaving_out: feeds not to be told of.
    """
    e = schema.extractions.c
    wanted = (
        e.feed,
        e.extraction_date,
        sa.func.count().label("files"),
        sa.func.sum(sa.case((e.status == "stored", 1), else_=0)).label("new_files"),
        sa.func.coalesce(sa.func.sum(e.size_bytes), 0).label("bytes"),
    )
    query = sa.select(*wanted).where(e.status.in_(HELD), e.feed.not_in(leaving_out))
    query = query.group_by(e.feed, e.extraction_date).order_by(e.feed, e.extraction_date.desc())
    with ledger.begin() as connection:
        rows = connection.execute(query).all()
    return [RawExtraction(row.feed, row.extraction_date, row.files, int(row.new_files), int(row.bytes)) for row in rows]


def files_of(ledger: Ledger, feed: str, day: date | None, limit: int, offset: int) -> tuple[list[RawFile], int]:
    """Some files of a feed, the newest extraction first, and how many there are.

    Args:
        day: of this extraction only.
    """
    e = schema.extractions.c
    mine = [e.feed == feed, e.status.in_(HELD), e.file_name.is_not(None)]
    mine += [e.extraction_date == day] if day else []
    query = sa.select(schema.extractions).where(*mine)
    query = query.order_by(e.extraction_date.desc(), e.file_name, e.resource_id).limit(limit).offset(offset)
    with ledger.begin() as connection:
        total = connection.scalar(sa.select(sa.func.count()).where(*mine)) or 0
        rows = connection.execute(query).all()
    return [_file(row) for row in rows], total


def find_manifest(store: Store, feed: str, day: date, path: str) -> Manifest:
    """The manifest of a file, by its path within an extraction.

    The path is compared with what manifests say and never becomes part of one, so it leads nowhere else.

    Raises:
        UnknownName: no file of that path was extracted then, or its bytes were removed since.
    """
    resource_id, _, file_name = path.partition("/")
    missing = UnknownName("raw file", f"{feed}/{day}/{path}", [])
    try:
        key = manifest_key(feed, day, resource_id)
    except Refused as error:
        raise missing from error
    manifest = read_manifest(store, key) if store.exists(key) else None
    if manifest is None or manifest.file_name != file_name or manifest.feed != feed:
        raise missing
    if manifest.sha256_now is None or not store.exists(manifest.key):
        raise UnknownName("raw file any more", f"{feed}/{day}/{path}", [])
    return manifest


def _file(row: sa.Row[tuple[object, ...]]) -> RawFile:
    found = row._mapping
    place = (found["feed"], found["extraction_date"], f"{found['resource_id']}/{found['file_name']}")
    facts = (found["resource_id"], found["file_name"], found["title"], found["table_name"], found["status"])
    return RawFile(*place, *facts, found["sha256"], found["size_bytes"], found["source_url"], found["finished_at"])
