"""Stable identifiers: column and table names from French headers, slugs, quoted SQL identifiers."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

_LIGATURES = str.maketrans({"œ": "oe", "Œ": "OE", "æ": "ae", "Æ": "AE", "ß": "ss"})
MAX_LENGTH = 63  # PostgreSQL's limit, the shortest among the engines that read the tables


def to_snake(text: str) -> str:
    """Turn any text into a lower-case ASCII identifier; empty text gives ``""``.

    >>> to_snake("Libellé de la CSP (n°)")
    'libelle_de_la_csp_n'
    """
    plain = unicodedata.normalize("NFKD", text.translate(_LIGATURES)).encode("ascii", "ignore").decode()
    name = re.sub(r"[^a-z0-9]+", "_", plain.lower()).strip("_")
    return f"c_{name}" if name[:1].isdigit() else name


def column_names(headers: Iterable[str]) -> list[str]:
    """Name the columns of one file: snake case, never empty, unique, the same for the same header.

    An empty header becomes ``column_<position from 1>``; a repeated name gets ``_2``, ``_3``…
    """
    names: list[str] = []
    taken: set[str] = set()
    for position, header in enumerate(headers, start=1):
        stem = (to_snake(header) or f"column_{position}")[:MAX_LENGTH]
        name, copy = stem, 1
        while name in taken:
            copy += 1
            suffix = f"_{copy}"
            name = stem[: MAX_LENGTH - len(suffix)] + suffix
        taken.add(name)
        names.append(name)
    return names


def quote_identifier(name: str) -> str:
    """Quote one SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def relation_of(schema: str, name: str) -> str:
    """A table or view in SQL, by its schema and name."""
    return f"{quote_identifier(schema)}.{quote_identifier(name)}"


def quote_literal(text: str) -> str:
    """Quote one SQL string, for the few statements that take no bound values (LOAD, COPY, table functions)."""
    return "'" + text.replace("'", "''") + "'"


def bronze_table(feed: str, table: str) -> str:
    """Name of a feed table's bronze table, without its namespace."""
    return f"{feed}__{table}"


def feed_of_table(name: str) -> str | None:
    """The feed a bronze or a silver table is of, by its name; None for a table of gold.

    >>> feed_of_table("stg_irve__points_de_charge")
    'irve'
    """
    feed, separator, _ = name.removeprefix("stg_").partition("__")
    return feed if separator else None
