"""Write CSV files whose bytes depend on their rows alone: no clock, no file name, no machine in them."""

from __future__ import annotations

import gzip
import io
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

import polars as pl


class Writable(Protocol):
    """What bytes are written to: a file, or a compressor before it."""

    def write(self, data: bytes, /) -> int:
        """Take all the bytes."""


EPOCH = (1980, 1, 1, 0, 0, 0)  # the oldest date a ZIP can hold


@dataclass(frozen=True, slots=True)
class Dialect:
    """How one file is laid out as text."""

    separator: str = ","
    quotes: Literal["necessary", "always"] = "necessary"
    line_end: str = "\n"
    encoding: str = "utf-8"

    def encode(self, frame: pl.DataFrame, *, header: bool) -> bytes:
        """Return the rows as CSV; a null is an empty cell."""
        out = io.BytesIO()
        frame.write_csv(
            out,
            include_header=header,
            separator=self.separator,
            quote_style=self.quotes,
            line_terminator=self.line_end,
        )
        data = out.getvalue()
        return data if self.encoding == "utf-8" else data.decode().encode(self.encoding)


@contextmanager
def create(path: Path) -> Iterator[Writable]:
    """Open a new file for writing; ``.gz`` and ``.zip`` (of one CSV of the same name) are compressed on the way."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as raw:
        if path.suffix == ".gz":
            with gzip.GzipFile("", "wb", 6, raw, mtime=0) as packed:
                yield packed
        elif path.suffix == ".zip":
            member = zipfile.ZipInfo(f"{path.stem}.csv", EPOCH)
            member.compress_type, member.create_system = zipfile.ZIP_DEFLATED, 3
            with zipfile.ZipFile(raw, "w") as archive, archive.open(member, "w") as packed:
                yield packed
        else:
            yield raw


def write_csv(path: Path, frame: pl.DataFrame, dialect: Dialect) -> None:
    """Write one whole table."""
    with create(path) as out:
        out.write(dialect.encode(frame, header=True))
