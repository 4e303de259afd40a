"""Silver of tables nobody wrote a model for: their contracts are held against the rows, their models written anew."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import duckdb

from catalog.clock import utc_now
from catalog.conformity import declared_columns
from catalog.contracts.adopt import handwritten_models
from catalog.contracts.contract import Contract, Profile
from catalog.contracts.decide import Proposal, TypeChange, decide_columns
from catalog.contracts.models import current_rows, prune_models, rejects_select, write_models
from catalog.contracts.store import check_columns, read_contracts, write_contract
from catalog.errors import BuildFailed
from catalog.feed import Drift, Feed
from catalog.iceberg import BRONZE, LINEAGE, Lakehouse, Pin
from catalog.ledger import Ledger
from catalog.loads import sources_of
from catalog.names import quote_identifier
from catalog.personal_data import masking_mark
from catalog.settings import Settings

HELD_ROWS = 1_000_000  # a table up to this size is copied once instead of being planned from Iceberg for every question
STAGES = ("type", "schema")  # texts that do not read; values that read and break a rule somebody wrote


class GeneratedSilver:
    """The generated part of a warehouse, over the private file of one build."""

    def __init__(self, settings: Settings, ledger: Ledger, lakehouse: Lakehouse) -> None:
        self.settings, self.ledger, self.lakehouse = settings, ledger, lakehouse
        self.handwritten = handwritten_models(settings)
        self.contracts: dict[str, list[Contract]] = {}  # by feed

    def refresh(self, connection: duckdb.DuckDBPyConnection, feed: Feed, pins: Mapping[str, Pin]) -> None:
        """Hold the contracts of a feed's tables against their rows, and write its models.

        Args:
            connection: to a database whose schema ``bronze`` shows the tables as they are pinned.

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
            is_known = contract is not None and contract.profile.snapshot == self._seen(feed, pin)
            if contract is None or not is_known or _lacks(contract, columns):
                contract = self._hold_against_rows(connection, feed, name, pin, contract)
            contract = contract.model_copy(update={"domain": feed.domain, "bad_values": feed.bad_values})
            write_contract(self.settings, contract)
            contracts.append(contract)
        write_models(self.settings, feed, contracts)
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
            written += self.ledger.replace_rejects(contract.model, STAGES, _as_rejects(found, contract))
        return written

    def _hold_against_rows(
        self, connection: duckdb.DuckDBPyConnection, feed: Feed, name: str, pin: Pin, known: Contract | None
    ) -> Contract:
        rows = f"({current_rows(_bronze(name))}) as current_rows"
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
            domain=feed.domain,
            table=name,
            description=known.description if known else self._description(feed, name),
            bad_values=feed.bad_values,
            columns=proposal.columns,
            profile=Profile(snapshot=self._seen(feed, pin), rows=proposal.rows, failing=proposal.failing),
        )

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
        one = known.model_copy(update={"columns": [c for c in known.columns if c.name == change.column]})
        failing = rejects_select(one, rows)
        source = "_resource_id, _extraction_date, _source_member"
        most = f"select {source} from ({failing}) as failing group by all order by count(*) desc, {source} limit 1"
        newest = f"select {source} from {rows} order by _extraction_date desc, {source} limit 1"
        return connection.execute(most).fetchone() or connection.execute(newest).fetchone()


def _lacks(contract: Contract, columns: Sequence[str]) -> bool:
    """Whether somebody took a column out of a contract: silver has every column."""
    return any(contract.column(column) is None for column in columns if column not in LINEAGE)


def _declared_changes(known: Contract, proposal: Proposal) -> Iterator[TypeChange]:
    """The columns whose type a Table Schema now declares, and declares otherwise."""
    for column in proposal.columns:
        before = known.column(column.name)
        if before and column.decided == "schema" and before.type != column.type:
            yield TypeChange(column.name, before.type, column.type, "Its Table Schema says so.")


def _as_rejects(found: duckdb.DuckDBPyConnection, contract: Contract) -> Iterator[dict[str, Any]]:
    names = [column[0].removeprefix("_") for column in found.description or []]
    while batch := found.fetchmany(10_000):
        for row in batch:
            reject = dict(zip(names, row, strict=True))
            reject["source_member"] = reject["source_member"] or ""
            yield {**reject, "feed": contract.feed, "table_name": contract.model}


def _bronze(table: str) -> str:
    return f"{quote_identifier(BRONZE)}.{quote_identifier(table)}"
