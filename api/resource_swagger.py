"""A resource's own OpenAPI document, as the tabular API gives one: the parameters each of its columns takes."""

from __future__ import annotations

from typing import Any

from api.filters import AGGREGATES, GROUP_BY, OPERATORS
from api.paging import PAGE_SIZE, PAGE_SIZE_MAX
from api.rendering import decimal_digits, is_nested
from api.resources import ResourceTable
from api.rows import NUMBERS


def swagger_of(found: ResourceTable, server: str) -> dict[str, Any]:
    """Describe the addresses of one resource."""
    rid = found.resource.resource_id
    shown = found.relation.shown or ()
    types = {name: found.relation.columns[name].type for name in shown}
    parameters = [
        _parameter("page", {"type": "integer", "minimum": 1, "default": 1}, "page, from 1"),
        _parameter(
            "page_size",
            {"type": "integer", "minimum": 1, "maximum": PAGE_SIZE_MAX, "default": PAGE_SIZE},
            "rows a page",
        ),
        _parameter("columns", {"type": "string"}, "columns to show, parted by commas"),
        *(one for name, type_ in types.items() for one in _of_column(name, type_)),
    ]
    row = {"type": "object", "properties": {name: json_schema(type_) for name, type_ in types.items()}}
    page = {"type": "object", "properties": {"data": {"type": "array", "items": row}}}
    answers = {
        "": ("Rows", "application/json", page),
        "csv/": ("Every row as CSV", "text/csv", {"type": "string"}),
        "json/": ("Every row as JSON", "application/json", {"type": "array", "items": row}),
    }
    paths = {
        f"/api/resources/{rid}/data/{end}": {
            "get": {
                "summary": summary,
                "parameters": parameters,
                "responses": {"200": {"description": summary, "content": {media_type: {"schema": schema}}}},
            }
        }
        for end, (summary, media_type, schema) in answers.items()
    }
    info = {"title": found.resource.title or rid, "version": str(found.table.pin.snapshot_id)}
    return {"openapi": "3.0.3", "info": info, "servers": [{"url": server}], "paths": paths}


def json_schema(type_: str) -> dict[str, Any]:
    """JSON schema of a column's values, as pages have them; any may be null."""
    if is_nested(type_):
        kind = {"type": "array", "items": {}} if type_.endswith("]") else {"type": "object"}
        return {**kind, "nullable": True}
    if digits := decimal_digits(type_):
        return {"type": "number" if digits[0] <= 15 else "string", "nullable": True}
    if type_ in ("DOUBLE", "FLOAT"):
        return {"type": "number", "nullable": True}
    if type_ in NUMBERS:
        return {"type": "integer", "nullable": True}
    formats = {"DATE": "date", "TIMESTAMP": "date-time", "TIMESTAMP WITH TIME ZONE": "date-time", "UUID": "uuid"}
    told = {"format": formats[type_]} if type_ in formats else {}
    return {"type": "boolean" if type_ == "BOOLEAN" else "string", **told, "nullable": True}


def _of_column(name: str, type_: str) -> list[dict[str, Any]]:
    is_number = type_ in NUMBERS or decimal_digits(type_) is not None
    filters = ("isnull", "isnotnull") if is_nested(type_) else tuple(OPERATORS)
    aggregates = [one for one in AGGREGATES if is_number or one not in ("avg", "sum")]
    told = [
        _parameter(
            f"{name}__{one}",
            {"type": "string"} if OPERATORS[one].takes != "nothing" else {"type": "string", "maxLength": 0},
            f"filter: {one}",
        )
        for one in filters
    ]
    told.append(_parameter(f"{name}__sort", {"type": "string", "enum": ["asc", "desc"]}, "order"))
    told += [_parameter(f"{name}__{one}", {"type": "string", "maxLength": 0}, one) for one in (GROUP_BY, *aggregates)]
    return told


def _parameter(name: str, schema: dict[str, Any], description: str) -> dict[str, Any]:
    empty = {"allowEmptyValue": True} if schema.get("maxLength") == 0 else {}
    return {"name": name, "in": "query", "required": False, "description": description, "schema": schema, **empty}
