"""What a statement may be and what it names, told from DuckDB's own parse of it.

Nothing is let through that is not known to read only: tables by name, CTEs where they are in scope, and a few table
functions that make rows of nothing. What a statement may touch is held a second time by ``catalog.sandbox``, which
gives DuckDB access to the files of the named tables alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any

Node = Mapping[str, Any]
Place = tuple[str, str]  # schema, table

# These make rows of their arguments; every other table function reads files, settings or runs SQL of its own.
TABLE_FUNCTIONS = {"range", "generate_series", "unnest", "repeat", "repeat_row", "json_each", "json_tree"}
CATALOGUE_TABLES = {"tables", "columns", "schemata"}  # of information_schema
LISTS = {"__show_tables_expanded", '"tables"'}  # SHOW ALL TABLES, SHOW TABLES
# Scalar functions that tell of settings and views, write, wait, or run SQL handed over as text.
FORBIDDEN_FUNCTIONS = {
    "current_query",
    "current_setting",
    "currval",
    "getenv",
    "getvariable",
    "json_deserialize_sql",
    "json_execute_serialized_sql",
    "json_serialize_plan",
    "json_serialize_sql",
    "nextval",
    "parse_duckdb_log_message",
    "pg_get_constraintdef",
    "pg_get_expr",
    "pg_get_viewdef",
    "pg_sleep",
    "setseed",
    "sleep_ms",
    "write_log",
}
_LOWER = str.maketrans({chr(code): chr(code + 32) for code in range(ord("A"), ord("Z") + 1)})


class Refusal(Exception):
    """A statement that is not run, and why.

    Args:
        kind: ``syntax``, ``unknown``, ``refused``, ``restricted``, ``failed``, ``limit``, or ``unreadable`` where the
            store does not give a table's files.
        message: what is wrong and what to do.
        position: characters before the place at fault.
        nearest: a name that exists and comes close.
    """

    def __init__(self, kind: str, message: str, position: int | None = None, nearest: str | None = None) -> None:
        super().__init__(message)
        self.kind, self.message, self.position, self.nearest = kind, message, position, nearest


@dataclass
class Names:
    """The tables a statement names, as the lake writes them."""

    tables: set[Place] = field(default_factory=set)
    asks_catalogue: bool = False  # SHOW TABLES, information_schema


def named_tables(parsed: Node, known: set[Place], denied: Mapping[Place, str]) -> Names:
    """Walk a statement that ``json_serialize_sql`` told and collect the tables it reads.

    Args:
        known: the tables there are.
        denied: tables the caller may not read, and what to tell.

    Raises:
        Refusal: it names what there is not, or what nobody may use here.
    """
    walk = _Walk({_lower_place(place): place for place in known}, {_lower_place(p): t for p, t in denied.items()})
    try:
        for statement in parsed["statements"]:
            walk.visit(statement, frozenset())
    except RecursionError as error:
        raise Refusal("refused", "The statement nests too deep.") from error
    return walk.found


@dataclass
class _Walk:
    known: Mapping[Place, Place]
    denied: Mapping[Place, str]
    found: Names = field(default_factory=Names)

    def visit(self, node: Any, ctes: frozenset[str]) -> None:
        """Look at a node and all below it.

        Args:
            ctes: names of the CTEs that are in scope.
        """
        if isinstance(node, list):
            for child in node:
                self.visit(child, ctes)
        elif isinstance(node, dict):
            self._visit_node(node, ctes)

    def _visit_node(self, node: Node, ctes: frozenset[str]) -> None:
        if isinstance(node.get("cte_map"), dict):
            ctes = self._visit_ctes(node["cte_map"]["map"], ctes)
        self._check(node, ctes)
        is_recursive = node.get("type") == "RECURSIVE_CTE_NODE"
        for name, child in node.items():
            if name == "cte_map":
                continue
            own = {lower(node["cte_name"])} if is_recursive and name == "right" else set()
            self.visit(child, ctes | own)

    def _visit_ctes(self, listed: list[Any], ctes: frozenset[str]) -> frozenset[str]:
        """A CTE sees those before it, and itself on the right side of a recursion only, as DuckDB has it."""
        for one in listed:
            self.visit(one["value"], ctes)
            ctes = ctes | {lower(one["key"])}
        return ctes

    def _check(self, node: Node, ctes: frozenset[str]) -> None:
        kind = node.get("type")
        if kind == "BASE_TABLE":
            self._check_table(node, ctes)
        elif kind == "TABLE_FUNCTION":
            name = lower(str(node["function"].get("function_name", "")))
            if name not in TABLE_FUNCTIONS:
                raise Refusal("refused", f"The table function {name} is not run here; {_readable()}", _position(node))
        elif kind == "SHOW_REF" and node.get("query") is None:
            if node.get("table_name") not in LISTS:
                raise Refusal("refused", f"This is not shown here; {_readable()}", _position(node))
            self.found.asks_catalogue = True
        if lower(str(node.get("function_name", ""))) in FORBIDDEN_FUNCTIONS:
            raise Refusal("refused", f"The function {node['function_name']} is not run here.", _position(node))

    def _check_table(self, node: Node, ctes: frozenset[str]) -> None:
        catalogue, schema, name = node["catalog_name"], lower(node["schema_name"]), lower(node["table_name"])
        if node.get("at_clause"):
            raise Refusal("refused", "AT is not read here; send as_of for a day gone by.", _position(node))
        if not catalogue and schema in ("", "recurring") and name in ctes:
            return
        if not catalogue and schema == "information_schema" and name in CATALOGUE_TABLES:
            self.found.asks_catalogue = True
            return
        if not catalogue and (schema, name) in self.denied:
            raise Refusal("restricted", self.denied[schema, name], _position(node))
        if catalogue or (schema, name) not in self.known:
            raise self._unknown(node)
        self.found.tables.add(self.known[schema, name])

    def _unknown(self, node: Node) -> Refusal:
        parts = (node["catalog_name"], node["schema_name"], node["table_name"])
        asked = ".".join(part for part in parts if part)
        names = [f"{schema}.{name}" for schema, name in self.known.values()]
        close = get_close_matches(asked, names, n=1, cutoff=0.5) or [one for one in names if lower(asked) in one]
        nearest = next(iter(close), None)
        hint = f" Did you mean {nearest}?" if nearest else ""
        return Refusal("unknown", f"There is no table named {asked!r}.{hint} {_readable()}", _position(node), nearest)


def lower(name: str) -> str:
    """A name in lower case as DuckDB compares them: ASCII letters only.

    Letters beyond would make one name of two that DuckDB tells apart, such as the Kelvin sign and k.
    """
    return name.translate(_LOWER)


def line_and_column(text: str, position: int) -> tuple[int, int]:
    """Line and column, from 1, of the character after so many."""
    before = text[:position]
    return before.count("\n") + 1, position - (before.rfind("\n") + 1) + 1


def _readable() -> str:
    return "select table_schema, table_name from information_schema.tables lists what may be read."


def _position(node: Node) -> int | None:
    at = node.get("query_location")
    return at if isinstance(at, int) and at < 2**32 else None


def _lower_place(place: Place) -> Place:
    return lower(place[0]), lower(place[1])
