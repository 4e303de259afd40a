"""What one Iceberg table holds: its snapshots, branches and tags, the files they name, and letting go of some.

It decides nothing: which snapshots must stay is told by the ledger (``catalog.retained``).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from pyiceberg.manifest import ManifestFile
from pyiceberg.table import Table as Table  # for those who may not import pyiceberg
from pyiceberg.table.update.snapshot import ExpireSnapshots, ManageSnapshots

from catalog.iceberg import TABLE_PROPERTIES
from catalog.iceberg_files import bare_path


@dataclass(frozen=True, slots=True)
class References:
    """The branches and tags of a table, each with its snapshot; ``main`` is left out."""

    branches: Mapping[str, int]
    tags: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Letting:
    """What one commit lets go of and moves."""

    snapshots: tuple[int, ...] = ()
    branches: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    moved_tags: tuple[tuple[str, int], ...] = ()  # tag, its new snapshot

    def __bool__(self) -> bool:
        return bool(self.snapshots or self.branches or self.tags or self.moved_tags)


def snapshot_ids(table: Table) -> list[int]:
    """Every snapshot of a table, oldest first."""
    return [one.snapshot_id for one in sorted(table.metadata.snapshots, key=lambda one: one.timestamp_ms)]


def snapshot_columns(table: Table) -> dict[int, frozenset[str]]:
    """The names of the columns each snapshot of a table was written with, oldest snapshot first."""
    named = {number: [field.name for field in schema.fields] for number, schema in table.schemas().items()}
    ordered = sorted(table.metadata.snapshots, key=lambda one: one.timestamp_ms)
    present = table.metadata.current_schema_id
    return {one.snapshot_id: frozenset(named[present if one.schema_id is None else one.schema_id]) for one in ordered}


def references(table: Table) -> References:
    """The branches and tags of a table but ``main``."""
    refs = {name: ref for name, ref in table.metadata.refs.items() if name != "main"}
    branches = {name: ref.snapshot_id for name, ref in refs.items() if ref.snapshot_ref_type == "branch"}
    return References(branches, {name: ref.snapshot_id for name, ref in refs.items() if name not in branches})


def let_go(table: Table, letting: Letting) -> None:
    """Remove branches, tags and snapshots of a table and move tags, in one commit; files stay where they are."""
    changed = {name: value for name, value in TABLE_PROPERTIES.items() if table.properties.get(name) != value}
    if not letting and not changed:
        return
    with table.transaction() as transaction:
        if changed:
            transaction.set_properties(changed)
        refs = ManageSnapshots(transaction)
        for branch in letting.branches:
            refs.remove_branch(branch)
        for tag in (*letting.tags, *(tag for tag, _ in letting.moved_tags)):
            refs.remove_tag(tag)
        refs.commit()
        moved = ManageSnapshots(transaction)
        for tag, snapshot_id in letting.moved_tags:
            moved.create_tag(snapshot_id, tag)
        moved.commit()
        ExpireSnapshots(transaction).by_ids(list(letting.snapshots)).commit()


def manifest_count(table: Table) -> int:
    """Manifests a reader of the table's present snapshot opens."""
    head = table.current_snapshot()
    return len(head.manifests(table.io)) if head else 0


def named_files(table: Table, kept: Collection[int]) -> set[str]:
    """Paths of every file that some snapshots of a table, and its present metadata, name."""
    log = (entry.metadata_file for entry in table.metadata.metadata_log)
    named = {table.metadata_location, *log, *(one.statistics_path for one in table.metadata.statistics)}
    manifests: dict[str, ManifestFile] = {}
    for snapshot in table.metadata.snapshots:
        if snapshot.snapshot_id in kept:
            named.add(snapshot.manifest_list)
            manifests.update({one.manifest_path: one for one in snapshot.manifests(table.io)})
    for path, manifest in manifests.items():
        named |= {path, *(entry.data_file.file_path for entry in manifest.fetch_manifest_entry(table.io))}
    return {bare_path(path) for path in named}


def has_present_schema(table: Table) -> bool:
    """Whether the table's present snapshot was written with its present columns.

    Else a build changed them for a snapshot that was never published, and a commit on ``main`` would take them there.
    """
    head = table.current_snapshot()
    return head is not None and head.schema_id in (None, table.metadata.current_schema_id)
