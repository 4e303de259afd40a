"""How the tables of one resource differ from those of its extraction before; the ledger and bronze tell of that one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from catalog.clock import utc_now
from catalog.iceberg import Lakehouse
from ingestion.decode import DecodedTable
from ingestion.drift import Change, Shape, compare
from ingestion.history import Look, facts_of
from ingestion.raw import Manifest

SAMPLE_ROWS = 50_000  # of each of the two columns that may be one under another name


@dataclass(frozen=True, slots=True)
class TableChange:
    """One change of one table of a resource."""

    table: str
    member: str
    change: Change

    def row(self, feed: str, manifest: Manifest) -> dict[str, Any]:
        """The change in the ledger's words."""
        return {
            "feed": feed,
            "table_name": self.table,
            "resource_id": manifest.resource_id,
            "extraction_date": manifest.extraction_date,
            "source_member": self.member,
            "column_name": self.change.column,
            "change": self.change.change,
            "class": "breaking" if self.change.is_breaking else "safe",
            "detail": self.change.detail,
            "detected_at": utc_now(),
        }

    def __str__(self) -> str:
        what = f"column {self.change.column} " if self.change.column else ""
        return f"{self.table}: {what}{self.change.change} ({self.change.detail})"


def find_changes(
    lakehouse: Lakehouse, look: Look, manifest: Manifest, tables: Sequence[tuple[str, DecodedTable]]
) -> Iterator[TableChange]:
    """What changed since a resource's newest extraction that loaded something; nothing for its first one.

    A table of a file of one table is the same whatever its member is called; of several, the member tells.
    """
    rows = [row for row in look.history.previous(manifest.resource_id, look.scope(manifest)) if row.status == "loaded"]
    seen: set[int] = set()
    for name, found in tables:
        member = found.member or ""
        place = next((i for i, row in enumerate(rows) if (row.table_name, row.source_member) == (name, member)), None)
        if place is None and len(rows) == len(tables) == 1:
            place = 0
        if place is None:
            continue
        seen.add(place)
        before = rows[place]
        facts = facts_of(before)
        was = Shape(facts.get("columns", []), before.rows_loaded + before.rows_rejected, facts)
        now = Shape(found.columns, found.rows + len(found.rejects), found.facts)
        values_before = partial(lakehouse.sample_values, before.table_name, before.resource_id, before.extraction_date)
        for change in compare(was, now, partial(values_before, SAMPLE_ROWS), partial(_values, found)):
            yield TableChange(name, member, change)
    for place, row in enumerate(rows):
        if place not in seen and tables:
            gone = Change("missing", "", True, f"{row.source_member or row.source_file} is there no more")
            yield TableChange(row.table_name, row.source_member, gone)


def _values(found: DecodedTable, column: str) -> set[str]:
    sample = found.frame.select(column).head(SAMPLE_ROWS).collect()
    return set(sample[column].unique())
