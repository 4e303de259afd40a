"""The columns that say of each row of bronze where it was read, and when it entered."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime

import polars as pl

from ingestion.decode import DecodedTable

NAMES = ("_resource_id", "_extraction_date", "_source_file", "_source_member", "_source_line", "_loaded_at")
_EPOCH = date(1970, 1, 1)


@dataclass(frozen=True, slots=True)
class Lineage:
    """What all rows of one resource's extraction share."""

    resource_id: str
    extraction_date: date
    source_file: str
    loaded_at: datetime

    def frame_of(self, found: DecodedTable) -> pl.LazyFrame:
        """Give a table's columns and then those of the lineage, in the order of ``NAMES``."""
        lineage = {
            "_resource_id": pl.lit(self.resource_id),
            # numbers that are cast: a literal day or moment costs a tenth of a millisecond to make
            "_extraction_date": pl.lit((self.extraction_date - _EPOCH).days).cast(pl.Date),
            "_source_file": pl.lit(self.source_file),
            "_source_member": pl.lit(found.member).cast(pl.String),
            "_source_line": pl.col("_source_line").cast(pl.Int64),
            "_loaded_at": pl.lit(int(self.loaded_at.timestamp() * 1e6)).cast(pl.Datetime("us", "UTC")),
        }
        return found.frame.select(*found.columns, **lineage)
