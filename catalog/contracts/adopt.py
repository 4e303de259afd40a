"""Adoption: a generated model becomes one of the dbt project's, and from then on people write it."""

from __future__ import annotations

from pathlib import Path

from catalog.contracts.gtfs import references
from catalog.contracts.model_docs import described_yaml
from catalog.contracts.models import history_sql, model_sql, tables_with_history, write_models
from catalog.contracts.store import contract_path, read_contracts, replace_file
from catalog.errors import UnknownName, UsageError
from catalog.registry import Registry
from catalog.settings import Settings


def adopt(settings: Settings, registry: Registry, table: str) -> list[Path]:
    """Move a generated model, its YAML and its source to the dbt project, and drop its contract.

    What it ends at is the same whether or not it is cut short: a build generates nothing for a model of the project.

    Args:
        table: name in silver or in bronze, or ``<feed>.<table>``.

    Returns:
        The files now in the dbt project.

    Raises:
        UnknownName: no contract was written for such a table.
        UsageError: it is hand-written already, or the project cannot be written to.
    """
    contracts = {one.table: one for feed in registry for one in read_contracts(settings, feed.feed).values()}
    name = _bronze_name(table)
    handwritten = handwritten_models(settings)
    if written := handwritten.get(f"stg_{name}"):
        raise UsageError(f"{table} is written by hand already, in {written}; edit that file.")
    if name not in contracts:
        raise UnknownName("generated table", name, contracts)
    contract = contracts[name]
    feed = registry.get(contract.feed)
    mine = [one for one in contracts.values() if one.feed == feed.feed]
    stem = settings.dbt_project / "models" / "silver" / contract.domain / contract.model
    past = tables_with_history(settings, feed)
    own = [contract] if contract.table in past else []
    files = {stem.with_suffix(".yml"): described_yaml(feed, [contract], references(mine), own)}
    files.update({stem.with_name(f"{one.history_model}.sql"): history_sql(one) for one in own})
    _write({**files, stem.with_suffix(".sql"): model_sql(contract)})
    contract_path(settings, contract).unlink(missing_ok=True)
    left = [one for one in mine if one is not contract and one.model not in handwritten]
    write_models(settings, feed, left, past)
    return sorted([*files, stem.with_suffix(".sql")])


def handwritten_models(settings: Settings) -> dict[str, Path]:
    """The silver models people wrote, by name: none is generated of the same name."""
    return {path.stem: path for path in (settings.dbt_project / "models").rglob("stg_*.sql")}


def _bronze_name(table: str) -> str:
    """The bronze name of a table however it was named: ``silver.stg_a__b``, ``stg_a__b``, ``bronze.a__b``, ``a.b``."""
    before, dot, name = table.rpartition(".")
    name = name.removeprefix("stg_")
    return name if not dot or before in ("silver", "bronze") else f"{before}__{name}"


def _write(files: dict[Path, str]) -> None:
    """Write the files, the model last: as long as it is not there the table is still a generated one."""
    try:
        for path, text in files.items():
            replace_file(path, text)
    except OSError as error:
        folder = next(iter(files)).parent
        raise UsageError(
            f"{folder} cannot be written to: {error.strerror}. Adopt in a copy of the dbt project that can be, and "
            "name it in ODH_DBT_PROJECT."
        ) from error
