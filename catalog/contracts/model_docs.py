"""The YAML beside the generated models: their source, what each column means, and their tests, few a model."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from catalog.contracts.contract import Contract
from catalog.contracts.gtfs import Reference, references
from catalog.contracts.silver import (
    LINEAGE,
    REJECTED,
    Reading,
    broken_rules,
    given,
    quoted,
    read_columns,
)
from catalog.contracts.store import as_yaml
from catalog.feed import BadValues, Feed, Mode

HEADER = "# Written from the contracts of the feed {feed}: edit those. `odh feeds adopt <table>` takes a model over.\n"
GRAINS = {
    Mode.OVERWRITE: "One row per record of each resource's newest extraction",
    Mode.APPEND: "One row per record of any extraction",
    Mode.UPSERT: "One row per key, as the newest extraction that has it tells it",
}
HISTORY = {
    "valid_from": "Extraction that first told the row as it is here.",
    "valid_to": "Extraction that told it otherwise, or no longer had it; NULL while it is current.",
    "is_current": "Whether the newest extraction still tells it.",
}
TYPES = {"_extraction_date": "date", "_source_line": "bigint", "_loaded_at": "timestamptz"}
TYPES |= {"valid_from": "date", "valid_to": "date", "is_current": "boolean"}


def models_yaml(feed: Feed, contracts: Sequence[Contract], past: Sequence[Contract] = ()) -> str:
    """The YAML of a feed's generated models; of some of them the history is one too."""
    return HEADER.format(feed=feed.feed) + described_yaml(feed, contracts, references(contracts), past)


def described_yaml(
    feed: Feed,
    contracts: Sequence[Contract],
    points: Mapping[str, Sequence[Reference]],
    past: Sequence[Contract] = (),
) -> str:
    """The YAML of some tables of a feed: their source, their models, and those of their history."""
    source = {
        "name": feed.feed,
        "description": as_said(f"{feed.title}."),
        "schema": "bronze",
        "tables": [{"name": one.table, "identifier": one.table, "description": _about(one)} for one in contracts],
    }
    models = [_model(feed, one, points.get(one.table, [])) for one in contracts]
    models += [_history_model(feed, one) for one in past]
    return "\n".join(as_yaml(part) for part in ({"version": 2}, {"sources": [source]}, {"models": models}))


def as_said(text: str) -> str:
    """A description that dbt shows as it is: whatever a file's header holds, nothing in it is run."""
    return re.sub(r"\{(?=[{%#])", '{{ "{" }}', " ".join(text.split()))


def _about(contract: Contract) -> str:
    return as_said(contract.description or f"Table {contract.table}.")


def _model(feed: Feed, contract: Contract, points: Sequence[Reference]) -> dict[str, Any]:
    left = (
        "; a record with a value that does not fit is left out" if contract.bad_values is BadValues.REJECT_ROW else ""
    )
    return {
        "name": contract.model,
        "description": f"{_about(contract).rstrip('.')}. {GRAINS[contract.mode]}{left}.",
        "config": {"meta": {"owner": as_said(feed.owner)}},
        "data_tests": [*_tests(feed, contract, points)],
        "columns": _columns(contract),
    }


def _history_model(feed: Feed, contract: Contract) -> dict[str, Any]:
    """A row's states follow each other: no two of one row begin on the same day, where it has a key."""
    tests = []
    if contract.keys and all(contract.column(key) for key in contract.keys):
        followed = [] if contract.mode is Mode.UPSERT else ["_resource_id"]
        columns = {"columns": [*followed, *(quoted(key) for key in contract.keys), "valid_from"]}
        name = f"{contract.history_model}_has_one_state_at_a_time"
        tests = [{"unique_combination": {"name": name, "arguments": columns, "config": {"severity": "error"}}}]
    return {
        "name": contract.history_model,
        "description": f"{_about(contract).rstrip('.')}. One row per record and state it was in, by extraction.",
        "config": {"meta": {"owner": as_said(feed.owner)}},
        "data_tests": tests,
        "columns": _columns(contract, HISTORY),
    }


def _columns(contract: Contract, more: Mapping[str, str] = MappingProxyType({})) -> list[dict[str, str]]:
    found = [
        {"name": one.name, "description": as_said(one.description), "data_type": one.stored}
        for reading in read_columns(contract)
        for one in reading.columns
    ]
    meaning = "Columns whose text is there but does not fit their type; bronze has the text, at the same file and line."
    found.append({"name": REJECTED, "description": meaning, "data_type": "varchar[]"})
    for name, meaning in {**LINEAGE, **more}.items():
        found.append({"name": name, "description": meaning, "data_type": TYPES.get(name, "varchar")})
    return found


def _tests(feed: Feed, contract: Contract, points: Sequence[Reference]) -> list[dict[str, Any]]:
    bronze: dict[str, Any] = {"bronze": f"source('{feed.feed}', '{contract.table}')"}
    if contract.mode is not Mode.OVERWRITE:
        bronze["mode"] = str(contract.mode)
    if contract.keys:
        bronze["keys"] = [quoted(key) for key in contract.keys]
    readings = read_columns(contract)
    misread = [" and ".join(one.misread_in_bronze) for one in readings if one.read]
    if contract.bad_values is BadValues.REJECT_ROW and misread:
        bronze["rejected_when"] = " or ".join(f"({one})" for one in misread)
    tests = [_test("reconciles_with_bronze", contract, "has_every_row_of_bronze", bronze)]
    for by_hand, ending, severity in ((True, "holds_what_is_demanded", "error"), (False, "holds_contract", "warn")):
        mine = [one for one in readings if (one.column.decided == "hand") is by_hand]
        if failures := {rule: count for one in mine for rule, count in _failures(one).items()}:
            tests.append(_test("holds_contract", contract, ending, {"failures": failures}, severity))
    if contract.keys and all(contract.column(key) for key in contract.keys):
        keys = {"columns": [quoted(key) for key in contract.keys]}
        tests.append(_test("unique_combination", contract, "has_unique_keys", keys))
    if points:
        listed = [{"column": one.column, "to": f"ref('{one.model}')", "key": one.key} for one in points]
        tests.append(_test("points_to_rows", contract, "points_to_rows", {"references": listed}, "warn"))
    return tests


def _test(
    kind: str, contract: Contract, ending: str, arguments: dict[str, Any], severity: str = "error"
) -> dict[str, Any]:
    return {kind: {"name": f"{contract.model}_{ending}", "arguments": arguments, "config": {"severity": severity}}}


def _failures(reading: Reading) -> dict[str, str]:
    """SQL that counts what breaks each rule of a column in silver, by what is then to be told."""
    column, value = reading.column, quoted(reading.column.name)
    found = {}
    if not column.nullable:
        found[f"{column.name}: missing"] = f"count(*) filter (where {value} is null)"
    if column.unique:
        found[f"{column.name}: repeated"] = f"count({value}) - count(distinct {value})"
    text = given(value) if reading.columns[0].stored == "varchar" else None
    for rule, breaks in broken_rules(column, value, text).items():
        found[f"{column.name}: {rule}"] = f"count(*) filter (where {value} is not null and {breaks})"
    return found
