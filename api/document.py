"""The OpenAPI document: the gateway's routes, and every table of the release with its columns' types and meanings.

The tables' words are those of their models, which releases carry; a document is made once a release.
"""

from __future__ import annotations

from copy import deepcopy
from typing import Any

from fastapi import FastAPI

from api.access import Caller
from api.remembered import Remembered
from api.resource_swagger import json_schema
from api.tables import Column, Layer, ServedTable, TableMeaning, Tables
from catalog.scopes import Scope

DOCUMENTS_REMEMBERED = 8
READ = {Layer.STAGING: Scope.STAGING_READ, Layer.CURATED: Scope.CURATED_READ}
ROWS = "/{layer}/{table}"
IN_PATH = ("layer", "table", "filters", "columns")


class Documents:
    """Makes the document, for what a caller may read of the release that is current."""

    def __init__(self, app: FastAPI, tables: Tables) -> None:
        self._app, self._tables = app, tables
        self._made: Remembered[object, dict[str, Any]] = Remembered(DOCUMENTS_REMEMBERED)

    def document(self, caller: Caller) -> dict[str, Any]:
        """The document of this moment."""
        release = self._tables.release()
        layers = tuple(layer for layer, scope in READ.items() if caller.allows(scope))
        key = (release and release.release_id, layers)
        return self._made.get(key) or self._made.put(key, self._make(layers))

    def _make(self, layers: tuple[Layer, ...]) -> dict[str, Any]:
        document = deepcopy(self._app.openapi())
        general = document["paths"][ROWS]["get"]
        schemas = document["components"]["schemas"]
        for layer in layers:
            for table in self._tables.of_layer(layer, None):
                meaning = self._tables.meaning(table.pin)
                name = f"{layer}.{table.pin.name}"
                schemas[name] = _row_schema(table, meaning)
                document["paths"][f"/{layer}/{table.pin.name}"] = {"get": _operation(general, table, meaning, name)}
        return document


def _operation(general: dict[str, Any], table: ServedTable, meaning: TableMeaning, schema: str) -> dict[str, Any]:
    """What the route of rows says, for one table."""
    name = table.pin.name
    shared = [one for one in general["parameters"] if one["name"] not in IN_PATH]
    columns = {
        "name": "columns",
        "in": "query",
        "required": False,
        "description": "columns to show, parted by commas: " + ", ".join(column.name for column in meaning.columns),
        "schema": {"type": "string"},
    }
    page = {
        "allOf": [
            {"$ref": "#/components/schemas/Page"},
            {"properties": {"data": {"type": "array", "items": {"$ref": f"#/components/schemas/{schema}"}}}},
        ]
    }
    rows = general["responses"]["200"]["content"]
    content = {kind: {"schema": page} if kind == "application/json" else told for kind, told in rows.items()}
    return {
        "tags": [table.layer.value],
        "summary": f"Rows of {name}",
        "description": f"{meaning.description or ''}\n\n{table.rows:,} rows. {general['description']}".strip(),
        "operationId": f"read_{table.layer}_{name}",
        "parameters": [*shared, columns, *(_filter(column) for column in meaning.columns)],
        "responses": {**general["responses"], "200": {**general["responses"]["200"], "content": content}},
        **({"security": general["security"]} if "security" in general else {}),
        "x-domain": table.domain,
    }


def _filter(column: Column) -> dict[str, Any]:
    """The first of a column's filters; the others are told of in the document's own description."""
    told = f"{column.description or column.name}. Any other operator in the place of exact."
    schema = _nullable(column.type)
    return {"name": f"{column.name}__exact", "in": "query", "required": False, "description": told, "schema": schema}


def _row_schema(table: ServedTable, meaning: TableMeaning) -> dict[str, Any]:
    properties = {
        column.name: {
            **_nullable(column.type),
            "title": column.type,
            **({"description": column.description} if column.description else {}),
        }
        for column in meaning.columns
    }
    told = {"description": meaning.description} if meaning.description else {}
    return {"title": table.pin.name, **told, "type": "object", "properties": properties}


def _nullable(type_: str) -> dict[str, Any]:
    """JSON schema of a column in the way of OpenAPI 3.1."""
    schema = {name: value for name, value in json_schema(type_).items() if name != "nullable"}
    return {**schema, "type": [schema["type"], "null"]}
