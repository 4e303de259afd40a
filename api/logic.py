"""The text of ``or=(…)`` and ``and=(…)``: conditions parted by commas, nested as ``or(…)`` and ``and(…)``.

A condition is ``column__operator.value``, or ``column__isnull``; a name or a value that holds a comma, a parenthesis, a
dot or a quote stands between double quotes, in which ``""`` is one quote: ``"dataset.id"__exact."a,b"``. A list, for
``in`` and ``notin``, stands in parentheses: ``dep__in.(01,2A)``. One pass, its depth and its conditions bounded.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal, NoReturn, cast

from api.filters import (
    GROUPS,
    MAX_CONDITIONS,
    MAX_DEPTH,
    NOT_FILTERS,
    OPERATORS,
    Condition,
    Filter,
    Group,
    condition_of,
    split_name,
)
from catalog.errors import UsageError

_QUOTED = re.compile(r'"((?:[^"]|"")*)"')
_PLAIN_NAME = re.compile(r"[^,()\"]*?__[A-Za-z]+(?:_[A-Za-z]+)*(?=[.,)]|$)")
_OPERATOR = re.compile(r"__[A-Za-z]+(?:_[A-Za-z]+)*")
_PLAIN_VALUE = re.compile(r'[^,()"]*')


def parse_group(kind: str, text: str, columns: Collection[str]) -> Group:
    """Parse the value of ``or=`` or ``and=``.

    Raises:
        UnknownName: a column or operator that does not exist, with the nearest one.
        UsageError: what cannot be read, with its place; too deep, or too many conditions.
    """
    parser = _Parser(kind, text, columns)
    group = parser.group(cast(Literal["or", "and"], kind), 1)
    if parser.at < len(text):
        parser.refuse("nothing after the closing parenthesis")
    return group


@dataclass
class _Parser:
    parameter: str
    text: str
    columns: Collection[str]
    at: int = 0
    conditions: int = 0

    def group(self, kind: Literal["or", "and"], depth: int) -> Group:
        """``(member,member…)`` at the present place."""
        if depth > MAX_DEPTH:
            raise UsageError(f"{self.parameter}=: nested {depth} deep; the most is {MAX_DEPTH}.")
        self._take("(")
        members = [self._member(depth)]
        while self._sees(","):
            self.at += 1
            members.append(self._member(depth))
        self._take(")")
        return Group(kind, tuple(members))

    def _member(self, depth: int) -> Filter:
        for kind in GROUPS:
            if self.text.startswith(f"{kind}(", self.at):
                self.at += len(kind)
                return self.group(cast(Literal["or", "and"], kind), depth + 1)
        return self._condition()

    def _condition(self) -> Condition:
        self.conditions += 1
        if self.conditions > MAX_CONDITIONS:
            raise UsageError(f"More than {MAX_CONDITIONS} filters and sorts in one request.")
        name = self._name()
        column, operator = split_name(name, self.columns)
        if operator in NOT_FILTERS:
            raise UsageError(f"{name} cannot stand within {self.parameter}=(…); give it as a parameter of its own.")
        if OPERATORS[operator].takes == "nothing":
            if self._sees("."):
                self.refuse(f"no value after {name}")
            return Condition(column, operator)
        self._take(".")
        if OPERATORS[operator].takes == "many" and self._sees("("):
            return Condition(column, operator, self._list())
        if quoted := _QUOTED.match(self.text, self.at):
            self.at = quoted.end()
            return Condition(column, operator, (quoted[1].replace('""', '"'),))
        return condition_of(name, column, operator, self._plain())

    def _name(self) -> str:
        if quoted := _QUOTED.match(self.text, self.at):
            self.at = quoted.end()
            operator = _OPERATOR.match(self.text, self.at)
            if operator is None:
                self.refuse("__operator after the quoted name")
            self.at = operator.end()
            return quoted[1].replace('""', '"') + operator[0]
        plain = _PLAIN_NAME.match(self.text, self.at)
        if plain is None:
            self.refuse("column__operator.value, or(…) or and(…)")
        self.at = plain.end()
        return plain[0].strip()

    def _list(self) -> tuple[str, ...]:
        values: list[str] = []
        while not values or self._sees(","):
            self.at += 1
            quoted = _QUOTED.match(self.text, self.at)
            if quoted:
                self.at = quoted.end()
            values.append(quoted[1].replace('""', '"') if quoted else self._plain())
        self._take(")")
        return tuple(values)

    def _plain(self) -> str:
        found = _PLAIN_VALUE.match(self.text, self.at)
        value = found[0] if found else ""
        self.at += len(value)
        return value

    def _sees(self, sign: str) -> bool:
        return self.text.startswith(sign, self.at)

    def _take(self, sign: str) -> None:
        if not self._sees(sign):
            self.refuse(repr(sign))
        self.at += 1

    def refuse(self, wanted: str) -> NoReturn:
        found = repr(self.text[self.at : self.at + 20]) if self.at < len(self.text) else "the end"
        raise UsageError(f"{self.parameter}=(…): {wanted} was expected at character {self.at + 1}, where {found} is.")
