"""The data files of an Iceberg table: which there are, and one commit that removes some and adds others.

What builds write back, what compaction rewrites and what erasure cuts all pass here. Rows are the caller's business.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

from pyiceberg.expressions import AlwaysTrue
from pyiceberg.io.pyarrow import parquet_files_to_data_files
from pyiceberg.manifest import DataFile as IcebergFile
from pyiceberg.manifest import ManifestEntry, ManifestFile
from pyiceberg.table import Table
from pyiceberg.table.refs import MAIN_BRANCH
from pyiceberg.table.snapshots import Operation, Snapshot
from pyiceberg.table.update import SetCurrentSchemaUpdate
from pyiceberg.table.update.snapshot import _ManifestMergeManager, _OverwriteFiles

from catalog.errors import PermanentError
from catalog.iceberg import STAGING, Lakehouse

EPOCH = date(1970, 1, 1)
MANIFEST_BYTES = 8 << 20  # what a merged manifest may weigh, Iceberg's own default
MANIFESTS_KEPT = 20  # a commit merges the manifests of its table once there are more


@dataclass(frozen=True, slots=True)
class DataFile:
    """One parquet file of a table at a snapshot."""

    path: str  # as Iceberg writes it and DuckDB gives it in the virtual column ``filename``: file://… for a local one
    rows: int
    size_bytes: int
    day: date | None  # the extraction date of a bronze file, its partition; None elsewhere


class _Swap(_OverwriteFiles):
    """pyiceberg's overwrite of named files, which else keeps manifests of removed files for ever and merges none."""

    most_manifests = MANIFESTS_KEPT
    is_forgetting = False  # says nothing of the files removed, whose entries hold their least and greatest values

    def _deleted_entries(self) -> list[ManifestEntry]:
        entries = super()._deleted_entries()
        return [] if self.is_forgetting else entries

    def _process_manifests(self, manifests: list[ManifestFile]) -> list[ManifestFile]:
        live = [one for one in manifests if one.added_snapshot_id == self.snapshot_id or _holds_files(one)]
        is_due = len(live) > self.most_manifests
        merging: _ManifestMergeManager[_OverwriteFiles] = _ManifestMergeManager(MANIFEST_BYTES, 2, is_due, self)
        return merging.merge_manifests(live)


def data_files(table: Table, snapshot_id: int | None = None) -> list[DataFile]:
    """The data files of a table at a snapshot, or now; in the order they came in."""
    snapshot = table.current_snapshot() if snapshot_id is None else table.snapshot_by_id(snapshot_id)
    entries = sorted(_entries(table, snapshot), key=lambda entry: entry.sequence_number or 0)
    found = (entry.data_file for entry in entries)
    return [DataFile(one.file_path, one.record_count, one.file_size_in_bytes, _day(one)) for one in found]


def swap_files(
    lakehouse: Lakehouse,
    table: Table,
    gone: Iterable[str],
    files: Sequence[Path],
    folder: str,
    summary: Mapping[str, str],
    branch: str | None = None,
    *,
    merge_manifests: bool = False,
    is_forgetting: bool = False,
) -> int | None:
    """Remove some data files of a table and add others, in one snapshot, and return that.

    Nothing to remove and nothing to add makes no snapshot, unless manifests are to be merged.

    Args:
        gone: paths of data files of the branch, with or without the ``file://`` of a local one.
        files: local parquet files, written with the field ids of the table's columns; they are moved under a name
            never used before. In a partitioned table, each holds rows of one partition.
        folder: folder under the table's data, such as the extraction date.
        summary: facts kept in the snapshot's summary.
        branch: an existing branch; None is ``main``.
        merge_manifests: merge them however few there are.
        is_forgetting: leave no word of the removed files in the new manifests.

    Raises:
        PermanentError: a file to remove is not of the branch, or there is no such branch; nothing has changed then.
    """
    head = _head(table, branch or MAIN_BRANCH)
    removed = _find(table, head, gone)
    if not (removed or files or (merge_manifests and head)):
        return head.snapshot_id if head else None
    places = [lakehouse.place_file(table, file, folder) for file in files]
    operation = Operation.OVERWRITE if head else Operation.APPEND
    present = table.metadata.current_schema_id
    with table.transaction() as transaction:
        # rows of a snapshot keep the columns they had; what is staged has the columns it was staged with
        if head and branch != STAGING and head.schema_id not in (None, present):
            transaction._apply((SetCurrentSchemaUpdate(schema_id=head.schema_id),))
        swap = _Swap(operation, transaction, table.io, None, dict(summary), branch or MAIN_BRANCH)
        for one in removed:
            swap.delete_data_file(one)
        swap.is_forgetting = is_forgetting
        swap.most_manifests = 1 if merge_manifests else MANIFESTS_KEPT
        if table.spec().is_unpartitioned():  # pyiceberg looks for files by their partitions, and finds none in none
            swap.delete_by_predicate(AlwaysTrue())
        for added in parquet_files_to_data_files(table.io, transaction.table_metadata, iter(places)):
            swap.append_data_file(added)
        swap.commit()
        if transaction.table_metadata.current_schema_id != present:
            transaction._apply((SetCurrentSchemaUpdate(schema_id=present),))
    return swap.snapshot_id


def _head(table: Table, branch: str) -> Snapshot | None:
    """The newest snapshot of a branch; None for the main of a table never written."""
    head = table.current_snapshot() if branch == MAIN_BRANCH else table.snapshot_by_name(branch)
    if head is None and branch != MAIN_BRANCH:  # pyiceberg would make one, empty
        raise PermanentError(f"The table {'.'.join(table.name())} has no branch {branch!r}; make it first.")
    return head


def _find(table: Table, head: Snapshot | None, paths: Iterable[str]) -> list[IcebergFile]:
    wanted = {bare_path(path) for path in paths}
    live = _live(table, head) if wanted else {}
    if missing := sorted(wanted - live.keys()):
        raise PermanentError(
            f"The table {'.'.join(table.name())} has no data file {missing[0]}"
            f"{f' and {len(missing) - 1} more' if missing[1:] else ''} at its newest snapshot. Did another process"
            " write it meanwhile? Run the same again."
        )
    return [live[path] for path in sorted(wanted)]


def _live(table: Table, snapshot: Snapshot | None) -> dict[str, IcebergFile]:
    return {bare_path(entry.data_file.file_path): entry.data_file for entry in _entries(table, snapshot)}


def _entries(table: Table, snapshot: Snapshot | None) -> Iterator[ManifestEntry]:
    for manifest in snapshot.manifests(table.io) if snapshot else []:
        if _holds_files(manifest):
            yield from manifest.fetch_manifest_entry(table.io)


def _day(file: IcebergFile) -> date | None:
    if not len(file.partition):
        return None
    value = file.partition[0]
    return EPOCH + timedelta(days=value) if isinstance(value, int) else value


def _holds_files(manifest: ManifestFile) -> bool:
    return manifest.has_added_files() or manifest.has_existing_files()


def bare_path(path: str) -> str:
    """A path as the store writes it: without the scheme of a local file."""
    return path.removeprefix("file://")
