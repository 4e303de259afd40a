"""The grammar: parameters in, typed conditions out, and what is refused with which words."""

from __future__ import annotations

import re

import pytest

from api.grammar import (
    AGGREGATES,
    MAX_CONDITIONS,
    MAX_DEPTH,
    MAX_VALUES,
    OPERATORS,
    Aggregate,
    Condition,
    Group,
    RowQuery,
    Sort,
    parse_query,
    refuse_unknown,
)
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


# Nested filters


@pytest.mark.parametrize(
    ("text", "members"),
    [
        ("(dep__exact.2A)", (Condition("dep", "exact", ("2A",)),)),
        ("(dep__isnull,age__ISNOTNULL)", (Condition("dep", "isnull"), Condition("age", "isnotnull"))),
        ("(age__less.1.5,a__b__exact.x y)", (Condition("age", "less", ("1.5",)), Condition("a__b", "exact", ("x y",)))),
        ('("dep"__exact."a,b)""c")', (Condition("dep", "exact", ('a,b)"c',)),)),
        ('(dep__in.(01,"2,A",))', (Condition("dep", "in", ("01", "2,A", "")),)),
        ("(dep__in.01)", (Condition("dep", "in", ("01",)),)),
        ("(dep__exact.)", (Condition("dep", "exact", ("",)),)),
        (
            "(dep__isnull,and(age__less.1,or(age__greater.2,_line__exact.3)))",
            (
                Condition("dep", "isnull"),
                Group(
                    "and",
                    (
                        Condition("age", "less", ("1",)),
                        Group("or", (Condition("age", "greater", ("2",)), Condition("_line", "exact", ("3",)))),
                    ),
                ),
            ),
        ),
    ],
)
@pytest.mark.parametrize("kind", ["or", "and"])
def test_nested_filters_are_read_as_a_tree(kind: str, text: str, members: tuple[object, ...]) -> None:
    assert parse_query([(kind, text)], COLUMNS).conditions == (Group(kind, members),)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "'(' was expected at character 1, where the end is"),
        ("dep__exact.1", "'(' was expected"),
        ("()", "column__operator.value, or(…) or and(…) was expected at character 2"),
        ("(dep__exact.1", "')' was expected at character 14"),
        ("(dep__exact.1))", "nothing after the closing parenthesis was expected at character 15"),
        ("(dep__exact)", "'.' was expected"),
        ("(dep__isnull.x)", "no value after dep__isnull"),
        ('("dep)', "was expected at character 2"),
        ("(dep__sort.asc)", "cannot stand within or"),
        ("(dep__count)", "cannot stand within or"),
        ("(depp__exact.1)", "Did you mean 'dep'"),
        ("(dep__exat.1)", "Did you mean 'exact'"),
        ("(" + "or(" * MAX_DEPTH + "dep__isnull" + ")" * MAX_DEPTH + ")", f"the most is {MAX_DEPTH}"),
        ("(" + ",".join(["dep__isnull"] * (MAX_CONDITIONS + 1)) + ")", f"{MAX_CONDITIONS} filters"),
        ("(" + "or(" * 20_000, f"the most is {MAX_DEPTH}"),
    ],
    ids=range(15),
)
def test_nested_filters_that_cannot_be_read_are_refused_with_the_place(text: str, words: str) -> None:
    with pytest.raises(UsageError, match=re.escape(words)):
        parse_query([("or", text)], COLUMNS)


def test_the_filters_of_all_parameters_count_together() -> None:
    half = ("or", "(" + ",".join(["dep__isnull"] * (MAX_CONDITIONS // 2 + 1)) + ")")
    with pytest.raises(UsageError, match=f"the most is {MAX_CONDITIONS}"):
        parse_query([half, half], COLUMNS)


# Groups


@pytest.mark.parametrize("function", AGGREGATES)
def test_an_aggregate_is_named_by_its_column_and_function(function: str) -> None:
    query = parse_query([("age__groupby", ""), (f"a__b__{function.upper()}", ""), ("dep__isnull", "")], COLUMNS)
    assert (query.groups, query.aggregates) == (("age",), (Aggregate("a__b", function),))
    assert query.names == ("age", f"a__b__{function}")
    assert query.conditions == (Condition("dep", "isnull"),)


def test_groups_are_sorted_by_what_they_show_only() -> None:
    query = parse_query([("age__count__sort", "desc"), ("dep__groupby", ""), ("age__count", "")], COLUMNS)
    assert query.sorts == (Sort("age__count", True),)
    with pytest.raises(UnknownName, match="Known: age__count, dep"):
        parse_query([("age__sort", "desc"), ("dep__groupby", ""), ("age__count", "")], COLUMNS)
