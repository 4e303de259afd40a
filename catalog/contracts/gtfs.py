"""The tables of a GTFS feed among a feed's tables, and what points to what between them (gtfs.org, Reference)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from catalog.contracts.contract import Contract

TELLING = ("stop_times", "trips", "routes", "stops")  # the files every schedule has
POINTS_TO = {
    "routes": (("agency_id", "agency", "agency_id"),),
    "trips": (("route_id", "routes", "route_id"), ("shape_id", "shapes", "shape_id")),
    "stop_times": (("trip_id", "trips", "trip_id"), ("stop_id", "stops", "stop_id")),
    "stops": (("parent_station", "stops", "stop_id"), ("level_id", "levels", "level_id")),
    "frequencies": (("trip_id", "trips", "trip_id"),),
    "transfers": (("from_stop_id", "stops", "stop_id"), ("to_stop_id", "stops", "stop_id")),
    "pathways": (("from_stop_id", "stops", "stop_id"), ("to_stop_id", "stops", "stop_id")),
    "fare_rules": (("fare_id", "fare_attributes", "fare_id"), ("route_id", "routes", "route_id")),
}


@dataclass(frozen=True, slots=True)
class Reference:
    """A column whose every value is to stand in another table of the same schedule."""

    column: str
    model: str
    key: str


def references(contracts: Sequence[Contract]) -> dict[str, list[Reference]]:
    """The references of each bronze table that is part of a schedule, as far as both ends are there."""
    tables = {contract.table: contract for contract in contracts}
    found = {}
    for stem in _schedules(tables):
        for name, points in POINTS_TO.items():
            held = list(_held(tables, stem, name, points))
            if held:
                found[f"{stem}{name}"] = held
    return found


def _schedules(tables: Iterable[str]) -> list[str]:
    """What the names of a schedule's tables begin with, schedule by schedule."""
    known = set(tables)
    stems = (table.removesuffix(TELLING[0]) for table in known if table.endswith(f"_{TELLING[0]}"))
    return sorted(stem for stem in stems if all(f"{stem}{name}" in known for name in TELLING))


def _held(
    tables: dict[str, Contract], stem: str, name: str, points: Sequence[tuple[str, str, str]]
) -> Iterator[Reference]:
    here = tables.get(f"{stem}{name}")
    for column, other, key in points:
        there = tables.get(f"{stem}{other}")
        if here and there and here.column(column) and there.column(key):
            yield Reference(column, there.model, key)
