"""Build, test and release: dbt works in a private DuckDB file; only what passed its tests is published.

Domains are built one after the other, each after those it depends on. A domain whose inputs did not change is not
built; one that fails keeps its previous tables, which the domains after it then read.
"""

from __future__ import annotations

import hashlib
import shutil
from collections import Counter
from collections.abc import Callable, Container, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import date
from functools import partial

import duckdb
import structlog

from catalog import releases, write_back
from catalog.conformity import check_schemas
from catalog.dbt import HISTORY, Dbt, DbtRun, Model
from catalog.errors import BuildFailed, InvalidContract
from catalog.feed import Feed
from catalog.generated import GeneratedSilver
from catalog.iceberg import LAYERS, Lakehouse
from catalog.inputs import feed_marks, hash_models, hash_project, pin_inputs, show_bronze
from catalog.ledger import Ledger
from catalog.locks import exclusive
from catalog.names import quote_identifier, relation_of
from catalog.quality.evidence import Evidence
from catalog.registry import Registry
from catalog.releases import Release, ReleasedTable
from catalog.session import create_view, open_file, scan_sql
from catalog.settings import Settings
from catalog.table_keys import note_keys
from catalog.upkeep import finish_rewrites
from catalog.versions import have_history

log = structlog.get_logger()
OnProgress = Callable[[str, int, int], None]  # domain, steps done, steps in all


@dataclass(frozen=True, slots=True)
class DomainResult:
    """What became of one domain."""

    domain: str
    status: str  # built, unchanged, waiting, failed
    reason: str | None = None
    tests_passed: int = 0
    tests_warned: int = 0
    tests_failed: int = 0
    tables: int = 0
    tables_changed: int = 0
    values_rejected: int = 0  # that do not fit the type or the rules of their column, in generated silver
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class BuildResult:
    """What one build did; ``release_id`` is None when nothing new was published."""

    release_id: int | None
    domains: list[DomainResult]

    @property
    def has_failed(self) -> bool:
        """Whether a domain could not be built or failed a test of severity error."""
        return any(result.status == "failed" for result in self.domains)


class Builder:
    """One build of some domains over the present bronze tables."""

    def __init__(
        self,
        settings: Settings,
        registry: Registry,
        ledger: Ledger,
        lakehouse: Lakehouse,
        run_id: str,
        *,
        dbt: Dbt | None = None,
    ) -> None:
        self.settings, self.registry, self.ledger, self.lakehouse = settings, registry, ledger, lakehouse
        self.run_id, self.dbt = run_id, dbt or Dbt(settings)
        self.silver = GeneratedSilver(settings, ledger, lakehouse)
        self.evidence = Evidence(settings, registry, ledger, run_id)
        self.rejected: dict[str, int] = {}  # values that do not fit, by domain
        self.workspace, self.database = settings.lake.resolve() / "build" / run_id, self.dbt.database

    def build(self, feeds: Iterable[Feed], extraction_date: date, on_progress: OnProgress) -> BuildResult:
        """Build, test and release the domains of some feeds; one build at a time on a lake.

        Args:
            extraction_date: the day the release is of: it holds what extractions up to then tell. A day before the
                current release's gets a release of its own, which readers find by ``as_of``.

        Raises:
            LakeBusy: another build is on.
        """
        fed = {feed.domain for feed in feeds}
        wanted = [domain for domain in self.registry.domains() if domain in fed]
        with exclusive(self.settings, self.ledger, "build") as verify:
            for release_id in releases.finish_staged(self.ledger, self.lakehouse):
                log.info("release_finished", release_id=release_id)
            finish_rewrites(self.ledger, self.lakehouse)
            self.released = releases.current_release(self.ledger, extraction_date)
            newest = releases.current_release(self.ledger)
            self.is_past = newest is not None and newest.extraction_date > extraction_date
            self.project = hash_project(self.settings)
            feeds_read = [feed for domain in self._with_upstream(wanted) for feed in self.registry.domains()[domain]]
            self.inputs = pin_inputs(self.settings, self.ledger, self.lakehouse, feeds_read, extraction_date)
            fingerprints = self._fingerprints(wanted)
            known = self.released.fingerprints if self.released else {}
            stale = [domain for domain in wanted if known.get(domain) != fingerprints[domain]]
            results = [DomainResult(domain, "unchanged") for domain in wanted if domain not in stale]
            results += (held := self._held(stale))
            stale = [domain for domain in stale if domain not in {result.domain for result in held}]
            if not stale:
                return self._told(BuildResult(None, results), extraction_date)
            self._open_workspace()
            results += (stopped := self._open_private(stale, on_progress))
            stale = [domain for domain in stale if domain not in {result.domain for result in stopped}]
            runs, tables = self._build_and_stage(stale, on_progress)
            results += [self._result(domain, runs[domain], tables.get(domain, [])) for domain in stale]
            verify()
            published = self._release(tables, self._fingerprints(wanted, tables), extraction_date)
            shutil.rmtree(self.workspace, ignore_errors=True)
            return self._told(BuildResult(published, results), extraction_date)

    def _told(self, result: BuildResult, extraction_date: date) -> BuildResult:
        """The result, once the run's validation report tells of it."""
        self.evidence.write(extraction_date, result)
        return result

    def _held(self, domains: Sequence[str]) -> list[DomainResult]:
        """The domains that would tell untruths if they were built now, and why.

        A table of zeros where a file is missing looks like data: a domain waits for its first rows and for those of
        the domains before it, and fails while a file of its newest extraction never reached bronze. An optional feed
        is not waited for: its models are empty, and those that join them say NULL.
        """
        held: dict[str, DomainResult] = {}
        known = self.released.fingerprints if self.released else {}
        for domain in domains:
            feeds = self.registry.domains()[domain]
            before = self._upstream(domain)
            needed = [] if self.is_past else [feed.feed for feed in feeds if not feed.optional]
            missing = [reason for name in needed for reason in self.ledger.resources_never_loaded(name)]
            absent = sorted(name for name in before - set(known) if name in held or name not in domains)
            unpinned = [self.inputs.held[feed.feed] for feed in feeds if feed.feed in self.inputs.held]
            if unpinned:
                held[domain] = DomainResult(domain, "waiting", "; ".join(unpinned))
            elif not self.inputs.hold_rows(feeds):
                reason = f"nothing is loaded yet; run: odh sync {' '.join(feed.feed for feed in feeds)}"
                held[domain] = DomainResult(domain, "waiting", reason)
            elif absent:
                held[domain] = DomainResult(domain, "waiting", f"it needs {', '.join(absent)}, never released so far")
            elif missing:
                held[domain] = DomainResult(domain, "failed", "a file is missing: " + "; ".join(missing[:3]))
        return list(held.values())

    # One domain

    def _build_and_stage(
        self, domains: Sequence[str], on_progress: OnProgress
    ) -> tuple[dict[str, DbtRun], dict[str, list[ReleasedTable]]]:
        """Build and test domains, and stage the tables of those that passed.

        A domain whose tables cannot be stored has failed after others may have read them: those are built again, from
        its released tables.
        """
        runs: dict[str, DbtRun] = {}
        tables: dict[str, list[ReleasedTable]] = {}
        waiting = list(domains)
        while waiting:
            runs.update(self._run_dbt(waiting, on_progress))
            failed: set[str] = set()
            with open_file(self.settings, self.database) as connection:
                for number, domain in enumerate(waiting):
                    on_progress(f"{domain}: storing its tables", number, len(waiting))
                    if runs[domain].errors or failed & self._upstream(domain):
                        continue
                    self.evidence.look_at_tests(connection, domain, runs[domain])
                    try:
                        staged = [self._stage(connection, domain, model) for model in runs[domain].models]
                        self._record_rejects(connection, domain)
                        note_keys(self.lakehouse, runs[domain].models)
                        tables[domain] = staged
                        changed = [table for table in staged if not self._is_released(table)]
                        self.evidence.look_at_tables(connection, domain, changed)
                    except (BuildFailed, duckdb.Error) as error:
                        runs[domain] = replace(runs[domain], errors=[str(error)])
                        self._give_way(connection, domain, runs[domain])
                        failed.add(domain)
            waiting = [d for d in waiting if not runs[d].errors and d not in tables]
        return runs, tables

    def _record_rejects(self, connection: duckdb.DuckDBPyConnection, domain: str) -> None:
        """Replace what is known of values and rows that do not fit; what a day gone by told stays as it was."""
        for feed in () if self.is_past else self.registry.domains()[domain]:
            self.silver.record_key_rejects(connection, feed)
            self.rejected[domain] = self.rejected.get(domain, 0) + self.silver.record_rejects(connection, feed)

    def _run_dbt(self, domains: Sequence[str], on_progress: OnProgress) -> dict[str, DbtRun]:
        """Build and test domains in the private file, those that do not read each other in one go.

        What a failed domain built makes way for its released tables, so that the domains after it can go on.
        """
        runs: dict[str, DbtRun] = {}
        with self.dbt.open(self.workspace, f"{self.project} {hash_models(self.settings)}") as dbt:
            for level in self._levels(domains):
                name = level[0] if len(level) == 1 else f"{len(level)} domains"
                feeds = [feed for domain in level for feed in self.registry.domains()[domain]]
                idle = {f"stg_{table}{HISTORY}" for table in self.inputs.without_history(feeds)}
                try:
                    done = dbt.build(level, partial(on_progress, name), idle)
                except BuildFailed as error:
                    done = {domain: DbtRun([], [], [str(error)], 0.0) for domain in level}
                runs.update(done)
                for domain, run in done.items():
                    self._record_tests(domain, run)
                if failed := [domain for domain in level if done[domain].errors]:
                    dbt.close()
                    with open_file(self.settings, self.database) as connection:
                        for domain in failed:
                            self.evidence.look_at_tests(connection, domain, done[domain])
                            self._give_way(connection, domain, done[domain])
        return runs

    def _levels(self, domains: Sequence[str]) -> list[list[str]]:
        """Domains, each in the first group after those of all the domains it reads."""
        level: dict[str, int] = {}
        for domain in domains:
            level[domain] = 1 + max((level[before] for before in self._upstream(domain) if before in level), default=-1)
        return [[d for d in domains if level[d] == number] for number in range(max(level.values(), default=-1) + 1)]

    def _give_way(self, connection: duckdb.DuckDBPyConnection, domain: str, run: DbtRun) -> None:
        log.error("domain_failed", domain=domain, reason=_reason(run))
        self._serve_released(connection, domain, run.models)

    def _result(self, domain: str, run: DbtRun, tables: Sequence[ReleasedTable]) -> DomainResult:
        counts = Counter(test.status for test in run.tests)
        return DomainResult(
            domain,
            "failed" if run.errors else "built",
            _reason(run),
            counts["pass"],
            counts["warn"],
            counts["fail"] + counts["error"],
            len(tables),
            sum(not self._is_released(table) for table in tables),
            self.rejected.get(domain, 0),
            run.seconds,
        )

    def _record_tests(self, domain: str, run: DbtRun) -> None:
        self.ledger.record_quality([{"run_id": self.run_id, "domain": domain, **asdict(test)} for test in run.tests])

    def _stage(self, connection: duckdb.DuckDBPyConnection, domain: str, model: Model) -> ReleasedTable:
        """Write one model on its table's staging branch, unless the current release has the same content."""
        rows, content_hash = write_back.content_of(connection, relation_of(model.layer, model.name))
        previous = self.released.table(model.layer, model.name) if self.released else None
        if previous and previous.content_hash == content_hash:
            return ReleasedTable(previous.pin, domain, rows, content_hash)
        base, told = previous.pin if previous else None, (model.columns, model.description)
        summary = {"odh.run_id": self.run_id}
        place = (model.layer, model.name)
        pin = write_back.stage_table(connection, self.lakehouse, place, told, base, self.workspace, summary)
        return ReleasedTable(pin, domain, rows, content_hash)

    def _is_released(self, table: ReleasedTable) -> bool:
        previous = self.released.table(table.pin.layer, table.pin.name) if self.released else None
        return previous is not None and previous.pin == table.pin

    # The release

    def _release(
        self, built: dict[str, list[ReleasedTable]], fingerprints: dict[str, str], extraction_date: date
    ) -> int | None:
        """Publish the built domains together with the other domains' present tables."""
        if not built:
            return None
        old: Release | None = self.released
        # a feed that changed its domain has tables in both
        made = {(table.pin.layer, table.pin.name) for tables in built.values() for table in tables}
        kept = [t for t in old.tables if t.domain not in built and (t.pin.layer, t.pin.name) not in made] if old else []
        marks = {**(old.fingerprints if old else {}), **{domain: fingerprints[domain] for domain in built}}
        tables = [*kept, *(table for tables in built.values() for table in tables)]
        if old and {table.pin for table in tables} == {table.pin for table in old.tables}:
            releases.remember_fingerprints(self.ledger, old, marks)  # other code or inputs, the same content
            return None
        read = {feed.feed for domain in built for feed in self.registry.domains()[domain]}
        inputs = [one for one in (old.inputs if old else ()) if one.name.partition("__")[0] not in read]
        inputs += [pin for feed in sorted(read) for pin in self.inputs.pins[feed].values()]
        release = releases.stage(self.ledger, self.run_id, extraction_date, tables, marks, inputs)
        releases.publish(self.ledger, self.lakehouse, release)
        return release.release_id

    # Inputs

    def _open_workspace(self) -> None:
        """Make this build's folder and remove those of earlier ones; the lock is held, so none of them is running."""
        shelf = self.workspace.parent
        for folder in shelf.iterdir() if shelf.exists() else ():
            if folder.is_dir() and not folder.is_symlink() and folder != self.dbt.linked:
                shutil.rmtree(folder, ignore_errors=True)
        self.workspace.mkdir(parents=True)
        (shelf / "current").unlink(missing_ok=True)
        (shelf / "current").symlink_to(self.workspace.name)

    def _upstream(self, domain: str) -> set[str]:
        """The domains whose tables a domain's models may read."""
        needed = {name for feed in self.registry.domains()[domain] for name in feed.depends_on}
        return {self.registry.feeds[name].domain for name in needed} - {domain}

    def _with_upstream(self, domains: Iterable[str]) -> list[str]:
        """Domains and all those before them, in order."""
        found: set[str] = set()
        reached = list(domains)
        while reached:
            if (domain := reached.pop()) not in found:
                found.add(domain)
                reached += self._upstream(domain)
        return [domain for domain in self.registry.domains() if domain in found]

    def _fingerprints(self, domains: Iterable[str], built: Container[str] | None = None) -> dict[str, str]:
        """A hash of all that domains and those before them are made from.

        Args:
            built: domains this build made; a domain after one that failed was made from its released tables, and so
                is to be built again once that one passes. None means that all pass.
        """
        known = self.released.fingerprints if self.released else {}
        found: dict[str, str] = {}
        for domain in self._with_upstream(domains):
            parts = [self.project]
            for feed in self.registry.domains()[domain]:
                parts += feed_marks(self.settings, self.inputs, feed)
            parts += [found[name] for name in sorted(self._upstream(domain))]
            made = hashlib.sha256("\n".join(parts).encode()).hexdigest()
            found[domain] = made if built is None or domain in built else known.get(domain, "")
        return found

    def _open_private(self, stale: Sequence[str], on_progress: OnProgress) -> list[DomainResult]:
        """Make the private file: bronze as views over pinned snapshots, and the released tables of domains before.

        Returns:
            the domains that cannot be built: a feed says that a change stops it, or a contract is no contract.
        """
        stopped: list[DomainResult] = []
        self.silver.give_way(self.registry.feeds)
        with open_file(self.settings, self.database) as connection:
            for layer in LAYERS:
                connection.execute(f"create schema if not exists {quote_identifier(layer)}")
            for domain in self._with_upstream(stale):
                if domain not in stale:
                    self._serve_released(connection, domain, [])
            for number, domain in enumerate(stale):
                on_progress(f"{domain}: reading what its columns are", number, len(stale))
                try:
                    for feed in self.registry.domains()[domain]:
                        self._show_feed(connection, feed)
                except (BuildFailed, InvalidContract, duckdb.Error) as error:
                    stopped.append(DomainResult(domain, "failed", str(error)))
                    self._serve_released(connection, domain, [])
        return stopped

    def _show_feed(self, connection: duckdb.DuckDBPyConnection, feed: Feed) -> None:
        """Show a feed's bronze, and make ready what silver is generated from it."""
        show_bronze(connection, self.settings, self.lakehouse, self.inputs, feed)
        pins, replaced = self.inputs.pins[feed.feed], have_history(self.inputs.versions[feed.feed])
        self.silver.check_keys(connection, feed)
        self.silver.refresh(connection, feed, pins, replaced, is_past=self.is_past)
        if not self.is_past:
            check_schemas(connection, self.settings, self.ledger, self.lakehouse, feed.feed, pins)

    def _serve_released(self, connection: duckdb.DuckDBPyConnection, domain: str, built: Iterable[Model]) -> None:
        """Put the current release's tables of a domain in the place of what was built."""
        kinds = "select table_schema, table_name, table_type from information_schema.tables"
        present = {(schema, name): kind for schema, name, kind in connection.execute(kinds).fetchall()}
        for model in built:
            if kind := present.get((model.layer, model.name)):
                relation = relation_of(model.layer, model.name)
                connection.execute(f"drop {'view' if kind == 'VIEW' else 'table'} {relation}")
        for table in self.released.tables if self.released else ():
            if table.domain == domain:
                create_view(connection, table.pin.layer, table.pin.name, scan_sql(table.pin))


def _reason(run: DbtRun) -> str | None:
    more = f"; and {len(run.errors) - 3} more" if len(run.errors) > 3 else ""
    return "; ".join(run.errors[:3]) + more or None
