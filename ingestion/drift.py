"""How a table's shape changed since the extraction before, and whether that breaks those who read it.

Pure: it compares what two extractions looked like. Types that no longer fit are found where types are decided, in
``catalog.contracts``.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any, Literal

Kind = Literal["added", "missing", "renamed", "kind", "encoding", "separator", "header_line", "rows"]

COLLAPSE = 0.5  # fewer rows than this share of the extraction before is a collapse …
COLLAPSE_FROM_ROWS = 20  # … from this many rows on
SAME_VALUES = 0.8  # share of the smaller column's distinct values that the other must have for a rename …
TELLING_VALUES = 20  # … and how many distinct values make that proof enough; below, the names must be alike too
ALIKE_NAMES = 0.5
MOST_COMPARED = 50  # columns that went, or came: beyond, it is another table, and their values would fill the memory
LAYOUT: tuple[Kind, ...] = (
    "kind",
    "encoding",
    "separator",
    "header_line",
)  # facts of a decoder that readers of the table do not see

Values = Callable[[str], Set[str]]  # distinct values of a column


@dataclass(frozen=True, slots=True)
class Shape:
    """What one table looked like in one extraction."""

    columns: Sequence[str]
    rows: int
    facts: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Change:
    """One difference; ``column`` is empty where it concerns the whole table."""

    change: Kind
    column: str
    is_breaking: bool
    detail: str


def compare(before: Shape, now: Shape, values_before: Values, values_now: Values) -> Iterator[Change]:
    """The changes from one extraction to the next.

    Args:
        values_before: distinct values of a column as they were; asked only when some columns came and some went.
        values_now: the same, of the new extraction.
    """
    missing = [column for column in before.columns if column not in now.columns]
    added = [column for column in now.columns if column not in before.columns]
    is_comparable = 0 < len(missing) <= MOST_COMPARED and 0 < len(added) <= MOST_COMPARED
    renamed = _renamed(missing, added, values_before, values_now) if is_comparable else {}
    for old, new in renamed.items():
        yield Change("renamed", new, True, f"{old} → {new}")
    for column in missing:
        if column not in renamed:
            yield Change("missing", column, True, "was there, is not")
    for column in added:
        if column not in renamed.values():
            yield Change("added", column, False, "was not there, is")
    for fact in LAYOUT:
        was, is_now = before.facts.get(fact), now.facts.get(fact)
        if was is not None and is_now is not None and was != is_now:
            yield Change(fact, "", False, f"{was!r} → {is_now!r}")
    has_collapsed = before.rows >= COLLAPSE_FROM_ROWS and now.rows < COLLAPSE * before.rows
    if has_collapsed or (before.rows and not now.rows):
        yield Change("rows", "", True, f"{before.rows:,} → {now.rows:,} rows")


def _renamed(missing: Collection[str], added: Collection[str], before: Values, now: Values) -> dict[str, str]:
    """Columns that kept their content under another name, the surest first, each used once."""
    old = {column: before(column) for column in missing}
    new = {column: now(column) for column in added}
    scored = sorted(
        ((_likeness(old[a], new[b], a, b), a, b) for a in missing for b in added), key=lambda one: (-one[0], one[1:])
    )
    found: dict[str, str] = {}
    for score, a, b in scored:
        if score > 0 and a not in found and b not in found.values():
            found[a] = b
    return found


def _likeness(old: Set[str], new: Set[str], old_name: str, new_name: str) -> float:
    """How surely two columns are one, from their values and then their names; 0 for not at all."""
    smaller = min(len(old - {""}), len(new - {""}))
    shared = len((old & new) - {""})
    names = SequenceMatcher(None, old_name, new_name).ratio()
    if not smaller or shared < SAME_VALUES * smaller:
        return 0.0
    if smaller < TELLING_VALUES and names < ALIKE_NAMES:
        return 0.0
    return shared / smaller + names
