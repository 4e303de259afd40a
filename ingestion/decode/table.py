"""What a decoder takes and gives: a source file, decoded tables, rejected rows, refused members."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import polars as pl

LINE = "_source_line"


@dataclass(frozen=True, slots=True)
class RejectedRow:
    """A record that does not fit its table, kept as it was written.

    ``line`` is the physical line (from 1) of the decompressed file where the record starts; in a JSON
    document it is the record's number.
    """

    line: int
    raw_text: str
    reason: str


@dataclass(frozen=True, slots=True)
class DecodedTable:
    """One table of a file: every cell as text, never null, nothing trimmed.

    ``frame`` holds ``columns`` as ``pl.String`` and ``_source_line`` as ``pl.Int64``. It is read when collected or
    sunk, from files that must stay until then. ``rows`` + ``len(rejects)`` is the number of records in the source.
    """

    member: str | None
    headers: list[str]
    columns: list[str]
    frame: pl.LazyFrame
    rows: int
    rejects: Sequence[RejectedRow]
    facts: Mapping[str, str]

    def with_fields(self, names: Sequence[str]) -> DecodedTable:
        """The same table with each of some columns, empty where the file has none of that name.

        What is pushed comes in files of any size: a field that no record of one of them gives is as empty there as one
        that another record gives.
        """
        missing = [name for name in names if name not in self.columns]
        frame = self.frame.with_columns(pl.lit("").alias(name) for name in missing)
        return replace(self, headers=[*self.headers, *missing], columns=[*self.columns, *missing], frame=frame)


@dataclass(frozen=True, slots=True)
class RefusedMember:
    """A member of an archive that cannot become a table, with the reason.

    ``is_document`` tells what was never data (a PDF, a picture, a page) from data that could not be read.
    """

    member: str | None
    reason: str
    is_document: bool = False


@dataclass(slots=True)
class Budget:
    """What one published file has grown to so far, over all its members: ``archives`` holds it within limits."""

    packed_bytes: int = 0
    expanded_bytes: int = 0
    members: int = 0


@dataclass(frozen=True, slots=True)
class Source:
    """One file, or one archive member already written out, on its way to a decoder.

    ``pad_ragged`` asks for records of another width than the header to be kept, padded, and not rejected.
    """

    path: Path
    file_name: str
    declared_format: str | None
    scratch: Path
    member: str | None = None
    facts: Mapping[str, str] = field(default_factory=dict)
    pad_ragged: bool = False
    containers: tuple[str, ...] = ()
    budget: Budget = field(default_factory=Budget)

    def new_file(self, suffix: str) -> Path:
        """Name a new file under scratch; it stays until the caller empties scratch."""
        self.scratch.mkdir(parents=True, exist_ok=True)
        return Path(tempfile.mkdtemp(dir=self.scratch)) / f"data{suffix}"

    def within(self, path: Path, *, file_name: str, member: str | None, container: str, **facts: str) -> Source:
        """The same source one container deeper."""
        chain = (*self.containers, container)
        facts = {**self.facts, "container": "/".join(chain), **facts}
        return replace(self, path=path, file_name=file_name, member=member, containers=chain, facts=facts)
