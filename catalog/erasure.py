"""Erasure of a person: rows that meet a key leave bronze, silver, gold, every retained snapshot of them, and rejects.

The key itself is kept nowhere: the ledger holds a keyed hash of each value, by which later extractions are filtered.
Safe to repeat: what an erasure that was killed left is found again by the hashes, and by the lines it had found.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from contextlib import closing
from dataclasses import asdict, dataclass, field
from datetime import date
from itertools import islice, product

import sqlalchemy as sa

from catalog import schema
from catalog.clock import utc_now
from catalog.errors import UsageError
from catalog.iceberg import BRONZE, GOLD, LINEAGE, SILVER, Lakehouse, Pin
from catalog.iceberg_replace import replace_snapshot
from catalog.iceberg_upkeep import snapshot_columns, snapshot_ids
from catalog.ledger import Ledger
from catalog.names import quote_identifier, quote_literal
from catalog.personal_data import hash_of, hashed, personal_data_key
from catalog.retained import Removal, record_removals, repin
from catalog.row_removal import Affected, affected_files, write_rest
from catalog.session import scan_sql
from catalog.settings import Settings
from catalog.table_keys import key_of
from catalog.upkeep import Upkeep

Line = tuple[str, str, str, int]  # resource id, extraction date, member ("" for none), line where the record starts
Way = dict[str, str]  # columns that together name the person somewhere, each with the keyed hash of its value
LINES = LINEAGE.keys() - {"_loaded_at"}  # columns that lead to the line a row came from
MOST_WAYS = 16  # of one table: as many columns as hold the value of a key, for each of the keys


@dataclass(frozen=True, slots=True)
class Person:
    """Who is erased: a bronze table, and the keyed hash of each value that names the person there."""

    table: str
    hashes: Mapping[str, str]  # by column

    def condition(self, key: bytes) -> str:
        """SQL of the rows of the bronze table, or of one that kept its columns, that are the person's."""
        return _condition_of(self.hashes, key)


@dataclass(frozen=True, slots=True)
class Place:
    """A table that may hold the person."""

    layer: str
    name: str
    way: str  # how the person is found: "columns" by the key, "lineage" by the lines of the raw files

    def __str__(self) -> str:
        return f"{self.layer}.{self.name}"


@dataclass
class Erased:
    """What was removed where, and what a look afterwards found: both by place, as ``bronze.feed__table``."""

    erasure_id: int
    removed: dict[str, int] = field(default_factory=dict)
    left: dict[str, int] = field(default_factory=dict)
    files_removed: int = 0
    lines: list[Line] = field(default_factory=list)
    ways: list[Way] = field(default_factory=list)
    unsearched: list[str] = field(default_factory=list)  # gold of the domain that nothing of the person leads to

    @property
    def is_proven(self) -> bool:
        """Whether nothing was found anywhere afterwards."""
        return not any(self.left.values())


def person_of(table: str, values: Mapping[str, str], key: bytes) -> Person:
    """The person whose rows hold some values."""
    return Person(table, {column: hash_of(value, key) for column, value in sorted(values.items())})


def remember(ledger: Ledger, person: Person, reason: str, run_id: str) -> Erased:
    """Record that a person is to be erased, before anything is; returns its number, and what was found before."""
    e = schema.erasures
    columns, hashes = json.dumps(list(person.hashes)), json.dumps(list(person.hashes.values()))
    same = (e.c.table_name == person.table, e.c.columns == columns, e.c.key_hash == hashes)
    with ledger.begin() as connection:
        known = connection.execute(sa.select(e.c.erasure_id, e.c.report).where(*same)).first()
        if known:
            told = json.loads(known.report or "{}")
            lines = [(one[0], one[1], one[2], one[3]) for one in told.get("lines", [])]
            return Erased(int(known.erasure_id), lines=lines, ways=told.get("ways", []))
        facts = {"table_name": person.table, "columns": columns, "key_hash": hashes, "reason": reason}
        row = connection.execute(e.insert().values(**facts, run_id=run_id, requested_at=utc_now()))
        return Erased(int((row.inserted_primary_key or [0])[0]))


def persons(ledger: Ledger, table: str) -> list[Person]:
    """Everybody erased from a bronze table."""
    e = schema.erasures.c
    with ledger.begin() as connection:
        rows = connection.execute(sa.select(e.columns, e.key_hash).where(e.table_name == table)).all()
    return [Person(table, dict(zip(json.loads(row.columns), json.loads(row.key_hash), strict=True))) for row in rows]


def write_report(ledger: Ledger, erased: Erased, *, is_finished: bool) -> None:
    """Keep what is known of an erasure: the lines found, then the counts and the look afterwards."""
    mine = schema.erasures.update().where(schema.erasures.c.erasure_id == erased.erasure_id)
    with ledger.begin() as connection:
        finished = utc_now() if is_finished else None
        connection.execute(mine.values(report=json.dumps(asdict(erased)), finished_at=finished))


class Eraser:
    """Erases one person from the tables of a lake; the build's and the feed's locks are held.

    Args:
        upkeep: of the lake, with no delay: what is let go of is removed at once.
        key: of the hashes.
    """

    def __init__(self, ledger: Ledger, lakehouse: Lakehouse, upkeep: Upkeep, person: Person, key: bytes) -> None:
        self.ledger, self.lakehouse, self.upkeep = ledger, lakehouse, upkeep
        self.person, self.key = person, key
        self.ways: list[Way] = [dict(person.hashes)]

    def find_lines(self) -> list[Line]:
        """Where the person's records stand in the raw files, by the lineage of the rows of bronze."""
        pin = self.lakehouse.pin(BRONZE, self.person.table)
        if pin is None or pin.snapshot_id is None:
            raise UsageError(f"The table bronze.{self.person.table} has no rows; name one as my_feed.my_table.")
        known = self.lakehouse.headers(pin)
        if unknown := [column for column in self.person.hashes if column not in known]:
            raise UsageError(f"bronze.{self.person.table} has no column {unknown[0]!r}; it has {', '.join(known)}.")
        columns = "_resource_id, _extraction_date::varchar, coalesce(_source_member, ''), _source_line"
        theirs = self.person.condition(self.key)
        rows = f"select distinct {columns} from ({scan_sql(pin)}) where {theirs} order by all"  # noqa: S608 - quoted
        return self.upkeep.connection.execute(rows).fetchall()

    def record_starts(self, resource_id: str, day: str, lines: Sequence[Line]) -> list[int]:
        """The lines of one file at which a record starts: rows of bronze, rejects, and the person's own."""
        starts = {line for resource, of_day, _, line in lines if (resource, of_day) == (resource_id, day)}
        pin = self.lakehouse.pin(BRONZE, self.person.table)
        if pin and pin.snapshot_id is not None:
            of_file = "_resource_id = ? and _extraction_date = ?::date"
            rows = f"select _source_line from ({scan_sql(pin)}) where {of_file}"  # noqa: S608 - quoted
            starts |= {line for (line,) in self.upkeep.connection.execute(rows, [resource_id, day]).fetchall()}
        return sorted(starts | self.rejected_lines(resource_id, day))

    def rejected_lines(self, resource_id: str, day: str) -> set[int]:
        """The lines of one file at which a record starts that could not be read."""
        r = schema.rejects.c
        of_file = (r.resource_id == resource_id, r.extraction_date == date.fromisoformat(day), r.stage == "decode")
        with self.ledger.begin() as connection:
            return set(connection.scalars(sa.select(r.source_line).where(*of_file)))

    def find_ways(self, domain: str, lines: Sequence[Line]) -> list[Way]:
        """How tables made from bronze name the person, by the rows that are known to be the person's.

        A column of silver that holds the value of a key in all of them is that key under another name. A gold table's
        own key (``…_key``), where its rows name the person, leads to the rows of others that point to it.
        """
        silver = [one for one in self.places(domain) if one.way == "lineage"]
        for way in [way for place in silver for way in self._renamed(place, lines)]:
            self._add_way(way)
        gold = [one for one in self.places(domain) if one.layer == GOLD]
        for way in [way for place in gold for way in self._pointed_to(place)]:
            self._add_way(way)
        return self.ways

    def _add_way(self, way: Way) -> None:
        if way not in self.ways:
            self.ways.append(way)

    def places(self, domain: str) -> list[Place]:
        """The tables that may hold the person: bronze, silver of the feed, what of the domain names the person.

        Args:
            domain: of the feed; in other domains a column of the same name may be another thing.
        """
        found = [Place(BRONZE, self.person.table, "columns")]
        feed = self.person.table.partition("__")[0]
        for layer in (SILVER, GOLD):
            for name in self.lakehouse.names(layer):
                columns = snapshot_columns(self.lakehouse.table(layer, name)).values()
                if name.startswith(f"stg_{feed}__") and any(one >= LINES for one in columns):
                    found.append(Place(layer, name, "lineage"))
                elif domain in self._domains(layer, name) and any(self._ways_in(one) for one in columns):
                    found.append(Place(layer, name, "columns"))
        return found

    def unsearched(self, domain: str) -> list[str]:
        """Gold tables of the domain that nothing of the person leads to."""
        searched = {(place.layer, place.name) for place in self.places(domain)}
        gold = ((GOLD, name) for name in self.lakehouse.names(GOLD) if domain in self._domains(GOLD, name))
        return [f"{layer}.{name}" for layer, name in gold if (layer, name) not in searched]

    def _renamed(self, place: Place, lines: Sequence[Line]) -> Iterator[Way]:
        """The columns of a silver table that hold the values of the keys in all rows of the person."""
        for pin, columns in self._snapshots(place):
            names = sorted(columns - LINEAGE.keys())
            keys = self.person.hashes.items()
            asked = [f"bool_and({_is_text(name, found, self.key)})" for _, found in keys for name in names]
            rows = f"select {', '.join(asked)} from ({scan_sql(pin)}) where {lines_condition(lines)}"  # noqa: S608 - quoted
            if columns >= LINES and names and lines:
                told = iter(self.upkeep.connection.execute(rows).fetchone() or ())
                holding = [[name for name, holds in zip(names, told, strict=False) if holds] for _ in keys]
                for chosen in islice(product(*holding), MOST_WAYS):
                    yield dict(zip(chosen, self.person.hashes.values(), strict=True))

    def _pointed_to(self, place: Place) -> Iterator[Way]:
        """The keys of a gold table's rows that name the person."""
        keys = key_of(self.lakehouse, place.layer, place.name)
        for pin, columns in self._snapshots(place):
            condition = self._condition(place, columns, ())
            if condition and len(keys) == 1 and keys[0].endswith("_key") and keys[0] in columns:
                values = f"select distinct {hashed(_text(keys[0]), self.key)} from ({scan_sql(pin)}) where {condition}"  # noqa: S608 - quoted
                yield from ({keys[0]: found} for (found,) in self.upkeep.connection.execute(values).fetchall() if found)

    def _ways_in(self, columns: Set[str]) -> list[Way]:
        return [way for way in self.ways if way.keys() <= columns]

    def _snapshots(self, place: Place) -> Iterator[tuple[Pin, frozenset[str]]]:
        """Every snapshot of a table, with the columns it was written with."""
        table = self.lakehouse.table(place.layer, place.name)
        for snapshot_id, columns in snapshot_columns(table).items():
            yield Pin(place.layer, place.name, table.metadata_location, snapshot_id), columns

    def erase(self, place: Place, lines: Sequence[Line]) -> tuple[int, int]:
        """Remove the person from every snapshot of a table, and what held them at once; returns rows and files."""
        self.upkeep.tidy(place.layer, place.name)  # what nobody needs is not written anew
        table = self.lakehouse.table(place.layer, place.name)
        rows = sum(self._erase_snapshot(place, snapshot_id, lines) for snapshot_id in snapshot_ids(table))
        files = len(self.upkeep.tidy(place.layer, place.name, with_files=True).removed)
        return rows, files

    def count(self, place: Place, lines: Sequence[Line]) -> int:
        """Rows of the person in all snapshots of a table together."""
        found = ((pin, self._condition(place, columns, lines)) for pin, columns in self._snapshots(place))
        return sum(one.matches for pin, condition in found for one in self._affected(pin, condition))

    def erase_rejects(self, lines: Iterable[Line], values: Iterable[str]) -> int:
        """Remove the rejects of the person's lines, and of records of the table that hold all of the values."""
        r = schema.rejects
        tables = (self.person.table, f"stg_{self.person.table}", f"stg_{self.person.table}__history")
        of_table = r.c.table_name.in_(tables)
        by_text = sa.and_(*(r.c.raw_text.contains(value, autoescape=True) for value in values))
        places = {(one[0], date.fromisoformat(one[1]), one[3]) for one in lines}
        by_line = sa.tuple_(r.c.resource_id, r.c.extraction_date, r.c.source_line).in_(sorted(places))
        with self.ledger.begin() as connection:
            return connection.execute(r.delete().where(of_table, by_text | by_line if places else by_text)).rowcount

    def _condition(self, place: Place, columns: Set[str], lines: Sequence[Line]) -> str | None:
        """SQL of the person's rows of a table at a snapshot with some columns; None where nothing names a person."""
        if place.way == "lineage" and columns >= LINES:
            return lines_condition(lines)
        return " or ".join(f"({_condition_of(way, self.key)})" for way in self._ways_in(columns)) or None

    def _affected(self, pin: Pin, condition: str | None) -> list[Affected]:
        return affected_files(self.upkeep.connection, pin, condition) if condition else []

    def _erase_snapshot(self, place: Place, snapshot_id: int, lines: Sequence[Line]) -> int:
        layer, name = place.layer, place.name
        table = self.lakehouse.table(layer, name)
        pin = Pin(layer, name, table.metadata_location, snapshot_id)
        condition = self._condition(place, snapshot_columns(table)[snapshot_id], lines)
        affected = self._affected(pin, condition)
        if not affected or not condition:
            return 0
        files, _ = write_rest(self.upkeep.connection, table, pin, affected, condition, self.upkeep.scratch)
        gone = [one.path for one in affected]
        new = replace_snapshot(self.lakehouse, table, snapshot_id, gone, files, "kept")
        table = self.lakehouse.table(layer, name)
        repin(self.ledger, layer, name, table.metadata_location, {snapshot_id: new}, snapshot_ids(table))
        return sum(one.matches for one in affected)

    def _domains(self, layer: str, name: str) -> set[str]:
        t = schema.release_tables.c
        with self.ledger.begin() as connection:
            query = sa.select(t.domain).where(t.layer == layer, t.table_name == name).distinct()
            return set(connection.scalars(query))


def not_erased(erased: Sequence[Person], table: str, rows: str, settings: Settings) -> str:
    """SQL of rows of a bronze table without those of persons erased from it: a later file may bring them again.

    Raises:
        BuildFailed: somebody was erased, and the key their hashes were made with is not set.
    """
    if not erased:
        return rows
    key = personal_data_key(settings, f"persons were erased from {table}, and stay away by their hashes")
    theirs = " or ".join(f"({person.condition(key)})" for person in erased)
    return f"select * from ({rows}) where ({theirs}) is not true"  # noqa: S608 - quoted


def keep_away(settings: Settings, ledger: Ledger, lakehouse: Lakehouse, table: str, run_id: str) -> int:
    """Take out of a bronze table the rows a later file brought of persons erased from it; the feed's lock is held.

    Their lines are kept with each erasure first: by them the next time it is run finds what is in raw.

    Raises:
        BuildFailed: somebody was erased, and the key their hashes were made with is not set.
    """
    erased = persons(ledger, table)
    pin = lakehouse.pin(BRONZE, table) if erased else None
    if pin is None or pin.snapshot_id is None:
        return 0
    key = personal_data_key(settings, f"persons were erased from {table}, and stay away by their hashes")
    theirs = " or ".join(f"({person.condition(key)})" for person in erased)
    with closing(Upkeep(settings, ledger, lakehouse, settings.scratch / run_id, utc_now())) as upkeep:
        if not affected_files(upkeep.connection, pin, theirs):
            return 0
        for person in erased:
            _note_lines(ledger, person, Eraser(ledger, lakehouse, upkeep, person, key).find_lines())
        rows = upkeep.remove_rows(BRONZE, table, theirs)
    reason = "a later file brought persons back who were erased"
    told = Removal("erased_rows", f"{reason}; run {run_id}", BRONZE, table, feed=table.partition("__")[0], rows=rows)
    record_removals(ledger, run_id, [told] if rows else [])
    return rows


def _note_lines(ledger: Ledger, person: Person, lines: Sequence[Line]) -> None:
    e = schema.erasures
    same = (e.c.table_name == person.table, e.c.columns == json.dumps(list(person.hashes)))
    mine = (*same, e.c.key_hash == json.dumps(list(person.hashes.values())))
    with ledger.begin() as connection:
        told = json.loads(connection.scalar(sa.select(e.c.report).where(*mine)) or "{}")
        told["lines"] = sorted({*lines, *(tuple(line) for line in told.get("lines", []))})
        connection.execute(e.update().where(*mine).values(report=json.dumps(told)))


def lines_condition(lines: Iterable[Line]) -> str:
    """SQL of rows that came from some lines."""
    listed = ", ".join(
        f"({quote_literal(resource)}, date {quote_literal(day)}, {quote_literal(member)}, {line:d})"
        for resource, day, member, line in lines
    )
    lineage = "(_resource_id, _extraction_date, coalesce(_source_member, ''), _source_line)"
    return f"{lineage} in ({listed})" if listed else "false"


def _condition_of(way: Mapping[str, str], key: bytes) -> str:
    return " and ".join(_is_text(column, found, key) for column, found in way.items())


def _is_text(column: str, found: str, key: bytes) -> str:
    """SQL of whether a column holds the text of a keyed hash, or that hash itself."""
    return f"({_text(column)} = {quote_literal(found)} or {hashed(_text(column), key)} = {quote_literal(found)})"


def _text(column: str) -> str:
    return f"{quote_identifier(column)}::varchar"
