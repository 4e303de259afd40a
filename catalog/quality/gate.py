"""What a snapshot must hold to be kept: each rule takes what was found and returns a check."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from catalog.feed import Bounds, Feed
from catalog.quality.report import Check, Rows, Shift

DEFAULTS = {"psi": 0.25, "ks": 0.2, "rows": 0.5}  # bounds of a domain none of whose feeds gives any


@dataclass(frozen=True, slots=True)
class Limits:
    """How far a snapshot may lie from the one before."""

    psi: float
    ks: float
    rows: float  # change of the number of rows, in parts of those before


def limits_of(feeds: Iterable[Feed]) -> Limits:
    """The strictest bounds that a domain's feeds give, the defaults where none gives any."""
    given: list[Bounds] = [feed.bounds for feed in feeds]

    def strictest(name: str) -> float:
        return min((value for one in given if (value := getattr(one, name)) is not None), default=DEFAULTS[name])

    return Limits(strictest("psi"), strictest("ks"), strictest("rows"))


def check_day(table: str, as_of: date, today: date, first: date | None) -> Check:
    """The day is one that was, and not before the first release."""
    if as_of > today:
        return _check(table, "as_of_is_past", f"{as_of} has not come yet; today is {today} (UTC)")
    if first is None:
        return _check(table, "as_of_is_past", "nothing is released yet; run: odh run")
    if as_of < first:
        return _check(table, "as_of_is_past", f"{as_of} is before the data: the first release is of {first}")
    return _check(table, "as_of_is_past")


def check_released(table: str, as_of: date, is_there: bool) -> Check:
    """The release of the day has the table."""
    told = None if is_there else f"the release of {as_of} has no gold.{table}"
    return _check(table, "table_is_released", told)


def check_readable(table: str, wrong: str | None) -> Check:
    """The rows can be read."""
    return _check(table, "table_is_readable", wrong)


def check_columns(table: str, before: Mapping[str, str] | None, now: Mapping[str, str]) -> Check:
    """Columns and types are those of the snapshots before; a column of one's own named ``as_of`` is in the way."""
    if "as_of" in now:
        return _check(table, "columns_as_before", "the model has a column as_of of its own; rename it")
    if before is None or before == now:
        return _check(table, "columns_as_before")
    changed = [f"{name} was {before[name]}, is {now[name]}" for name in now if before.get(name, now[name]) != now[name]]
    changed += [f"{name} is new" for name in now if name not in before]
    changed += [f"{name} is gone" for name in before if name not in now]
    told = "; ".join(changed) + "; begin another series: meta.snapshot.series in the model's YAML"
    return _check(table, "columns_as_before", told)


def check_key_columns(table: str, keys: Sequence[str], columns: Mapping[str, str]) -> Check:
    """The columns that tell rows apart are there."""
    missing = [key for key in keys if key not in columns]
    told = f"meta.snapshot.keys names {', '.join(missing)}, which the table has not" if missing else None
    return _check(table, "keys_are_columns", told)


def check_keys(table: str, keys: Sequence[str], repeated: int, examples: Rows | None) -> Check:
    """No two rows share their keys, and none lacks one."""
    told = f"{repeated} combinations of {', '.join(keys)} are in several rows, or lack a value" if repeated else None
    return _check(table, "keys_and_as_of_unique", told, failures=repeated, offending=examples)


def check_complete(table: str, released: int, found: int) -> Check:
    """Every row of the release is there, and no other."""
    told = f"the release has {released} rows, and {found} can be read: {abs(released - found)} are "
    wrong = told + ("missing" if found < released else "too many") if found != released else None
    return _check(table, "rows_of_the_release", wrong, failures=abs(released - found))


def check_any(table: str, rows: int) -> Check:
    """There are rows: a snapshot of none could not be told from one never taken."""
    return _check(table, "table_has_rows", None if rows else "the table is empty at that day")


def check_same(table: str, as_of: date, is_same: bool) -> Check:
    """A snapshot taken once stays as it is."""
    told = f"there is a snapshot of {as_of} with other content, and it is never overwritten"
    return _check(table, "content_as_kept", None if is_same else told)


def check_copy(table: str, is_same: bool) -> Check:
    """What was copied is what is released."""
    told = "the copy differs from the released table; is the disk sound? Take the snapshot again"
    return _check(table, "copy_is_the_release", None if is_same else told)


def check_rows(table: str, before: int, now: int, limits: Limits) -> Check:
    """The number of rows changed within bounds."""
    change = abs(now - before) / max(before, 1)
    told = f"{before} rows became {now}, a change of {change:.3g}; the bound is {limits.rows:g}"
    return _check(table, "row_count_within_bounds", told if change > limits.rows else None)


def check_shift(shift: Shift, limits: Limits) -> Check:
    """One column's distribution lies within bounds of the one before."""
    beyond = [f"PSI is {shift.psi:.3g}, the bound {limits.psi:g}"] if shift.psi > limits.psi else []
    if shift.ks is not None and shift.ks > limits.ks:
        beyond.append(f"KS is {shift.ks:.3g}, the bound {limits.ks:g}")
    return _check(shift.table, "distribution_within_bounds", "; ".join(beyond) or None, column=shift.column)


def _check(
    table: str,
    name: str,
    wrong: str | None = None,
    *,
    column: str | None = None,
    failures: int | None = None,
    offending: Rows | None = None,
) -> Check:
    status = "fail" if wrong else "pass"
    return Check(table, name, table, column, "error", status, failures, wrong, offending=offending)
