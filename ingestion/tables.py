"""Names of the tables found in a feed's files, where no feed file declares any.

Pure: decides from what files are called, what they hold, and which tables the same resources filled before. A name
once given to a resource is kept, whatever its file is called later; files that differ in a date only share a table,
if what they hold is alike.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date

from catalog.names import MAX_LENGTH, bronze_table, to_snake

SHORTEST_TABLE = 24  # characters a table's part may have at least, however long the feed's name is
ALIKE = 0.5  # columns in common among all columns of two files of one table, at least
NAMELESS = "table"

_EXTENSION = re.compile(
    r"\.(csv|tsv|txt|tab|asc|dat|json|jsonl|ndjson|geojson|xml|rdf|gml|kml|xlsx?|xlsm|xlsb|ods|parquet|pq|snappy|shp|"
    r"dbf|gpkg|gtfs|zip|gz|gzip|bz2|xz|zst|zstd|tar|tgz|7z|rar|html?|php|aspx?|jsp|pdf)$",
    re.IGNORECASE,
)
_YEAR, _MONTH, _DAY = r"(?:19|20)\d\d", r"(?:0[1-9]|1[0-2])", r"(?:0[1-9]|[12]\d|3[01])"
_TIME = r"(?:[t_ -]{0,3}(?:[01]\d|2[0-3])[h:_.-]?[0-5]\d(?:[m:_.-]?[0-5]\d)?[sz]?(?!\d))?"
_GAP = r"[-_./ ]?"
_PASSING = re.compile(
    rf"(?<!\d){_YEAR}{_GAP}{_MONTH}{_GAP}{_DAY}{_TIME}(?!\d)"
    rf"|(?<!\d){_DAY}{_GAP}{_MONTH}{_GAP}{_YEAR}{_TIME}(?!\d)"
    rf"|(?<!\d){_YEAR}{_GAP}{_MONTH}(?!\d)"
    rf"|(?<!\d){_MONTH}{_GAP}{_YEAR}(?!\d)"
    rf"|(?<!\d){_YEAR}(?:[-_ ]?[tsq][1-4](?![a-z0-9]))?(?!\d)"
    r"|(?<!\d)1\d{9}(?:\d{3})?(?!\d)"  # seconds or milliseconds since 1970
    r"|(?<!\d)(?:[01]\d|2[0-3])h[0-5]\d(?!\d)"
    r"|(?<![a-z0-9])v(?:ersion)?[-_. ]?\d+(?:[-_.]\d+)*(?![a-z0-9])"
    r"|(?<=(?<![a-z])part)[-_]\d{4,}(?![a-z0-9])",
    re.IGNORECASE,
)
_IDENTIFIER = re.compile(r"[0-9a-f]{24}|[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}", re.IGNORECASE)
_FORMATS = ("csv", "tsv", "txt", "json", "geojson", "xml", "xls", "xlsx", "ods", "parquet", "zip", "gz")
_SAYS_NOTHING = {*_FORMATS, "file", "files", "part", "download", "downloads", "export", "exports"}
_FAMILIES = {"ndjson": "json"}


@dataclass(frozen=True, slots=True)
class Found:
    """One table of a file, as far as its name depends on it; ``member`` is "" for a file that is no archive."""

    member: str
    kind: str
    columns: Sequence[str]


@dataclass(frozen=True, slots=True)
class Remembered:
    """One table that a resource filled on some day; ``kind`` is "" where it was not kept."""

    resource_id: str
    extraction_date: date
    table: str
    member: str
    kind: str
    columns: Sequence[str]


@dataclass(slots=True)
class _Shape:
    """What a table holds so far: kinds of files, and the sets of columns they brought."""

    kinds: set[str] = field(default_factory=set)
    columns: set[frozenset[str]] = field(default_factory=set)

    def takes(self, kind: str, columns: frozenset[str]) -> bool:
        is_kind = not kind or not self.kinds or "" in self.kinds or kind in self.kinds
        return is_kind and any(_likeness(columns, known) >= ALIKE for known in self.columns)


class TableNames:
    """The bronze tables of one feed whose tables are found in its files.

    The same resources, asked for in the same order, get the same names.
    """

    def __init__(self, feed: str, memory: Iterable[Remembered]) -> None:
        self._feed = feed
        self._shapes: dict[str, _Shape] = {}
        self._by_member: dict[tuple[str, str], str] = {}
        self._alike: dict[tuple[str, str], list[str]] = {}
        self._last: dict[str, set[str]] = {}  # tables of a resource's newest extraction
        newest: dict[str, date] = {}
        for one in sorted(memory, key=lambda one: (one.extraction_date, one.table, one.member)):
            self._enter(one.table, one.kind, frozenset(one.columns))
            self._by_member[one.resource_id, one.member] = one.table
            self._alike.setdefault((one.resource_id, lasting_slug(one.member)), []).append(one.table)
            if newest.get(one.resource_id) != one.extraction_date:
                newest[one.resource_id] = one.extraction_date
                self._last[one.resource_id] = set()
            self._last[one.resource_id].add(one.table)

    def assign(self, resource_id: str, title: str, file_name: str, found: Sequence[Found]) -> list[str]:
        """Name the bronze table of each table of one file, in order."""
        names = []
        for one in found:
            kind, columns = _FAMILIES.get(one.kind, one.kind), frozenset(one.columns)
            known = self._known(resource_id, one, kind, columns, is_alone=len(found) == 1)
            member = one.member if len(found) > 1 else ""
            name = known or self._claim(_candidates(resource_id, title, file_name, member), kind, columns)
            self._enter(name, kind, columns)
            names.append(name)
        return names

    def of_refused(self, resource_id: str, title: str, file_name: str, names: Sequence[str] = ()) -> str:
        """Name the table that what was refused of a file would have filled, as far as can be told; it claims nothing.

        Args:
            names: tables that the rest of the file fills.
        """
        told = set(names) if names else self._last.get(resource_id, set())
        if told and (len(told) == 1 or not names):
            return min(told)
        return self._full(next(_candidates(resource_id, title, file_name, "")))

    def _known(self, resource_id: str, one: Found, kind: str, columns: frozenset[str], *, is_alone: bool) -> str | None:
        """The table the same resource filled before, under this member's name or one that differs in a date only."""
        last = self._last.get(resource_id, set())
        if is_alone and len(last) == 1:
            return next(iter(last))
        if same := self._by_member.get((resource_id, one.member)):
            return same
        alike = self._alike.get((resource_id, lasting_slug(one.member)), ()) if lasting_slug(one.member) else ()
        return next((table for table in reversed(alike) if self._shapes[table].takes(kind, columns)), None)

    def _claim(self, candidates: Iterable[str], kind: str, columns: frozenset[str]) -> str:
        """The first candidate that is free, or that holds files alike."""
        full_names = (self._full(candidate) for candidate in candidates)
        return next(name for name in full_names if name not in self._shapes or self._shapes[name].takes(kind, columns))

    def _enter(self, table: str, kind: str, columns: frozenset[str]) -> None:
        shape = self._shapes.setdefault(table, _Shape())
        shape.kinds.add(_FAMILIES.get(kind, kind))
        shape.columns.add(columns)

    def _full(self, table: str) -> str:
        return bronze_table(self._feed, shortened(table, max(MAX_LENGTH - len(self._feed) - 2, SHORTEST_TABLE)))


def shortened(name: str, most: int) -> str:
    """A name of at most ``most`` characters; what is cut off lives on in a hash of the whole.

    A member's name is what tells the tables of one file apart, so its file's is cut first.

    >>> shortened("resultats_par_niveau_departemental", 24), shortened("communes_nouvelles_2018__variables", 24)
    ('resultats_par_niv_6aa5f0', 'commun_8e1595__variables')
    """
    if len(name) <= most:
        return name
    base, _, member = name.rpartition("__")
    if base and len(member) <= most - 13:
        return f"{base[: most - len(member) - 9].rstrip('_')}_{_hash(name)}__{member}"
    return f"{name[: most - 7].rstrip('_')}_{_hash(name)}"


def full_slug(name: str) -> str:
    """A file's name in snake case, without its extensions and folders; "" when it says nothing."""
    return _slug(_stem(name))


def lasting_slug(name: str) -> str:
    """What stays of a file's name from one edition to the next: no dates, versions and numbers of parts.

    >>> lasting_slug("synop.202001.csv.gz"), lasting_slug("vacsi-a-fra-2022-02-11-19h09.csv")
    ('synop', 'vacsi_a_fra')
    >>> lasting_slug("2021-v2.0.0.csv")
    ''
    """
    return _slug(_PASSING.sub("-", _stem(name)))


def _stem(name: str) -> str:
    stem = name.replace("\\", "/").rstrip("/").rpartition("/")[2]
    while (shorter := _EXTENSION.sub("", stem)) != stem:
        stem = shorter
    return "" if _IDENTIFIER.fullmatch(stem) else stem


def _snake(text: str) -> str:
    """Snake case where a digit may come first: these names always follow another."""
    return to_snake(f"t {text}")[2:]


def _slug(text: str) -> str:
    slug = _snake(text)
    return "" if slug in _SAYS_NOTHING or not re.search(r"[a-z]", slug) else slug


def _candidates(resource_id: str, title: str, file_name: str, member: str) -> Iterator[str]:
    """Names a table may have, the best first, without end.

    What says nothing of a file (digits, the name of a format) is told by its title.
    """
    said = file_name if lasting_slug(file_name) else title.replace("/", " ")
    poor = _snake(_stem(file_name))  # the name of a format, better than nothing
    nameless = poor if re.search("[a-z]", poor) else NAMELESS
    lasting, whole = lasting_slug(said) or nameless, full_slug(said) or nameless
    with_digits, with_folders = _snake(_stem(member)), _snake(member)
    yield _joined(lasting, lasting_slug(member))
    yield _joined(lasting, with_digits)
    yield _joined(whole, with_digits)
    yield _joined(whole, with_folders)
    number = 0
    while True:
        yield f"{_joined(whole, with_folders)}_{_hash(f'{resource_id}/{member}/{number}' if number else resource_id)}"
        number += 1


def _joined(base: str, member: str) -> str:
    return f"{base}__{member}" if member else base


def _likeness(left: frozenset[str], right: frozenset[str]) -> float:
    """Columns in common among all columns of both (Jaccard)."""
    return len(left & right) / len(left | right) if left or right else 1.0


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:6]
