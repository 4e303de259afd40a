"""What a contract makes of a bronze row, in SQL: silver's columns, which text did not read, which rule a value breaks.

Nothing is written and nothing is asked here: the files are ``models``'s, and the types' expressions ``types``'s.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache

import duckdb

from catalog.contracts.contract import ColumnContract, Contract
from catalog.contracts.types import TYPES, LogicalType
from catalog.names import MAX_LENGTH, quote_identifier, quote_literal

LINEAGE = {
    "_resource_id": "Resource of the portal the row came from.",
    "_extraction_date": "Extraction that brought the row.",
    "_source_file": "File the row was read from.",
    "_source_member": "Member of the archive, when the file is one.",
    "_source_line": "Line of the row in its file.",
    "_loaded_at": "When the row entered bronze.",
}
REJECTED = "_rejected"
READ = "_read_"  # prefix of a value beside the text it was read from; no published column begins with "_"
EVERY_TEXT = ("{}", "fr_text({})")  # what reads whatever is there


@dataclass(frozen=True, slots=True)
class SilverColumn:
    """One column of a silver table."""

    name: str
    value: str  # SQL over a row of bronze and the values read from it
    stored: str
    description: str


@dataclass(frozen=True, slots=True)
class Reading:
    """One column of a contract, as silver reads it."""

    column: ColumnContract
    type: LogicalType
    read: str | None  # SQL over a row of bronze of the value; None where no text can fail
    columns: Sequence[SilverColumn]  # the value, its parts, then the reason

    @property
    def value(self) -> str:
        """Name of the value read, beside the texts of its row."""
        return READ + self.column.name

    @property
    def misread(self) -> list[str]:
        """Conditions on a row of bronze and its values: a text is there, is no marker, and did not read."""
        return self._misread(self.value) if self.read else []

    @property
    def misread_in_bronze(self) -> list[str]:
        """The same conditions on a row of bronze alone."""
        return self._misread(f"{self.read}") if self.read else []

    def _misread(self, value: str) -> list[str]:
        text = given(quoted(self.column.name))
        unmarked = [f"{text} not in ({listed(self.column.markers)})"] if self.column.markers else []
        return [f"{value} is null", *(unmarked or [f"{text} is not null"])]


def given(text: str) -> str:
    """SQL of a text without outer spaces, NULL when nothing is left."""
    return f"fr_text({text})"


def read_columns(contract: Contract) -> list[Reading]:
    """How silver reads each column of a contract; a name that another column bears gets a number."""
    taken = {column.name for column in contract.columns}
    readings = [_read_column(column, TYPES[column.type], taken) for column in contract.columns]
    eastings, northings = ([one for one in readings if one.type.name == f"lambert93_{axis}"] for axis in "xy")
    if len(eastings) == len(northings) == 1:
        [x], [y] = eastings, northings
        readings[readings.index(y)] = replace(y, columns=[*y.columns, *_degrees(x, y, taken)])
    return readings


def _degrees(x: Reading, y: Reading, taken: set[str]) -> Iterator[SilverColumn]:
    """Where a point in Lambert 93 is, when a table has one pair of coordinates."""
    told = f"of {x.column.name} and {y.column.name}, in degrees (WGS84)."
    for part in ("longitude", "latitude"):
        value = f"fr_lambert93_{part}({x.value}, {y.value})"
        yield SilverColumn(_free_name(f"lambert93_{part}", taken), value, "double", f"{part.capitalize()} {told}")


def _read_column(column: ColumnContract, type_: LogicalType, taken: set[str]) -> Reading:
    text = quoted(column.name)
    value, told = _unmarked(column, type_.read), _told(column, type_)
    may_fail = type_.read not in EVERY_TEXT
    found = [SilverColumn(column.name, READ + column.name if may_fail else value, type_.stored, told)]
    for part, read in type_.parts.items():
        name, about = _free_name(f"{column.name}_{part}", taken), f"{part.capitalize()} of {column.name}"
        found.append(SilverColumn(name, read.replace("{}", text), "double", f"{about}, in degrees (WGS84)."))
    if column.markers:
        reason = f"case when {given(text)} in ({listed(column.markers)}) then {given(text)} end"
        why = f"Why {column.name} is missing: {', '.join(column.markers)}; NULL where it is not."
        found.append(SilverColumn(_free_name(f"{column.name}_reason", taken), reason, "varchar", why))
    return Reading(column, type_, value if may_fail else None, found)


def _unmarked(column: ColumnContract, read: str) -> str:
    """What an expression reads in a column, unless its text says why there is no value."""
    text = quoted(column.name)
    value = read.replace("{}", text)
    return f"case when {given(text)} not in ({listed(column.markers)}) then {value} end" if column.markers else value


def _told(column: ColumnContract, type_: LogicalType) -> str:
    """What a person should know of a column."""
    header = f"Published as « {column.header} »" if column.header else "Published without a header"
    unit = column.unit or type_.unit
    pattern = None if is_checkable(column.pattern or "") else f"Its pattern is not checked: {column.pattern}"
    parts = [column.description, f"{header}, {column.type}", type_.description, unit and f"In {unit}"]
    return " ".join(f"{part.rstrip('.')}." for part in [*parts, column.note, pattern] if part)


# Rules of a Table Schema or of a person


def broken_rules(column: ColumnContract, value: str, text: str | None) -> dict[str, str]:
    """Conditions under which a value that did read breaks a rule of its column, by what is then to be told.

    Args:
        value: SQL of the value as silver has it.
        text: SQL of the text it was read from, without outer spaces; None where only the value is at hand.
    """
    type_ = TYPES[column.type]
    found = {}
    if column.values:
        read = ", ".join(type_.read.replace("{}", quote_text(one)) for one in column.values)
        differs = f"coalesce({value} not in ({read}), {value} is not null)"  # one allowed text may read as NULL
        found["not one of the values allowed"] = (
            differs if text is None else f"{text} not in ({listed(column.values)}) and {differs}"
        )
    if column.pattern and text is not None and is_checkable(column.pattern):
        found["not as the pattern has it"] = f"not regexp_full_match({text}, {quote_text(column.pattern)})"
    if type_.is_number:
        if column.minimum is not None:
            found[f"less than {_number(column.minimum)}"] = f"{value} < {_number(column.minimum)}"
        if column.maximum is not None:
            found[f"more than {_number(column.maximum)}"] = f"{value} > {_number(column.maximum)}"
    return found


@cache
def is_checkable(pattern: str) -> bool:
    """Whether DuckDB's regular expressions know all that a pattern uses; they look neither ahead nor behind."""
    with duckdb.connect() as connection:
        try:
            connection.execute("select regexp_full_match('', ?)", [pattern]).fetchall()
        except duckdb.Error:
            return False
    return True


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(value)


# Text of SQL


def quoted(name: str) -> str:
    """A column's name as a person would write it: quoted only where SQL would take it for a word of its own."""
    return quote_identifier(name) if name in _keywords() else name


def quote_text(text: str) -> str:
    """A string of SQL that stays itself when dbt renders the file it stands in."""
    literal = re.sub(r"\{(?=[{%#])", "{' || '", quote_literal(text))
    return f"({literal})" if "' || '" in literal else literal


def listed(texts: Iterable[str]) -> str:
    """Strings of SQL, as IN takes them."""
    return ", ".join(quote_text(text) for text in texts)


def _free_name(name: str, taken: set[str]) -> str:
    """A name no other column bears, at most as long as engines allow."""
    free, copy = _shortened(name, ""), 1
    while free in taken:
        copy += 1
        free = _shortened(name, f"_{copy}")
    taken.add(free)
    return free


def _shortened(name: str, suffix: str) -> str:
    """A name with a suffix; what is cut is cut from the stem, so that the last word still tells what it is."""
    stem, _, last = name.rpartition("_")
    ending = f"_{last}{suffix}"
    return stem[: MAX_LENGTH - len(ending)] + ending


@cache
def _keywords() -> frozenset[str]:
    with duckdb.connect() as connection:
        query = "select keyword_name from duckdb_keywords() where keyword_category <> 'unreserved'"
        return frozenset(name for (name,) in connection.execute(query).fetchall())
