"""What a build is made from: bronze tables pinned once, feed by feed, while no sync of that feed is at work.

Builds, and analysts who run dbt by hand, see bronze as the views made here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import duckdb

from catalog.erasure import Person, not_erased, persons
from catalog.errors import LakeBusy
from catalog.feed import Feed
from catalog.iceberg import BRONZE, Lakehouse, Pin
from catalog.ledger import Ledger
from catalog.loads import bronze_tables_of, has_unfinished_loads
from catalog.locks import exclusive
from catalog.personal_data import masked_rows, masking_mark, put_masked
from catalog.session import create_view, scan_sql
from catalog.settings import Settings
from catalog.versions import Version, feed_versions, have_history, put_versions, versioned_select

CODE = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Inputs:
    """Bronze as one build sees it; a feed stands in ``pins`` or in ``held``, with why it could not be pinned."""

    pins: Mapping[str, Mapping[str, Pin]] = field(default_factory=dict)  # feed → bronze table → pin
    versions: Mapping[str, Sequence[Version]] = field(default_factory=dict)  # feed → what its tables hold, until when
    held: Mapping[str, str] = field(default_factory=dict)
    erased: Mapping[str, Sequence[Person]] = field(default_factory=dict)  # bronze table → who was erased from it

    def hold_rows(self, feeds: Iterable[Feed]) -> bool:
        """Whether any table of some feeds was ever loaded."""
        return any(self.versions.get(feed.feed) for feed in feeds)

    def without_history(self, feeds: Iterable[Feed]) -> set[str]:
        """Declared tables of some feeds whose history would say what their present rows do, or that want none."""
        return {
            name
            for feed in feeds
            for name in feed.bronze_names()
            if not feed.history or name not in have_history(self.versions.get(feed.feed, ()))
        }


def pin_inputs(settings: Settings, ledger: Ledger, lakehouse: Lakehouse, feeds: Iterable[Feed], until: date) -> Inputs:
    """Pin every bronze table of some feeds, each feed's tables as one finished sync left them.

    A sync commits table after table: pinned in between, a warehouse would join a new table to an old one.

    Args:
        until: extractions after this day are not looked at.
    """
    pins: dict[str, dict[str, Pin]] = {}
    versions: dict[str, list[Version]] = {}
    held: dict[str, str] = {}
    for feed in feeds:
        try:
            with exclusive(settings, ledger, f"feed-{feed.feed}"):
                if has_unfinished_loads(ledger, feed.feed):
                    held[feed.feed] = f"the last sync of {feed.feed} did not end; run: odh sync {feed.feed}"
                    continue
                pins[feed.feed] = _pin_feed(ledger, lakehouse, feed)
                versions[feed.feed] = feed_versions(ledger, feed.feed, until)
        except LakeBusy:
            held[feed.feed] = f"{feed.feed} is being synced; build again when that has ended"
    erased = {name: persons(ledger, name) for of_feed in pins.values() for name in of_feed}
    return Inputs(pins, versions, held, erased)


def show_bronze(
    connection: duckdb.DuckDBPyConnection, settings: Settings, lakehouse: Lakehouse, inputs: Inputs, feed: Feed
) -> None:
    """Make a view of each bronze table of a feed, or a copy with its personal data masked: its rows, and the day each
    row's version was replaced.
    """
    put_versions(connection, inputs.versions[feed.feed])
    for name, pin in inputs.pins[feed.feed].items():
        rows = scan_sql(pin)
        there = not_erased(inputs.erased.get(name, ()), name, rows, settings)
        shown = masked_rows(settings, feed, name, lakehouse.headers(pin), there) or there
        show = create_view if shown == rows else put_masked
        show(connection, BRONZE, name, versioned_select(name, shown))


def _pin_feed(ledger: Ledger, lakehouse: Lakehouse, feed: Feed) -> dict[str, Pin]:
    """Declared tables are made if need be, so that models find their columns; those found in files are there."""
    declared = {name: lakehouse.pin_bronze(name, table.columns) for name, table in feed.bronze_names().items()}
    found = {name: lakehouse.pin_bronze(name, ()) for name in bronze_tables_of(ledger, feed.feed)}
    return {**found, **declared}


def hash_project(settings: Settings) -> str:
    """A hash of the code that turns bronze into silver and gold: the dbt project, and what types and models are."""
    digest = hashlib.sha256()
    for folder in (settings.dbt_project, CODE / "contracts"):
        _add_folder(digest, folder)
    for name in ("functions.sql", "enrichment.py"):
        digest.update((CODE / name).read_bytes())
    return digest.hexdigest()


def hash_models(settings: Settings) -> str:
    """A hash of the models that were generated from a lake's contracts."""
    return _hash_folder(settings.generated_models)


def feed_marks(settings: Settings, inputs: Inputs, feed: Feed) -> list[str]:
    """All that silver of a feed is made from, besides code: its rows, its versions, and what was decided of them."""
    pins = inputs.pins.get(feed.feed, {})
    return [
        *(f"{name} {pins[name].content_id}" for name in sorted(pins)),
        *(repr(version) for version in inputs.versions.get(feed.feed, ())),
        *(f"{name} {table.mode} {table.keys}" for name, table in feed.bronze_names().items()),
        *(feed.bad_values, feed.drift, f"{feed.history}", masking_mark(settings, feed)),
        _hash_folder(settings.contracts / feed.feed),
    ]


def _hash_folder(folder: Path) -> str:
    """A hash of what a folder holds, contracts as people may have edited them or models made of these."""
    digest = hashlib.sha256()
    _add_folder(digest, folder)
    return digest.hexdigest()


def _add_folder(digest: hashlib._Hash, folder: Path) -> None:
    for path in sorted(folder.rglob("*")):
        inside = path.relative_to(folder)
        if path.suffix in {".sql", ".yml", ".csv", ".py"} and inside.parts[0] not in {"target", "logs"}:
            digest.update(f"{inside.as_posix()}\0".encode() + path.read_bytes())
