"""What changed between two extractions of a table, and what of it breaks readers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from typing import Any

import pytest

from ingestion.drift import Change, Shape, compare

CODES = {f"{number:05d}" for number in range(50)}
SEXES = {"M", "F"}


def shape(columns: str, rows: int = 100, **facts: Any) -> Shape:
    return Shape(columns.split(), rows, facts)


def changes(
    before: Shape, now: Shape, old: Mapping[str, Set[str]] | None = None, new: Mapping[str, Set[str]] | None = None
) -> list[tuple[str, str, bool]]:
    found: Sequence[Change] = list(compare(before, now, (old or {}).__getitem__, (new or {}).__getitem__))
    return [(change.change, change.column, change.is_breaking) for change in found]


def test_the_same_shape_has_not_changed() -> None:
    assert changes(shape("a b", encoding="utf-8"), shape("a b", encoding="utf-8")) == []


def test_the_order_of_columns_is_no_change() -> None:
    assert changes(shape("a b"), shape("b a")) == []


def test_a_column_that_came_is_safe_and_one_that_went_is_not() -> None:
    assert changes(shape("a"), shape("a b")) == [("added", "b", False)]
    assert changes(shape("a b"), shape("a")) == [("missing", "b", True)]


def test_a_column_with_the_same_content_under_another_name_was_renamed() -> None:
    found = changes(shape("a insee"), shape("a code"), {"insee": CODES}, {"code": CODES | {"99999"}})
    assert found == [("renamed", "code", True)]


def test_few_values_prove_a_rename_only_under_a_like_name() -> None:
    assert changes(shape("sexe"), shape("code_sexe"), {"sexe": SEXES}, {"code_sexe": SEXES}) == [
        ("renamed", "code_sexe", True)
    ]
    assert changes(shape("sexe"), shape("genre_elu"), {"sexe": SEXES}, {"genre_elu": SEXES}) == [
        ("missing", "sexe", True),
        ("added", "genre_elu", False),
    ]


def test_empty_columns_are_no_rename() -> None:
    assert changes(shape("xa"), shape("xb"), {"xa": {""}}, {"xb": {""}}) == [
        ("missing", "xa", True),
        ("added", "xb", False),
    ]


def test_each_column_is_renamed_once_and_to_the_likest() -> None:
    old = {"code_dep": CODES, "code_com": CODES}
    new = {"dep_code": CODES, "com_code": CODES}
    found = list(compare(shape("code_dep code_com"), shape("dep_code com_code"), old.__getitem__, new.__getitem__))
    assert sorted(change.detail for change in found) == ["code_com → com_code", "code_dep → dep_code"]


@pytest.mark.parametrize("fact", ["kind", "encoding", "separator", "header_line"])
def test_a_changed_layout_is_told_and_safe(fact: str) -> None:
    assert changes(shape("a", **{fact: "x"}), shape("a", **{fact: "y"})) == [(fact, "", False)]
    assert changes(shape("a", **{fact: "x"}), shape("a")) == []


@pytest.mark.parametrize(
    ("before", "now", "collapsed"),
    [
        (100, 49, True),
        (100, 50, False),
        (100, 0, True),
        (10, 1, False),
        (10, 0, True),
        (0, 0, False),
        (100, 500, False),
    ],
)
def test_a_row_count_that_collapses_breaks(before: int, now: int, collapsed: bool) -> None:
    assert changes(shape("a", before), shape("a", now)) == ([("rows", "", True)] if collapsed else [])


def test_another_table_altogether_is_told_without_reading_its_values() -> None:
    old, new = (" ".join(f"{letter}{number}" for number in range(51)) for letter in "ab")
    assert {kind for kind, *_ in changes(shape(old), shape(new))} == {"missing", "added"}
