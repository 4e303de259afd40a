"""What a build shows while its private file is there: rows that failing tests find, statistics of changed tables.

Looking never stops a build: what cannot be looked at is said so in the report.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import date
from time import monotonic
from typing import TYPE_CHECKING, Any

import duckdb
import structlog

from catalog.clock import utc_now
from catalog.ledger import Ledger
from catalog.names import quote_identifier
from catalog.policies import Policy
from catalog.quality.report import Check, Report, Rows, TableReport, write_report
from catalog.quality.statistics import TEXT, profile
from catalog.quality.trouble import loads_of, rejects_of
from catalog.registry import Registry
from catalog.settings import Settings

if TYPE_CHECKING:
    from catalog.build import BuildResult
    from catalog.dbt import DbtRun, TestResult
    from catalog.releases import ReleasedTable

log = structlog.get_logger()
OFFENDING_ROWS = 10
OFFENDING_COLUMNS = 12


class Evidence:
    """What one build has shown so far."""

    def __init__(self, settings: Settings, registry: Registry, ledger: Ledger, run_id: str) -> None:
        self.settings, self.registry, self.ledger, self.run_id = settings, registry, ledger, run_id
        self.checks: dict[str, list[Check]] = {}  # by domain
        self.tables: dict[str, list[TableReport]] = {}
        self.seconds = 0.0
        self.is_quiet = False  # of a build every few seconds: no statistics, and a report of a failure only

    def look_at_tests(self, connection: duckdb.DuckDBPyConnection, domain: str, run: DbtRun) -> None:
        """Keep what a domain's tests found, with some of the rows, as they stand in the private file now."""
        began, hidden = monotonic(), hidden_columns(self.registry, domain)
        self.checks[domain] = [
            _as_check(domain, test, self._offending(connection, test, run.failing, hidden)) for test in run.tests
        ]
        self.seconds += monotonic() - began

    def look_at_tables(
        self, connection: duckdb.DuckDBPyConnection, domain: str, tables: Iterable[ReleasedTable]
    ) -> None:
        """Take the statistics of tables of the private file."""
        if self.is_quiet:
            return
        began, hidden = monotonic(), hidden_columns(self.registry, domain)
        self.tables[domain] = [self._table(connection, domain, table, hidden) for table in tables]
        self.seconds += monotonic() - began

    def write(self, extraction_date: date, result: BuildResult) -> None:
        """Write the report of the build; one that cannot be written is logged, for what was released is released."""
        if self.is_quiet and not result.has_failed:
            return
        began = monotonic()
        tables = [table for found in self.tables.values() for table in found]
        silver = [table.name for table in tables if table.layer == "silver"]
        report = Report(
            self.run_id,
            "build",
            extraction_date,
            utc_now(),
            result.release_id,
            [asdict(domain) for domain in result.domains],
            [check for found in self.checks.values() for check in found],
            tables,
            loads=loads_of(self.ledger, self.run_id),
            rejects=rejects_of(self.ledger, self.run_id, silver),
            seconds=round(self.seconds + monotonic() - began, 3),
        )
        try:
            write_report(self.settings, report)
        except OSError as error:
            log.error("report_not_written", run_id=self.run_id, reason=str(error))

    def _offending(
        self,
        connection: duckdb.DuckDBPyConnection,
        test: TestResult,
        failing: Mapping[str, str],
        hidden: Collection[str],
    ) -> Rows | None:
        if not (statement := failing.get(test.test_id)):
            return None
        if test.column_name in hidden:
            return Rows([], [], "The column holds personal data: its values are not shown.")
        try:
            found = connection.execute(f"select * from ({statement}\n) as offending limit {OFFENDING_ROWS}")
            columns = [column[0] for column in found.description or []]
            return _shown(columns, found.fetchall(), hidden)
        except duckdb.Error as error:
            return Rows([], [], f"The rows cannot be shown: {str(error)[:200]}")

    def _table(
        self, connection: duckdb.DuckDBPyConnection, domain: str, table: ReleasedTable, hidden: Collection[str]
    ) -> TableReport:
        layer, name = table.pin.layer, table.pin.name
        try:
            found = profile(connection, f"{quote_identifier(layer)}.{quote_identifier(name)}", hidden)
        except duckdb.Error as error:
            return TableReport(layer, name, domain, None, f"No statistics: {str(error)[:200]}")
        return TableReport(layer, name, domain, found)


def hidden_columns(registry: Registry, domain: str) -> set[str]:
    """Columns whose values a domain's feeds, or those its models join, hash or drop: not even what is left is shown."""
    feeds = {feed.feed: feed for feed in registry.domains().get(domain, ())}
    feeds |= {name: registry.feeds[name] for feed in list(feeds.values()) for name in feed.depends_on}
    masks = [mask for feed in feeds.values() for table in feed.declared for mask in table.masks.items()]
    return {column for column, policy in masks if policy in (Policy.HASH, Policy.DROP)}


def _shown(columns: Sequence[str], rows: Sequence[Sequence[Any]], hidden: Collection[str]) -> Rows:
    kept = [position for position, column in enumerate(columns) if column not in hidden]
    shown = kept[:OFFENDING_COLUMNS]
    left = [f"{len(kept) - len(shown)} further columns are not shown"] if len(kept) > len(shown) else []
    left += ["columns with personal data are not shown"] if len(kept) < len(columns) else []
    values = [[_short(row[position]) for position in shown] for row in rows]
    return Rows([columns[position] for position in shown], values, "; ".join(left) or None)


def _short(value: Any) -> Any:
    if value is None or isinstance(value, bool | int | float):
        return value
    text = str(value)
    return text if len(text) <= TEXT else f"{text[:TEXT]}…"


def _as_check(domain: str, test: TestResult, offending: Rows | None) -> Check:
    return Check(
        domain,
        test.test_name,
        test.table_name,
        test.column_name,
        test.severity,
        test.status,
        test.failures,
        test.message,
        round(test.seconds, 3),
        offending,
    )
