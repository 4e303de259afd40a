"""The logical types a column may have: how its text is read, stored and told, each in one line of ``TYPES``."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LogicalType:
    """One logical type.

    ``read`` is a DuckDB expression over ``{}``, a quoted column of text; it gives NULL for a text that is no such
    value, and is made of the functions of ``catalog/functions.sql``. ``stored`` is the DuckDB type it gives.
    """

    name: str
    read: str
    stored: str
    description: str


TYPES: dict[str, LogicalType] = {one.name: one for one in (LogicalType("text", "{}", "varchar", "Text as published."),)}
