"""The grammar: parameters in, typed conditions out, and what is refused with which words."""

from __future__ import annotations

import pytest

from api.grammar import MAX_CONDITIONS, MAX_VALUES, OPERATORS, Condition, RowQuery, Sort, parse_query, refuse_unknown
from catalog.errors import UnknownName, UsageError

COLUMNS = ("dep", "age", "a__b", "_line", "ends_")


def test_no_parameter_shows_every_column_without_condition() -> None:
    assert parse_query([], COLUMNS) == RowQuery(COLUMNS)


@pytest.mark.parametrize("operator", [name for name, op in OPERATORS.items() if op.takes == "one"])
def test_an_operator_of_one_value_keeps_it_as_written(operator: str) -> None:
    query = parse_query([(f"dep__{operator}", " 0'7,\"% ")], COLUMNS)
    assert query.conditions == (Condition("dep", operator, (" 0'7,\"% ",)),)


@pytest.mark.parametrize("operator", ["in", "notin"])
@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("01,2A", ("01", "2A")),
        ("01", ("01",)),
        ("", ("",)),
        ('"a,b",c', ("a,b", "c")),
        ('"say ""hi""",x', ('say "hi"', "x")),
        ("a,,b", ("a", "", "b")),
        ('"two\nlines",x', ("two\nlines", "x")),
    ],
    ids=["two", "one", "empty", "comma", "quote", "hole", "newline"],
)
def test_a_list_is_parted_at_commas_outside_quotes(operator: str, text: str, values: tuple[str, ...]) -> None:
    assert parse_query([(f"dep__{operator}", text)], COLUMNS).conditions == (Condition("dep", operator, values),)


@pytest.mark.parametrize("operator", ["isnull", "isnotnull"])
def test_a_test_for_null_takes_no_value(operator: str) -> None:
    assert parse_query([(f"dep__{operator}", "")], COLUMNS).conditions == (Condition("dep", operator),)
    with pytest.raises(UsageError, match=f"write dep__{operator} alone"):
        parse_query([(f"dep__{operator}", "false")], COLUMNS)


@pytest.mark.parametrize("column", COLUMNS)
def test_a_column_name_may_hold_underscores_anywhere(column: str) -> None:
    assert parse_query([(f"{column}__strictly_less", "3")], COLUMNS).conditions[0].column == column


def test_conditions_on_one_column_all_hold_and_operators_ignore_case() -> None:
    query = parse_query([("age__GREATER", "1"), ("age__less", "5"), ("page", "3"), ("as_of", "x")], COLUMNS)
    assert query.conditions == (Condition("age", "greater", ("1",)), Condition("age", "less", ("5",)))


def test_sorts_keep_the_order_they_are_given_in() -> None:
    query = parse_query([("dep__sort", "DESC"), ("age__sort", "asc")], COLUMNS)
    assert query.sorts == (Sort("dep", True), Sort("age", False))


def test_chosen_columns_keep_their_order_and_appear_once() -> None:
    assert parse_query([("columns", "age, dep,age")], COLUMNS).columns == ("age", "dep")


@pytest.mark.parametrize(
    ("parameter", "kind", "nearest"),
    [
        (("dept__exact", "1"), "column", "dep"),
        (("dep__exat", "1"), "operator", "exact"),
        (("dep__sorted", "asc"), "operator", "sort"),
        (("columns", "dep,agee"), "column", "age"),
        (("columns", "*"), "column", None),
        (("columns", ""), "column", None),
        (("pagesize", "1"), "parameter", "page_size"),
        (("dep_exact", "1"), "parameter", "dep__exact"),
        (('dep" or 1=1 --__exact', "1"), "column", None),
    ],
    ids=lambda value: "=".join(value) if isinstance(value, tuple) else str(value),
)
def test_an_unknown_name_is_refused_with_the_nearest(
    parameter: tuple[str, str], kind: str, nearest: str | None
) -> None:
    with pytest.raises(UnknownName) as refusal:
        parse_query([parameter], COLUMNS)
    assert (refusal.value.kind, refusal.value.nearest) == (kind, nearest)


@pytest.mark.parametrize(
    ("parameter", "words"),
    [
        (("dep__sort", "up"), "write dep__sort=asc or dep__sort=desc"),
        (("dep__in", '"open'), "not a list of values"),
        (("dep", "01"), "write dep__exact=value"),
        (("a__b", "01"), "write a__b__exact=value"),
    ],
    ids=["direction", "quote", "bare", "bare_with_underscores"],
)
def test_a_malformed_value_is_refused_with_what_to_write(parameter: tuple[str, str], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        parse_query([parameter], COLUMNS)


@pytest.mark.parametrize(
    ("parameters", "limit"),
    [
        ([("dep__exact", "1")] * (MAX_CONDITIONS + 1), MAX_CONDITIONS),
        ([("dep__sort", "asc")] * (MAX_CONDITIONS + 1), MAX_CONDITIONS),
        ([("dep__in", ",".join("1" * (MAX_VALUES + 1)))], MAX_VALUES),
    ],
    ids=["filters", "sorts", "values"],
)
def test_the_cost_of_one_request_is_bounded(parameters: list[tuple[str, str]], limit: int) -> None:
    with pytest.raises(UsageError, match=f"the most is {limit}"):
        parse_query(parameters, COLUMNS)


def test_an_endpoint_names_the_parameters_it_takes() -> None:
    refuse_unknown(["as_of"], ("as_of",))
    with pytest.raises(UnknownName, match="Did you mean 'as_of'"):
        refuse_unknown(["asof"], ("as_of",))
