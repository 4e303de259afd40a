"""A lake of two releases whose rows have values of every kind: for the tests of what the gateway answers."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
from api_lake import LakeWriter

ROWS = 250
FILES, ROWS_PER_FILE = 10, 30
ACCIDENT = "/curated/fct_accident"
RAW = "/raw/accidents__lieux"
SCHEMA = pa.schema(
    [
        ("accident_id", pa.string()),
        ("departement", pa.string()),
        ("injured", pa.int32()),
        ("views", pa.int64()),
        ("occurred_on", pa.date32()),
        ("occurred_at", pa.timestamp("us", tz="UTC")),
        ("speed", pa.float64()),
        ("length_km", pa.decimal128(9, 2)),
        ("amount", pa.decimal128(30, 3)),
        ("is_night", pa.bool_()),
        ("note", pa.string()),
    ]
)
NOTES = [None, "", "Choc à l'avant", '50% "sûr"', "a,b", "under_score"]
Row = dict[str, Any]


def accident(number: int) -> Row:
    """One row, in which every column tells rows apart in its own way."""
    return {
        "accident_id": f"{number:05d}",
        "departement": ["01", "2A", "75", None][number % 4],
        "injured": None if number % 10 == 9 else number % 7,
        "views": 2**53 + number,
        "occurred_on": date(2023, 1, 1) + timedelta(days=number % 50),
        "occurred_at": datetime(2023, 1, 1, tzinfo=UTC) + timedelta(hours=number),
        "speed": [float("nan"), 0.1 * number, None, float(number)][number % 4],
        "length_km": Decimal(number % 13) / 4,
        "amount": Decimal(10) ** 20 * number + Decimal("0.125"),
        "is_night": number % 3 == 0,
        "note": NOTES[number % len(NOTES)],
    }


ACCIDENTS = [accident(number) for number in range(ROWS)]


def write_accidents(folder: Path) -> LakeWriter:
    """A lake of two releases and of raw files of two days."""
    writer = LakeWriter(folder)
    for number in range(FILES):
        rows = [{"numero": f"{number}-{line}", "voie": "rue"} for line in range(ROWS_PER_FILE)]
        writer.load("accidents__lieux", rows, date(2024, 1 + number % 2, 1))
    docs = {"accident_id": "Number of the accident.", "injured": "People injured."}
    first = pa.Table.from_pylist(ACCIDENTS[:3], SCHEMA)
    writer.release(date(2024, 1, 31), {("gold", "fct_accident"): first}, docs)
    second = pa.Table.from_pylist(ACCIDENTS, SCHEMA)
    staging = pa.table({"filename": ["b", "a", "b"], "file_row_number": [7, 8, 7], "n": [1, 2, 3]})
    tables = {
        ("gold", "fct_accident"): second,
        ("gold", "mart_day"): first,
        ("silver", "stg_accidents__lieux"): staging,
    }
    writer.release(date(2024, 2, 29), tables, docs)
    return writer
