"""Puts another snapshot in the place of one that must not stay, wherever a branch or a tag holds it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pyiceberg.table import Table

from catalog.iceberg import Lakehouse
from catalog.iceberg_files import swap_files

ERASING = "erasing"  # the branch a snapshot's replacement is written on


def replace_snapshot(
    lakehouse: Lakehouse, table: Table, snapshot_id: int, gone: Sequence[str], files: Sequence[Path], folder: str
) -> int:
    """Make a snapshot that is another one with some files swapped, and let every branch and tag point to it.

    The old one is still there, held by nothing of the table. Safe to repeat after a kill.

    Returns:
        the new snapshot.
    """
    if ERASING in table.metadata.refs:
        with table.manage_snapshots() as refs:
            refs.remove_branch(ERASING)
    with table.manage_snapshots() as refs:
        refs.create_branch(snapshot_id, ERASING)
    new = swap_files(lakehouse, table, gone, files, folder, {}, ERASING, is_forgetting=True)
    if new is None:
        return snapshot_id
    held = {name: ref for name, ref in table.metadata.refs.items() if ref.snapshot_id == snapshot_id}
    with table.manage_snapshots() as refs:
        refs.remove_branch(ERASING)
        for name, ref in held.items():
            if name == "main":
                refs.set_current_snapshot(snapshot_id=new)
            elif ref.snapshot_ref_type == "branch":
                refs.remove_branch(name)
            else:
                refs.remove_tag(name)
    with table.manage_snapshots() as refs:
        for name, ref in held.items():
            if name != "main":
                make = refs.create_branch if ref.snapshot_ref_type == "branch" else refs.create_tag
                make(new, name)
    return new
