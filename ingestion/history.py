"""What the ledger knows of a feed's resources around one day: what is loaded, unchanged, waiting, remembered.

Pure: works on rows of ``ops.loads`` read once for the whole feed.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from catalog.feed import Feed, FeedTable
from catalog.names import bronze_table
from ingestion.portal import parse_moment
from ingestion.raw import Manifest
from ingestion.tables import Remembered, TableNames

Row = Any  # a row of ops.loads


class FeedHistory:
    """The loads of one feed on a day and nearest to it.

    Where a resource fills declared tables, their names are given and loads of other tables do not count; where its
    tables were found in it, ``None`` stands for all there are. Either way a resource is loaded whole or not at all.
    """

    def __init__(self, rows: Iterable[Row], day: date) -> None:
        self._day = day
        self._rows: dict[str, list[Row]] = defaultdict(list)
        for row in rows:
            self._rows[row.resource_id].append(row)

    def finished(self, resource_id: str, tables: Collection[str] | None) -> list[Row]:
        """Loads of the day; none when it is still to be done: never tried, ended half-way, or all refused as an error.

        What was refused is read again: the feed may have been corrected since, or the reader.
        """
        rows = [row for row in self._of(resource_id, tables) if row.extraction_date == self._day]
        is_refused = all(row.status == "refused" and not facts_of(row).get("is_document") for row in rows)
        return [] if is_refused or any(row.status == "pending" for row in rows) else rows

    def previous(self, resource_id: str, tables: Collection[str] | None) -> list[Row]:
        """Loads of the newest extraction before the day that loaded something."""
        earlier = [row for row in self._of(resource_id, tables) if row.extraction_date < self._day]
        newest = max((row.extraction_date for row in earlier if row.status == "loaded"), default=None)
        return [row for row in earlier if row.extraction_date == newest]

    def unchanged_tables(self, resource_id: str, tables: Collection[str] | None, sha256: str) -> list[str]:
        """Tables that the very same bytes filled at the previous extraction; none if it did not end well."""
        rows = self.previous(resource_id, tables)
        if any(row.status == "pending" for row in rows):
            return []
        return sorted({row.table_name for row in rows if row.status == "loaded" and row.source_sha256 == sha256})

    def later(self, resource_id: str, tables: Collection[str] | None) -> Row | None:
        """A load of the first extraction after the day, refused ones left out; first one that is not loaded."""
        rows = [row for row in self._of(resource_id, tables) if row.extraction_date > self._day]
        known = sorted((row for row in rows if row.status != "refused"), key=lambda row: row.extraction_date)
        of_first = [row for row in known if row.extraction_date == known[0].extraction_date]
        return next((row for row in of_first if row.status != "loaded"), next(iter(of_first), None))

    def memory(self) -> Iterator[Remembered]:
        """Which resource filled which table with what; what a crash left pending too, for it may be in Iceberg."""
        for row in (row for rows in self._rows.values() for row in rows):
            if row.status in ("loaded", "pending"):
                facts = facts_of(row)
                columns = facts.get("columns") or ()
                found = (row.table_name, row.source_member, kind_of(facts), columns)
                yield Remembered(row.resource_id, row.extraction_date, *found)

    def _of(self, resource_id: str, tables: Collection[str] | None) -> list[Row]:
        return [row for row in self._rows.get(resource_id, ()) if tables is None or row.table_name in tables]


@dataclass(frozen=True, slots=True)
class Look:
    """One day of a feed being loaded: what was there before, and names for what is found."""

    feed: Feed
    day: date
    history: FeedHistory
    names: TableNames

    def declared(self, manifest: Manifest) -> dict[str, FeedTable]:
        """The declared tables that share a resource, by their names in bronze; none where they are found in it."""
        tables = self.feed.tables_of(manifest.title, manifest.file_name)
        return {bronze_table(self.feed.feed, table.name): table for table in tables}

    def scope(self, manifest: Manifest) -> list[str] | None:
        """The bronze tables a resource is declared to fill; None where its tables are found in it."""
        return list(self.declared(manifest)) or None

    def declared_name(self, manifest: Manifest, member: str | None) -> str | None:
        """The bronze table a member of a resource is declared to fill."""
        tables = self.declared(manifest).items()
        return next((name for name, table in tables if table.accepts_member(member)), None)

    def finished(self, manifest: Manifest) -> list[Row]:
        """Loads of a resource on the day, if it is done with."""
        return self.history.finished(manifest.resource_id, self.scope(manifest))

    def previous(self, manifest: Manifest) -> list[Row]:
        """Loads of a resource's newest extraction before the day that loaded something."""
        return self.history.previous(manifest.resource_id, self.scope(manifest))

    def is_error(self, manifest: Manifest, member: str, *, is_document: bool, was_read: bool) -> bool:
        """Whether a refusal is an error: what was loaded the last time always is.

        Else, where tables are declared, a file of which nothing could be read; where they are found, all but
        documents.
        """
        for row in self.previous(manifest):
            if row.status == "loaded" and member in ("", row.source_member):
                return True
        return not is_document if self.feed.is_auto else not was_read


def in_order(feed: Feed, manifests: Sequence[Manifest]) -> list[Manifest]:
    """A feed's resources in the order they are to be loaded."""
    return _oldest_first(manifests) if feed.is_auto else _by_table(feed, manifests)


def facts_of(row: Row) -> dict[str, Any]:
    """Facts of a load, as its decoder and loader left them."""
    facts: dict[str, Any] = json.loads(row.facts or "{}")
    return facts


def kind_of(facts: Mapping[str, Any]) -> str:
    """The kind of file a table was in, as its decoder tells; every workbook is one kind, whatever its format."""
    return "sheet" if "sheet" in facts else str(facts.get("kind") or "")


def _by_table(feed: Feed, manifests: Iterable[Manifest]) -> list[Manifest]:
    """Manifests in the order of the tables they fill first, as the portal lists them."""
    tables: dict[str, list[Manifest]] = {}
    for manifest in manifests:
        if table := feed.table_of(manifest.title, manifest.file_name):
            tables.setdefault(table.name, []).append(manifest)
    return [manifest for group in tables.values() for manifest in group]


def _oldest_first(manifests: Iterable[Manifest]) -> list[Manifest]:
    """Manifests by when the portal first had them: who comes first names a table, and that must not change."""
    last = datetime.max.replace(tzinfo=UTC)
    return sorted(manifests, key=lambda one: parse_moment(one.portal.get("created_at")) or last)
