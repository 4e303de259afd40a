"""Silver of tables nobody wrote a model for: their contracts are held against the rows, their models written anew."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping, Sequence
from typing import Any

import duckdb

from catalog.clock import utc_now
from catalog.conformity import declared_columns
from catalog.contracts.adopt import handwritten_models
from catalog.contracts.contract import Contract, Profile
from catalog.contracts.decide import Proposal, TypeChange, decide_columns
from catalog.contracts.models import prune_models, rejects_select, write_models
from catalog.contracts.store import check_columns, read_contracts, write_contract
from catalog.errors import BuildFailed, UnknownName
from catalog.feed import Drift, Feed, Mode
from catalog.iceberg import BRONZE, LINEAGE, Lakehouse, Pin
from catalog.ledger import Ledger
from catalog.loads import sources_of
from catalog.names import quote_identifier
from catalog.personal_data import masking_mark
from catalog.row_choice import current_rows, key_rejects
from catalog.settings import Settings
from catalog.versions import REPLACED_ON

HELD_ROWS = 1_000_000  # a table up to this size is copied once instead of being planned from Iceberg for every question
STAGES = ("type", "schema")  # texts that do not read; values that read and break a rule somebody wrote


class GeneratedSilver:
    """The generated part of a warehouse, over the private file of one build."""

    def __init__(self, settings: Settings, ledger: Ledger, lakehouse: Lakehouse) -> None:
        self.settings, self.ledger, self.lakehouse = settings, ledger, lakehouse
        self.handwritten = handwritten_models(settings)
        self.contracts: dict[str, list[Contract]] = {}  # by feed

    def refresh(
        self,
        connection: duckdb.DuckDBPyConnection,
        feed: Feed,
        pins: Mapping[str, Pin],
        replaced: Container[str] = (),
        *,
        is_past: bool = False,
    ) -> None:
        """Hold the contracts of a feed's tables against their rows, and write its models.

        Args:
            connection: to a database whose schema ``bronze`` shows the tables as they are pinned.
            replaced: tables in which some version was replaced: their history is a model too.
            is_past: the rows are those of a day gone by: what is known of the columns since then stays.

        Raises:
            BuildFailed: a type no longer fits, and the feed says that this stops it.
            InvalidContract: somebody edited a contract into one that cannot be used.
        """
        known = read_contracts(self.settings, feed.feed)
        contracts = []
        for name, pin in sorted(pins.items()):
            if pin.snapshot_id is None or f"stg_{name}" in self.handwritten:
                continue
            contract = known.get(name)
            columns = connection.sql(f"from {_bronze(name)} limit 0").columns
            if contract:
                check_columns(self.settings, contract, columns)
            is_held = contract and (is_past or (self._is_held(contract, pin, feed) and not _lacks(contract, columns)))
            if contract is None or not is_held:
                contract = self._hold_against_rows(connection, feed, name, pin, contract)
            contract = contract.model_copy(update=_as_declared(feed, name))
            write_contract(self.settings, contract)
            contracts.append(contract)
        models = {contract.model for contract in contracts}
        past = [one.table for one in contracts if one.table in replaced and one.history_model not in models]
        write_models(self.settings, feed, contracts, past if feed.history else ())
        self.contracts[feed.feed] = contracts

    def give_way(self, feeds: Mapping[str, Feed]) -> None:
        """Remove the generated models of feeds that are gone, and of tables somebody has written a model for since.

        dbt reads them all, whatever it builds, and refuses two models of one name.
        """
        prune_models(self.settings, feeds)
        for name in self.handwritten:
            feed = feeds.get(name.partition("__")[0])
            if feed and (self.settings.generated_models / feed.feed / f"stg_{name}.sql").exists():
                known = read_contracts(self.settings, feed.feed)
                write_models(self.settings, feed, [known[table] for table in known if table not in self.handwritten])

    def record_rejects(self, connection: duckdb.DuckDBPyConnection, feed: Feed) -> int:
        """Keep every value that does not fit its column, by line, in the ledger, and count them."""
        written = 0
        for contract in self.contracts.get(feed.feed, ()):
            found = connection.execute(rejects_select(contract, _bronze(contract.table), STAGES))
            written += self.ledger.replace_rejects(contract.model, STAGES, _as_rejects(found, feed, contract.model))
        return written

    def check_keys(self, connection: duckdb.DuckDBPyConnection, feed: Feed) -> None:
        """See that the keys a feed declares are columns of its tables.

        Raises:
            BuildFailed: naming the key and the nearest column.
        """
        for name, table in feed.bronze_names().items():
            columns = connection.sql(f"from {_bronze(name)} limit 0").columns
            for key in table.keys:
                if key not in columns:
                    unknown = UnknownName("column", key, [one for one in columns if not one.startswith("_")])
                    raise BuildFailed(f"{name}: keys: {unknown} Correct 'keys' in the feed.")

    def record_key_rejects(self, connection: duckdb.DuckDBPyConnection, feed: Feed) -> int:
        """Keep every row that another of the same key takes the place of, in the ledger, and count them."""
        written = 0
        for name, table in feed.bronze_names().items():
            if table.keys:
                found = connection.execute(key_rejects(_bronze(name), table.mode, table.keys))
                written += self.ledger.replace_rejects(f"stg_{name}", ["key"], _as_rejects(found, feed, f"stg_{name}"))
        return written

    def _hold_against_rows(
        self, connection: duckdb.DuckDBPyConnection, feed: Feed, name: str, pin: Pin, known: Contract | None
    ) -> Contract:
        declared = _as_declared(feed, name)
        rows = f"({current_rows(_bronze(name), declared['mode'], declared['keys'])}) as current_rows"
        if self.lakehouse.totals(pin)["rows"] <= HELD_ROWS:
            connection.execute(f"create or replace temp table odh_rows as from {rows}")
            rows = "odh_rows"
        headers = self.lakehouse.headers(pin)
        before = {column.name: column for column in (known.columns if known else ())}
        for column in declared_columns(self.settings, self.ledger, name, headers):
            if column.name not in before or before[column.name].decided != "hand":
                before[column.name] = column
        proposal = decide_columns(connection, rows, headers, list(before.values()))
        changes = [*proposal.changes, *(_declared_changes(known, proposal) if known else ())]
        if known:
            self.ledger.record_changes(list(self._changes(connection, rows, feed, known, changes)))
        breaking = [change for change in changes if not change.is_first]
        if breaking and feed.drift is Drift.STOP:
            told = "; ".join(f"{c.column} was {c.before} and is {c.after} ({c.detail})" for c in breaking[:3])
            raise BuildFailed(f"{name}: {told}. The feed says drift: stop; correct the contract, or the feed.")
        if breaking and feed.drift is Drift.WARN:
            proposal = decide_columns(connection, rows, headers, list(before.values()), may_retype=False)
        connection.execute("drop table if exists odh_rows")
        return Contract(
            feed=feed.feed,
            table=name,
            description=known.description if known else self._description(feed, name),
            **declared,
            columns=proposal.columns,
            profile=Profile(snapshot=self._seen(feed, pin), rows=proposal.rows, failing=proposal.failing),
        )

    def _is_held(self, contract: Contract, pin: Pin, feed: Feed) -> bool:
        """Whether a contract was held against the rows of this snapshot that the feed says are current."""
        declared = _as_declared(feed, contract.table)
        is_same = (contract.mode, contract.keys) == (declared["mode"], declared["keys"])
        return is_same and contract.profile.snapshot == self._seen(feed, pin)

    def _seen(self, feed: Feed, pin: Pin) -> str:
        """What a contract was held against: rows, and how their personal data is masked."""
        mark = masking_mark(self.settings, feed)
        return f"{pin.content_id or pin.snapshot_id}{' masked ' if mark else ''}{mark}"

    def _description(self, feed: Feed, table: str) -> str:
        """What a table holds: as declared, else by the titles of the resources that filled it."""
        if declared := feed.bronze_names().get(table):
            return declared.description
        sources = sources_of(self.ledger, table)
        told = [" / ".join(filter(None, source)) for source in sources[:3]]
        more = f" and {len(sources) - len(told)} more" if len(sources) > len(told) else ""
        return f"{feed.title}: {', '.join(told)}{more}."

    def _changes(
        self,
        connection: duckdb.DuckDBPyConnection,
        rows: str,
        feed: Feed,
        known: Contract,
        changes: Sequence[TypeChange],
    ) -> Iterator[dict[str, Any]]:
        for change in changes:
            resource_id, day, member = self._blame(connection, rows, known, change)
            yield {
                "feed": feed.feed,
                "table_name": known.table,
                "resource_id": resource_id,
                "extraction_date": day,
                "source_member": member or "",
                "column_name": change.column,
                "change": "retyped",
                "class": "safe" if change.is_first else "breaking",
                "detail": f"{change.before} → {change.after}: {change.detail}",
                "detected_at": utc_now(),
            }

    def _blame(self, connection: duckdb.DuckDBPyConnection, rows: str, known: Contract, change: TypeChange) -> Any:
        """The extraction that brought most of the values that no longer fit."""
        mine = {"columns": [c for c in known.columns if c.name == change.column], "mode": Mode.OVERWRITE, "keys": []}
        chosen = f"(select *, null::date as {REPLACED_ON} from {rows})"
        failing = rejects_select(known.model_copy(update=mine), chosen)
        source = "_resource_id, _extraction_date, _source_member"
        most = f"select {source} from ({failing}) as failing group by all order by count(*) desc, {source} limit 1"
        newest = f"select {source} from {rows} order by _extraction_date desc, {source} limit 1"
        return connection.execute(most).fetchone() or connection.execute(newest).fetchone()


def _as_declared(feed: Feed, table: str) -> dict[str, Any]:
    """What the feed, not the rows, says of a table in silver."""
    declared = feed.bronze_names().get(table)
    return {
        "domain": feed.domain,
        "bad_values": feed.bad_values,
        "mode": declared.mode if declared else Mode.OVERWRITE,
        "keys": declared.keys if declared else [],
    }


def _lacks(contract: Contract, columns: Sequence[str]) -> bool:
    """Whether somebody took a column out of a contract: silver has every column."""
    return any(contract.column(column) is None for column in columns if column not in (*LINEAGE, REPLACED_ON))


def _declared_changes(known: Contract, proposal: Proposal) -> Iterator[TypeChange]:
    """The columns whose type a Table Schema now declares, and declares otherwise."""
    for column in proposal.columns:
        before = known.column(column.name)
        if before and column.decided == "schema" and before.type != column.type:
            yield TypeChange(column.name, before.type, column.type, "Its Table Schema says so.")


def _as_rejects(found: duckdb.DuckDBPyConnection, feed: Feed, table: str) -> Iterator[dict[str, Any]]:
    names = [column[0].removeprefix("_") for column in found.description or []]
    while batch := found.fetchmany(10_000):
        for row in batch:
            reject = dict(zip(names, row, strict=True))
            reject["source_member"] = reject["source_member"] or ""
            yield {**reject, "feed": feed.feed, "table_name": table}


def _bronze(table: str) -> str:
    return f"{quote_identifier(BRONZE)}.{quote_identifier(table)}"
