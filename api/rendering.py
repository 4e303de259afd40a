"""SQL that writes values as JSON has them, by their DuckDB types; the same for a page and for a whole export.

``catalog.values`` says the same in Python: dates and times in ISO 8601, what is no number null, bytes in hexadecimal. A
decimal is a number where a double holds it exactly, text where it does not: one or the other a column.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from catalog.names import quote_identifier, quote_literal

DOUBLE_DIGITS = 15  # a decimal of so many digits survives the way through a double
PLAIN = {"VARCHAR", "BOOLEAN", "TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER"}


def decimal_digits(type_: str) -> tuple[int, int] | None:
    """Precision and scale of a decimal type."""
    found = re.fullmatch(r"DECIMAL\((\d+),(\d+)\)", type_)
    return (int(found[1]), int(found[2])) if found else None


def is_nested(type_: str) -> bool:
    """Whether values have parts."""
    return type_.endswith("]") or type_.startswith(("STRUCT(", "MAP(", "UNION("))


def shown(sql: str, type_: str) -> str:
    """SQL of a value as JSON has it: text, a number, a boolean, or JSON."""
    if is_nested(type_):
        return f"to_json({_nested(sql, type_)})"
    if type_ in PLAIN or type_ in ("HUGEINT", "UHUGEINT", "UBIGINT"):
        return sql
    if type_ in ("DOUBLE", "FLOAT"):
        return f"case when isfinite({sql}) then {sql} end"
    if digits := decimal_digits(type_):
        return f"cast({sql} as {'double' if digits[0] <= DOUBLE_DIGITS else 'varchar'})"
    if type_ == "TIMESTAMP WITH TIME ZONE":  # sessions are in UTC
        return f"replace({sql}::timestamp::varchar, ' ', 'T') || '+00:00'"
    if type_.startswith("TIMESTAMP"):
        return f"replace({sql}::varchar, ' ', 'T')"
    if type_ == "BLOB":
        return f"lower(hex({sql}))"
    return f"{sql}::varchar"


def as_text(sql: str, type_: str) -> str:
    """SQL of a value in a CSV file: as JSON has it, what has parts as the text of its JSON."""
    return f"{shown(sql, type_)}::varchar" if is_nested(type_) else shown(sql, type_)


def json_object(columns: Iterable[tuple[str, str, str]]) -> str:
    """SQL of one row as the text of a JSON object, from the names, SQL and types of its columns."""
    members = ", ".join(f"{quote_literal(name)}, {shown(sql, type_)}" for name, sql, type_ in columns)
    return f"json_object({members})::varchar"


def _nested(sql: str, type_: str, depth: int = 0) -> str:
    """SQL of a value with parts, each part as JSON has it."""
    one = f"part{depth}"
    if type_.endswith("]"):
        element = type_[: type_.rindex("[")]
        return sql if element in PLAIN else f"list_transform({sql}, lambda {one}: {_part(one, element, depth)})"
    if type_.startswith("STRUCT("):
        parts = [
            f"{quote_identifier(name)} := {_part(f'{sql}.{quote_identifier(name)}', part, depth)}"
            for name, part in struct_parts(type_)
        ]
        return f"case when {sql} is not null then struct_pack({', '.join(parts)}) end"
    return sql  # the values of a map are written as DuckDB writes them


def _part(sql: str, type_: str, depth: int) -> str:
    return _nested(sql, type_, depth + 1) if is_nested(type_) else shown(sql, type_)


def struct_parts(type_: str) -> list[tuple[str, str]]:
    """Names and types of the fields of ``STRUCT(a INTEGER, "b c" VARCHAR[])``."""
    found, text = [], type_[len("STRUCT(") : -1]
    while text:
        name = re.match(r'"((?:[^"]|"")*)"\s|(\S+)\s', text)
        if name is None:
            break
        rest = text[name.end() :]
        end = _end_of_type(rest)
        found.append((name[1].replace('""', '"') if name[1] is not None else name[2], rest[:end]))
        text = rest[end:].lstrip(", ")
    return found


def _end_of_type(text: str) -> int:
    depth, is_quoted = 0, False
    for place, sign in enumerate(text):
        if sign == '"':
            is_quoted = not is_quoted
        elif not is_quoted and sign == "(":
            depth += 1
        elif not is_quoted and sign == ")":
            depth -= 1
        elif not is_quoted and sign == "," and depth == 0:
            return place
    return len(text)
