"""What a feed may say of a column that holds personal data."""

from __future__ import annotations

from enum import StrEnum

WITHHELD = "(withheld: its table holds personal data; see the line of the raw file)"


class Policy(StrEnum):
    """What of a column's values enters silver."""

    KEEP = "keep"
    HASH = "hash"  # a keyed hash: equal values stay equal, in all tables, and nobody without the key can try names
    GENERALISE = "generalise"  # a date: its year; a postal or commune code: its departement; else the first letter
    DROP = "drop"  # nothing: the column stays, empty
