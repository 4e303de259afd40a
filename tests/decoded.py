"""A file decoded as bronze does, and the rows of its one table."""

from __future__ import annotations

from pathlib import Path

from ingestion.decode import DecodedTable, RefusedMember, decode

Found = list[DecodedTable | RefusedMember]


def read(path: Path, content: bytes, name: str = "file.csv") -> Found:
    source = path / "source"
    source.write_bytes(content)
    return list(decode(source, file_name=name, declared_format="csv", scratch=path / "scratch"))


def table(found: Found) -> DecodedTable:
    (one,) = found
    assert isinstance(one, DecodedTable)
    return one


def rows(one: DecodedTable) -> list[tuple[object, ...]]:
    frame = one.frame.collect(engine="streaming")
    assert frame.height == one.rows
    assert frame.null_count().sum_horizontal().item() == 0
    return frame.rows()
