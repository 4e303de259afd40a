"""Contracts as YAML files, one a table, in the lake's own folder: read with the place of every mistake, written whole.

A contract that says nothing new is not written again, and only its profile is when the columns stay as they are: so
the comments people put beside the columns last as long as the columns.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from catalog.contracts.contract import Contract
from catalog.errors import InvalidContract, UnknownName
from catalog.registry import line_of
from catalog.settings import Settings

LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
HEADER = """\
# What each column of this table is; odh wrote it from the rows of the table. Edit it as you like: a column with
# `decided: hand` is never changed again. Each field is told in docs/contracts.md. A comment stays as long as no
# column changes.
"""
PROFILE = "\nprofile:\n"


class IndentedDumper(yaml.SafeDumper):
    """Writes YAML as people do: lists indented below their key, one value a line."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        """Indent every list."""
        super().increase_indent(flow, False)


def as_yaml(content: object) -> str:
    """YAML in the order given, in UTF-8, with no line folded."""
    return yaml.dump(content, Dumper=IndentedDumper, sort_keys=False, allow_unicode=True, width=10**6)


def contract_path(settings: Settings, table: Contract | str) -> Path:
    """Where the contract of a bronze table is or would be."""
    name = table.table if isinstance(table, Contract) else table
    feed, _, part = name.partition("__")
    return settings.contracts / feed / f"{part}.yml"


def read_contracts(settings: Settings, feed: str) -> dict[str, Contract]:
    """The contracts of a feed by bronze table; none when nothing was ever written.

    Raises:
        InvalidContract: naming the file, the line, the field and what to do.
    """
    found = (read_contract(path) for path in sorted((settings.contracts / feed).glob("*.yml")))
    return {contract.table: contract for contract in found}


def read_contract(path: Path) -> Contract:
    """Read one contract file.

    Raises:
        InvalidContract: naming the file, the line, the field and what to do.
    """
    try:
        text = path.read_text("utf-8")
    except OSError as error:
        raise InvalidContract(f"{path}: cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise InvalidContract(f"{path}: byte {error.start} is not UTF-8; save the file as UTF-8.") from error
    remedy = "Correct it, or remove the file and have it written anew by: odh build."
    try:
        contract = Contract.model_validate(yaml.load(text, Loader=LOADER))  # noqa: S506 - a safe loader, in C
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f"{path}:{mark.line + 1}" if mark else str(path)
        raise InvalidContract(f"{place}: not YAML: {getattr(error, 'problem', error)}. {remedy}") from error
    except ValidationError as error:
        mistakes = [
            f"{path}:{line_of(text, one['loc'])}: {'.'.join(map(str, one['loc'])) or 'the file'}: "
            f"{one['msg'].removeprefix('Value error, ').rstrip('.')}."
            for one in error.errors()
        ]
        raise InvalidContract("\n".join([*mistakes, remedy])) from error
    feed, part = path.parent.name, path.stem
    if contract.table != f"{feed}__{part}":
        place = f"{path}:{line_of(text, ('table',))}"
        raise InvalidContract(
            f"{place}: table is {contract.table!r} but the file is that of {f'{feed}__{part}'!r}; make them equal."
        )
    return contract


def check_columns(settings: Settings, contract: Contract, bronze_columns: Collection[str]) -> None:
    """See that every column a contract names is one of its bronze table.

    Raises:
        InvalidContract: naming the file, the line, the column and the nearest there is.
    """
    for place, column in enumerate(contract.columns):
        if column.name not in bronze_columns:
            path = contract_path(settings, contract)
            line = line_of(path.read_text("utf-8"), ("columns", place, "name")) if path.exists() else 1
            unknown = UnknownName("column", column.name, bronze_columns)
            raise InvalidContract(f"{path}:{line}: columns.{place}.name: {unknown} Correct it, or remove the column.")


def write_contract(settings: Settings, contract: Contract) -> Path:
    """Write a contract, unless the file says the same already."""
    path = contract_path(settings, contract)
    known = read_contract(path) if path.exists() else None
    if known != contract:
        kept = path.read_text("utf-8") if known and _has_same_columns(known, contract) else ""
        replace_file(path, _with_new_profile(kept, contract) or render_contract(contract))
    return path


def render_contract(contract: Contract) -> str:
    """The text of a contract file; what is as ever is left out."""
    return HEADER + as_yaml(_with_whole_numbers(_stored(contract)))


def replace_file(path: Path, text: str) -> None:
    """Put a file in its place, whole or not at all; one that holds this text already is left alone."""
    if path.exists() and path.read_bytes() == text.encode():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}")
    try:
        part.write_bytes(text.encode())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _has_same_columns(known: Contract, contract: Contract) -> bool:
    return known.model_copy(update={"profile": contract.profile}) == contract


def _with_new_profile(text: str, contract: Contract) -> str | None:
    """A file's text with another profile at its end; None where the profile is not what ends it."""
    before, found, profile = text.rpartition(PROFILE)
    if not found or any(line and not line.startswith(" ") for line in profile.splitlines()):
        return None
    return before + "\n" + as_yaml({"profile": _stored(contract.profile)})


def _stored(model: BaseModel) -> dict[str, Any]:
    return model.model_dump(mode="json", exclude_defaults=True)


def _with_whole_numbers(stored: dict[str, Any]) -> dict[str, Any]:
    """A bound of 10 is written as ``10``, not as ``10.0``."""
    for column in stored["columns"]:
        for bound in ("minimum", "maximum"):
            if float(column.get(bound, 0.5)).is_integer():
                column[bound] = int(column[bound])
    return stored
