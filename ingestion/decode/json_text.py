"""Reads JSON without changing a value: numbers stay as written, nested values become compact JSON text."""

from __future__ import annotations

import json
from json.encoder import encode_basestring
from typing import Any, TypeAlias

Value: TypeAlias = Any  # what JSON holds: dict, list, str, Number, True, False, None


class Number(str):
    """A JSON number, as the characters it was written with."""

    __slots__ = ()


def _pairs(pairs: list[tuple[str, Value]]) -> dict[str, Value]:
    """Keep every value of an object that repeats a key: the copies become ``key_2``, ``key_3``…"""
    record = dict(pairs)
    if len(record) == len(pairs):
        return record
    record = {}
    for key, value in pairs:
        name, copy = key, 1
        while name in record:
            copy += 1
            name = f"{key}_{copy}"
        record[name] = value
    return record


_DECODER = json.JSONDecoder(
    object_pairs_hook=_pairs, parse_float=Number, parse_int=Number, parse_constant=Number, strict=False
)


class NotJson(ValueError):
    """The text may begin as JSON does, but is something else, or is cut."""


def parse(text: str) -> Value:
    """Parse one JSON document.

    Raises:
        NotJson: with the place where it stops being JSON.
    """
    try:
        return _DECODER.decode(text)
    except ValueError as error:
        raise NotJson(str(error)) from error
    except RecursionError as error:
        raise NotJson("nested too deep") from error


def compact(value: Value) -> str:
    """Write a value as compact JSON, its numbers as they were."""
    if isinstance(value, Number):
        return value
    if isinstance(value, str):
        return encode_basestring(value)
    if isinstance(value, dict):
        return "{" + ",".join(f"{encode_basestring(key)}:{compact(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(compact, value)) + "]"
    return "null" if value is None else "true" if value else "false"


def cell(value: Value) -> str:
    """Write a value as a cell: strings without quotes, null as the empty text."""
    if value is None:
        return ""
    return str(value) if isinstance(value, str) else compact(value)
