"""Takes a person's records out of raw files: lines of delimited text become empty, other files go whole.

Emptied lines keep their ends, so that the line numbers of all other records still lead to them.
"""

from __future__ import annotations

import codecs
import hashlib
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl
import sqlalchemy as sa

from catalog import schema
from catalog.clock import utc_now
from catalog.erasure import Eraser, Line
from catalog.errors import OdhError
from catalog.ledger import Ledger
from catalog.retained import Removal
from ingestion.decode import DecodedTable, decode
from ingestion.history import facts_of
from ingestion.raw import PUSHED, Manifest, RawErasure, RawZone

_PACKED = (b"\x1f\x8b", b"PK", b"BZh", b"\xfd7zXZ", b"\x28\xb5\x2f\xfd")  # gzip, zip, bzip2, xz, zstd
_WIDE = ("utf-16", "utf-32", "utf_16", "utf_32")  # encodings in which an end of line is not the byte 10


@dataclass(frozen=True, slots=True)
class RawChange:
    """One raw file an erasure changed."""

    key: str
    lines: int | None  # None: the file was removed
    sha256_before: str
    why: str

    def removal(self, reason: str, feed: str) -> Removal:
        """The audit row."""
        what = "raw_file" if self.lines is None else "raw_lines"
        told = f"{reason}; {self.why}"
        return Removal(what, told, "raw", key=self.key, feed=feed, rows=self.lines, sha256=self.sha256_before)


def erase_from_raw(
    zone: RawZone,
    ledger: Ledger,
    eraser: Eraser,
    feed: str,
    erasure_id: int,
    lines: Sequence[Line],
    values: Mapping[str, str],
    scratch: Path,
    *,
    is_dry: bool = False,
) -> list[RawChange]:
    """Take a person's records out of the raw files they came from; files without any are left alone."""
    changes = []
    for resource_id, day in sorted({(one[0], one[1]) for one in lines}):
        manifest = zone.manifest(feed, date.fromisoformat(day), resource_id)
        if manifest is None or not zone.holds(manifest):
            continue
        path = zone.local_file(manifest, scratch)
        before = sha256_of(path)
        cleaned, count, why = _cleaned(ledger, eraser, manifest, path, lines, values, scratch)
        if cleaned is not None and sha256_of(cleaned) == before:
            cleaned.unlink()
            continue
        changes.append(RawChange(manifest.key, count if cleaned else None, before, why))
        if is_dry:
            continue
        after = sha256_of(cleaned) if cleaned else None
        facts: dict[str, Any] = {"lines": count if cleaned else None, "sha256_before": before, "sha256_after": after}
        note = RawErasure(erasure_id=erasure_id, erased_at=utc_now(), **facts)
        zone.replace_erased(manifest.key, cleaned, feed, note)
    return changes


def count_in_raw(zone: RawZone, feed: str, lines: Sequence[Line], values: Mapping[str, str], scratch: Path) -> int:
    """Records of the person in the raw files, read anew."""
    found = 0
    for resource_id, day in sorted({(one[0], one[1]) for one in lines}):
        manifest = zone.manifest(feed, date.fromisoformat(day), resource_id)
        if manifest and zone.holds(manifest):
            anew = zone.local_file(manifest, scratch / "anew")  # scratch may hold a copy of before
            found += _matches(anew, manifest, values, scratch)
    return found


def _cleaned(
    ledger: Ledger,
    eraser: Eraser,
    manifest: Manifest,
    path: Path,
    lines: Sequence[Line],
    values: Mapping[str, str],
    scratch: Path,
) -> tuple[Path | None, int, str]:
    """A copy of a file without the person, the lines emptied, and how it was done; no copy where none can be made."""
    day = manifest.extraction_date.isoformat()
    if why := _why_not_cut(ledger, manifest, path):
        return None, 0, f"removed whole, for {why}"
    mine = {one[3] for one in lines if (one[0], one[1]) == (manifest.resource_id, day)}
    starts = eraser.record_starts(manifest.resource_id, day, lines)
    encoded = [value.strip().encode(_encoding(ledger, manifest), "replace") for value in values.values()]
    mine |= _rejected_of(path, eraser.rejected_lines(manifest.resource_id, day), starts, encoded)
    copy, count, total = _without(path, mine, starts, scratch)
    if (starts and total < starts[-1]) or _matches(copy, manifest, values, scratch):
        copy.unlink()
        return None, 0, "removed whole, for its lines could not be told apart"
    return copy, count, "its lines were emptied"


def _without(path: Path, mine: set[int], starts: Sequence[int], scratch: Path) -> tuple[Path, int, int]:
    """Copy a file with the records that start at some lines emptied; returns it, lines emptied, and lines in all."""
    known, copy = set(starts), scratch / f"erased-{uuid.uuid4().hex}"
    scratch.mkdir(parents=True, exist_ok=True)
    count = total = 0
    is_theirs = False
    with path.open("rb") as source, copy.open("wb") as target:
        for total, line in enumerate(source, start=1):
            is_theirs = total in mine if total in known else is_theirs
            count += is_theirs
            target.write(line[len(line.rstrip(b"\r\n")) :] if is_theirs else line)
    return copy, count, total


def _rejected_of(path: Path, rejected: set[int], starts: Sequence[int], values: Sequence[bytes]) -> set[int]:
    """The records that could not be read, by their first line, in whose text all of the values stand."""
    known, texts, start = set(starts), dict[int, bytes](), 0
    with path.open("rb") as source:
        for number, line in enumerate(source, start=1):
            start = number if number in known else start
            if start in rejected:
                texts[start] = texts.get(start, b"") + line
    return {start for start, text in texts.items() if all(value in text for value in values)}


def _encoding(ledger: Ledger, manifest: Manifest) -> str:
    found = next((str(one["encoding"]) for one in _facts(ledger, manifest) if one.get("encoding")), "utf-8")
    try:
        return codecs.lookup(found).name
    except LookupError:
        return "utf-8"


def _why_not_cut(ledger: Ledger, manifest: Manifest, path: Path) -> str | None:
    """Why lines of a file cannot be cut; None when they can."""
    if manifest.evidence == PUSHED:  # one record a line
        return None
    facts = _facts(ledger, manifest)
    if not facts or any(one["member"] or one.get("kind") != "csv" for one in facts):
        return "it is no plain delimited text"
    if any(str(one.get("encoding", "")).lower().startswith(_WIDE) for one in facts):
        return "its encoding has no lines of single bytes"
    with path.open("rb") as stream:
        return "it is compressed" if stream.read(4).startswith(_PACKED) else None


def _facts(ledger: Ledger, manifest: Manifest) -> list[dict[str, Any]]:
    """What the decoders told of a file's tables, each with its ``member``; those of the load its bytes came with."""
    c = schema.loads.c
    mine = (c.feed == manifest.feed, c.resource_id == manifest.resource_id, c.source_sha256 == manifest.sha256)
    with ledger.begin() as connection:
        loads: list[Any] = list(connection.execute(sa.select(schema.loads).where(*mine)))
    return [{**facts_of(one), "member": one.source_member} for one in loads]


def _matches(path: Path, manifest: Manifest, values: Mapping[str, str], scratch: Path) -> int:
    """Records of a file whose columns hold the values, as the loader would read them."""
    folder = scratch / f"decoded-{uuid.uuid4().hex}"
    folder.mkdir(parents=True, exist_ok=True)
    try:
        tables = decode(
            path, file_name=manifest.file_name, declared_format=manifest.portal.get("format"), scratch=folder
        )
        return sum(_matches_of(one, values) for one in tables if isinstance(one, DecodedTable))
    except OdhError:  # nothing is left in it that could be read
        return 0


def _matches_of(table: DecodedTable, values: Mapping[str, str]) -> int:
    if not set(values) <= set(table.columns):
        return 0
    theirs: Iterable[pl.Expr] = (pl.col(name).str.strip_chars() == value.strip() for name, value in values.items())
    return int(table.frame.filter(*theirs).select(pl.len()).collect().item())


def sha256_of(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
