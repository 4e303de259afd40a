"""Decides what each column of a table is, on the evidence of all its rows first and of its header second.

The rules, and what each type needs, are told in docs/types.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import duckdb

from catalog.contracts.contract import ColumnContract
from catalog.contracts.evidence import TEXT, Evidence, gather
from catalog.contracts.headers import said_unit, says_code, says_key, says_type
from catalog.contracts.rules import (
    LEAST_FITTING,
    LEAST_SHARE,
    NO_VALUE,
    ONE_VALUE,
    PARTNERS,
    Decision,
    decide_type,
    fits,
)
from catalog.contracts.types import TYPES
from catalog.names import quote_identifier

_UNDECIDED = (NO_VALUE, ONE_VALUE)  # notes of a text column that is looked at again


@dataclass(frozen=True, slots=True)
class TypeChange:
    """A column whose type is no longer what it was."""

    column: str
    before: str
    after: str
    detail: str
    is_first: bool = False  # nothing was decided before: the column had no value, or one


@dataclass(frozen=True, slots=True)
class Proposal:
    """What the columns of a table are, what of their values does not fit, and what is no longer as it was."""

    columns: list[ColumnContract]
    rows: int
    failing: dict[str, int]
    changes: list[TypeChange]


def decide_columns(
    connection: duckdb.DuckDBPyConnection,
    relation: str,
    headers: Mapping[str, str],
    known: Sequence[ColumnContract] = (),
    *,
    may_retype: bool = True,
) -> Proposal:
    """Decide the type of every column of a relation of text.

    Args:
        relation: SQL of the rows: a quoted name, or a SELECT in parentheses.
        headers: bronze column → header as published; columns that begin with ``_`` are lineage and left out.
        known: what a contract says already. What a person or a schema decided stays, and so does what was decided on
            evidence as long as the rows still fit; columns the relation no longer has stay too.
        may_retype: False keeps the types that were decided, and leaves what does not fit them to the rejects.
    """
    present = connection.sql(f"select * from {relation} limit 0").columns
    columns = [name for name in headers if name in present and not name.startswith("_")]
    said = {column.name: column for column in known}
    own = {column.name: column.markers for column in known}
    candidates = {name: _candidates(headers, name, said.get(name)) for name in columns}
    found = gather(connection, relation, candidates, own)
    again = {
        name: _candidates(headers, name, None)
        for name in columns
        if name in said and _is_open(said[name]) and not _still_fits(said[name], found[name])
        if may_retype or _is_undecided(said[name])
    }
    found |= gather(connection, relation, again, own)
    rows = next(iter(found.values())).rows if found else _count(connection, relation)
    told: list[ColumnContract] = []
    changes: list[TypeChange] = []
    pairs = _paired(headers, found)
    for name in [*said, *(name for name in columns if name not in said)]:
        before = said.get(name)
        if name not in found or (before is not None and name not in again):
            kept = before if before is not None else ColumnContract(name=name, type=TEXT)
            told.append(_with_markers(kept, found.get(name)))
            continue
        decision = decide_type(headers[name], found[name], pairs)
        after = _contract(name, headers[name], found[name], decision, before)
        told.append(after)
        if before is not None and before.type != after.type:
            changes.append(_change(connection, relation, before, after, found[name]))
    failing = {one.name: _failing(one, found[one.name]) for one in told if one.name in found}
    told = [_with_examples(connection, relation, one, failing.get(one.name, 0)) for one in told]
    told = _with_key(connection, relation, told, found, said)
    return Proposal(told, rows, {name: count for name, count in failing.items() if count}, changes)


# What may be


def _candidates(headers: Mapping[str, str], name: str, known: ColumnContract | None) -> list[str]:
    """The types worth counting: of a known column its own, else all that its header does not rule out."""
    if known is not None:
        return list(dict.fromkeys([known.type, TEXT]))
    return [
        type_.name for type_ in TYPES.values() if type_.words is None or type_.proof or says_type(headers[name], type_)
    ]


def _is_open(column: ColumnContract) -> bool:
    """Whether the rows may decide a column anew."""
    return column.decided == "evidence"


def _is_undecided(column: ColumnContract) -> bool:
    return column.type == TEXT and column.note in _UNDECIDED


def _still_fits(column: ColumnContract, evidence: Evidence) -> bool:
    if column.type == TEXT:
        return not (_is_undecided(column) and evidence.values)
    return fits(TYPES[column.type], evidence)


def _paired(headers: Mapping[str, str], found: Mapping[str, Evidence]) -> set[str]:
    """The types of places of which some column has both the name and the values."""
    return {
        type_
        for type_ in PARTNERS
        for name, evidence in found.items()
        if evidence.values and says_type(headers[name], TYPES[type_])
        if fits(TYPES[type_], evidence)
    }


# The contract


def _contract(
    name: str, header: str, evidence: Evidence, decision: Decision, before: ColumnContract | None
) -> ColumnContract:
    type_ = TYPES[decision.type]
    return ColumnContract(
        name=name,
        header=header,
        type=type_.name,
        unit=type_.unit or (said_unit(header) if type_.is_number else None),
        markers=_markers(type_.name, header, evidence, before.markers if before else ()),
        description=before.description if before else "",
        note=decision.note,
    )


def _markers(type_: str, header: str, evidence: Evidence, before: Sequence[str] = ()) -> list[str]:
    """The texts that say why there is no value; in a column of text only those that are no text of its kind.

    One letter alone under the header of a code is a code: the only calendar of a timetable may be `S`.
    """
    texts = sorted(evidence.markers)
    if type_ == TEXT and evidence.values:
        texts = [text for text in texts if _is_foreign(text, evidence)]
    elif says_code(header):
        texts = [text for text in texts if not (evidence.values == 0 and len(text) == 1 and text.isalpha())]
    return sorted({*before, *texts})


def _is_foreign(marker: str, evidence: Evidence) -> bool:
    """Whether a marker is unlike the other texts: `NA` is a country among letters, and a gap among digits."""
    if not marker.isalpha():
        return not marker[0].isalpha() or len(marker) <= 4  # `-`, `#N/A`, `n.d.`; `non renseigné` may be a category
    if marker.lower() in ("null", "none", "nan") and not (marker.istitle() and marker != "None"):
        return True
    return len(marker) <= 3 and evidence.signals.get("letters", 0) <= evidence.values * (1 - LEAST_SHARE)


def _with_markers(column: ColumnContract, evidence: Evidence | None) -> ColumnContract:
    """A known column with the markers it has now, too."""
    if evidence is None or not _is_open(column):
        return column
    return column.model_copy(update={"markers": _markers(column.type, column.header, evidence, column.markers)})


def _failing(column: ColumnContract, evidence: Evidence) -> int:
    """Values that do not read; a marker that the contract does not know is one of them."""
    if column.type == TEXT:
        return 0
    unknown = sum(rows for text, rows in evidence.markers.items() if text not in column.markers)
    return evidence.values - evidence.fits.get(column.type, 0) + unknown


_EXAMPLES = "Some values do not fit"


def _with_examples(
    connection: duckdb.DuckDBPyConnection, relation: str, column: ColumnContract, failing: int
) -> ColumnContract:
    """The column with a note that shows what does not fit; without one when all fits again."""
    rest = column.note
    if rest and _EXAMPLES in rest:
        rest = rest[: rest.index(_EXAMPLES)].strip() or None
    if failing and column.decided == "evidence":
        texts = ", ".join(f"« {text} »" for text in _misfits(connection, relation, column))
        rest = " ".join(filter(None, [rest, f"{_EXAMPLES}: {texts}."]))
    return column if rest == column.note else column.model_copy(update={"note": rest})


def _misfits(connection: duckdb.DuckDBPyConnection, relation: str, column: ColumnContract) -> list[str]:
    """The commonest texts that do not fit a column."""
    quoted = quote_identifier(column.name)
    read = TYPES[column.type].read.replace("{}", quoted)
    found = connection.execute(
        f"select left(fr_text({quoted}), 40) as v from {relation} "
        f"where {read} is null and fr_text({quoted}) is not null and not list_contains($markers, fr_text({quoted})) "
        "group by v order by count(*) desc, v limit 3",
        {"markers": column.markers},
    )
    return [text for (text,) in found.fetchall()]


def _change(
    connection: duckdb.DuckDBPyConnection,
    relation: str,
    before: ColumnContract,
    after: ColumnContract,
    evidence: Evidence,
) -> TypeChange:
    texts = ", ".join(f"« {text} »" for text in _misfits(connection, relation, before)) if before.type != TEXT else ""
    detail = f"Values that are no {before.type}: {texts}." if texts else "The first values that tell a type."
    return TypeChange(before.name, before.type, after.type, detail, is_first=_is_undecided(before))


# The key


def _with_key(
    connection: duckdb.DuckDBPyConnection,
    relation: str,
    columns: list[ColumnContract],
    found: Mapping[str, Evidence],
    known: Mapping[str, ColumnContract],
) -> list[ColumnContract]:
    """The columns of a new table, the one that names its rows marked as unique and never missing."""
    if known:
        return columns
    for place, column in enumerate(columns[:3]):  # a key comes first; a code further on names something else
        evidence = found.get(column.name)
        is_key = says_key(column.header) or TYPES[column.type].is_identifier
        if evidence is None or not is_key or evidence.values != evidence.rows or evidence.rows < LEAST_FITTING:
            continue
        if evidence.distinct >= 0.8 * evidence.rows and _is_unique(connection, relation, column.name):
            return [
                *columns[:place],
                column.model_copy(update={"unique": True, "nullable": False}),
                *columns[place + 1 :],
            ]
    return columns


def _is_unique(connection: duckdb.DuckDBPyConnection, relation: str, column: str) -> bool:
    found = connection.execute(
        f"select count(*) = count(distinct {quote_identifier(column)}) from {relation}"
    ).fetchone()
    return bool(found and found[0])


def _count(connection: duckdb.DuckDBPyConnection, relation: str) -> int:
    found = connection.execute(f"select count(*) from {relation}").fetchone()
    return int(found[0]) if found else 0
