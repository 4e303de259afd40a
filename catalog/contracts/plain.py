"""Which columns of received rows are numbers, days, moments or truths through and through, and how their text is read.

Unlike a contract it keeps nothing and lets nothing be a reject: a value that does not read leaves its column text.
"""

from __future__ import annotations

from collections.abc import Mapping

import duckdb

from catalog.contracts.evidence import TEXT, gather
from catalog.contracts.rules import decide_type
from catalog.contracts.types import TYPES, LogicalType

PLAIN = (
    "boolean",
    "date",
    "date_month_first",
    "timestamp_utc",
    "timestamp",
    "timestamp_month_first",
    "integer",
    "decimal_point_thousands",
    "decimal_comma_thousands",
    "decimal",
)


def plain_types(
    connection: duckdb.DuckDBPyConnection, relation: str, headers: Mapping[str, str]
) -> dict[str, LogicalType]:
    """Decide, by all rows of a relation of text, the columns to read as something else; codes stay text.

    Args:
        relation: SQL of the rows: a quoted name, or a SELECT in parentheses.
        headers: column → header as published.
    """
    found = gather(connection, relation, dict.fromkeys(headers, (*PLAIN, TEXT)))
    decided = {name: decide_type(headers[name], evidence, set()).type for name, evidence in found.items()}
    return {
        name: TYPES[type_]
        for name, type_ in decided.items()
        if type_ != TEXT and found[name].fits[type_] == found[name].values
    }
