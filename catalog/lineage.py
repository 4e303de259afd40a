"""Which table is made from which: read from the SQL of the dbt project and of the generated models, without dbt.

dbt's own manifest is there only after a build on this very machine; a gateway serves lakes that another one built.
A model reads what its SQL names in ``ref`` and ``source``, and what the macros it calls name; a name a macro puts
together (``ref('stg_' ~ table)``) stands for every model it fits.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from catalog.names import bronze_table
from catalog.settings import Settings

STEP = "base_"
_READS = re.compile(r"\b(ref|source)\(\s*'(\w+)'(?:\s*,\s*'(\w+)')?\s*\)")
_PUT_TOGETHER = re.compile(r"\bref\(([^()]*~[^()]*)\)")
_MACRO = re.compile(r"{%-?\s*macro\s+(\w+)\(.*?{%-?\s*endmacro", re.S)
_CALL = re.compile(r"\b(\w+)\(")


@dataclass(frozen=True, slots=True)
class Edge:
    """One table that another is made from."""

    source: str
    target: str


def read_edges(settings: Settings) -> tuple[Edge, ...]:
    """Every edge between tables of bronze, silver and gold, in order of names."""
    models = {path.stem: text for path, text in _sql(settings.dbt_project / "models", settings.generated_models)}
    macros = {
        found[1]: _read_by(found[0], models)
        for _, text in _sql(settings.dbt_project / "macros")
        for found in _MACRO.finditer(text)
    }
    found = {
        Edge(source, name)
        for name, text in models.items()
        for source in _read_by(text, models).union(*(macros.get(call, set()) for call in _CALL.findall(text)))
        if source in models or "__" in source  # a seed is no table of the lake
    }
    return tuple(sorted(found, key=lambda edge: (edge.source, edge.target)))


def between_tables(edges: Iterable[Edge]) -> tuple[Edge, ...]:
    """The edges with the steps of a build that are no tables of the lake (``base_`` models) stepped over."""
    made_from: dict[str, list[str]] = {}
    for edge in edges:
        made_from.setdefault(edge.target, []).append(edge.source)

    def tables_of(name: str) -> Iterator[str]:
        if not name.startswith(STEP):
            yield name
            return
        for source in made_from.get(name, ()):
            yield from tables_of(source)

    found = {
        Edge(table, target)
        for target, sources in made_from.items()
        for source in sources
        for table in tables_of(source)
        if not target.startswith(STEP)
    }
    return tuple(sorted(found, key=lambda edge: (edge.source, edge.target)))


def downstream(edges: Sequence[Edge], roots: Iterable[str]) -> tuple[Edge, ...]:
    """The edges that lead away from some tables, however far."""
    reached, waiting = set(), list(roots)
    by_source: dict[str, list[Edge]] = {}
    for edge in edges:
        by_source.setdefault(edge.source, []).append(edge)
    found: dict[Edge, None] = {}
    while waiting:
        name = waiting.pop(0)
        if name in reached:
            continue
        reached.add(name)
        for edge in by_source.get(name, ()):
            found.setdefault(edge)
            waiting.append(edge.target)
    return tuple(found)


def _sql(*folders: Path) -> Iterator[tuple[Path, str]]:
    for folder in folders:
        for path in sorted(folder.rglob("*.sql")):
            yield path, path.read_text("utf-8")


def _read_by(text: str, models: Iterable[str]) -> set[str]:
    named = {bronze_table(name, second) if kind == "source" else name for kind, name, second in _READS.findall(text)}
    patterns = [
        "".join(re.escape(part.strip()[1:-1]) if "'" in part else r"\w+" for part in told.split("~"))
        for told in _PUT_TOGETHER.findall(text)
    ]
    return named | {model for model in models for pattern in patterns if re.fullmatch(pattern, model)}
